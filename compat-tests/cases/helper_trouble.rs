//! The sample helpers of `etc/helpers` in trouble: many at once, killed in the
//! middle, with damaged state and with arguments that the daemon would not give.

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cases::helpers::{Helpers, in_both, now, place};
use crate::harness::{Deadline, Running};

/// Ours (decided): addresses without end cannot fill disk and memory.
#[test]
fn the_farm_remembers_so_many_clients_and_no_more() {
    in_both(|helpers| {
        let early = now() - 100;
        let address = |number: u32| format!("10.0.{}.{}", number / 256, number % 256);
        let line = |number| {
            format!(
                "{} small 0 {}\n",
                address(number),
                early + u64::from(number != 5)
            )
        };
        helpers
            .sandbox
            .write("state of it", (0..10_000).map(line).collect::<String>());

        helpers.event("start", "192.0.2.7 large");

        let clients = helpers.clients();
        assert_eq!(clients.len(), 10_000);
        assert!(clients.contains(&"192.0.2.7 large 1".to_owned()));
        assert!(!clients.contains(&format!("{} small 0", address(5))));
    });
}

/// Ours (decided).
#[test]
fn hooks_that_run_at_once_lose_no_session() {
    in_both(|helpers| {
        // The start of a Python costs 40 ms of a processor that other cases want too.
        let each = if helpers.language == "sh" { 25 } else { 10 };
        let runs: Vec<Running> = (0..4 * each)
            .map(|number| {
                let client = format!("192.0.2.{}", number % 4);
                helpers.spawn(&format!("exec \"$FARM\" start \"$STATE\" {client} large"))
            })
            .collect();
        for run in runs {
            run.finish(Deadline::after(Duration::from_secs(60))).clean();
        }

        let expected = [0, 1, 2, 3].map(|client| format!("192.0.2.{client} large {each}"));
        assert_eq!(helpers.clients(), expected);
    });
}

/// Ours (decided).
#[test]
fn forty_dispatchers_at_once_take_strict_turns() {
    in_both(|helpers| {
        let runs: Vec<Running> = (0..40)
            .map(|_| helpers.spawn("exec \"$TURN\" \"$STATE\" maple:1 birch:1"))
            .collect();
        let names: Vec<String> = runs
            .into_iter()
            .map(|run| run.finish(Deadline::usual()).clean().to_owned())
            .collect();

        let maples = names.iter().filter(|name| *name == "maple\n").count();
        assert_eq!(maples, 20, "{names:?}");
    });
}

/// 11.1 (decided): a program is killed at its limit, wherever it is.
#[test]
fn hooks_killed_in_the_middle_damage_nothing_and_hold_up_nobody() {
    in_both(|helpers| {
        let runs: Vec<Running> = (0..40)
            .map(|_| helpers.spawn("exec \"$FARM\" start \"$STATE\" 192.0.2.7 large"))
            .collect();
        for run in runs.iter().step_by(2) {
            run.signal(Signal::SIGKILL);
        }
        let codes: Vec<Option<i32>> = runs
            .into_iter()
            .map(|run| run.finish(Deadline::usual()).code)
            .collect();

        let ended = codes.iter().filter(|code| **code == Some(0)).count();
        let killed = codes.iter().filter(|code| code.is_none()).count();
        assert_eq!(ended + killed, 40, "{codes:?}");
        helpers.event("start", "192.0.2.7 large");
        let sessions = helpers.clients()[0].rsplit_once(' ').unwrap().1.to_owned();
        let sessions: usize = sessions.parse().unwrap();
        // One that was killed may have counted before.
        assert!(
            (ended + 1..=ended + 1 + killed).contains(&sessions),
            "{sessions} of {codes:?}"
        );
    });
}

/// Ours (decided): of a process that was killed under its lock stay a link to
/// its number and a state that is half written.
#[test]
fn what_a_killed_helper_left_behind_is_cleared_away() {
    in_both(|helpers| {
        helpers.event("start", "192.0.2.7 large");
        let gone = helpers.spawn("exit 0");
        let pid = gone.pid();
        gone.finish(Deadline::usual());
        std::fs::write(helpers.beside(".new"), "# client\n192.0.2.7 lar").unwrap();
        if helpers.language == "sh" {
            let owner = format!("pid:{pid}:{}", now());
            std::os::unix::fs::symlink(&owner, helpers.beside(".lock")).unwrap();
            std::os::unix::fs::symlink(&owner, helpers.beside(".lock.steal")).unwrap();
        }

        helpers.event("start", "192.0.2.7 large");

        assert_eq!(helpers.clients(), ["192.0.2.7 large 2"]);
        assert!(!helpers.beside(".new").exists());
        assert!(!helpers.beside(".lock").is_symlink());
        assert!(!helpers.beside(".lock.steal").is_symlink());
    });
}

/// Ours (decided).
#[test]
fn a_damaged_state_file_costs_only_its_damaged_lines() {
    in_both(|helpers| {
        let now = now();
        let mut state = b"\x00\xff\xfe garbage \x80\n\n192.0.2.1 large\n".to_vec();
        for line in [
            "192.0.2.2 la$(touch bad)rge 1",
            "$(touch bad) large 1",
            "../../x large 1",
            "192.0.2.3 large -1",
            "192.0.2.7 small 1",
        ] {
            write!(state, "{line} {now}\n192.0.2.9 lar").unwrap();
            state.push(b'\n');
        }
        state.extend(vec![b'x'; 100_000]);
        helpers.sandbox.write("state of it", state);

        let at_home = helpers.farm("192.0.2.7 large:1 small:1");

        assert_eq!(at_home, "small");
        assert_eq!(helpers.clients(), ["192.0.2.7 small 1"]);
        assert!(!helpers.sandbox.path().join("bad").exists());
    });
}

/// 11.5 (decided): the daemon passes nothing else; a hand might.
#[test]
fn arguments_of_another_form_are_refused_with_what_is_accepted() {
    in_both(|helpers| {
        for (arguments, said) in [
            (
                "dispatch \"$STATE\" 'x; touch bad' large:1",
                "accepted: an IP address, as %r",
            ),
            (
                "dispatch \"$STATE\" '$(touch bad)' large:1",
                "accepted: an IP address, as %r",
            ),
            (
                "dispatch \"$STATE\" '*' large:1",
                "accepted: an IP address, as %r",
            ),
            (
                "dispatch \"$STATE\" ::1 'a b:1'",
                "accepted: NAME:USABLE or",
            ),
            ("dispatch \"$STATE\" ::1 '*:1'", "accepted: NAME:USABLE or"),
            (
                "dispatch \"$STATE\" ::1 large:2",
                "accepted: NAME:USABLE or",
            ),
            (
                "dispatch \"$STATE\" ::1 large:1:x",
                "accepted: NAME:USABLE or",
            ),
            ("dispatch \"$STATE\" ::1", "no back ends given"),
            ("start \"$STATE\" ::1 'a;b'", "accepted: a name, as %b"),
            ("start \"$STATE\" ::1", "usage: "),
            ("begin \"$STATE\" ::1 large", "usage: "),
            ("end \"$STATE\" ::1 large 1", "usage: "),
            (
                "start \"$STATE\" ::1 large now",
                "accepted: seconds since 1970, as %e",
            ),
            (
                "-t 0 start \"$STATE\" ::1 large",
                "accepted: 1 to 999999 seconds",
            ),
            ("start '' ::1 large", "the state file is empty"),
        ] {
            let run = helpers.run(&format!("exec \"$FARM\" {arguments}"));

            assert_eq!(run.code, Some(2), "{run:#?}");
            assert_eq!(run.stdout, "", "{run:#?}");
            assert!(run.stderr.contains(said), "{run:#?}");
        }
        assert!(!helpers.state().exists());
        assert!(!helpers.sandbox.path().join("bad").exists());
    });
}

/// Ours (decided).
#[test]
fn a_state_file_that_cannot_be_used_is_said_with_exit_code_3() {
    in_both(|helpers| {
        for state in ["missing/state", "."] {
            let run = helpers.run(&format!("exec \"$TURN\" {state} maple:1"));

            assert_eq!(run.code, Some(3), "{run:#?}");
            assert_eq!(run.stdout, "", "{run:#?}");
            assert!(run.stderr.contains(state), "{run:#?}");
        }
    });
}

/// Ours (decided): their locks do not know of each other.
#[test]
fn the_two_languages_are_kept_from_sharing_one_state_file() {
    let Some(python) = Helpers::new("py") else {
        eprintln!("skipped: needs python3");
        return;
    };
    python.event("start", "192.0.2.7 large");
    let shell = place().join("desktop-farm.sh");

    let run = python.run(&format!(
        "exec '{}' start \"$STATE\" ::1 small",
        shell.display()
    ));

    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(
        run.stderr.contains("use one kind for one state file"),
        "{run:#?}"
    );
    assert_eq!(python.clients(), ["192.0.2.7 large 1"]);
}
