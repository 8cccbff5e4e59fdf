//! Signals to the daemon as a stream, and those that mean nothing to it.
//!
//! SIGUSR1, SIGUSR2 and SIGXFSZ are "ignored" by a handler that does nothing,
//! since no safe call sets a signal to be ignored. It comes to the same here,
//! interrupted calls are restarted, and a program that is executed gets the
//! default back by itself. SIGPIPE is ignored by the runtime of the language
//! before `main`; whoever starts a program sets it back to the default.

use std::io;
use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, Signal as Number};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// A signal that the daemon acts on.
///
/// Source: documented (hangup), decided (the others) (15).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Signal {
    /// SIGTERM: stop.
    Terminate,
    /// SIGINT: stop.
    Interrupt,
    /// SIGHUP: read the access lists again.
    Hangup,
}

/// The signals to this process, one after another. Several of one kind that
/// come before the first was taken count as one.
#[derive(Debug)]
pub struct Signals {
    terminate: Listener,
    interrupt: Listener,
    hangup: Listener,
    /// Kept only to say that these are ours.
    _ignored: [Listener; 3],
}

impl Signals {
    /// Begins to listen; from here on none of these signals ends the process.
    /// Undoes [`ignore_hangup`] for the calling thread. Needs a runtime.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn listen() -> io::Result<Self> {
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _ignored: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
                signal(SignalKind::from_raw(Number::SIGXFSZ as i32))?,
            ],
        };
        only_hangup().thread_unblock()?;
        Ok(signals)
    }

    /// Waits for the next signal. Safe to cancel.
    pub async fn next(&mut self) -> Signal {
        // Each arm only takes note of what has come; dropping one loses nothing.
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.hangup.recv() => Signal::Hangup,
        }
    }
}

fn only_hangup() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Number::SIGHUP);
    set
}

/// Keeps SIGHUP from ending a command that is no daemon: `killall -1` reaches
/// it too. To be called before there are other threads.
///
/// The signal is blocked, for good, which no safe call tells apart from being
/// ignored; programs started through the standard library get an empty mask.
///
/// # Errors
///
/// What the system says.
///
/// Source: decided (15).
pub fn ignore_hangup() -> io::Result<()> {
    Ok(only_hangup().thread_block()?)
}

/// Leaves control-C to another program that has the terminal, such as a pager.
///
/// # Errors
///
/// What the system says.
pub fn ignore_interrupt() -> io::Result<()> {
    let mut set = SigSet::empty();
    set.add(Number::SIGINT);
    set.add(Number::SIGQUIT);
    Ok(set.thread_block()?)
}

/// Does `work` on a thread of its own, until it is done or SIGINT or SIGTERM
/// comes, whichever is first; gives what it gave, or `None` for a signal.
///
/// After a signal the thread may still be blocked somewhere; it is left alone,
/// so this is for commands that have nothing more to do. To be called before
/// there are other threads.
///
/// # Errors
///
/// What the system says.
pub fn until_ended<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let mut ends = SigSet::empty();
    ends.add(Number::SIGINT);
    ends.add(Number::SIGTERM);
    ends.thread_block()?;
    let signals = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC)?;
    let (done, working) = io::pipe()?;
    let worker = std::thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || {
            // Closed when the work is done, or has panicked.
            let _working = working;
            work()
        })?;
    let mut watched = [
        PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(done.as_fd(), PollFlags::IN),
    ];
    loop {
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !watched[1].revents().is_empty() {
            return match worker.join() {
                Ok(result) => Ok(Some(result)),
                Err(panic) => std::panic::resume_unwind(panic),
            };
        }
        if !watched[0].revents().is_empty() {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn send(number: Number) {
        kill(Pid::this(), number).unwrap();
    }

    #[test]
    fn work_that_is_done_before_a_signal_gives_its_result() {
        assert_eq!(until_ended(|| 7).unwrap(), Some(7));
    }

    // One test, since signals go to the whole process of the tests.
    #[test]
    fn signals_arrive_as_values_and_the_rest_is_ignored() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        ignore_hangup().unwrap();
        assert!(SigSet::thread_get_mask().unwrap().contains(Number::SIGHUP));

        runtime.block_on(async {
            let mut signals = Signals::listen().unwrap();
            assert!(!SigSet::thread_get_mask().unwrap().contains(Number::SIGHUP));

            for number in [
                Number::SIGUSR1,
                Number::SIGUSR2,
                Number::SIGXFSZ,
                Number::SIGPIPE,
            ] {
                send(number);
            }
            for (number, expected) in [
                (Number::SIGHUP, Signal::Hangup),
                (Number::SIGTERM, Signal::Terminate),
                (Number::SIGINT, Signal::Interrupt),
                (Number::SIGHUP, Signal::Hangup),
            ] {
                send(number);
                let signal = tokio::time::timeout(DEADLINE, signals.next()).await;
                assert_eq!(signal, Ok(expected));
            }
        });
    }
}
