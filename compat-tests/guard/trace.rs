//! The system calls of one thread of the daemon, counted, and its steps awaited.
//!
//! The thread of the case is the tracer. While nobody pumps, a worker that
//! wants to make a call stands still, so what the case does between two calls
//! of [`Worker::until`] is never in a race with it: every run counts the same.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::harness::{Deadline, Process, eventually};

/// How often each call was made, by its name.
pub(crate) type Calls = BTreeMap<String, u64>;

/// A worker of the daemon whose system calls are counted.
///
/// Only a thread of the daemon that serves connections: what the first thread
/// does depends on time (it publishes numbers several times a second), and a
/// worker that woke it for each connection would make a call for that itself.
pub(crate) struct Worker {
    thread: Pid,
    process: Process,
    calls: BTreeMap<i64, u64>,
}

impl Worker {
    /// Begins to trace the only worker of `process`, at a moment at which it
    /// sleeps; or says why this machine does not allow that.
    pub(crate) fn trace(process: Process) -> Result<Self, Errno> {
        // A thread gives itself its name, maybe after the daemon is known to run.
        let thread = eventually("a thread `worker 0`", || thread_called(process, "worker 0"));
        let thread = Pid::from_raw(thread);
        ptrace::seize(thread, ptrace::Options::PTRACE_O_TRACESYSGOOD)?;
        let mut worker = Self {
            thread,
            process,
            calls: BTreeMap::new(),
        };
        ptrace::interrupt(thread)?;
        next_status(thread)?;
        worker.resume(None);
        worker.await_sleep();
        Ok(worker)
    }

    /// Lets the worker go on until `probe` gives a value and it sleeps again.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let deadline = Deadline::usual();
        let value = loop {
            if self.step() == Step::Asleep {
                std::thread::yield_now();
            }
            if let Some(value) = probe() {
                break value;
            }
            assert!(!deadline.passed(), "waited in vain: {what}");
        };
        self.await_sleep();
        value
    }

    /// Lets the worker go on until it sleeps in a call.
    #[track_caller]
    pub(crate) fn await_sleep(&mut self) {
        let deadline = Deadline::usual();
        while self.step() == Step::Awake {
            assert!(!deadline.passed(), "the worker never comes to rest");
        }
    }

    /// What it called since the last time this was asked.
    pub(crate) fn take_calls(&mut self) -> Calls {
        let mut named = Calls::new();
        for (number, times) in std::mem::take(&mut self.calls) {
            *named.entry(name(number)).or_default() += times;
        }
        named
    }

    /// Duplicates of what the daemon has open; or why this machine does not give
    /// them.
    pub(crate) fn descriptors(&self) -> Result<Vec<OwnedFd>, Errno> {
        let pid = i32::try_from(self.process.0).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        let daemon = pidfd_open(pid.expect("a pid"), PidfdFlags::empty()).map_err(errno)?;
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.process.0));
        let duplicate = |entry: std::io::Result<DirEntry>| {
            let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
            match pidfd_getfd(&daemon, number, PidfdGetfdFlags::empty()) {
                // Closed since it was listed.
                Err(rustix::io::Errno::BADF) => None,
                duplicate => Some(duplicate.map_err(errno)),
            }
        };
        entries
            .expect("descriptors")
            .filter_map(duplicate)
            .collect()
    }

    /// Lets it go on by one stop, if it has come to one.
    fn step(&mut self) -> Step {
        match self.next_stop() {
            Some(WaitStatus::PtraceSyscall(_)) => {
                self.count();
                self.resume(None);
            }
            // A stop that is no signal: it was interrupted, or goes on after it.
            Some(WaitStatus::PtraceEvent(..)) => self.resume(None),
            Some(WaitStatus::Stopped(_, signal)) => self.resume(Some(signal)),
            Some(other) => panic!("the worker ended while it was traced: {other:?}"),
            None if self.sleeps() => return Step::Asleep,
            None => std::thread::yield_now(),
        }
        Step::Awake
    }

    fn next_stop(&self) -> Option<WaitStatus> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        match waitpid(self.thread, Some(flags)).expect("a thread that is traced") {
            WaitStatus::StillAlive => None,
            status => Some(status),
        }
    }

    fn resume(&self, signal: Option<Signal>) {
        ptrace::syscall(self.thread, signal).expect("a thread that has stopped");
    }

    /// Counts the call at whose entry the worker stands.
    fn count(&mut self) {
        let info = ptrace::syscall_info(self.thread).expect("a call");
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            let number = self.current_call();
            *self.calls.entry(number).or_default() += 1;
        }
    }

    /// The number of the call in which the worker is.
    fn current_call(&self) -> i64 {
        let text = self.read("syscall");
        number_in(&text).unwrap_or_else(|| panic!("no system call: {text:?}"))
    }

    /// Whether the worker waits for something to happen. One that is stopped by
    /// us, could run, or waits for another thread does not.
    fn sleeps(&self) -> bool {
        let stat = self.read("stat");
        let state = stat.rsplit_once(") ").map(|(_, state)| state);
        state.is_some_and(|state| state.starts_with('S'))
            && number_in(&self.read("syscall")).is_some_and(|call| name(call) == "epoll_wait")
    }

    fn read(&self, file: &str) -> String {
        let path = format!("/proc/{}/task/{}/{file}", self.process.0, self.thread);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Ends tracing; the worker goes on by itself.
    fn detach(&self) -> Result<(), Errno> {
        ptrace::interrupt(self.thread)?;
        // Whatever stops it takes the place of the interruption.
        match next_status(self.thread)? {
            WaitStatus::Stopped(_, signal) => ptrace::detach(self.thread, signal),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => Ok(()),
            _ => ptrace::detach(self.thread, None),
        }
    }
}

/// The number of the call that `/proc/PID/task/TID/syscall` shows; none of a
/// thread that runs.
fn number_in(text: &str) -> Option<i64> {
    let first = text.split_whitespace().next()?;
    first.parse().ok()
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// Waits for what `thread`, which was interrupted, does next.
fn next_status(thread: Pid) -> Result<WaitStatus, Errno> {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    let deadline = Deadline::usual();
    loop {
        match waitpid(thread, Some(flags))? {
            WaitStatus::StillAlive if deadline.passed() => return Err(Errno::ETIMEDOUT),
            WaitStatus::StillAlive => std::thread::yield_now(),
            status => return Ok(status),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let detached = self.detach();
        assert!(
            std::thread::panicking() || detached.is_ok(),
            "cannot let the worker go: {detached:?}"
        );
    }
}

/// The number of the thread with that name, if there is one.
fn thread_called(process: Process, name: &str) -> Option<i32> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.0)).expect("threads");
    threads.flatten().find_map(|thread| {
        let comm = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let number = thread.file_name().to_str()?.parse().ok()?;
        (comm.trim_end() == name).then_some(number)
    })
}

/// How the worker was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Awake,
    Asleep,
}

/// The name of a call, as `strace` prints it; its number where the relay has
/// never made it.
fn name(number: i64) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("call-{number}"), |(_, name)| (*name).to_owned())
}

/// Calls that a worker makes, or might come to make.
const NAMES: &[(i64, &str)] = &[
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_bind, "bind"),
    (libc::SYS_brk, "brk"),
    (libc::SYS_clock_gettime, "clock_gettime"),
    (libc::SYS_clone, "clone"),
    (libc::SYS_clone3, "clone3"),
    (libc::SYS_close, "close"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_dup, "dup"),
    (libc::SYS_dup3, "dup3"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    // Which of these the library calls depends on the machine.
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, "epoll_wait"),
    (libc::SYS_epoll_pwait, "epoll_wait"),
    (libc::SYS_epoll_pwait2, "epoll_wait"),
    (libc::SYS_eventfd2, "eventfd2"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_getpeername, "getpeername"),
    (libc::SYS_getrandom, "getrandom"),
    (libc::SYS_getsockname, "getsockname"),
    (libc::SYS_getsockopt, "getsockopt"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_madvise, "madvise"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_mremap, "mremap"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_pipe2, "pipe2"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_read, "read"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sched_yield, "sched_yield"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_setsockopt, "setsockopt"),
    (libc::SYS_shutdown, "shutdown"),
    (libc::SYS_socket, "socket"),
    (libc::SYS_splice, "splice"),
    (libc::SYS_timerfd_settime, "timerfd_settime"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
];
