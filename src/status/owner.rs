//! Whether the daemon behind a segment is still there, and what stands in the
//! way of a new one.
//!
//! A pid alone proves nothing, since the system gives it to others later; a
//! pid together with the start time of its process does. A stale heartbeat
//! proves nothing either: a daemon that is stopped or busy is still there.
//!
//! Source: decided (14.4).

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

use super::map::{self, object_name};
use super::read::{OpenError, ReadError, StatusReader};
use super::snapshot::SegmentHeader;

/// Whether the daemon of a segment is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Liveness {
    /// Its process exists.
    Live,
    /// Its process is gone; nobody will remove the segment but `start`.
    LeftOver,
}

impl Liveness {
    /// Looks for the process that `header` names.
    pub fn of(header: &SegmentHeader) -> Self {
        Self::by(header, process_start(header.pid))
    }

    /// By the start of the process that has the pid now.
    fn by(header: &SegmentHeader, start: Option<u64>) -> Self {
        match start {
            Some(start) if start == header.process_start => Self::Live,
            _ => Self::LeftOver,
        }
    }
}

/// The processes behind many segments, each looked for once.
#[derive(Debug, Default)]
pub struct Processes(BTreeMap<u32, Option<u64>>);

impl Processes {
    /// Looks for the process that `header` names, unless that was done before.
    pub fn liveness(&mut self, header: &SegmentHeader) -> Liveness {
        let pid = header.pid;
        let start = self.0.entry(pid).or_insert_with(|| process_start(pid));
        Liveness::by(header, *start)
    }
}

/// Start of the process `pid` in clock ticks since the boot (/proc/PID/stat,
/// field 22); `None` if there is no such process or only its zombie.
pub fn process_start(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    start_in_stat(&stat)
}

/// Whether the process `pid` was killed but is not gone yet: its first thread
/// is a zombie, while others, and with them its sockets, are still there.
pub fn is_dying(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    process_start(pid).is_none()
        && threads.flatten().any(|thread| {
            let stat = std::fs::read(thread.path().join("stat")).unwrap_or_default();
            start_in_stat(&stat).is_some()
        })
}

/// Start of this process, as [`process_start`]; `None` without /proc.
pub fn own_process_start() -> Option<u64> {
    process_start(std::process::id())
}

/// The clock that runs on while the machine sleeps and that nobody sets, in
/// whole seconds since the boot.
pub fn boottime_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or_default()
}

/// Seconds since the last heartbeat.
pub fn heartbeat_age(header: &SegmentHeader) -> u64 {
    boottime_seconds().saturating_sub(header.heartbeat)
}

/// Field 22, unless field 3 says that the process has ended. Field 2, the
/// name in brackets, may hold anything, also blanks and brackets.
fn start_in_stat(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// What stands where a service's segment belongs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// Nothing.
    None,
    /// The segment of a daemon that is there.
    Live {
        /// Its process.
        pid: u32,
        /// Its start, seconds since 1970.
        started: u64,
    },
    /// The segment of a daemon that is gone.
    LeftOver {
        /// The process that it was.
        pid: u32,
        /// The control socket that it had.
        socket: PathBuf,
    },
    /// An object of another account; what it holds was not read.
    OtherAccount {
        /// That account.
        uid: u32,
    },
}

/// Why nothing can be said about what stands there; it is not ours, and never
/// removed.
#[derive(Debug, Error)]
pub enum ExamineError {
    /// It could not be opened.
    #[error(transparent)]
    Open(OpenError),
    /// It could not be read.
    #[error("shared memory object {}: {source}", object_name(*key))]
    Read {
        /// Its key.
        key: u32,
        /// Why not.
        source: ReadError,
    },
}

/// Looks what stands where the segment with `key` belongs.
///
/// # Errors
///
/// [`ExamineError`] when it is something else than a segment of ours.
pub fn examine(key: u32) -> Result<Found, ExamineError> {
    let reader = match StatusReader::open(key) {
        Ok(None) => return Ok(Found::None),
        Ok(Some(reader)) => reader,
        Err(OpenError::OtherOwner { uid, .. }) => return Ok(Found::OtherAccount { uid }),
        Err(error) => return Err(ExamineError::Open(error)),
    };
    let header = reader
        .header()
        .map_err(|source| ExamineError::Read { key, source })?;
    Ok(match Liveness::of(&header) {
        Liveness::Live => Found::Live {
            pid: header.pid,
            started: header.started,
        },
        Liveness::LeftOver => Found::LeftOver {
            pid: header.pid,
            socket: PathBuf::from(header.socket),
        },
    })
}

/// Why an object was not removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// Its daemon is there (again).
    #[error("shared memory object {} is in use by pid {pid}", object_name(*key))]
    Live {
        /// Its key.
        key: u32,
        /// Its process.
        pid: u32,
    },
    /// It is not a segment of ours.
    #[error(transparent)]
    NotOurs(#[from] ExamineError),
    /// The system refused.
    #[error("cannot remove shared memory object {}", object_name(*key))]
    System {
        /// Its key.
        key: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Removes the object with `key` if it is left over or of another account
/// (which the system allows root only); it is examined again just before, so
/// that a daemon that came up meanwhile keeps its segment. Nothing there is no
/// error. The socket of a left-over daemon is the caller's to remove.
///
/// # Errors
///
/// [`RemoveError::Live`] for a segment of a daemon that is there;
/// [`RemoveError::NotOurs`]; [`RemoveError::System`].
pub fn remove(key: u32) -> Result<(), RemoveError> {
    match examine(key)? {
        Found::None => Ok(()),
        Found::Live { pid, .. } => Err(RemoveError::Live { key, pid }),
        Found::LeftOver { .. } | Found::OtherAccount { .. } => {
            map::unlink(key).map_err(|source| RemoveError::System { key, source })
        }
    }
}

#[cfg(test)]
mod tests;
