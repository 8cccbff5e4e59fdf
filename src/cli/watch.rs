//! Waiting for the end of another process, without ever mistaking one for it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::status::owner::process_start;

/// How often a process is looked at where the kernel cannot tell its end.
const PAUSE: Duration = Duration::from_millis(20);

/// One process, known by its id and its start time.
///
/// A pid that goes to another process later deceives it not: the descriptor
/// stays with the old one, and the start time is compared after it is opened.
#[derive(Debug)]
pub(super) struct Watch {
    pid: u32,
    start: u64,
    descriptor: Option<OwnedFd>,
}

impl Watch {
    /// Begins to watch the process `pid` that started at `start` (clock ticks
    /// since the boot); `None` if it is gone already.
    pub(super) fn begin(pid: u32, start: u64) -> Option<Self> {
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        let watch = Self {
            pid,
            start,
            // Old kernels and strict sandboxes have none.
            descriptor: pidfd_open(id, PidfdFlags::empty()).ok(),
        };
        watch.is_there().then_some(watch)
    }

    /// Waits for its end until `deadline`; says whether it came.
    pub(super) fn ends_by(&self, deadline: Instant) -> bool {
        while self.is_there() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.pause(left);
        }
        true
    }

    /// A zombie has ended: it holds no socket and no port any more.
    fn is_there(&self) -> bool {
        process_start(self.pid) == Some(self.start)
    }

    fn pause(&self, left: Duration) {
        let Some(descriptor) = &self.descriptor else {
            std::thread::sleep(left.min(PAUSE));
            return;
        };
        let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
        let limit = Timespec::try_from(left).ok();
        match poll(&mut watched, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => std::thread::sleep(left.min(PAUSE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process that ends when its stdin is closed.
    fn child() -> Child {
        Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn end_of_a_process_is_seen_even_before_it_is_reaped() {
        let mut child = child();
        let start = process_start(child.id()).unwrap();
        let watch = Watch::begin(child.id(), start).unwrap();

        drop(child.stdin.take());

        assert!(watch.ends_by(soon()));
        child.wait().unwrap();
    }

    #[test]
    fn end_is_seen_without_help_of_the_kernel() {
        let mut child = child();
        let start = process_start(child.id()).unwrap();
        let mut watch = Watch::begin(child.id(), start).unwrap();
        watch.descriptor = None;

        drop(child.stdin.take());

        assert!(watch.ends_by(soon()));
        child.wait().unwrap();
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let mut child = child();
        let start = process_start(child.id()).unwrap();
        let watch = Watch::begin(child.id(), start).unwrap();

        assert!(!watch.ends_by(Instant::now() + Duration::from_millis(30)));

        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn other_process_with_the_same_pid_is_not_watched() {
        let own = std::process::id();
        let start = process_start(own).unwrap();

        assert!(Watch::begin(own, start + 1).is_none());
        assert!(Watch::begin(0, start).is_none());
    }
}
