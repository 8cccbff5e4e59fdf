//! Leaves the terminal, and tells whoever waits there how the start went.
//!
//! ```text
//!  start ─ fork ─┬─ Waiter::wait ◄────── pipe ──────┐
//!                └─ setsid, /dev/null ─ build ─ Notifier::ready | failed
//! ```
//!
//! One fork is enough: the child is not a group leader, so `setsid` gives it
//! a session and a process group of its own without terminal. It could gain
//! one only by opening a terminal as a file, which would take a log file of
//! that name. Working directory and umask stay as they were.
//!
//! The child keeps no descriptor of whoever called the program: its streams are
//! on /dev/null from the beginning, everything else that was left open for it
//! is closed. What it has to say goes through the pipe and is printed by the
//! parent.

#![allow(
    unsafe_code,
    reason = "neither fork nor foreign descriptors have a safe form; detach() proves the \
              conditions first"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// First byte: the daemon is ready. Nothing follows.
const READY: u8 = b'R';
/// First byte: the start failed. Messages follow, each ended by a NUL.
const FAILED: u8 = b'F';

/// The most that is read from a child, in bytes.
const LONGEST: usize = 1 << 20;

/// How long a child may take to undo its start before it is killed.
const UNDO_LIMIT: Duration = Duration::from_secs(2);

/// The pause between two looks whether a child has ended.
const REAP_PAUSE: Duration = Duration::from_millis(5);

/// Which of the two processes goes on from [`detach`].
#[derive(Debug)]
pub enum Role {
    /// The one with the terminal.
    Parent(Waiter),
    /// The one that becomes the daemon.
    Child(Notifier),
}

/// How a start in the background went.
#[derive(Debug)]
pub enum Outcome {
    /// The daemon serves.
    Ready,
    /// It gave up, for these reasons, and has ended.
    Failed(Vec<String>),
    /// It ended without a word.
    Died(ExitStatus),
    /// It took too long, and was ended: asked first, then killed.
    TimedOut,
}

/// Splits the process in two; the child has left the terminal.
///
/// # Errors
///
/// If the process has more than one thread, of which only the caller would
/// live on in the child, or what the system says to pipe, fork and setsid.
///
/// Source: decided (2.6).
pub fn detach() -> io::Result<Role> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "cannot detach beside {} other threads",
            threads - 1
        )));
    }
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: the process has no other thread (looked up above, and this
    // thread starts none in between), so no lock can be held by a thread that
    // is missing in the child, and the child may run any code.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => {
            let child = Pid::from_raw(child.as_raw()).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Role::Parent(Waiter {
                pipe: File::from(reading),
                child,
            }))
        }
        ForkResult::Child => {
            let notifier = Notifier {
                pipe: File::from(writing),
            };
            match leave_terminal(&null) {
                Ok(()) => Ok(Role::Child(notifier)),
                Err(error) => {
                    notifier.failed(&[format!("cannot leave the terminal: {error}")]);
                    Err(error)
                }
            }
        }
    }
}

fn leave_terminal(null: &File) -> io::Result<()> {
    rustix::process::setsid()?;
    drop(inherited()?);
    dup2_stdin(null)?;
    dup2_stdout(null)?;
    dup2_stderr(null)?;
    Ok(())
}

/// Keeps what the caller of this program left open for it from the programs
/// that it will start. For a daemon in the foreground, which may have been
/// given it for a purpose; one that detaches closes it.
///
/// # Errors
///
/// What the system says.
///
/// Source: decided (11.1: other descriptors closed).
pub fn keep_inherited() -> io::Result<()> {
    for descriptor in inherited()? {
        fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
        // It stays open, as it was found.
        let _ = descriptor.into_raw_fd();
    }
    Ok(())
}

/// The descriptors that the caller of this program left open, as a script with
/// `exec 3>&1` or `flock 9` does. A daemon that kept them would hold that pipe
/// open, or that lock, as long as it lives.
///
/// They are those without close-on-exec, which is set on all of our own: no
/// descriptor that has it comes through exec.
fn inherited() -> io::Result<Vec<OwnedFd>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        // SAFETY: just listed as open, and this process has one thread, which
        // closes nothing here; the loan ends with this line.
        let flags = fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) })?;
        if number > 2 && !flags.contains(FdFlags::CLOEXEC) {
            // SAFETY: open, and without an owner in this program, whose own
            // descriptors all have close-on-exec.
            found.push(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
    Ok(found)
}

/// The child's end of the pipe. Dropping it says that the start failed.
#[derive(Debug)]
pub struct Notifier {
    pipe: File,
}

impl Notifier {
    /// Says that the daemon serves.
    pub fn ready(mut self) {
        // A parent that is gone waits for nothing.
        let _ = self.pipe.write_all(&[READY]);
    }

    /// Says why the daemon does not serve. The caller then ends: the parent
    /// waits for that.
    pub fn failed(mut self, messages: &[String]) {
        let mut bytes = vec![FAILED];
        for message in messages {
            bytes.extend(message.bytes().filter(|&byte| byte != 0));
            bytes.push(0);
        }
        // A parent that is gone waits for nothing.
        let _ = self.pipe.write_all(&bytes);
    }
}

/// The parent's end of the pipe.
#[derive(Debug)]
pub struct Waiter {
    pipe: File,
    child: Pid,
}

/// What came through the pipe.
#[derive(Debug, Eq, PartialEq)]
enum Heard {
    Ready,
    Failed(Vec<String>),
    Nothing,
    TooLate,
}

impl Waiter {
    /// Process id of the child.
    pub fn child(&self) -> u32 {
        self.child.as_raw_pid().unsigned_abs()
    }

    /// Waits until the child is ready or has failed, at most `limit`. Unless
    /// it is ready, no child is left when this returns.
    ///
    /// # Errors
    ///
    /// What the system says to reading the pipe or waiting for the child.
    ///
    /// Source: decided (2.6, 8.2 `start`).
    pub fn wait(mut self, limit: Duration) -> io::Result<Outcome> {
        match listen(&mut self.pipe, Instant::now() + limit)? {
            Heard::Ready => Ok(Outcome::Ready),
            Heard::Failed(messages) => {
                end(self.child)?;
                Ok(Outcome::Failed(messages))
            }
            Heard::Nothing => Ok(Outcome::Died(end(self.child)?)),
            Heard::TooLate => {
                // Asked before it is killed, so that it can undo its start.
                signal(self.child, Signal::TERM)?;
                end(self.child)?;
                Ok(Outcome::TimedOut)
            }
        }
    }
}

/// Reads until the word is complete, the other end is closed, or `deadline`.
fn listen(pipe: &mut File, deadline: Instant) -> io::Result<Heard> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 1024];
    while bytes.len() < LONGEST {
        if !readable_before(pipe, deadline)? {
            return Ok(Heard::TooLate);
        }
        match pipe.read(&mut chunk)? {
            0 => break,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
        if bytes.first() == Some(&READY) {
            return Ok(Heard::Ready);
        }
    }
    Ok(understand(&bytes))
}

fn understand(bytes: &[u8]) -> Heard {
    let Some((&FAILED, messages)) = bytes.split_first() else {
        return Heard::Nothing;
    };
    // What stands behind the last NUL was cut off in the middle.
    let mut messages: Vec<&[u8]> = messages.split(|&byte| byte == 0).collect();
    messages.pop();
    if messages.is_empty() {
        return Heard::Nothing;
    }
    let text = |message: &[u8]| String::from_utf8_lossy(message).into_owned();
    Heard::Failed(messages.into_iter().map(text).collect())
}

fn readable_before(pipe: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut wanted = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
        match poll(&mut wanted, Some(&timeout)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for the end of `child`; kills it when it takes too long. The child is
/// ours and not waited for by anyone else, so its number cannot mean another
/// process.
fn end(child: Pid) -> io::Result<ExitStatus> {
    let deadline = Instant::now() + UNDO_LIMIT;
    let mut options = WaitOptions::NOHANG;
    loop {
        match waitpid(Some(child), options) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) if Instant::now() < deadline => thread::sleep(REAP_PAUSE),
            Ok(None) => {
                signal(child, Signal::KILL)?;
                options = WaitOptions::empty();
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A child that has ended already need not be told anything.
fn signal(child: Pid, signal: Signal) -> io::Result<()> {
    match kill_process(child, signal) {
        Err(error) if error != Errno::SRCH => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn ends() -> (File, Notifier) {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        (
            File::from(reading),
            Notifier {
                pipe: File::from(writing),
            },
        )
    }

    fn heard(mut reading: File) -> Heard {
        listen(&mut reading, Instant::now() + DEADLINE).unwrap()
    }

    /// A waiter for a child that is no daemon but a shell.
    #[expect(
        clippy::zombie_processes,
        reason = "the waiter under test waits for it"
    )]
    fn waiting_for(script: &str) -> (Waiter, Notifier) {
        let (pipe, notifier) = ends();
        let child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let child = Pid::from_raw(child.id().cast_signed()).unwrap();
        (Waiter { pipe, child }, notifier)
    }

    fn is_gone(child: Pid) -> bool {
        rustix::process::test_kill_process(child) == Err(Errno::SRCH)
    }

    #[test]
    fn ready_is_heard_though_the_pipe_stays_open() {
        let (reading, notifier) = ends();
        let other_end = notifier.pipe.try_clone().unwrap();
        notifier.ready();

        assert_eq!(heard(reading), Heard::Ready);
        drop(other_end);
    }

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (reading, notifier) = ends();
        let messages = [
            "service www: é".to_owned(),
            "two\nlines".to_owned(),
            "n\0ul".to_owned(),
        ];
        notifier.failed(&messages);

        let expected = ["service www: é", "two\nlines", "nul"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(heard(reading), Heard::Failed(expected));
    }

    #[test]
    fn end_without_a_word_or_in_the_middle_of_one_says_nothing() {
        let (reading, notifier) = ends();
        drop(notifier);
        assert_eq!(heard(reading), Heard::Nothing);

        assert_eq!(understand(b"F"), Heard::Nothing);
        assert_eq!(understand(b"Fhalf a mess"), Heard::Nothing);
        assert_eq!(understand(b"?"), Heard::Nothing);
        assert_eq!(understand(b"Fone\0tw"), Heard::Failed(vec!["one".into()]));
    }

    #[test]
    fn silence_ends_at_the_limit() {
        let (mut reading, _notifier) = ends();

        let heard = listen(&mut reading, Instant::now() + Duration::from_millis(10)).unwrap();

        assert_eq!(heard, Heard::TooLate);
    }

    #[test]
    fn child_that_dies_is_reaped_and_its_status_told() {
        let (waiter, notifier) = waiting_for("exit 3");
        let child = waiter.child;
        drop(notifier);

        let outcome = waiter.wait(DEADLINE).unwrap();

        assert!(matches!(outcome, Outcome::Died(status) if status.code() == Some(3)));
        assert!(is_gone(child));
    }

    #[test]
    fn child_that_gave_up_is_gone_when_its_reasons_are_told() {
        let (waiter, notifier) = waiting_for("exit 1");
        let child = waiter.child;
        notifier.failed(&["no".to_owned()]);

        let outcome = waiter.wait(DEADLINE).unwrap();

        assert!(matches!(outcome, Outcome::Failed(messages) if messages == ["no"]));
        assert!(is_gone(child));
    }

    #[test]
    fn child_that_takes_too_long_is_ended() {
        let (waiter, _notifier) = waiting_for("exec sleep 100");
        let child = waiter.child;

        let outcome = waiter.wait(Duration::from_millis(10)).unwrap();

        assert!(matches!(outcome, Outcome::TimedOut));
        assert!(is_gone(child));
    }

    #[test]
    fn child_that_does_not_listen_is_killed() {
        let (waiter, notifier) = waiting_for("trap '' TERM; while :; do sleep 0.1; done");
        let child = waiter.child;
        drop(notifier);

        let outcome = waiter.wait(DEADLINE).unwrap();

        assert!(matches!(outcome, Outcome::Died(status) if status.signal() == Some(9)));
        assert!(is_gone(child));
    }

    #[test]
    fn process_with_other_threads_is_not_split() {
        let error = thread::spawn(detach).join().unwrap().unwrap_err();

        assert!(
            error.to_string().starts_with("cannot detach beside"),
            "{error}"
        );
    }
}
