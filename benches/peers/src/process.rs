//! Processes that the comparison starts, and that end with it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// This program, also when its file has been replaced by a newer one.
pub(crate) const OWN: &str = "/proc/self/exe";

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where standard input and output of a process go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Talk {
    /// To and from this one.
    Piped,
    /// There is no input, and the output goes into the log.
    Logged,
}

/// A running process and its group; stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its diagnostics go into the file `log`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn start(name: &str, command: &Command, talk: Talk, log: &Path) -> Result<Self> {
        let mut held = held(command);
        let errors =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let (input, output) = match talk {
            Talk::Piped => (Stdio::piped(), Stdio::piped()),
            Talk::Logged => (Stdio::null(), errors.try_clone()?.into()),
        };
        let child = held
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, once.
    pub(crate) fn output(&mut self) -> Result<ChildStdout> {
        let output = self.child.stdout.take();
        output.with_context(|| format!("{} has no output any more", self.name))
    }

    /// Its standard input, once; it is at its end when this is dropped.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// # Errors
    ///
    /// With the end of its log, if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}): {}", self.name, self.log_tail()),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it is still there at the deadline.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} does not end", self.name);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The last lines of its log, in one.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(5).collect();
        match lines.is_empty() {
            true => "it said nothing".to_owned(),
            false => lines.into_iter().rev().collect::<Vec<_>>().join(" | "),
        }
    }

    /// Sends a signal to it alone.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.rustix_pid() {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Ends it without a chance to tidy up, with all that it started.
    pub(crate) fn kill(&mut self) {
        if let Some(pid) = self.rustix_pid() {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    fn rustix_pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        drop(self.child.stdin.take());
        self.signal(Signal::TERM);
        if self.wait(Instant::now() + PATIENCE).is_err() {
            eprintln!("peers: {} does not end by itself, killed", self.name);
            self.kill();
        }
    }
}

/// The command inside `peers hold`, in a process group of its own: control-C
/// on a terminal reaches the comparison alone, which then stops the others.
fn held(command: &Command) -> Command {
    let mut held = Command::new(OWN);
    held.args(["hold", "--parent", &std::process::id().to_string(), "--"]);
    held.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        held.env(name, value.unwrap_or(OsStr::new("")));
    }
    if let Some(directory) = command.get_current_dir() {
        held.current_dir(directory);
    }
    std::os::unix::process::CommandExt::process_group(&mut held, 0);
    held
}
