//! The sample helpers of `etc/helpers`, run as the daemon runs programs, but
//! without it. Each case runs in every language whose interpreter is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::harness::{Deadline, Run, Running, Sandbox};

/// Where the samples are.
pub(super) fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/helpers")
}

/// The sample helpers in one language, with a state file of their own.
pub(super) struct Helpers {
    /// `sh` or `py`.
    pub(super) language: &'static str,
    pub(super) sandbox: Sandbox,
    /// Where programs are looked for.
    search: OsString,
}

impl Helpers {
    /// The helpers in one language, or `None` where it has no interpreter.
    pub(super) fn new(language: &'static str) -> Option<Self> {
        let mut search = std::env::var_os("PATH")?;
        if language == "py" {
            let mut path = interpreter()?.into_os_string();
            path.push(":");
            path.push(&search);
            search = path;
        }
        Some(Self {
            language,
            sandbox: Sandbox::new(),
            search,
        })
    }

    /// The state file.
    pub(super) fn state(&self) -> PathBuf {
        self.sandbox.path().join("state of it")
    }

    /// A file beside the state file, named after it.
    pub(super) fn beside(&self, end: &str) -> PathBuf {
        let mut path = self.state().into_os_string();
        path.push(end);
        path.into()
    }

    /// The lines of the state file that tell about clients, in order, each
    /// without the time at its end.
    pub(super) fn clients(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.state()).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut clients: Vec<String> = lines
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect();
        clients.sort();
        clients
    }

    /// Starts a shell command; `$FARM` and `$TURN` are the two helpers, `$STATE`
    /// the state file.
    pub(super) fn spawn(&self, command: &str) -> Running {
        let path = |name: &str| place().join(name).with_extension(self.language);
        self.sandbox
            .other_program("/bin/sh")
            .args(["-c", command])
            .env("PATH", &self.search)
            .env("FARM", path("desktop-farm"))
            .env("TURN", path("roundrobin"))
            .env("STATE", self.state())
            .spawn()
    }

    /// Runs a shell command to its end.
    pub(super) fn run(&self, command: &str) -> Run {
        self.spawn(command).finish(Deadline::usual())
    }

    /// One dispatch of the farm; gives the name that it writes.
    pub(super) fn farm(&self, arguments: &str) -> String {
        let run = self.run(&format!("exec \"$FARM\" dispatch \"$STATE\" {arguments}"));
        run.clean().trim_end().to_owned()
    }

    /// One event of the farm.
    pub(super) fn event(&self, event: &str, arguments: &str) {
        let run = self.run(&format!("exec \"$FARM\" {event} \"$STATE\" {arguments}"));
        assert_eq!(run.clean(), "");
    }

    /// What a helper writes that gets `lines` and then the end of its input.
    pub(super) fn told(&self, command: &str, lines: &str) -> String {
        self.sandbox.write("lines", lines);
        let run = self.run(&format!("exec {command} <lines"));
        run.clean().to_owned()
    }
}

/// The directory of the real interpreter of Python; a wrapper in front of it may
/// cost more time than the helper.
fn interpreter() -> Option<PathBuf> {
    let asked = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .stdin(Stdio::null())
        .output();
    let output = asked.ok().filter(|output| output.status.success())?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    Some(path.parent()?.to_owned())
}

/// The languages whose interpreters are there.
pub(super) fn languages() -> Vec<&'static str> {
    let mut languages = vec!["sh"];
    if interpreter().is_some() {
        languages.push("py");
    } else {
        eprintln!("skipped: the Python half needs python3");
    }
    languages
}

/// Runs a case in every language.
pub(super) fn in_both(case: impl Fn(&Helpers)) {
    for language in languages() {
        case(&Helpers::new(language).unwrap());
    }
}

/// Now, in seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// 7.5 (decided).
#[test]
fn the_round_robin_helper_names_the_next_usable_one() {
    in_both(|helpers| {
        let next = |backends: &str| {
            let run = helpers.run(&format!("exec \"$TURN\" \"$STATE\" {backends}"));
            run.clean().to_owned()
        };

        let all: String = (0..4).map(|_| next("maple:1 birch:1 cedar:1")).collect();
        let without_birch = next("maple:1 birch:0 cedar:1");
        let without_cedar = next("maple:1 birch:1");

        assert_eq!(all, "maple\nbirch\ncedar\nmaple\n");
        assert_eq!(without_birch, "cedar\n");
        assert_eq!(without_cedar, "maple\n");
    });
}

/// 7.5 (decided): a bad answer, so the daemon decides.
#[test]
fn a_helper_without_usable_back_end_says_nothing_and_exits_1() {
    in_both(|helpers| {
        for call in ["\"$TURN\" \"$STATE\"", "\"$FARM\" dispatch \"$STATE\" ::1"] {
            let run = helpers.run(&format!("exec {call} maple:0 birch:0"));

            assert_eq!(run.failed(), "", "{run:#?}");
        }
    });
}

/// 7.5, 10 (decided).
#[test]
fn a_client_of_the_farm_stays_where_it_was_and_moves_only_if_it_must() {
    in_both(|helpers| {
        let first = helpers.farm("192.0.2.7 large:1 small:1");
        helpers.event("start", "192.0.2.7 large");
        let other = helpers.farm("2001:db8::7 large:1 small:1");
        let again = helpers.farm("192.0.2.7 large:1 small:1");
        let moved = helpers.farm("192.0.2.7 large:0 small:1");
        let stays = helpers.farm("192.0.2.7 large:1 small:1");

        assert_eq!((&*first, &*other, &*again), ("large", "small", "large"));
        assert_eq!((&*moved, &*stays), ("small", "small"));
    });
}

/// 7.5, 10 (decided): `%1b:%1a:%1w`, sessions before remembered clients.
#[test]
fn a_new_client_of_the_farm_gets_the_machine_with_the_least_to_do() {
    in_both(|helpers| {
        for client in 1..=3 {
            helpers.event("start", &format!("192.0.2.{client} large"));
        }
        helpers.event("start", "192.0.2.4 small");

        let equal = helpers.farm("192.0.2.11 large:1:1 small:1:2");
        let weaker = helpers.farm("192.0.2.12 large:1:1 small:1:3");
        let unweighted = helpers.farm("192.0.2.13 large:1 small:1");

        assert_eq!(
            (&*equal, &*weaker, &*unweighted),
            ("large", "large", "small")
        );
    });
}

/// 11.2 (decided): what the farm makes of `onstart` and `onend`.
#[test]
fn sessions_of_the_farm_are_counted_at_the_machine_where_they_are() {
    in_both(|helpers| {
        for _ in 0..3 {
            helpers.event("start", "192.0.2.7 large");
        }
        helpers.event("end", "192.0.2.7 large");
        helpers.event("end", "192.0.2.7 small");
        helpers.event("end", "192.0.2.8 large");
        let two = helpers.clients();
        helpers.event("start", "192.0.2.7 small");
        helpers.event("end", "192.0.2.7 large");
        let moved = helpers.clients();

        assert_eq!(two, ["192.0.2.7 large 2"]);
        assert_eq!(moved, ["192.0.2.7 small 1"]);
    });
}

/// 11.2 (decided): hooks of several connections run beside each other; `%e` is
/// the time of the event.
#[test]
fn a_late_start_does_not_take_a_client_of_the_farm_back() {
    in_both(|helpers| {
        helpers.event("start", &format!("192.0.2.7 large {}", now()));
        helpers.farm("192.0.2.7 large:0 small:1");
        helpers.event("start", &format!("192.0.2.7 large {}", now() - 5));
        let late = helpers.clients();
        // The daemon chose by itself, as when a handler did not answer.
        helpers.event("start", &format!("192.0.2.7 large {}", now() + 5));
        let later = helpers.clients();

        assert_eq!(late, ["192.0.2.7 small 0"]);
        assert_eq!(later, ["192.0.2.7 large 1"]);
    });
}

/// Ours (decided): after the time-out without a session, after 21 times that
/// with one.
#[test]
fn the_farm_forgets_who_was_not_seen_for_long() {
    in_both(|helpers| {
        let ago = |seconds: u64| now() - seconds;
        let state = [
            format!("192.0.2.1 small 0 {}", ago(28_700)),
            format!("192.0.2.2 small 0 {}", ago(28_900)),
            format!("192.0.2.3 small 2 {}", ago(28_900)),
            format!("192.0.2.4 small 2 {}", ago(21 * 28_800 + 100)),
        ];
        helpers
            .sandbox
            .write("state of it", state.join("\n") + "\n");

        helpers.event("end", "192.0.2.9 large");
        let by_default = helpers.clients();
        let short = helpers.run("exec \"$FARM\" -t 60 end \"$STATE\" 192.0.2.9 large");

        assert_eq!(by_default, ["192.0.2.1 small 0", "192.0.2.3 small 2"]);
        assert_eq!(short.clean(), "");
        assert_eq!(helpers.clients(), Vec::<String>::new());
    });
}

/// Ours (decided): they must run under any `/bin/sh`.
#[test]
fn helpers_in_sh_are_accepted_by_every_shell_here() {
    for shell in ["sh", "dash", "busybox sh", "bash", "shellcheck"] {
        let mut words = shell.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(place());
        command.arg(if shell == "shellcheck" { "-x" } else { "-n" });
        for file in ["helperlib.sh", "roundrobin.sh", "desktop-farm.sh"] {
            let mut check = Command::new(command.get_program());
            check
                .args(command.get_args())
                .arg(file)
                .current_dir(place());
            match check.stdin(Stdio::null()).output() {
                Ok(output) => assert!(output.status.success(), "{shell}, {file}: {output:?}"),
                Err(error) => eprintln!("skipped: {shell}: {error}"),
            }
        }
    }
}
