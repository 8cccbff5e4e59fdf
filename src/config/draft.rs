//! Services and back ends while they are read: what was set, and where.

use super::ast::{Span, Spanned};
use super::directives::{Directive, Slot};
use super::model::{BindTo, Capture, Handler, HeaderDirective, HeaderInspection, Reuse};
use crate::base::endpoint::Host;
use crate::base::text::Text;
use crate::policy::access::Filter;
use crate::policy::dispatch::DispatchMode;

/// The value of a directive.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A number in its range.
    Number(u32),
    /// A boolean.
    Flag(bool),
    /// `type`: whether it is `http`.
    Http(bool),
    /// `headerinspection`.
    Inspection(HeaderInspection),
    /// `reuse`.
    Reuse(Reuse),
    /// `bindto`.
    Bind(BindTo),
    /// `dispatchmode`, with the program of a handler.
    Mode(DispatchMode, Option<Handler>),
    /// `server`.
    Server(Host, Option<u16>),
    /// `capture`.
    Capture(Box<Capture>),
    /// A generic string.
    Text(Text),
}

/// One directive that was set.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Its row of the table.
    pub(super) row: &'static Directive,
    /// The word.
    pub(super) word: Span,
    /// The argument; of a string the raw text.
    pub(super) argument: Span,
    /// What it was set to.
    pub(super) value: Value,
}

/// What was set in one block; the last statement of a directive counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    list: Vec<Setting>,
    faulty: u64,
}

impl Settings {
    /// The setting that counts.
    pub(super) fn find(&self, slot: Slot) -> Option<&Setting> {
        self.list.iter().find(|setting| setting.row.slot == slot)
    }

    /// The value that counts.
    pub(super) fn value(&self, slot: Slot) -> Option<&Value> {
        self.find(slot).map(|setting| &setting.value)
    }

    /// The number that counts.
    pub(super) fn number(&self, slot: Slot) -> Option<u32> {
        match self.value(slot) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The string that counts.
    pub(super) fn text(&self, slot: Slot) -> Option<&Text> {
        match self.value(slot) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The flag that counts.
    pub(super) fn flag(&self, slot: Slot) -> Option<bool> {
        match self.value(slot) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// The `reuse` that counts.
    pub(super) fn reuse(&self) -> Reuse {
        match self.value(Slot::Reuse) {
            Some(Value::Reuse(reuse)) => *reuse,
            _ => Reuse::Never,
        }
    }

    /// Puts `setting` in the place of an earlier one, and gives that.
    pub(super) fn set(&mut self, setting: Setting) -> Option<Setting> {
        let slot = setting.row.slot;
        let earlier = self.list.iter_mut().find(|other| other.row.slot == slot);
        match earlier {
            Some(earlier) => Some(std::mem::replace(earlier, setting)),
            None => {
                self.list.push(setting);
                None
            }
        }
    }

    /// Forgets a setting.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.list.retain(|setting| setting.row.slot != slot);
    }

    /// Notes that a statement of this directive was faulty.
    pub(super) fn spoil(&mut self, slot: Slot) {
        self.faulty |= 1 << slot as u32;
    }

    /// Whether a statement of this directive was faulty.
    pub(super) fn is_spoilt(&self, slot: Slot) -> bool {
        self.faulty & (1 << slot as u32) != 0
    }
}

const _: () = assert!(Slot::COUNT <= 64, "one bit of `faulty` for each slot");

/// A header directive with its place.
#[derive(Clone, Debug)]
pub(super) struct HeaderDraft {
    /// What it says.
    pub(super) header: HeaderDirective,
    /// The row of the word that was used.
    pub(super) row: &'static Directive,
    /// The word.
    pub(super) word: Span,
    /// The raw text.
    pub(super) argument: Span,
    /// Whether the daemon manages that header itself (W15).
    pub(super) managed: bool,
}

/// An `errorfile` with its place.
#[derive(Clone, Debug)]
pub(super) struct ErrorFileDraft {
    /// The code of the reply.
    pub(super) code: u16,
    /// The file with the page.
    pub(super) file: Text,
    /// The row of the word.
    pub(super) row: &'static Directive,
    /// The word.
    pub(super) word: Span,
    /// The file in the raw text.
    pub(super) argument: Span,
}

/// A back end while it is read.
#[derive(Clone, Debug)]
pub(super) struct BackendDraft {
    /// Its name; `None` if that was faulty.
    pub(super) name: Option<Spanned<String>>,
    /// The word `backend`.
    pub(super) keyword: Span,
    /// What was set.
    pub(super) settings: Settings,
    /// Header directives in file order.
    pub(super) headers: Vec<HeaderDraft>,
}

/// One side of the access rules.
#[derive(Clone, Debug, Default)]
pub(super) struct ListDraft {
    /// Filters with their places.
    pub(super) filters: Vec<(Filter, Span)>,
    /// The word of the first statement.
    pub(super) word: Option<Span>,
}

/// A service while it is read.
#[derive(Clone, Debug)]
pub(super) struct ServiceDraft {
    /// Its name; `None` if that was faulty.
    pub(super) name: Option<Spanned<String>>,
    /// The word `service`.
    pub(super) keyword: Span,
    /// What was set.
    pub(super) settings: Settings,
    /// `allowfrom`.
    pub(super) allow: ListDraft,
    /// `denyfrom`.
    pub(super) deny: ListDraft,
    /// `errorfile`, one for each code.
    pub(super) error_files: Vec<ErrorFileDraft>,
    /// In order of definition.
    pub(super) backends: Vec<BackendDraft>,
    /// Whether a `backend` was there but faulty.
    pub(super) lost_backend: bool,
}

impl ServiceDraft {
    /// Where to point for the service as a whole.
    pub(super) fn place(&self) -> Span {
        self.name.as_ref().map_or(self.keyword, |name| name.span)
    }

    /// Its name, or a stand-in for messages.
    pub(super) fn name(&self) -> &str {
        self.name.as_ref().map_or("?", |name| name.value.as_str())
    }

    /// Whether it is of `type http`.
    pub(super) fn is_http(&self) -> bool {
        self.settings.value(Slot::Type) == Some(&Value::Http(true))
    }

    /// The dispatch mode that counts, `None` if it was faulty.
    pub(super) fn mode(&self) -> Option<DispatchMode> {
        match self.settings.value(Slot::DispatchMode) {
            Some(Value::Mode(mode, _)) => Some(*mode),
            _ if self.settings.is_spoilt(Slot::DispatchMode) => None,
            _ => Some(DispatchMode::RoundRobin),
        }
    }

    /// The address to listen on, `None` if it was faulty.
    pub(super) fn bind(&self) -> Option<BindTo> {
        match self.settings.value(Slot::BindTo) {
            Some(Value::Bind(bind)) => Some(*bind),
            _ if self.settings.is_spoilt(Slot::BindTo) => None,
            _ => Some(BindTo::Any),
        }
    }

    /// The key of its shared memory, if port and key could be read.
    pub(super) fn shm_key(&self) -> Option<u32> {
        let given = self.settings.number(Slot::ShmKey);
        if given.is_none() && self.settings.is_spoilt(Slot::ShmKey) {
            return None;
        }
        match given.unwrap_or(0) {
            0 => {
                let port = self.settings.number(Slot::Port)?;
                Some(super::model::Service::SHM_KEY_BASE | port)
            }
            given => Some(given),
        }
    }
}

impl BackendDraft {
    /// Where to point for the back end as a whole.
    pub(super) fn place(&self) -> Span {
        self.name.as_ref().map_or(self.keyword, |name| name.span)
    }

    /// Its name, or a stand-in for messages.
    pub(super) fn name(&self) -> &str {
        self.name.as_ref().map_or("?", |name| name.value.as_str())
    }

    /// Host and port, as far as they are known.
    pub(super) fn server(&self) -> Option<(&Host, u16)> {
        let Some(Value::Server(host, _)) = self.settings.value(Slot::Server) else {
            return None;
        };
        let port = self.settings.number(Slot::Port)?;
        Some((host, u16::try_from(port).ok()?))
    }

    /// Its weight.
    pub(super) fn weight(&self) -> u32 {
        self.settings.number(Slot::Weight).unwrap_or(1)
    }
}
