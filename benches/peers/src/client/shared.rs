//! The clock of the threads, and when their work ends.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    base: Instant,
    end: AtomicU64,
    bell: OwnedFd,
}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            base: Instant::now(),
            end: AtomicU64::new(u64::MAX),
            bell: eventfd(0, EventfdFlags::CLOEXEC)?,
        })
    }

    /// Nanoseconds since the program began.
    pub(super) fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    /// Readable, for ever, once the end came early.
    pub(super) fn bell(&self) -> &OwnedFd {
        &self.bell
    }

    /// When the measured time ends.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Sets the end of the measured time.
    pub(super) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Relaxed);
    }

    /// Ends the measured time now.
    pub(super) fn stop(&self) -> io::Result<()> {
        self.set_end(self.now());
        rustix::io::write(&self.bell, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}
