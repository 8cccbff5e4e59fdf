//! Pipes that carry bytes from socket to socket without copying them.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::relay::host::Host;

/// The wanted size of a pipe, and the most that is asked of one splice. The
/// kernel may refuse it to an unprivileged user with many pipes; such a pipe
/// keeps the kernel's own 64 KiB.
const PIPE_SIZE: usize = 256 * 1024;

/// How many empty pipes are kept open.
const KEPT: usize = 16;

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
}

impl Pipe {
    fn open() -> Result<Self, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let _ = fcntl_setpipe_size(&write, PIPE_SIZE);
        Ok(Self {
            read,
            write,
            held: 0,
        })
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Fills the empty pipe from `socket`, with up to `limit` bytes; 0 is the end of the stream, or a
    /// place that only a copy can pass.
    pub(super) fn fill(&mut self, socket: BorrowedFd<'_>, limit: u64) -> Result<usize, Errno> {
        debug_assert!(self.is_empty());
        let most = usize::try_from(limit).map_or(PIPE_SIZE, |limit| limit.min(PIPE_SIZE));
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
        match Pipe::open() {
            Ok(pipe) => Some(pipe),
            Err(_) => {
                host.return_pipe();
                None
            }
        }
    }

    /// Keeps `pipe` for the next user if it is empty, else closes it.
    pub(super) fn give_back<H: Host>(&mut self, pipe: Pipe, host: &mut H) {
        if pipe.is_empty() && self.idle.len() < KEPT {
            self.idle.push(pipe);
        } else {
            drop(pipe);
            host.return_pipe();
        }
    }
}
