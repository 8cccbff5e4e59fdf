//! What /proc tells about a process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::until;

/// Clock ticks in a second, as /proc counts them on every Linux.
const TICKS: u64 = 100;

/// A process, by its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// All processes whose environment says `NAME=VALUE`.
    pub(crate) fn with_environment(name: &str, value: &str) -> Vec<Self> {
        let wanted = format!("{name}={value}").into_bytes();
        std::fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                std::fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|text| text.split(|byte| *byte == 0).any(|entry| entry == wanted))
            })
            .map(Self)
            .collect()
    }

    /// Whether one of its threads still runs. The first may be a zombie while
    /// the others, and the sockets of all, are still there.
    pub(crate) fn is_alive(self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.0)) else {
            return false;
        };
        threads
            .flatten()
            .filter_map(|thread| fields(&thread.path().join("stat")))
            .any(|fields| fields[0] != "Z" && fields[0] != "X")
    }

    /// Its state letter, e.g. `T` for stopped.
    pub(crate) fn state(self) -> String {
        self.stat().expect("a live process").swap_remove(0)
    }

    /// Its name as `killall` compares it; empty if it has gone.
    pub(crate) fn name(self) -> String {
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", self.0));
        comm.unwrap_or_default().trim_end().to_owned()
    }

    /// Its threads: their names, and how long each has run; zero where the
    /// kernel does not say.
    pub(crate) fn threads(self) -> Vec<(String, Duration)> {
        let describe = |path: PathBuf| {
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            // Not every kernel keeps these times.
            let times = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            let run = times.split_whitespace().next().unwrap_or("0");
            let run = Duration::from_nanos(run.parse().ok()?);
            Some((name.trim_end().to_owned(), run))
        };
        std::fs::read_dir(format!("/proc/{}/task", self.0))
            .expect("threads")
            .filter_map(|entry| describe(entry.ok()?.path()))
            .collect()
    }

    /// What it may write to and shares with nobody, in bytes, used or not.
    pub(crate) fn data(self) -> u64 {
        self.kib("VmData")
    }

    /// How it was called.
    pub(crate) fn command_line(self) -> Vec<String> {
        let text = self.read("cmdline");
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Its group of processes.
    pub(crate) fn group(self) -> u32 {
        self.stat().expect("a live process")[2]
            .parse()
            .expect("a number")
    }

    /// Number of its controlling terminal, 0 for none.
    pub(crate) fn terminal(self) -> i64 {
        self.stat().expect("a live process")[4]
            .parse()
            .expect("a number")
    }

    /// When it was started, in clock ticks since the machine was.
    pub(crate) fn started(self) -> u64 {
        self.stat().expect("a live process")[19]
            .parse()
            .expect("a number")
    }

    /// Time of the processor it has used.
    pub(crate) fn cpu(self) -> Duration {
        let fields = self.stat().expect("a live process");
        let ticks: u64 = fields[11..13]
            .iter()
            .map(|field| field.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// Its resident memory in bytes.
    pub(crate) fn memory(self) -> u64 {
        self.kib("VmRSS")
    }

    /// What its descriptors point to.
    pub(crate) fn descriptors(self) -> Vec<PathBuf> {
        std::fs::read_dir(format!("/proc/{}/fd", self.0))
            .expect("descriptors")
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .collect()
    }

    /// Its working directory.
    pub(crate) fn directory(self) -> PathBuf {
        std::fs::read_link(format!("/proc/{}/cwd", self.0)).expect("a working directory")
    }

    /// Where descriptor `number` points to.
    pub(crate) fn descriptor(self, number: u32) -> PathBuf {
        std::fs::read_link(format!("/proc/{}/fd/{number}", self.0)).expect("a descriptor")
    }

    /// Sends a signal; a process that has gone already is no error.
    pub(crate) fn signal(self, signal: Signal) {
        let _ = kill(Pid::from_raw(i32::try_from(self.0).expect("a pid")), signal);
    }

    /// Stops it with SIGSTOP and waits until the kernel shows it as stopped.
    #[track_caller]
    pub(crate) fn freeze(self) {
        self.signal(Signal::SIGSTOP);
        until("the process is stopped", || self.state() == "T");
    }

    /// Waits until it has gone.
    #[track_caller]
    pub(crate) fn await_end(self) {
        until(&format!("the end of process {}", self.0), || {
            !self.is_alive()
        });
    }

    /// The fields of its `stat` after the name; the first is the state.
    fn stat(self) -> Option<Vec<String>> {
        fields(Path::new(&format!("/proc/{}/stat", self.0)))
    }

    fn kib(self, field: &str) -> u64 {
        let text = self.status(field);
        let kib: u64 = text.trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    fn status(self, field: &str) -> String {
        let text = self.read("status");
        text.lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .unwrap_or_else(|| panic!("no {field} in {text}"))
            .trim()
            .to_owned()
    }

    fn read(self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0))
            .unwrap_or_else(|error| panic!("/proc/{}/{file}: {error}", self.0))
    }
}

fn fields(stat: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(stat).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
