//! The fields of the machine forms (14.2): their names, order and values.
//! Fields may be added at the end, never moved or renamed.

use nix::errno::Errno;

use crate::base::text::Text;
use crate::config::model::{
    Backend, Capture, Config, HeaderAction, HeaderInspection, HeaderSide, Service, ServiceKind,
    WebSettings,
};
use crate::status::snapshot::{
    BackendFacts, BackendNumbers, Record, SegmentHeader, ServiceFacts, ServiceNumbers,
};

use super::document::{Object, Value};
use super::{RunningService, ServiceStatus, StatusReport};

/// Everything that `status` says.
pub(super) fn status(report: &StatusReport) -> Object {
    root(report.services.iter().map(service_status).collect())
}

/// Everything that `services` says.
pub(super) fn services(config: &Config) -> Object {
    root(config.services.iter().map(configured_service).collect())
}

/// `any` or `http`.
pub(super) fn kind(service: &Service) -> &'static str {
    match service.kind {
        ServiceKind::Http(_) => "http",
        ServiceKind::Any => "any",
    }
}

/// The full text of the dispatch mode, with the command of a handler.
pub(super) fn mode(service: &Service) -> String {
    match &service.handler {
        Some(handler) => format!("{} {handler}", service.dispatch),
        None => service.dispatch.to_string(),
    }
}

/// `any` or `http`, of a running service.
pub(super) fn kind_word(facts: &ServiceFacts) -> &'static str {
    if facts.http { "http" } else { "any" }
}

/// `bindto` of a running service: the address, `any` for all of IPv4.
pub(super) fn bind_word(facts: &ServiceFacts) -> String {
    match facts.bind {
        std::net::IpAddr::V4(address) if address.is_unspecified() => "any".to_owned(),
        address => address.to_string(),
    }
}

/// The word for the state of a back end, with the mark of a torn record.
pub(super) fn state_word(backend: &Record<(BackendFacts, BackendNumbers)>) -> String {
    let mark = if backend.torn { "?" } else { "" };
    format!("{}{mark}", backend.value.1.state)
}

fn root(services: Vec<Object>) -> Object {
    Object(vec![
        ("version", crate::VERSION.into()),
        ("services", Value::Objects("service", services)),
    ])
}

fn service_status(service: &ServiceStatus) -> Object {
    match service {
        ServiceStatus::Running(running) => running_service(running),
        ServiceStatus::NotRunning { name } | ServiceStatus::LeftOver { name, .. } => {
            let name = name.as_str().into();
            Object(vec![("name", name), ("running", false.into())])
        }
    }
}

fn running_service(running: &RunningService) -> Object {
    let snapshot = &running.snapshot;
    let (facts, numbers) = &snapshot.service.value;
    let mut fields = service_facts(facts, &snapshot.header);
    fields.extend(service_numbers(facts, numbers));
    let backends = snapshot.backends.iter().map(running_backend).collect();
    fields.push(("backends", Value::Objects("backend", backends)));
    Object(fields)
}

fn service_facts(facts: &ServiceFacts, header: &SegmentHeader) -> Vec<(&'static str, Value)> {
    vec![
        ("name", facts.name.as_str().into()),
        ("running", true.into()),
        ("type", kind_word(facts).into()),
        ("bindto", bind_word(facts).into()),
        ("port", facts.port.into()),
        ("dispatchmode", facts.mode.as_str().into()),
        ("pid", header.pid.into()),
        ("started", header.started.into()),
    ]
}

fn service_numbers(facts: &ServiceFacts, numbers: &ServiceNumbers) -> [(&'static str, Value); 14] {
    [
        ("active", numbers.active.into()),
        ("maxconnections", facts.max_connections.into()),
        ("accepted", numbers.accepted.into()),
        ("refused_deny", numbers.refused_deny.into()),
        ("refused_allow", numbers.refused_allow.into()),
        ("no_backend", numbers.no_backend.into()),
        ("allow_filters", numbers.allow_filters.into()),
        ("deny_filters", numbers.deny_filters.into()),
        ("allow_read", numbers.allow_read.into()),
        ("deny_read", numbers.deny_read.into()),
        ("hooks_dropped", numbers.hooks_dropped.into()),
        ("helper_dropped", numbers.helper_dropped.into()),
        ("refused_requests", numbers.refused_requests.into()),
        ("failed_requests", numbers.failed_requests.into()),
    ]
}

fn running_backend(backend: &Record<(BackendFacts, BackendNumbers)>) -> Object {
    let (facts, numbers) = &backend.value;
    let [one, two, three, four, five] = numbers.replies;
    Object(vec![
        ("name", facts.name.as_str().into()),
        ("server", facts.server.as_str().into()),
        ("state", state_word(backend).into()),
        ("weight", facts.weight.into()),
        ("active", numbers.active.into()),
        ("maxconnections", facts.max_connections.into()),
        ("total", numbers.total.into()),
        ("failures", numbers.failures.into()),
        ("consecutive", numbers.consecutive_failures.into()),
        ("bytes_to_client", numbers.bytes_to_client.into()),
        ("bytes_to_backend", numbers.bytes_to_backend.into()),
        ("seconds", seconds(numbers.microseconds)),
        ("usage", Value::decimal(numbers.usage)),
        ("since", numbers.since.into()),
        ("reason", numbers.reason.name().into()),
        ("errno_name", errno_name(numbers.errno).into()),
        ("requests", numbers.requests.into()),
        ("replies_1xx", one.into()),
        ("replies_2xx", two.into()),
        ("replies_3xx", three.into()),
        ("replies_4xx", four.into()),
        ("replies_5xx", five.into()),
        (
            "first_byte_seconds",
            seconds(numbers.first_byte_microseconds),
        ),
        ("aborted", numbers.aborted.into()),
        ("log_dropped", numbers.log_dropped.into()),
    ])
}

fn seconds(microseconds: u64) -> Value {
    Value::decimal(microseconds as f64 / 1e6)
}

/// `ECONNREFUSED` and the like; the number where the system has no name for it.
fn errno_name(errno: u32) -> Option<String> {
    let known = i32::try_from(errno).map_or(Errno::UnknownErrno, Errno::from_raw);
    match (errno, known) {
        (0, _) => None,
        (number, Errno::UnknownErrno) => Some(number.to_string()),
        (_, name) => Some(format!("{name:?}")),
    }
}

fn configured_service(service: &Service) -> Object {
    let inspection = match service.kind {
        ServiceKind::Http(HeaderInspection::Shallow) => "shallow",
        ServiceKind::Http(HeaderInspection::Deep) | ServiceKind::Any => "deep",
    };
    let backends = service.backends.iter();
    let backends = backends.map(|backend| configured_backend(service, backend));
    let mut fields = vec![
        ("name", service.name.as_str().into()),
        ("port", service.port.into()),
        ("type", kind(service).into()),
        ("headerinspection", inspection.into()),
        ("bindto", service.bind.to_string().into()),
        ("verbosity", service.verbosity.into()),
        ("dispatchmode", mode(service).into()),
        ("revivinginterval", service.reviving_interval.get().into()),
        ("maxconnections", service.max_connections.as_number().into()),
        ("backlog", service.backlog.into()),
        ("shmkey", service.shm_key().into()),
        ("connectiontimeout", service.connection_timeout.get().into()),
        ("allowfrom", list(&service.allow_from)),
        ("denyfrom", list(&service.deny_from)),
        ("allowfile", text(service.allow_file.as_ref())),
        ("denyfile", text(service.deny_file.as_ref())),
        ("useraccount", text(service.user_account.as_ref())),
        ("trafficlog", text(service.traffic_log.as_ref())),
        ("throughputlog", text(service.throughput_log.as_ref())),
        ("handlertimeout", service.handler_timeout.get().into()),
        ("onevents", text(service.on_events.as_ref())),
        ("capture", capture(service.capture.as_ref())),
        ("capturesize", service.capture_rotation.size.into()),
        ("capturefiles", service.capture_rotation.files.into()),
    ];
    fields.extend(web(&service.web));
    fields.push(("backends", Value::Objects("backend", backends.collect())));
    Object(fields)
}

/// What only `type http` looks at. No `headtimeout`: the limit `head`.
fn web(web: &WebSettings) -> [(&'static str, Value); 9] {
    let pages = web.error_pages.iter();
    let pages = pages.map(|page| format!("{} {}", page.code, page.file));
    [
        ("reuse", web.reuse.to_string().into()),
        ("reusemax", count(web.reuse_max)),
        ("reuseage", web.reuse_age.get().into()),
        (
            "headtimeout",
            web.head_timeout
                .map_or(Value::Null, |time| time.get().into()),
        ),
        ("keepalivetimeout", web.keepalive_timeout.get().into()),
        ("responsetimeout", web.response_timeout.get().into()),
        ("maxheadersize", count(web.max_header_size)),
        ("maxheaders", count(web.max_headers)),
        ("errorfile", pages.collect::<Vec<_>>().into()),
    ]
}

fn count(number: usize) -> Value {
    Value::Count(number as u64)
}

/// What the back end does not say itself comes from its service.
fn configured_backend(service: &Service, backend: &Backend) -> Object {
    let timeout = service.idle_limit(backend).get();
    let traffic = backend.traffic_log.as_ref();
    let throughput = backend.throughput_log.as_ref();
    let mut fields = vec![
        ("name", backend.name.as_str().into()),
        ("server", backend.server.to_string().into()),
        ("port", backend.server.port.into()),
        ("verbosity", backend.verbosity.into()),
        ("maxconnections", backend.max_connections.as_number().into()),
        ("connectiontimeout", timeout.into()),
        ("weight", backend.weight.get().into()),
        ("decay", u32::from(backend.decay.get()).into()),
        ("retries", backend.retries.into()),
        ("onstart", text(backend.on_start.as_ref())),
        ("onend", text(backend.on_end.as_ref())),
        ("onfail", text(backend.on_fail.as_ref())),
        ("trafficlog", text(traffic.or(service.traffic_log.as_ref()))),
        (
            "throughputlog",
            text(throughput.or(service.throughput_log.as_ref())),
        ),
        ("stickycookie", text(backend.sticky_cookie.as_ref())),
    ];
    fields.extend(headers(backend));
    let own = backend.capture.as_ref();
    fields.push(("capture", capture(own.or(service.capture.as_ref()))));
    Object(fields)
}

fn headers(backend: &Backend) -> impl Iterator<Item = (&'static str, Value)> {
    let of = |side: HeaderSide, action: HeaderAction| {
        let directives = backend.headers.iter();
        let fitting = directives.filter(|header| header.side == side && header.action == action);
        Value::from(
            fitting
                .map(|header| header.text.to_lossy())
                .collect::<Vec<_>>(),
        )
    };
    [
        ("addserverheader", of(HeaderSide::Server, HeaderAction::Add)),
        (
            "appendserverheader",
            of(HeaderSide::Server, HeaderAction::Append),
        ),
        ("setserverheader", of(HeaderSide::Server, HeaderAction::Set)),
        ("addclientheader", of(HeaderSide::Client, HeaderAction::Add)),
        (
            "appendclientheader",
            of(HeaderSide::Client, HeaderAction::Append),
        ),
        ("setclientheader", of(HeaderSide::Client, HeaderAction::Set)),
    ]
    .into_iter()
}

fn list(texts: &[Text]) -> Value {
    texts.iter().map(Text::to_lossy).collect::<Vec<_>>().into()
}

fn capture(capture: Option<&Capture>) -> Value {
    capture.map(Capture::to_string).into()
}

fn text(text: Option<&Text>) -> Value {
    text.map(Text::to_lossy).into()
}

#[cfg(test)]
mod tests;
