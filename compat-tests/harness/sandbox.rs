//! A place of its own for one case, and the proof that nothing was left in it.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::sys::signal::Signal;

use super::program::Program;
use super::syslog::{Level, Syslog};
use super::{Process, Segment};

/// A variable that every process of a sandbox inherits; it tells us which
/// processes are ours.
const MARK: &str = "CROSSROADS_CASE";

/// A temporary directory, a RUNDIR, keys of shared memory and a syslog that
/// belong to one case.
///
/// When it is dropped it asserts that no process, control socket or shared
/// memory object of the case is left; what is left is removed first.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
    binary: PathBuf,
    wrapper: Vec<OsString>,
    keys: Mutex<Vec<u32>>,
    /// What the program logs.
    pub(crate) syslog: Syslog,
}

impl Sandbox {
    /// An empty sandbox.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("crossroads-case-")
            .tempdir()
            .expect("a temporary directory");
        let syslog = Syslog::at(directory.path().join("syslog"));
        Self {
            directory,
            binary: binary_under_test(),
            wrapper: Vec::new(),
            keys: Mutex::default(),
            syslog,
        }
    }

    /// The sandbox's directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where control sockets live.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.path().join("run")
    }

    /// The control sockets that are there.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.run_dir()) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }

    /// Writes a file and gives its path; directories on the way are made.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        std::fs::write(&path, text).expect("write");
        path
    }

    /// A key of shared memory that nobody uses, and that no port leads to.
    pub(crate) fn key(&self) -> u32 {
        let random = RandomState::new();
        let key = (0_u32..)
            .map(|attempt| random.hash_one(attempt) as u32 | 0x8000_0000)
            .find(|key| !Segment::of(*key).exists())
            .expect("a free key");
        self.own_key(key);
        key
    }

    /// Makes the object of `key` one that has to be gone at the end.
    pub(crate) fn own_key(&self, key: u32) {
        self.keys.lock().expect("keys").push(key);
    }

    /// Puts words in front of every further run of the program.
    pub(crate) fn wrap<S: Into<OsString>>(&mut self, wrapper: impl IntoIterator<Item = S>) {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
    }

    /// Copies a program into the sandbox; every account can run the copy.
    ///
    /// Another program does it: a file that this process has open for writing
    /// might be open in a child of another thread when it is to be run.
    pub(crate) fn copy_program(&self, program: &Path, place: &str) -> PathBuf {
        let path = self.path().join(place);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        let copied = std::process::Command::new("cp")
            .arg(program)
            .arg(&path)
            .status();
        assert!(copied.expect("cp").success());
        path
    }

    /// Runs a copy of the program from `place` from now on.
    pub(crate) fn install(&mut self, place: &str) {
        self.binary = self.copy_program(&self.binary, place);
    }

    /// Lets every account look into the sandbox.
    pub(crate) fn open_to_all(&self) {
        std::fs::set_permissions(self.path(), std::fs::Permissions::from_mode(0o755))
            .expect("mode");
    }

    /// A run of the program in the making.
    pub(crate) fn program(&self) -> Program {
        self.other_program(&self.binary)
    }

    /// A run of another program in the same surroundings.
    pub(crate) fn other_program(&self, program: impl AsRef<std::ffi::OsStr>) -> Program {
        Program::new(program, &self.wrapper, self.path().to_owned())
            .env(MARK, self.path())
            .env("CROSSROADS_RUN_DIR", self.run_dir())
            .env("CROSSROADS_SYSLOG", self.syslog.path())
            .env("NO_COLOR", "")
            .env("TZ", "UTC")
    }

    /// The processes that were started in this sandbox and still run.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let place = self.path().to_str().expect("a path of text");
        let mut all = Process::with_environment(MARK, place);
        all.retain(|process| process.is_alive());
        all
    }

    /// Ends and removes what is left; gives a line for each find.
    fn clear(&self) -> Vec<String> {
        let mut left = Vec::new();
        for process in self.processes() {
            left.push(format!("process {} ({})", process.0, process.name()));
            process.signal(Signal::SIGCONT);
            process.signal(Signal::SIGKILL);
        }
        for socket in self.sockets() {
            left.push(format!("socket {}", socket.display()));
        }
        for key in self.keys.lock().expect("keys").iter() {
            let segment = Segment::of(*key);
            if segment.exists() {
                left.push(format!("shared memory {}", segment.path().display()));
                segment.remove();
            }
        }
        left
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let left = self.clear();
        let log = self.syslog.lines();
        if std::thread::panicking() {
            eprintln!("left over: {left:?}\nsyslog: {log:#?}");
            return;
        }
        assert!(left.is_empty(), "left over: {left:#?}");
        let malformed: Vec<_> = log
            .iter()
            .filter(|line| line.level == Level::Other)
            .collect();
        assert!(
            malformed.is_empty(),
            "log lines of another shape: {malformed:#?}"
        );
    }
}

/// The program under test: the one built with this suite, or the one that
/// `CROSSROADS_UNDER_TEST` names.
pub(crate) fn binary_under_test() -> PathBuf {
    std::env::var_os("CROSSROADS_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_crossroads").into(), PathBuf::from)
}
