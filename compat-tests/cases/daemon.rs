//! The daemon as a process: name, signals, streams, memory of its starter.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{Backend, Blackhole, Client, Deadline, Setup, pace, until};

/// Section 15 (documented; setting the name decided).
#[test]
fn the_process_is_called_crossroads_whatever_the_program_file_is_called() {
    let trees = Trees::new();
    let mut setup = trees.behind("");
    setup.sandbox().install("some/other-name");
    let proxy = setup.start();

    assert_eq!(proxy.process().name(), "crossroads");
    let called = proxy.process().command_line();
    assert!(called[0].ends_with("some/other-name"), "{called:?}");
    assert_eq!(called.last().map(String::as_str), Some("start"));
}

/// 2.6, step 5 (decided).
#[test]
fn the_daemon_is_detached_from_its_starter() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();

    for number in 0..3 {
        assert_eq!(daemon.descriptor(number), Path::new("/dev/null"));
    }
    assert_eq!(daemon.group(), daemon.0, "a group of its own");
    assert_eq!(daemon.terminal(), 0);
    assert_eq!(daemon.directory(), proxy.sandbox().path());
    assert_eq!(
        proxy.sandbox().processes(),
        [daemon],
        "one daemon, one process"
    );
}

/// Section 15, C77 (decided); `logs` has the other half of C77, a log file at the
/// limit of its size.
#[test]
fn harmless_signals_are_ignored() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();
    let harmless = [
        Signal::SIGPIPE,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGXFSZ,
    ];

    for signal in harmless {
        daemon.signal(signal);
    }
    daemon.signal(Signal::SIGHUP);

    assert_eq!(proxy.visits(3).len(), 3);
    assert_eq!(proxy.process(), daemon);
}

/// Section 15 (decided).
#[test]
fn sigterm_stops_the_daemon_and_leaves_nothing() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();

    daemon.signal(Signal::SIGTERM);
    daemon.await_end();

    assert!(!proxy.segment().exists());
    assert_eq!(proxy.sandbox().sockets().len(), 0);
    assert!(Client::try_connect(proxy.address()).is_err());
}

/// Section 15 (decided).
#[test]
fn a_second_signal_cuts_the_grace_short() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-g", "600"]).start();
    let daemon = proxy.process();
    let (mut client, _) = proxy.greeted();
    daemon.signal(Signal::SIGTERM);
    until("the listener is closed", || {
        Client::try_connect(proxy.address()).is_err()
    });
    client.assert_echo("in the grace");

    daemon.signal(Signal::SIGTERM);

    assert_eq!(client.rest().0, b"");
    daemon.await_end();
}

/// 2.2 (decided): `-g` of `start` is the grace of a later SIGTERM.
#[test]
fn the_grace_of_start_holds_for_a_signal() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-g", "1"]).start();
    let (mut client, _) = proxy.greeted();
    let daemon = proxy.process();

    let begun = Instant::now();
    daemon.signal(Signal::SIGTERM);
    client.rest();
    let taken = begun.elapsed();
    daemon.await_end();

    assert!(taken >= Duration::from_millis(950), "{taken:?}");
    assert!(taken < Duration::from_millis(2500), "{taken:?}");
}

/// 2.2 (decided).
#[test]
fn a_foreground_daemon_serves_and_ends_on_sigint() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let running = proxy.start_foreground();
    let daemon = proxy.process();
    let names = proxy.visits(3);

    running.signal(Signal::SIGINT);
    let pid = running.pid();
    let run = running.finish(Deadline::usual());

    assert_eq!(names, ["maple", "birch", "cedar"]);
    assert_eq!(daemon.0, pid, "no detached process");
    run.ok();
    assert!(!proxy.segment().exists());
}

/// 2.6, step 4 (decided): the daemon takes all descriptors that it may have.
#[test]
fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let trees = Trees::new();
    let proxy = trees
        .behind("")
        .wrap([
            "sh",
            "-c",
            "ulimit -Sn 40; ulimit -Hn 400; exec \"$@\"",
            "sh",
        ])
        .start();

    let clients: Vec<_> = (0..60).map(|_| proxy.greeted()).collect();

    assert_eq!(clients.len(), 60);
}

/// 2.1 (decided): descriptors do not pile up.
#[test]
fn descriptors_are_given_back() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-w", "1"]).start();
    proxy.visits(10);
    proxy.await_idle();
    let daemon = proxy.process();
    let at_first = daemon.descriptors().len();

    let clients: Vec<_> = (0..100).map(|_| proxy.greeted()).collect();
    let while_open = daemon.descriptors().len();
    drop(clients);
    proxy.await_idle();

    assert!(while_open >= at_first + 200, "{while_open}");
    until("all are closed", || {
        daemon.descriptors().len() <= at_first + 8
    });
}

/// 2.5 (decided): `-v` reports steps on stderr, and only there.
#[test]
fn flag_v_reports_steps_on_stderr() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();

    let run = proxy.run(["-v", "start"]);

    assert_eq!(run.ok(), "");
    assert!(!run.stderr.is_empty());
    assert_eq!(proxy.run(["-v", "-g", "0", "stop"]).ok(), "");
}

/// 2.6, step 6 (decided): when `start` returns, clients are served.
#[test]
fn clients_are_served_as_soon_as_start_returns() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .write();
    for _ in 0..5 {
        proxy.start();
        assert_eq!(proxy.visit(), "maple");
        proxy.stop();
    }
}

/// Section 5 (decided): nothing that waits is waited for by asking again and
/// again: idle, half-closed and stalled connections, connects that hang, and
/// clients in front of a full service.
#[test]
fn waiting_costs_no_processor_time() {
    let trees = Trees::new();
    let hole = Blackhole::new();
    let flood = Backend::serving(|mut peer| while peer.send([b'x'; 1 << 16]) {});
    let (quiet, peers) = Backend::handing_over();
    let proxy = trees
        .behind("")
        .service("full", "maxconnections 1;")
        .backend("maple", trees.maple.server(), "")
        .service("stalled", "")
        .backend("flood", flood.server(), "")
        .service("hanging", "")
        .backend("hole", hole.server(), "")
        .service("half", "")
        .backend("quiet", quiet.server(), "")
        .limit("connect", 60.0)
        .limit("failover", 60.0)
        .flags(["-w", "2"])
        .start();
    let to = |service: &str| Client::connect(proxy.address_of(service));
    let idle: Vec<_> = (0..20).map(|_| proxy.greeted()).collect();
    let waiting: Vec<_> = (0..5).map(|_| to("full")).collect();
    let stalled: Vec<_> = (0..3).map(|_| to("stalled")).collect();
    let hanging = [to("hanging"), to("hanging")];
    let mut half_closed: Vec<(Client, Client)> = (0..3)
        .map(|_| {
            (
                to("half"),
                peers.recv_timeout(Duration::from_secs(10)).unwrap(),
            )
        })
        .collect();
    half_closed[0].0.finish_sending();
    half_closed[0].1.rest();
    half_closed[1].1.finish_sending();
    half_closed[1].0.rest();
    hanging[0].finish_sending();
    let daemon = proxy.process();
    let mut last = 0;
    until("the flood stands still", || {
        pace(Duration::from_millis(200));
        std::mem::replace(&mut last, flood.sent()) == flood.sent()
    });

    let before = daemon.cpu();
    pace(Duration::from_millis(1500));
    let spent = daemon.cpu() - before;

    assert!(spent <= Duration::from_millis(100), "{spent:?} in 1.5 s");
    drop((idle, waiting, stalled, hanging, half_closed));
}
