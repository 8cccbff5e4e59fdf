//! What `status` and `services` print, in four forms. Pure: values in, text out.
//!
//! The machine forms (14.2) have one source each: `fields` turns a report
//! into a `document::Object`, and `terse`, `json` and `xml` only write that
//! down, so that they cannot tell different stories.

mod amount;
mod document;
mod fields;
pub(super) mod json;
mod terse;
mod text;
mod xml;

#[cfg(test)]
mod testing;

use crate::config::model::Config;
use crate::status::snapshot::ServiceSnapshot;

/// Which form the output has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For people.
    Text(TextStyle),
    /// Lines of fields separated by tabs (`-t`).
    Terse,
    /// JSON (`-j`).
    Json,
    /// XML (`-x`).
    Xml,
}

/// How the form for people looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TextStyle {
    /// How much is told.
    pub detail: Detail,
    /// Whether states are coloured.
    pub colours: Colours,
}

/// How much the form for people tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Detail {
    /// Numbers of bytes from 10000 on in units of 1024, as `9.6M`.
    #[default]
    Brief,
    /// Numbers of bytes to the byte, and the requests of each back end (`-v`).
    Full,
}

/// Whether states are coloured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Colours {
    /// No.
    #[default]
    Off,
    /// With the escape sequences of terminals.
    On,
}

/// What `status` is to print.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReport {
    /// In the order of the output.
    pub services: Vec<ServiceStatus>,
    /// The time now, seconds since 1970; ages count up to it.
    pub now: u64,
}

/// What is known of one service.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceStatus {
    /// Its daemon is there.
    Running(Box<RunningService>),
    /// No daemon has it.
    NotRunning {
        /// Its name in the file.
        name: String,
    },
    /// Only the segment of a daemon that is gone.
    LeftOver {
        /// Its name in the file.
        name: String,
        /// The process that it was.
        pid: u32,
    },
}

/// A service whose daemon is there.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningService {
    /// What its segment says.
    pub snapshot: ServiceSnapshot,
    /// Seconds since the last heartbeat.
    pub heartbeat_age: u64,
    /// The age above which that is shown, in seconds (8.2 `heartbeat`).
    pub heartbeat_limit: u64,
    /// Whether the configuration file still has it.
    pub in_file: bool,
}

impl StatusReport {
    /// The output of `status`; every line ends in LF.
    ///
    /// Source: decided (14.1, 14.2).
    pub fn render(&self, form: Form) -> String {
        match form {
            Form::Text(style) => text::status(self, style),
            Form::Terse => terse::status(&fields::status(self)),
            Form::Json => json::write(&fields::status(self)),
            Form::Xml => xml::write(&fields::status(self)),
        }
    }
}

/// The output of `services`; every line ends in LF.
///
/// Source: decided (2.5, 14.2).
pub fn services(config: &Config, form: Form) -> String {
    match form {
        Form::Text(_) => text::services(config),
        Form::Terse => terse::services(config),
        Form::Json => json::write(&fields::services(config)),
        Form::Xml => xml::write(&fields::services(config)),
    }
}
