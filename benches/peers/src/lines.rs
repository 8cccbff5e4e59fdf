//! Lines of another process, each waited for until a deadline.

use std::io::Read;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::interrupt::Interrupt;

/// How often a wait looks for signals and calls back.
const SLICE: Duration = Duration::from_millis(20);

/// Standard output of a process, line by line.
#[derive(Debug)]
pub(crate) struct Lines {
    from: ChildStdout,
    read: Vec<u8>,
    interrupt: Interrupt,
}

impl Lines {
    /// The lines that come out of `from`.
    pub(crate) fn new(from: ChildStdout, interrupt: Interrupt) -> Self {
        let read = Vec::new();
        Self {
            from,
            read,
            interrupt,
        }
    }

    /// The next line, without its end; none at the end of the stream.
    ///
    /// # Errors
    ///
    /// After the deadline, after a signal, and if reading fails.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Option<String>> {
        self.next_while(deadline, || Ok(()))
    }

    /// As [`Lines::next`], and calls `meanwhile` every few milliseconds.
    ///
    /// # Errors
    ///
    /// Also those of `meanwhile`.
    pub(crate) fn next_while(
        &mut self,
        deadline: Instant,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<Option<String>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            self.interrupt.check()?;
            meanwhile()?;
            if Instant::now() >= deadline {
                bail!("no line within the time");
            }
            if self.readable()? && !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.read.iter().position(|byte| *byte == b'\n')?;
        let line = self.read.drain(..=end).collect::<Vec<_>>();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn readable(&self) -> Result<bool> {
        let slice = Timespec::try_from(SLICE).context("a short time")?;
        let mut wait = [PollFd::new(&self.from, PollFlags::IN)];
        match poll(&mut wait, Some(&slice)) {
            Ok(found) => Ok(found > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error).context("cannot wait for a process"),
        }
    }

    /// Whether there was anything before the end of the stream.
    fn fill(&mut self) -> Result<bool> {
        let mut block = [0; 4096];
        let count = self
            .from
            .read(&mut block)
            .context("cannot read from a process")?;
        self.read.extend_from_slice(&block[..count]);
        Ok(count > 0)
    }
}
