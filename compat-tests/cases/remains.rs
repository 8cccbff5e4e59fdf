//! What a killed daemon, another account or a stranger left in the way.

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{Client, PID, Proxy, Run, Segment, eventually, root_only, until};

/// The account `nobody` of most systems; any but root would do.
const NOBODY: u32 = 65534;

/// C72 (decided), first part.
#[test]
fn a_killed_daemon_leaves_an_object_that_status_calls_left_over() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.kill();

    let run = proxy.run(["status"]);

    let expected = format!("shop: not running (left over from pid {})\n", daemon.0);
    assert_eq!(run.clean(), expected);
    assert_eq!(proxy.sandbox().sockets().len(), 1);
    start_over_the_remains(&proxy, daemon.0);
}

/// C72 (decided): a killed daemon is called left over when its first thread has
/// ended; the others may hold its ports a moment longer.
#[test]
fn a_start_right_behind_a_kill_waits_for_the_ports() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-w", "32"]).start();

    for _ in 0..10 {
        proxy.process().signal(Signal::SIGKILL);
        until("the daemon is left over", || {
            proxy.run(["status"]).stdout.contains("left over")
        });

        proxy.run(["start"]).ok();
    }

    assert_eq!(proxy.visit(), "maple");
}

/// C72 (decided): the pid belongs to another process now.
#[test]
fn a_pid_that_was_given_to_another_process_deceives_nobody() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let started = proxy.process().started();
    proxy.kill();
    // Times of start are counted in ticks of 10 ms, and a case can be faster.
    let bystander = eventually("a process of another time", || {
        let sleep = proxy.sandbox().other_program("sleep").args(["60"]).spawn();
        (crate::harness::Process(sleep.pid()).started() != started).then_some(sleep)
    });
    proxy.segment().tamper(PID, &bystander.pid().to_ne_bytes());

    let run = proxy.run(["status"]);

    let expected = format!(
        "shop: not running (left over from pid {})\n",
        bystander.pid()
    );
    assert_eq!(run.clean(), expected);
    assert_eq!(proxy.run(["stop"]).code, Some(0));
    start_over_the_remains(&proxy, bystander.pid());
    assert!(
        crate::harness::Process(bystander.pid()).is_alive(),
        "a process that is no daemon is never touched"
    );
}

/// Starts where a killed daemon's object and socket still lie.
fn start_over_the_remains(proxy: &Proxy, pid: u32) {
    let run = proxy.run(["start"]);
    run.ok();
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    assert!(
        run.stderr.contains(&pid.to_string()),
        "the warning names it: {run:#?}"
    );
    let sockets = proxy.sandbox().sockets();
    assert_eq!(sockets.len(), 1, "the old one is removed: {sockets:?}");
    assert_eq!(proxy.visit(), "maple");
}

/// 2.6 and 14.4 (decided), all at once: killed under load, started again.
#[test]
fn a_daemon_killed_under_load_can_be_started_again_and_again() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    for _ in 0..3 {
        let clients: Vec<(Client, String)> = (0..30).map(|_| proxy.greeted()).collect();
        proxy.kill();
        for (mut client, _) in clients {
            assert_eq!(client.rest().0, b"");
        }
        proxy.run(["start"]).ok();
    }
    assert_eq!(proxy.visits(3).len(), 3);
}

/// C73 (decided).
#[test]
fn root_removes_the_object_of_another_account() {
    if !root_only("an object of another account") {
        return;
    }
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    as_nobody(&proxy, "start").ok();
    proxy.kill();
    assert_eq!(proxy.segment().mode_and_owner(), (0o600, NOBODY));

    let status = proxy.run(["status"]);
    let run = proxy.run(["start"]);

    status.failed_with_one_line();
    run.ok();
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    assert_eq!(proxy.segment().mode_and_owner(), (0o600, 0));
    assert_eq!(proxy.visit(), "maple");
    let _ = std::fs::remove_dir_all(proxy.sandbox().path().join("run-nobody"));
}

/// C73 (decided).
#[test]
fn another_account_can_not_start_over_an_object_of_root() {
    if !root_only("an object of another account") {
        return;
    }
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let start = as_nobody(&proxy, "start");
    let status = as_nobody(&proxy, "status");

    start.failed_with_one_line();
    status.failed_with_one_line();
    assert_eq!(proxy.segment().mode_and_owner(), (0o600, 0));
    assert_eq!(proxy.visit(), "maple");
}

/// Runs a command as `nobody`, with a copy of the program and a RUNDIR of its
/// own.
pub(super) fn as_nobody(proxy: &Proxy, command: &str) -> Run {
    let sandbox = proxy.sandbox();
    sandbox.open_to_all();
    let copy = sandbox.copy_program(&crate::harness::binary_under_test(), "copy-for-nobody");
    let run_dir = sandbox.path().join("run-nobody");
    std::fs::create_dir_all(&run_dir).unwrap();
    std::os::unix::fs::chown(&run_dir, Some(NOBODY), Some(NOBODY)).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&run_dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    sandbox
        .other_program(copy)
        .args(["-W", "no-W17", command, "-c"])
        .args([proxy.config()])
        .env("CROSSROADS_RUN_DIR", run_dir)
        .account(NOBODY)
        .run()
}

/// 2.6 (decided): an unreadable or foreign object is never removed.
#[test]
fn an_object_that_is_not_ours_is_an_error_and_stays() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let segment = Segment::of(proxy.key());
    std::fs::write(segment.path(), b"something else entirely").unwrap();

    let start = proxy.run(["start"]);
    let status = proxy.run(["status"]);

    start.failed_with_one_line();
    status.failed_with_one_line();
    assert_eq!(
        std::fs::read(segment.path()).unwrap(),
        b"something else entirely"
    );
    segment.remove();
}
