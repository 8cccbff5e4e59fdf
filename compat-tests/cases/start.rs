//! Starting: what stands in the way, and what is undone then.

use std::net::TcpListener;

use crate::cases::{Trees, accounted_visits};
use crate::harness::{Client, Deadline, Proxy, Run, Setup, until};

/// C06 (decided).
#[test]
fn a_taken_port_undoes_the_start_of_all_services() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .service("desk", "")
        .backend("birch", trees.birch.server(), "")
        .write();
    let desk = proxy.address_of("desk");
    let _taken = TcpListener::bind(desk).unwrap();

    let run = proxy.run(["start"]);

    let expected = format!("crossroads: service desk: cannot listen on {desk}: address in use");
    assert!(run.failed().starts_with(&expected), "{run:#?}");
    assert!(Client::try_connect(proxy.address()).is_err());
    assert!(!proxy.segment().exists());
    assert_eq!(proxy.sandbox().processes(), []);
}

/// 2.6 (decided): each failure is printed, not only the first.
#[test]
fn every_taken_port_is_reported() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .service("desk", "")
        .backend("birch", trees.birch.server(), "")
        .write();
    let _taken =
        [proxy.address(), proxy.address_of("desk")].map(|it| TcpListener::bind(it).unwrap());

    let run = proxy.run(["start"]);

    let stderr = run.failed();
    assert!(
        stderr.contains("service shop: cannot listen on "),
        "{stderr}"
    );
    assert!(
        stderr.contains("service desk: cannot listen on "),
        "{stderr}"
    );
}

/// 4.5 (decided): an address that the machine does not have.
#[test]
fn a_bind_address_of_another_machine_is_reported_at_start() {
    let trees = Trees::new();
    let proxy = trees.behind("bindto 192.0.2.200;").write();

    let run = proxy.run(["start"]);

    let expected = format!(
        "crossroads: service shop: cannot listen on 192.0.2.200:{}: ",
        proxy.port()
    );
    assert!(run.failed().starts_with(&expected), "{run:#?}");
}

/// C68 (decided): a second daemon gets no part of the clients.
#[test]
fn a_second_daemon_on_the_same_port_is_refused() {
    let trees = Trees::new();
    let first = trees.behind("").flags(["-w", "4"]).start();
    let second = trees.behind("").flags(["-w", "4"]).write();
    let port = |proxy: &Proxy| format!("port {};", proxy.port());
    second.rewrite(&second.config_text().replace(&port(&second), &port(&first)));

    let run = second.run(["start"]);

    let expected = format!(
        "crossroads: service shop: cannot listen on {}: address in use",
        first.address()
    );
    assert!(run.failed().starts_with(&expected), "{run:#?}");
    let names = first.visits(40);
    assert!(
        names
            .iter()
            .all(|name| ["maple", "birch", "cedar"].contains(&name.as_str()))
    );
}

/// 2.6 (decided).
#[test]
fn a_second_start_says_that_the_service_runs_already() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let run = proxy.run(["start"]);

    let expected = format!("service shop: already running (pid {})", proxy.process().0);
    assert!(
        run.failed_with_one_line().starts_with(&expected),
        "{run:#?}"
    );
    assert_eq!(proxy.visit(), "maple");
}

/// 2.8 (decided): a RUNDIR that others can enter is refused.
#[test]
fn a_run_directory_that_is_open_to_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let run_dir = proxy.sandbox().run_dir();
    std::fs::create_dir(&run_dir).unwrap();
    std::fs::set_permissions(&run_dir, std::fs::Permissions::from_mode(0o755)).unwrap();

    let run = proxy.run(["start"]);

    assert!(run.failed_with_one_line().contains("run"), "{run:#?}");
    assert!(!proxy.segment().exists());
}

/// 2.6 (decided): a start that takes longer than its limit is undone.
#[test]
fn a_start_that_takes_too_long_is_undone() {
    let trees = Trees::new();
    let proxy = trees.behind("").limit("start", 0.001).write();

    let run = proxy.run(["start"]);

    if run.code == Some(0) {
        eprintln!("skipped: this machine starts a daemon within a millisecond");
        assert!(proxy.is_running());
        return;
    }
    run.failed_with_one_line();
    until("nothing is left", || {
        proxy.sandbox().processes().is_empty()
            && proxy.sandbox().sockets().is_empty()
            && !proxy.segment().exists()
    });
    assert!(Client::try_connect(proxy.address()).is_err());
}

/// 4.0 (decided): the greatest values of all numbers are accepted and act.
#[test]
fn the_greatest_numbers_of_all_directives_work() {
    let trees = Trees::new();
    let great = "maxconnections 4294967295; connectiontimeout 31536000;";
    let backend = "weight 65535; decay 100; retries 1000;";
    let proxy = Setup::new(&format!(
        "{great} revivinginterval 31536000; backlog 65535; dispatchmode bysize over 10000;"
    ))
    .backend("maple", trees.maple.server(), &format!("{great} {backend}"))
    .backend("birch", trees.birch.server(), &format!("{great} {backend}"))
    .flags(["-a", "-B", "16777216", "-d", "2147483", "-g", "3600"])
    .start();

    assert_eq!(accounted_visits(&proxy, 3), "mbm");
    proxy.tell("maple", "unavailable");
    assert_eq!(proxy.visit(), "birch");
    assert_eq!(proxy.state("maple"), "unavailable");
}

/// 2.6 (decided): many services in one daemon.
#[test]
fn a_hundred_services_start_serve_and_stop_together() {
    let trees = Trees::new();
    let mut setup = Setup::new("").backend("maple", trees.maple.server(), "");
    for number in 1..100 {
        setup = setup
            .service(&format!("s{number}"), "")
            .backend("birch", trees.birch.server(), "");
    }
    let proxy = setup.start();

    assert_eq!(proxy.visit(), "maple");
    for number in 1..100 {
        let mut client = Client::connect(proxy.address_of(&format!("s{number}")));
        assert_eq!(client.line(), "birch");
    }
    let status = proxy.status();
    assert_eq!(status.names().len(), 100);
    assert!(
        status
            .names()
            .iter()
            .all(|name| status.service(name).running())
    );
}

/// 2.6 and 14.4 (decided): of several starts at once exactly one succeeds, and
/// the others neither harm it nor leave anything.
#[test]
fn of_many_starts_at_once_exactly_one_succeeds() {
    for _ in 0..3 {
        let trees = Trees::new();
        let proxy = trees.behind("").write();
        let starting: Vec<_> = (0..8).map(|_| proxy.command(["start"]).spawn()).collect();
        let runs: Vec<Run> = starting
            .into_iter()
            .map(|run| run.finish(Deadline::usual()))
            .collect();

        let (succeeded, failed): (Vec<&Run>, Vec<&Run>) =
            runs.iter().partition(|run| run.code == Some(0));
        assert_eq!(succeeded.len(), 1, "{runs:#?}");
        assert!(
            failed
                .iter()
                .all(|run| run.failed().starts_with("crossroads: "))
        );
        assert_eq!(proxy.sandbox().processes(), [proxy.process()]);
        assert_eq!(proxy.sandbox().sockets().len(), 1);
        assert_eq!(proxy.visits(3).len(), 3);
    }
}

/// 2.8 (decided): a path that is too long for a socket is found at `start`.
#[test]
fn a_run_directory_with_too_long_a_path_is_refused() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let long = proxy.sandbox().path().join("r".repeat(110));

    let run = proxy
        .command(["start"])
        .env("CROSSROADS_RUN_DIR", &long)
        .run();

    run.failed_with_one_line();
    assert!(!proxy.segment().exists());
    assert!(Client::try_connect(proxy.address()).is_err());
}

/// 2.6 (decided): where services times workers would be more than 4096
/// listening sockets, each service has one, and every service is served.
#[test]
fn too_many_services_for_all_workers_share_their_listeners() {
    let trees = Trees::new();
    let mut setup = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .flags(["-w", "64"]);
    for number in 1..70 {
        setup = setup
            .service(&format!("s{number}"), "")
            .backend("birch", trees.birch.server(), "");
    }
    let proxy = setup.start();

    assert_eq!(proxy.visit(), "maple");
    for number in 1..70 {
        let mut client = Client::connect(proxy.address_of(&format!("s{number}")));
        assert_eq!(client.line(), "birch");
    }
    let descriptors = proxy.process().descriptors().len();
    assert!(
        descriptors < 2048,
        "{descriptors} descriptors for 70 services"
    );
}
