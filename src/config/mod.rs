//! The configuration language: text in, a [`model::Config`] or diagnostics out.
//!
//! ```text
//! bytes -> source -> preprocess -> grammar -> lower -> check -> Config
//!          files,    includes,     pest:      values,  rules    or a
//!          places    defines       statements blocks   across   Report
//! ```
//!
//! Promises: every error and warning of a file is found in one run, in
//! the order of the places; no input panics. Must not: open sockets, change
//! anything, know the daemon.

mod ast;
mod build;
mod check;
pub mod diagnostic;
pub mod directives;
mod draft;
mod findings;
mod grammar;
pub mod listfile;
mod lower;
pub mod migrate;
pub mod model;
mod preprocess;
mod source;
mod string;
pub mod suggest;
mod values;

use std::path::Path;

use crate::base::name::ServiceName;
use check::FileContents;
use diagnostic::{Code, Report};
use findings::Findings;
use model::Config;

/// What the configuration is read for; decides what is looked at beside it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// `configtest`: accounts, allow and deny files, and pages are looked at, W13
    /// counts.
    ConfigTest,
    /// `start` and `restart`: accounts, allow and deny files, and pages are looked
    /// at.
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
    let analysis = Analysis::of(path, options);
    let drafts = &analysis.drafts.services;
    let partial = drafts.iter().filter_map(partial).collect();
    let config = if analysis.findings.errors() == 0 {
        let path = source::absolute(path);
        let drafts = drafts.iter().zip(analysis.contents);
        build::config(path, analysis.fingerprint, drafts, &analysis.text)
    } else {
        None
    };
    Loaded {
        report: analysis.findings.report(&analysis.map),
        config,
        partial,
    }
}

/// All that is known of a file after every step but the last.
struct Analysis {
    /// The expanded text.
    text: String,
    map: source::SourceMap,
    fingerprint: u64,
    items: Vec<ast::Item>,
    drafts: lower::Drafts,
    /// What stands in the files of each of them.
    contents: Vec<FileContents>,
    findings: Findings,
}

impl Analysis {
    fn of(path: &Path, options: &LoadOptions) -> Self {
        let mut findings = Findings::new(&options.silenced);
        let read = preprocess::preprocess(path, &mut findings);
        let mut map = read.map;
        // The map keeps the way back to the places; it needs the text no more.
        let text = std::mem::take(&mut map.text);
        let items = grammar::parse(&text).unwrap_or_default();
        let drafts = lower::lower(&text, &items, &mut findings);
        let subject = check::Subject {
            drafts: &drafts,
            text: &text,
            options,
            incomplete: read.incomplete || drafts.swallowed,
        };
        let contents = check::check(&subject, &mut map, &mut findings);
        Self {
            fingerprint: read.fingerprint,
            text,
            map,
            items,
            drafts,
            contents,
            findings,
        }
    }
}

fn partial(service: &draft::ServiceDraft) -> Option<PartialService> {
    Some(PartialService {
        name: ServiceName::new(service.name()).ok()?,
        shm_key: service.shm_key()?,
    })
}

#[cfg(test)]
mod tests;
