//! From drafts without errors to the model.

use super::check::FileContents;
use super::directives::Slot;
use super::draft::{BackendDraft, ListDraft, ServiceDraft, Settings, Value};
use super::model::{
    Backend, BindTo, Capture, CaptureRotation, Config, ErrorPage, HeaderInspection, Service,
    ServiceKind, WebSettings,
};
use crate::base::endpoint::Endpoint;
use crate::base::name::{BackendName, ServiceName};
use crate::base::quantity::{ConnectionLimit, Milliseconds, Percent, Seconds, Weight};
use crate::base::text::Text;
use crate::policy::dispatch::DispatchMode;

/// The configuration that the drafts say; `None` if a required item is not
/// there, which the checks report before.
pub(super) fn config<'a>(
    path: String,
    fingerprint: u64,
    drafts: impl Iterator<Item = (&'a ServiceDraft, FileContents)>,
    text: &str,
) -> Option<Config> {
    let services = drafts.map(|(draft, contents)| service(draft, contents, text));
    Some(Config {
        path,
        fingerprint,
        services: services.collect::<Option<Vec<_>>>()?,
    })
}

fn service(draft: &ServiceDraft, contents: FileContents, text: &str) -> Option<Service> {
    let settings = &draft.settings;
    let own = |slot| settings.text(slot).cloned();
    let (dispatch, handler) = match settings.value(Slot::DispatchMode) {
        Some(Value::Mode(mode, handler)) => (*mode, handler.clone()),
        _ => (DispatchMode::RoundRobin, None),
    };
    let backends = draft.backends.iter().map(backend);
    Some(Service {
        name: ServiceName::new(draft.name()).ok()?,
        port: u16::try_from(settings.number(Slot::Port)?).ok()?,
        bind: draft.bind().unwrap_or(BindTo::Any),
        kind: kind(draft),
        verbosity: settings.flag(Slot::Verbosity).unwrap_or(false),
        dispatch,
        handler,
        handler_timeout: handler_timeout(settings),
        on_events: own(Slot::OnEvents),
        reviving_interval: seconds(settings.number(Slot::RevivingInterval)),
        max_connections: limit(settings.number(Slot::MaxConnections)),
        backlog: u16::try_from(settings.number(Slot::Backlog).unwrap_or(0)).unwrap_or(0),
        shm_key_given: settings.number(Slot::ShmKey).unwrap_or(0),
        connection_timeout: seconds(settings.number(Slot::ConnectionTimeout)),
        allow_from: filters(&draft.allow, text),
        deny_from: filters(&draft.deny, text),
        allow_file: own(Slot::AllowFile),
        deny_file: own(Slot::DenyFile),
        access: contents.access,
        user_account: own(Slot::UserAccount),
        traffic_log: own(Slot::TrafficLog),
        throughput_log: own(Slot::ThroughputLog),
        capture: capture(settings),
        capture_rotation: capture_rotation(settings),
        web: web(settings, contents.error_pages),
        backends: backends.collect::<Option<Vec<_>>>()?,
    })
}

fn kind(draft: &ServiceDraft) -> ServiceKind {
    if !draft.is_http() {
        return ServiceKind::Any;
    }
    match draft.settings.value(Slot::HeaderInspection) {
        Some(Value::Inspection(inspection)) => ServiceKind::Http(*inspection),
        _ => ServiceKind::Http(HeaderInspection::Deep),
    }
}

fn filters(list: &ListDraft, text: &str) -> Vec<Text> {
    let written = list.filters.iter();
    written.map(|(_, span)| Text::from(span.of(text))).collect()
}

fn backend(draft: &BackendDraft) -> Option<Backend> {
    let settings = &draft.settings;
    let own = |slot| settings.text(slot).cloned();
    let (host, port) = draft.server()?;
    let headers = draft.headers.iter().filter(|header| !header.managed);
    let timeout = settings.number(Slot::ConnectionTimeout);
    Some(Backend {
        name: BackendName::new(draft.name()).ok()?,
        server: Endpoint {
            host: host.clone(),
            port,
        },
        verbosity: settings.flag(Slot::Verbosity).unwrap_or(false),
        weight: Weight::new(draft.weight()).ok()?,
        decay: Percent::new(settings.number(Slot::Decay).unwrap_or(0)).ok()?,
        retries: u16::try_from(settings.number(Slot::Retries).unwrap_or(0)).ok()?,
        max_connections: limit(settings.number(Slot::MaxConnections)),
        connection_timeout: timeout.map(|given| seconds(Some(given))),
        on_start: own(Slot::OnStart),
        on_end: own(Slot::OnEnd),
        on_fail: own(Slot::OnFail),
        traffic_log: own(Slot::TrafficLog),
        throughput_log: own(Slot::ThroughputLog),
        capture: capture(settings),
        sticky_cookie: own(Slot::StickyCookie),
        headers: headers.map(|header| header.header.clone()).collect(),
    })
}

fn handler_timeout(settings: &Settings) -> Milliseconds {
    settings
        .number(Slot::HandlerTimeout)
        .and_then(Milliseconds::new)
        .unwrap_or_default()
}

fn capture(settings: &Settings) -> Option<Capture> {
    match settings.value(Slot::Capture) {
        Some(Value::Capture(capture)) => Some((**capture).clone()),
        _ => None,
    }
}

fn capture_rotation(settings: &Settings) -> CaptureRotation {
    let default = CaptureRotation::default();
    let number = |slot, default| settings.number(slot).unwrap_or(default);
    CaptureRotation {
        size: number(Slot::CaptureSize, default.size),
        files: number(Slot::CaptureFiles, default.files),
    }
}

fn web(settings: &Settings, error_pages: Vec<ErrorPage>) -> WebSettings {
    let default = WebSettings::default();
    let time = |slot| settings.number(slot).and_then(Seconds::new);
    let size = |slot, default| {
        let given = settings.number(slot);
        given.map_or(default, |given| usize::try_from(given).unwrap_or(default))
    };
    WebSettings {
        head_timeout: time(Slot::HeadTimeout),
        keepalive_timeout: time(Slot::KeepaliveTimeout).unwrap_or(default.keepalive_timeout),
        response_timeout: time(Slot::ResponseTimeout).unwrap_or(default.response_timeout),
        max_header_size: size(Slot::MaxHeaderSize, default.max_header_size),
        max_headers: size(Slot::MaxHeaders, default.max_headers),
        reuse: settings.reuse(),
        reuse_max: size(Slot::ReuseMax, default.reuse_max),
        reuse_age: time(Slot::ReuseAge).unwrap_or(default.reuse_age),
        error_pages,
    }
}

fn seconds(given: Option<u32>) -> Seconds {
    given.and_then(Seconds::new).unwrap_or_default()
}

fn limit(given: Option<u32>) -> ConnectionLimit {
    ConnectionLimit::new(given.unwrap_or(0))
}
