//! What a service of `type http` decides about messages: which back end a
//! cookie asks for, and which fields a message gets.

use std::sync::Arc;
use std::time::Duration;

use crate::base::id::BackendId;
use crate::base::limits::Limits;
use crate::base::moment::Moment;
use crate::base::name::{BackendName, ServiceName};
use crate::base::quantity::Seconds;
use crate::base::template::{BackendList, Template, TemplateContext};
use crate::config::model::{self, HeaderAction, HeaderInspection, HeaderSide, ServiceKind};
use crate::policy::sticky::StickyTable;
use crate::relay::host::{Page, WebManner, WebSettings};
use crate::relay::http1::head::HeadLimits;
use crate::relay::http1::rewrite::Editor;
use crate::service::connection::Session;
use crate::service::programs::Machine;

/// What `Retry-After` says where nothing revives a back end, in seconds.
///
/// Source: decided (9.10).
const RETRY_AFTER: u64 = 30;

/// What all workers share of a service of `type http`.
pub struct Web {
    settings: WebSettings,
    sticky: StickyTable,
    edits: Vec<Edits>,
    service: ServiceName,
    backends: Vec<(BackendName, u16)>,
    machine: Arc<Machine>,
}

/// The header directives of one back end, in order of the file.
#[derive(Default)]
struct Edits {
    request: Vec<Edit>,
    reply: Vec<Edit>,
}

struct Edit {
    action: HeaderAction,
    name: Vec<u8>,
    value: Value,
}

/// What a field gets.
enum Value {
    /// The same for every message.
    Fixed(Vec<u8>),
    Template(Template),
}

/// Which heads are edited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    Request,
    Reply,
}

impl Web {
    /// That of `config`; `None` for a service of `type any`.
    pub fn new(config: &model::Service, limits: &Limits, machine: Arc<Machine>) -> Option<Self> {
        let ServiceKind::Http(inspection) = config.kind else {
            return None;
        };
        let cookies = config.backends.iter();
        let cookies = cookies.map(|backend| backend.sticky_cookie.as_ref());
        Some(Self {
            settings: settings(config, inspection, limits),
            sticky: StickyTable::new(cookies.map(|cookie| Some(cookie?.as_bytes()))),
            edits: config.backends.iter().map(Edits::of).collect(),
            service: config.name.clone(),
            backends: config
                .backends
                .iter()
                .map(|backend| (backend.name.clone(), backend.weight.get()))
                .collect(),
            machine,
        })
    }

    /// The settings, for one worker.
    pub fn settings(&self) -> Arc<WebSettings> {
        Arc::new(self.settings.clone())
    }

    /// Whether idle connections are kept for any client.
    pub(super) fn keeps_idle(&self) -> bool {
        self.settings.manner.managed
    }

    /// Whom the cookies of a request ask for, in their order.
    pub(super) fn wanted<'a>(
        &self,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> impl Iterator<Item = BackendId> {
        self.sticky.matches(cookies)
    }

    /// Whether any back end has a cookie of its own.
    pub(super) fn is_sticky(&self) -> bool {
        !self.sticky.is_empty()
    }

    /// Applies the directives of `backend` to the head in `editor`. `room` is
    /// where values are put together.
    pub(super) fn edit(
        &self,
        direction: Direction,
        backend: BackendId,
        session: &Session,
        editor: &mut Editor<'_>,
        room: &mut Vec<u8>,
    ) {
        let edits = &self.edits[backend.index()];
        let edits = match direction {
            Direction::Request => &edits.request,
            Direction::Reply => &edits.reply,
        };
        for edit in edits {
            let value = match &edit.value {
                Value::Fixed(value) => value,
                Value::Template(template) => {
                    room.clear();
                    self.expand(template, backend, session, room);
                    &*room
                }
            };
            // An expansion never breaks a line; if one did, the editor would
            // leave the field out.
            let _ = match edit.action {
                HeaderAction::Add => editor.add(&edit.name, value),
                HeaderAction::Append => editor.append(&edit.name, value),
                HeaderAction::Set => editor.set(&edit.name, value),
            };
        }
    }

    fn expand(
        &self,
        template: &Template,
        backend: BackendId,
        session: &Session,
        out: &mut Vec<u8>,
    ) {
        let usable = match template.asks_usability() {
            true => session.service().running.table().usable(),
            false => Vec::new(),
        };
        let epoch = match template.needs_clock() {
            true => Moment::now().unix,
            false => 0,
        };
        let context = TemplateContext {
            service: self.service.as_str(),
            backends: &BackendList {
                known: &self.backends,
                usable: &usable,
            },
            current: Some(backend),
            client: Some(session.client.ip()),
            host: &self.machine.host,
            process: self.machine.process,
            epoch,
            zone: &self.machine.clock,
        };
        template.expand_into(&context, out);
    }
}

impl Edits {
    fn of(backend: &model::Backend) -> Self {
        let mut edits = Self::default();
        for directive in &backend.headers {
            let list = match directive.side {
                HeaderSide::Server => &mut edits.request,
                HeaderSide::Client => &mut edits.reply,
            };
            list.push(Edit {
                action: directive.action,
                name: directive.name.as_bytes().to_vec(),
                value: match directive.value.literal() {
                    Some(value) => Value::Fixed(value.to_vec()),
                    None => Value::Template(directive.value.clone()),
                },
            });
        }
        edits
    }
}

fn settings(config: &model::Service, inspection: HeaderInspection, limits: &Limits) -> WebSettings {
    let positive = |limit: Duration| (!limit.is_zero()).then_some(limit);
    let web = &config.web;
    let idle_limit = config.connection_timeout.duration();
    let managed = web.reuse == model::Reuse::Safe && inspection == HeaderInspection::Deep;
    WebSettings {
        manner: WebManner {
            limits: HeadLimits {
                bytes: web.max_header_size,
                fields: web.max_headers,
            },
            shallow: inspection == HeaderInspection::Shallow,
            managed,
        },
        idle_limit,
        keepalive_limit: web.keepalive_timeout.duration().or(idle_limit),
        head_limit: web
            .head_timeout
            .and_then(Seconds::duration)
            .unwrap_or(limits.head),
        response_limit: web.response_timeout.duration(),
        discard_limit: limits.discard,
        retry_after: config
            .reviving_interval
            .duration()
            .and_then(positive)
            .map_or(RETRY_AFTER, |interval| interval.as_secs().max(1)),
        pages: web.error_pages.iter().map(page).collect(),
        pool_size: web.reuse_max,
        pool_age: web.reuse_age.duration().unwrap_or(Duration::MAX),
    }
}

fn page(page: &model::ErrorPage) -> Page {
    Page {
        code: page.code,
        content_type: page.content_type,
        body: Arc::clone(&page.page),
    }
}
