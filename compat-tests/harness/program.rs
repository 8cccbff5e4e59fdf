//! One run of the program under test: its output and exit code, in time.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Deadline, eventually};

/// What a finished command leaves: its exit code and its output.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    #[expect(
        dead_code,
        reason = "shown by Debug in the message of a failed assertion"
    )]
    what: String,
    /// Exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// All of its standard output.
    pub(crate) stdout: String,
    /// The same as bytes.
    pub(crate) bytes: Vec<u8>,
    /// All of its standard error output.
    pub(crate) stderr: String,
}

impl Run {
    /// Asserts exit code 0 and nothing on stderr; gives stdout.
    #[track_caller]
    pub(crate) fn clean(&self) -> &str {
        assert_eq!(self.stderr, "", "{self:#?}");
        self.ok()
    }

    /// Asserts exit code 0; gives stdout.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }

    /// Asserts exit code 1 and nothing on stdout; gives stderr.
    #[track_caller]
    pub(crate) fn failed(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        &self.stderr
    }

    /// Asserts a failure whose only line on stderr is `crossroads: TEXT`; gives
    /// TEXT.
    #[track_caller]
    pub(crate) fn failed_with_one_line(&self) -> &str {
        let stderr = self.failed().trim_end_matches('\n');
        assert_eq!(stderr.lines().count(), 1, "{self:#?}");
        stderr
            .strip_prefix("crossroads: ")
            .unwrap_or_else(|| panic!("no `crossroads: ` in front: {self:#?}"))
    }

    /// Asserts a usage error in the form of 2.5; gives its text.
    #[track_caller]
    pub(crate) fn usage_error(&self) -> &str {
        let lines: Vec<&str> = self.failed().lines().collect();
        assert_eq!(lines.len(), 2, "{self:#?}");
        assert_eq!(
            lines[1], "crossroads: 'crossroads -h' lists flags and commands",
            "{self:#?}"
        );
        lines[0]
            .strip_prefix("crossroads: ")
            .unwrap_or_else(|| panic!("no `crossroads: ` in front: {self:#?}"))
    }
}

/// A command line in the making.
pub(crate) struct Program {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    account: Option<u32>,
    limit: Duration,
}

impl Program {
    /// `wrapper` is put in front of the program, e.g. `unshare -m`.
    pub(crate) fn new(
        program: impl AsRef<OsStr>,
        wrapper: &[OsString],
        directory: PathBuf,
    ) -> Self {
        let mut words = wrapper.to_vec();
        words.push(program.as_ref().to_owned());
        Self {
            words,
            environment: Vec::new(),
            directory,
            account: None,
            limit: Deadline::usual().left(),
        }
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.words
            .extend(args.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs it as another account, which only root can.
    pub(crate) fn account(mut self, uid: u32) -> Self {
        self.account = Some(uid);
        self
    }

    /// Runs it in another directory than the sandbox's.
    pub(crate) fn directory(mut self, directory: PathBuf) -> Self {
        self.directory = directory;
        self
    }

    /// Gives it more or less than the usual time.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Run {
        let deadline = Deadline::after(self.limit);
        self.spawn().finish(deadline)
    }

    /// Starts it and lets it run.
    #[track_caller]
    pub(crate) fn spawn(self) -> Running {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .current_dir(&self.directory)
            .env_remove("CROSSROADS_UNDER_TEST")
            .env_remove("JOURNAL_STREAM")
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(uid) = self.account {
            command.uid(uid).gid(uid);
        }
        let what = format!("{:?}", self.words);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
        Running {
            stdout: collect(child.stdout.take().expect("a pipe")),
            stderr: collect(child.stderr.take().expect("a pipe")),
            child,
            what,
            ended: false,
        }
    }
}

/// A command that runs.
pub(crate) struct Running {
    what: String,
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    ended: bool,
}

impl Running {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("kill");
    }

    /// Reads lines from its standard output until `wanted` accepts one.
    #[track_caller]
    pub(crate) fn stdout_until(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let deadline = Deadline::usual();
        let mut seen = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&seen).into_owned();
            let lines: Vec<String> = complete_lines(&text);
            if lines.iter().any(|line| wanted(line)) {
                return lines;
            }
            match self.stdout.recv_timeout(deadline.left()) {
                Ok(bytes) => seen.extend(bytes),
                Err(_) => panic!("{}: the line never came; so far: {text}", self.what),
            }
        }
    }

    /// Waits for its end and for the end of its output.
    ///
    /// The output ends only when every process that inherited it has closed it,
    /// so this also shows that a daemon has let go of its starter's streams.
    #[track_caller]
    pub(crate) fn finish(mut self, deadline: Deadline) -> Run {
        let stdout = self.drain(deadline, "stdout", |running| &running.stdout);
        let stderr = self.drain(deadline, "stderr", |running| &running.stderr);
        let status = self.wait();
        Run {
            what: self.what.clone(),
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            bytes: stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    #[track_caller]
    fn drain(
        &mut self,
        deadline: Deadline,
        name: &str,
        stream: impl Fn(&Self) -> &Receiver<Vec<u8>>,
    ) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match stream(self).recv_timeout(deadline.left()) {
                Ok(bytes) => all.extend(bytes),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return all;
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!(
                    "{}: {name} is still open at the deadline; so far: {}",
                    self.what,
                    String::from_utf8_lossy(&all)
                ),
            }
        }
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.what);
        let status = eventually(&what, || self.child.try_wait().expect("wait"));
        self.ended = true;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The lines of `text` that have their end already.
fn complete_lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .map(str::to_owned)
        .collect()
}

/// Reads a stream in a thread of its own, so that neither stream of a process
/// can block the other.
fn collect(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
