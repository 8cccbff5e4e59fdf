//! The configuration language: text in, a [`model::Config`] or diagnostics out.
//!
//! ```text
//! bytes -> source -> preprocess -> grammar -> lower -> check -> Config
//!          files,    includes,     pest:      values,  rules    or a
//!          places    defines       statements blocks   across   Report
//! ```
//!
//! Promises: every error, warning and note of a file is found in one run, in
//! the order of the places; no input panics. Must not: open sockets, change
//! anything, know the daemon.

mod ast;
pub mod diagnostic;
pub mod directives;
mod grammar;
pub mod model;
pub mod suggest;

use std::path::Path;

use crate::base::name::ServiceName;
use diagnostic::{Code, Report};
use model::Config;

/// What the configuration is read for; decides what is looked at beside it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// `configtest`: accounts, allow and deny files are looked at, W13 counts.
    ConfigTest,
    /// `start` and `restart`: accounts, allow and deny files are looked at.
    Start,
    /// Everything else: only the configuration itself.
    #[default]
    Other,
}

/// With whose rights this process runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Privilege {
    /// As root: a file that others can write is worth a warning (W14).
    Root,
    /// As anybody else: `useraccount` needs root (W13).
    #[default]
    User,
}

/// How a configuration is read.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Warnings that are neither kept nor counted.
    pub silenced: Vec<Code>,
    /// What it is read for.
    pub purpose: Purpose,
    /// With whose rights.
    pub privilege: Privilege,
}

/// A service of a faulty file that a command can still find (2.3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartialService {
    /// Its name.
    pub name: ServiceName,
    /// The key of its shared memory.
    pub shm_key: u32,
}

/// What came out of a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Everything that was found.
    pub report: Report,
    /// The configuration; `None` when there are errors.
    pub config: Option<Config>,
    /// The services whose name, port and key could be read.
    pub partial: Vec<PartialService>,
}

/// Reads the file at `path` with all that it includes, and checks it.
///
/// Never fails as such: a file that cannot be read is an error of the report
/// (E43).
///
/// Source: decided (3.7).
pub fn load(path: &Path, options: &LoadOptions) -> Loaded {
    let _ = (path, options);
    Loaded {
        report: Report::default(),
        config: None,
        partial: Vec::new(),
    }
}
