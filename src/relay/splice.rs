//! Pipes that carry bytes from socket to socket without copying them.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

use crate::relay::host::Host;

/// The wanted size of the first pipes of an engine. What is moved at once
/// decides what a stream costs; more than this costs again as much as less.
const LARGE: usize = 1024 * 1024;

/// The wanted size of the others, so that many streams that stall at the same
/// time hold less.
const ORDINARY: usize = 256 * 1024;

/// The kernel may refuse both to an unprivileged user with many pipes, and
/// gives one of two pages where it used to give this. To splice through such
/// a pipe costs more than to copy.
const LEAST: usize = 64 * 1024;

/// How many pipes of an engine are large.
const MOST_LARGE: usize = 16;

/// How many pipes are kept open empty, and how many of these are large: they
/// count against what the kernel allows the user, whoever needs it next.
const KEPT: usize = 16;
const KEPT_LARGE: usize = 4;

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// A pipe and what is in it.
///
/// It is filled only when it is empty. So when a splice into it would block,
/// it is the socket that has nothing to give, whatever size the pipe has.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    /// Its size, and the most that is asked of one splice.
    size: usize,
}

impl Pipe {
    /// # Errors
    ///
    /// When there is no descriptor, or only a pipe that is too small.
    fn open(size: usize) -> Result<Self, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let mut given = [size, ORDINARY].into_iter();
        let given = given.find_map(|size| fcntl_setpipe_size(&write, size).ok());
        let size = match given {
            Some(size) => size,
            None => fcntl_getpipe_size(&write)?,
        };
        if size < LEAST {
            return Err(Errno::NOBUFS);
        }
        Ok(Self {
            read,
            write,
            held: 0,
            size,
        })
    }

    /// Whether it was opened as a large one, and the kernel agreed.
    pub(super) fn is_large(&self) -> bool {
        self.size >= LARGE
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Fills the empty pipe from `socket`, with up to `limit` bytes; 0 is the
    /// end of the stream, or a place that only a copy can pass.
    pub(super) fn fill(&mut self, socket: BorrowedFd<'_>, limit: u64) -> Result<usize, Errno> {
        debug_assert!(self.is_empty());
        let most = usize::try_from(limit).map_or(self.size, |limit| limit.min(self.size));
        self.held = splice(socket, None, &self.write, None, most, FLAGS)?;
        Ok(self.held)
    }

    /// Writes to `socket` what it takes; the bytes written, and the error that
    /// ended it, if any but "would block".
    pub(super) fn drain(&mut self, socket: BorrowedFd<'_>) -> (usize, Option<Errno>) {
        let before = self.held;
        let mut error = None;
        while self.held > 0 {
            match splice(&self.read, None, socket, None, self.held, FLAGS) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(moved) => self.held -= moved.min(self.held),
                Err(Errno::INTR) => {}
                Err(other) => {
                    error = Some(other);
                    break;
                }
            }
        }
        (before - self.held, error)
    }
}

/// Empty pipes, ready for use.
#[derive(Default)]
pub(super) struct Pipes {
    pub(super) idle: Vec<Pipe>,
    /// How many of those that are open were opened as large ones.
    large: usize,
}

impl Pipes {
    /// An empty pipe, if the host allows one and the system has one.
    pub(super) fn take<H: Host>(&mut self, host: &mut H) -> Option<Pipe> {
        if let Some(pipe) = self.idle.pop() {
            return Some(pipe);
        }
        if !host.take_pipe() {
            return None;
        }
        let size = if self.large < MOST_LARGE {
            LARGE
        } else {
            ORDINARY
        };
        match Pipe::open(size) {
            Ok(pipe) => {
                self.large += usize::from(pipe.is_large());
                Some(pipe)
            }
            Err(_) => {
                host.return_pipe();
                None
            }
        }
    }

    fn has_room_for(&self, pipe: &Pipe) -> bool {
        let large = self.idle.iter().filter(|idle| idle.is_large()).count();
        self.idle.len() < KEPT && (large < KEPT_LARGE || !pipe.is_large())
    }

    /// Keeps `pipe` for the next user if it is empty, else closes it.
    pub(super) fn give_back<H: Host>(&mut self, pipe: Pipe, host: &mut H) {
        if pipe.is_empty() && self.has_room_for(&pipe) {
            self.idle.push(pipe);
        } else {
            self.large -= usize::from(pipe.is_large());
            drop(pipe);
            host.return_pipe();
        }
    }
}
