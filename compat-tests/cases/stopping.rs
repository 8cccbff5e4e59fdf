//! What `stop` does with a daemon that does not end, or that is not meant.

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{Client, Deadline, until};

/// 2.6 (decided): `stop` waits for the process, at most grace + 10 s, then says
/// so and fails.
#[test]
fn a_daemon_that_does_not_end_in_time_is_reported() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();
    let (client, _) = proxy.greeted();
    let stopping = proxy
        .command(["-g", "4", "--limit", "stop_wait=0.2", "stop"])
        .spawn();
    until("the listener is closed", || {
        Client::try_connect(proxy.address()).is_err()
    });
    daemon.freeze();

    let run = stopping.finish(Deadline::usual());
    daemon.signal(Signal::SIGCONT);

    let expected = format!("pid {} is still running after 4.2 s", daemon.0);
    assert_eq!(run.failed_with_one_line(), expected);
    drop(client);
    daemon.await_end();
}

/// 2.3 (decided): a daemon that was started from another configuration is not
/// meant, though it shares RUNDIR.
#[test]
fn the_daemon_of_another_configuration_is_left_alone() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let text = proxy.config_text().replace("service shop", "service store");
    let key = proxy.sandbox().key();
    let text = text.replace(&format!("shmkey {}", proxy.key()), &format!("shmkey {key}"));
    let other = proxy.sandbox().write("other.conf", text);
    let other = other.to_str().unwrap();

    let stop = proxy.run(["-c", other, "-W", "no-W17", "stop"]);
    let status = proxy.run(["-c", other, "status"]);

    assert_eq!(stop.code, Some(0));
    assert!(stop.stderr.contains("nothing to stop"), "{stop:#?}");
    assert_eq!(status.clean(), "store: not running\n");
    assert_eq!(proxy.visit(), "maple");
}
