//! Starts programs for others: always through `/bin/sh -c`, in a process group
//! of their own, and with nothing of the daemon but what is meant for them.
//!
//! Descriptors: all of the daemon's are close-on-exec, and what its caller left
//! open was closed or marked so at the start, so a program gets its three
//! streams and nothing else. Signals: the standard library gives it an empty
//! mask, and [`undo_ignored_signals`] made sure that none is ignored.

#![allow(
    unsafe_code,
    reason = "no safe call changes the account of a child, or the disposition of a signal"
)]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, killpg, signal};
use nix::unistd::{Pid, setgroups, setresgid, setresuid};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::process::account::{Account, Identity};

/// The pause between two looks whether a group is gone; nobody is told of that.
const GROUP_PAUSE: Duration = Duration::from_millis(10);

/// Which streams of a program lead to the daemon; the others are /dev/null.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Streams {
    /// None.
    Nothing,
    /// Its standard output.
    Output,
    /// Its standard input and output.
    InputAndOutput,
}

/// A program that was started.
#[derive(Debug)]
pub struct Program {
    child: Child,
    group: Option<Pid>,
    at_drop: Option<Signal>,
}

impl Program {
    /// Starts `line`, a command line for the shell, as `account` or as whoever
    /// the daemon is. Needs a runtime.
    ///
    /// # Errors
    ///
    /// What the system says, also of the account: then nothing was run.
    ///
    /// Source: decided (11.1, 11.4); the shell inferred.
    pub fn start(line: &[u8], account: Option<&Account>, streams: Streams) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        let piped = |wanted: bool| match wanted {
            true => Stdio::piped(),
            false => Stdio::null(),
        };
        command
            .arg("-c")
            .arg(OsStr::from_bytes(line))
            .stdin(piped(streams == Streams::InputAndOutput))
            .stdout(piped(streams != Streams::Nothing))
            .stderr(Stdio::null())
            .process_group(0);
        if let Some(account) = account {
            become_account(&mut command, account);
        }
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            child,
            group: group.map(Pid::from_raw),
            at_drop: None,
        })
    }

    /// Has it end with its owner: its group gets `number` if this is dropped
    /// before its end was seen. Otherwise it lives on.
    pub fn ended_by(mut self, number: Signal) -> Self {
        self.at_drop = Some(number);
        self
    }

    /// Its standard input, once.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its standard output, once.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end. Safe to cancel.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Sends `number` to its whole process group, as long as it has not ended.
    pub fn signal(&self, number: Signal) {
        // No number once it was waited for: the group may be another's by then.
        if let (Some(_), Some(group)) = (self.child.id(), self.group) {
            // Fails only if the group is gone, which is as good.
            let _ = killpg(group, number);
        }
    }

    /// Ends it and everything in its group: SIGTERM, and SIGKILL for what is
    /// left after `patience`.
    pub async fn terminate(&mut self, patience: Duration) {
        self.signal(Signal::SIGTERM);
        if timeout(patience, self.group_gone()).await.is_ok() {
            return;
        }
        if let Some(group) = self.group {
            // Its number is not given to others while somebody is in it, and
            // somebody was a moment ago.
            let _ = killpg(group, Signal::SIGKILL);
        }
        // Nothing survives that, so this is no long wait; what it says of the
        // end is no news.
        let _ = self.ended().await;
    }

    /// Waits until it has ended and nobody is left in its group.
    async fn group_gone(&mut self) {
        let _ = self.ended().await;
        while self.group.is_some_and(|group| killpg(group, None).is_ok()) {
            sleep(GROUP_PAUSE).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(number) = self.at_drop {
            self.signal(number);
        }
    }
}

fn become_account(command: &mut Command, account: &Account) {
    command
        .env("HOME", account.home())
        .env("USER", account.name())
        .env("LOGNAME", account.name());
    let Identity::Other(user, group, groups) = account.identity().clone() else {
        return;
    };
    let become_it = move || {
        // The user comes last: without root the others could not be set.
        setgroups(&groups)?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        Ok(())
    };
    // SAFETY: the closure runs in the child between fork and exec. It makes
    // three system calls with values that were put together before the fork;
    // it neither allocates nor takes a lock, and the vector lives in it.
    unsafe {
        command.pre_exec(become_it);
    }
}

/// Gives every signal that the caller of this program had it ignore, as `nohup`
/// and background jobs do, its default: programs would inherit that, and with
/// an ignored SIGCHLD nobody could wait for them. Before the daemon sets
/// handlers of its own; to be called while there are no other threads.
///
/// Source: decided (11.1: default dispositions).
pub fn undo_ignored_signals() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for number in Signal::iterator() {
        // The standard library ignores SIGPIPE, and undoes it for programs.
        if number == Signal::SIGPIPE || !is_ignored(&status, number) {
            continue;
        }
        // SAFETY: the default action is no code of ours, so nothing can run at
        // a moment when it must not.
        let _ = unsafe { signal(number, SigHandler::SigDfl) };
    }
}

/// What /proc/self/status says about a signal.
fn is_ignored(status: &str, number: Signal) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (number as i32 - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::process::ExitStatusExt;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { timeout(DEADLINE, future).await.unwrap() })
    }

    /// What `line` writes, and how it ends.
    async fn output(line: &str, account: Option<&Account>) -> (String, ExitStatus) {
        let mut program = Program::start(line.as_bytes(), account, Streams::Output).unwrap();
        let mut text = String::new();
        let mut output = program.take_output().unwrap();
        output.read_to_string(&mut text).await.unwrap();
        (text, program.ended().await.unwrap())
    }

    #[test]
    fn program_has_three_streams_and_no_other_descriptor() {
        // Whoever runs the tests may have left others open; the daemon marks
        // those at its start.
        let ours = fs::File::open("/dev/null").unwrap();
        let line = "ls /proc/$$/fd; readlink /proc/$$/fd/0 /proc/$$/fd/2";
        let (text, status) = run(output(line, None));

        assert!(text.ends_with("\n/dev/null\n/dev/null\n"), "{text}");
        assert!(text.starts_with("0\n1\n"), "{text}");
        let ours = ours.as_raw_fd().to_string();
        assert!(!text.lines().any(|line| line == ours), "{text}");
        assert!(status.success());
    }

    #[test]
    fn program_leads_its_own_group_with_an_empty_mask() {
        // Whoever runs the tests in the background has them ignore some.
        undo_ignored_signals();
        let line = "test $(ps -o pgid= -p $$) = $$ && grep -E 'SigBlk|SigIgn' /proc/self/status";
        let (text, status) = run(output(line, None));

        assert!(status.success(), "{text}");
        for line in text.lines() {
            let mask = line.split_whitespace().nth(1).unwrap();
            // 32 and 33 belong to the C library.
            let mask = u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff;
            assert_eq!(mask, 0, "{line}");
        }
    }

    #[test]
    fn signal_reaches_the_whole_group() {
        run(async {
            let line = b"sleep 1000 & echo up; wait";
            let mut program = Program::start(line, None, Streams::Output).unwrap();
            let mut output = program.take_output().unwrap();
            let mut start = [0; 3];
            output.read_exact(&mut start).await.unwrap();

            program.signal(Signal::SIGKILL);

            // The end of output: the sleeper is gone too.
            output.read_to_end(&mut Vec::new()).await.unwrap();
            let status = program.ended().await.unwrap();
            assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
        });
    }

    #[test]
    fn input_reaches_the_program() {
        run(async {
            let mut program = Program::start(b"cat", None, Streams::InputAndOutput).unwrap();
            let mut input = program.take_input().unwrap();
            input.write_all(b"through\n").await.unwrap();
            drop(input);

            let mut text = String::new();
            let mut output = program.take_output().unwrap();
            output.read_to_string(&mut text).await.unwrap();

            assert_eq!(text, "through\n");
            assert!(program.ended().await.unwrap().success());
        });
    }

    #[test]
    fn account_sets_user_group_groups_and_environment() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can become another account");
            return;
        }
        let nobody = Account::look_up(b"nobody").unwrap();

        let line = "id -u; id -ru; id -g; id -G; echo $USER $LOGNAME $HOME";
        let (text, _) = run(output(line, Some(&nobody)));

        let Identity::Other(uid, gid, groups) = nobody.identity() else {
            panic!("nobody is not root");
        };
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        let home = nobody.home().display();
        let groups = groups.join(" ");
        let expected = format!("{uid}\n{uid}\n{gid}\n{groups}\nnobody nobody {home}\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn mask_of_ignored_signals_is_read() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000010001\n";

        assert!(is_ignored(status, Signal::SIGHUP));
        assert!(is_ignored(status, Signal::SIGCHLD));
        assert!(!is_ignored(status, Signal::SIGTERM));
        assert!(!is_ignored("", Signal::SIGHUP));
    }
}
