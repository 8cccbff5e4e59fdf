//! What commands say besides their results.

use crate::cases::Trees;
use crate::harness::Setup;

/// 3.7 (decided): `start` and `restart` print warnings and go on.
#[test]
fn start_and_restart_print_warnings_and_go_on() {
    let trees = Trees::new();
    let proxy = Setup::new("revivinginterval 1; maxsessions 9;")
        .backend("maple", trees.maple.server(), "")
        .write();

    for command in ["start", "restart"] {
        let run = proxy.run([command]);

        assert_eq!(run.ok(), "", "{command}");
        let count = |what: &str| run.stderr.matches(what).count();
        assert_eq!(count(": warning[W01]: "), 1, "{command}: {run:#?}");
        assert_eq!(proxy.visit(), "maple");
    }
    let status = proxy.run(["status"]);
    let silenced = proxy.run(["-W", "no-W01", "configtest"]);

    assert_eq!(status.ok().lines().count(), 4);
    assert_eq!(status.stderr, "", "other commands print errors only");
    assert!(!silenced.stderr.contains("W01"), "{silenced:#?}");
}

/// 2.6 (decided): who starts twice learns since when the first one runs.
#[test]
fn a_second_start_says_since_when_the_first_one_runs() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let run = proxy.run(["start"]);

    let date = regex::Regex::new(r"since \d{4}-\d\d-\d\d/\d\d:\d\d:\d\d$").unwrap();
    let text = run.failed_with_one_line().to_owned();
    assert!(date.is_match(&text), "{text}");
}

/// 2.5 (decided): colours are for terminals, and `NO_COLOR` switches them off.
#[test]
fn colours_are_shown_on_a_terminal_only() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    proxy.tell("maple", "down");
    let binary = crate::harness::binary_under_test();
    let command = format!(
        "{} -c {} status",
        binary.display(),
        proxy.config().display()
    );
    let on_a_terminal = |no_color: &str| {
        let script = proxy.sandbox().other_program("sh");
        let run = script
            .args([
                "-c",
                "command -v script >/dev/null || exit 77; exec \"$@\"",
                "sh",
            ])
            .args(["script", "-qec", &command, "/dev/null"])
            .env("NO_COLOR", no_color)
            .run();
        (run.code != Some(77)).then_some(run)
    };

    let piped = proxy.run(["status"]);
    let (Some(coloured), Some(plain)) = (on_a_terminal(""), on_a_terminal("1")) else {
        eprintln!("skipped: needs `script` of util-linux for a terminal");
        return;
    };

    assert!(!piped.clean().contains('\u{1b}'), "{piped:#?}");
    assert!(coloured.ok().contains("\u{1b}["), "{coloured:#?}");
    assert!(!plain.ok().contains('\u{1b}'), "{plain:#?}");
}
