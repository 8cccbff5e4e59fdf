//! Starting, stopping, restarting, and what another daemon left behind.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{
    Client, Deadline, PID, Proxy, Run, Segment, Setup, eventually, root_only, until,
};

/// The account `nobody` of most systems; any but root would do.
const NOBODY: u32 = 65534;

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

/// C07 (decided), without hooks.
#[test]
fn stop_cuts_an_idle_client_after_the_grace() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let (mut client, _) = proxy.greeted();
    let daemon = proxy.process();

    let begun = Instant::now();
    let run = proxy.run(["stop"]);
    let taken = begun.elapsed();

    assert_eq!(run.clean(), "");
    assert_eq!(client.rest().0, b"");
    assert!(taken >= Duration::from_millis(2900), "{taken:?}");
    assert!(taken < Duration::from_secs(6), "{taken:?}");
    assert!(!daemon.is_alive());
    assert!(!proxy.segment().exists());
    assert_eq!(proxy.sandbox().sockets(), Vec::<std::path::PathBuf>::new());
}

/// 2.6 (decided): a stop does not wait when nothing is left to wait for.
#[test]
fn stop_returns_as_soon_as_the_last_connection_ends() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let (mut client, _) = proxy.greeted();
    let stopping = proxy
        .command(["-g", "60", "stop"])
        .within(Duration::from_secs(15))
        .spawn();
    until("the listener is closed", || {
        Client::try_connect(proxy.address()).is_err()
    });

    client.assert_echo("served to the end");
    drop(client);

    let run = stopping.finish(Deadline::after(Duration::from_secs(10)));
    assert_eq!(run.clean(), "");
}

/// 2.5 (decided).
#[test]
fn stop_with_nothing_running_is_no_error() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();

    let run = proxy.run(["stop"]);

    assert_eq!(run.code, Some(0), "{run:#?}");
    let output = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(output, "crossroads: nothing to stop\n");
}

/// C08 (decided).
#[test]
fn restart_with_a_faulty_file_leaves_the_daemon_alone() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let before = proxy.process();
    let good = proxy.config_text();
    proxy.rewrite(&good.replace("backend maple {", "backend maple { wieght 2;"));

    let run = proxy.run(["restart"]);

    assert!(run.failed().contains("error[E02]"), "{run:#?}");
    proxy.rewrite(&good);
    assert_eq!(proxy.process(), before);
    assert_eq!(proxy.visit(), "maple");
}

/// 2.3 (decided).
#[test]
fn restart_with_nothing_running_only_starts() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();

    assert_eq!(proxy.run(["restart"]).clean(), "");

    assert_eq!(proxy.visit(), "maple");
}

/// 2.3 (documented: stop, then start): the new file holds.
#[test]
fn restart_takes_the_new_file() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .start();
    let before = proxy.process();
    let (maple, birch) = (trees.maple.server(), trees.birch.server());
    assert_eq!(proxy.visit(), "maple");
    let text = proxy.config_text().replace(&maple, &birch);
    proxy.rewrite(&text.replace("backend maple", "backend birch"));

    assert_eq!(proxy.run(["restart"]).clean(), "");

    assert_eq!(proxy.visit(), "birch");
    assert_ne!(proxy.process(), before);
    before.await_end();
}

/// C70 (decided).
#[test]
fn restart_returns_at_once_and_the_old_connection_lives_on() {
    let trees = Trees::new();
    let proxy = trees.behind("dispatchmode byorder;").start();
    let old = proxy.process();
    let (mut running, _) = proxy.greeted();

    let begun = Instant::now();
    assert_eq!(proxy.run(["-g", "30", "restart"]).clean(), "");
    let taken = begun.elapsed();
    let new = proxy.process();
    let (mut fresh, _) = proxy.greeted();
    let active = eventually("the new daemon shows its own client only", || {
        let active = proxy.shop_number("active");
        (active == 1).then_some(active)
    });
    running.assert_echo("with the old daemon");
    fresh.assert_echo("with the new daemon");
    let sockets = proxy.sandbox().sockets().len();
    proxy.stop();

    assert!(taken < Duration::from_secs(10), "{taken:?}");
    assert_ne!(old, new);
    assert_eq!((active, sockets), (1, 2));
    assert!(!old.is_alive() && !new.is_alive(), "stop ends both");
    assert_eq!((running.rest().0, fresh.rest().0), (Vec::new(), Vec::new()));
}

/// C69 (decided).
#[test]
fn clients_in_the_kernels_queue_are_served_at_a_stop() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-g", "10"]).start();
    let daemon = proxy.process();
    daemon.freeze();
    let mut clients: Vec<Client> = (0..12).map(|_| proxy.connect()).collect();

    // Pending until the daemon goes on, so it finds both at once.
    daemon.signal(Signal::SIGTERM);
    daemon.signal(Signal::SIGCONT);

    for client in &mut clients {
        client.line();
        client.assert_echo("served");
    }
    drop(clients);
    daemon.await_end();
}

/// C71 (decided).
#[test]
fn an_edited_file_does_not_hide_the_daemon() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let other = crate::harness::Port::reserve();
    let text = proxy.config_text().replace("service shop", "service store");
    let text = text.replace(&format!("shmkey {}", proxy.key()), "shmkey 0");
    proxy.rewrite(&text.replace(&proxy.port().to_string(), &other.number().to_string()));

    let listed = proxy.run(["status"]);
    let told = proxy.run(["tell", "shop", "birch", "down"]);
    let daemon = proxy.process();
    let stopped = proxy.run(["-g", "0", "stop"]);

    let lines: Vec<&str> = listed.ok().lines().collect();
    assert_eq!(lines[0], "store: not running", "{listed:#?}");
    assert!(lines[1].starts_with("shop: type any"), "{listed:#?}");
    assert!(lines[1].ends_with(" (not in the file)"), "{listed:#?}");
    assert_eq!(told.ok(), "shop birch: available -> down\n");
    stopped.ok();
    assert!(!daemon.is_alive());
}

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
fn as_nobody(proxy: &Proxy, command: &str) -> Run {
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

/// 2.3 (decided): a daemon can be stopped although its file was broken
/// meanwhile.
#[test]
fn stop_goes_on_after_the_file_was_broken() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();
    proxy.rewrite(
        &proxy
            .config_text()
            .replace("backend cedar {", "backend cedar { wieght 2;"),
    );

    let run = proxy.run(["-g", "0", "stop"]);

    run.ok();
    assert!(run.stderr.contains("error[E02]"), "{run:#?}");
    assert!(!daemon.is_alive());
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

    assert_eq!(super::accounted_visits(&proxy, 3), "mbm");
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

/// 2.6 (decided), in the end of all its steps: services come and go many times
/// and leave nothing (which the sandbox asserts).
#[test]
fn restarts_under_load_serve_every_client_that_gets_through() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-g", "10"]).start();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let address = proxy.address();

    let (served, refused) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut served, mut refused) = (0, 0);
            while !ended.load(std::sync::atomic::Ordering::SeqCst) {
                match Client::try_connect(address) {
                    Ok(mut client) => {
                        // A connection that the kernel made while the queue was
                        // being closed is lost; that is the only other way.
                        if client.try_line().is_ok() {
                            client.assert_echo("whole");
                            served += 1;
                        } else {
                            refused += 1;
                        }
                    }
                    Err(_) => refused += 1,
                }
            }
            (served, refused)
        });
        for _ in 0..4 {
            assert_eq!(proxy.run(["restart"]).clean(), "");
            assert!(!proxy.visit().is_empty());
            // An order to a daemon that is draining would cut its clients.
            until("the old daemon has gone", || {
                proxy.sandbox().processes().len() == 1
            });
        }
        ended.store(true, std::sync::atomic::Ordering::SeqCst);
        load.join().unwrap()
    });

    assert!(served > 0, "{served} served, {refused} refused");
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

/// 2.5 (decided): several stops at once all succeed.
#[test]
#[ignore = "a stop that meets a daemon which has just removed its socket fails instead of waiting"]
fn many_stops_at_once_all_succeed() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let stopping: Vec<_> = (0..8)
        .map(|_| proxy.command(["-g", "0", "stop"]).spawn())
        .collect();

    for run in stopping {
        run.finish(Deadline::usual()).ok();
    }
    assert_eq!(proxy.sandbox().processes(), []);
}

/// 8.2 (decided): a daemon that does not answer is reported in time, and is
/// never killed.
#[test]
fn a_daemon_that_does_not_answer_makes_commands_fail_in_time() {
    let trees = Trees::new();
    let proxy = trees
        .behind("")
        .limit("control", 0.5)
        .limit("stop_wait", 0.5)
        .start();
    let daemon = proxy.process();
    daemon.freeze();

    let begun = Instant::now();
    let tell = proxy.run(["tell", "shop", "maple", "down"]);
    let stop = proxy.run(["-g", "0", "stop"]);
    let start = proxy.run(["start"]);
    let taken = begun.elapsed();
    daemon.signal(Signal::SIGCONT);

    tell.failed_with_one_line();
    stop.failed_with_one_line();
    assert!(
        start.failed_with_one_line().contains("already running"),
        "{start:#?}"
    );
    assert!(taken < Duration::from_secs(8), "{taken:?}");
    // Whether what was asked in vain is still done is left open.
    proxy.run(["-g", "0", "stop"]);
    daemon.await_end();
}

/// 2.3 (decided): a daemon that only its configuration's path leads to is found
/// by every spelling of that path, also one with blanks.
#[test]
fn the_path_of_the_configuration_is_compared_in_its_plain_form() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let text = proxy.config_text();
    let file = proxy.sandbox().write("odd place/cross roads.conf", &text);
    let run = |spelling: &str, words: &[&str]| {
        proxy
            .sandbox()
            .program()
            .args(["-W", "no-W17", "-c", spelling])
            .args(words)
            .run()
    };
    run("odd place/../odd place/./cross roads.conf", &["start"]).clean();
    // Nothing in the file leads to the daemon any more but its path.
    let moved = text.replace("service shop", "service store");
    let moved = moved.replace(&format!("shmkey {}", proxy.key()), "shmkey 0");
    let other = crate::harness::Port::reserve();
    let moved = moved.replace(&proxy.port().to_string(), &other.number().to_string());
    std::fs::write(&file, moved).unwrap();

    let listed = run("./odd place//cross roads.conf", &["status"]);
    let elsewhere = {
        std::fs::copy(&file, proxy.sandbox().path().join("copy.conf")).unwrap();
        run("copy.conf", &["status"])
    };
    let stopped = run(file.to_str().unwrap(), &["-g", "0", "stop"]);

    assert!(listed.ok().contains("\nshop: type any"), "{listed:#?}");
    assert_eq!(elsewhere.ok(), "store: not running\n");
    stopped.ok();
    assert_eq!(proxy.sandbox().processes(), []);
}

/// Section 15 (decided): `killall -1 crossroads` reaches commands, too.
#[test]
fn a_command_that_waits_ignores_sighup() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let (mut client, _) = proxy.greeted();
    let stopping = proxy.command(["-g", "60", "stop"]).spawn();
    until("the stop has begun", || {
        Client::try_connect(proxy.address()).is_err()
    });

    stopping.signal(Signal::SIGHUP);
    client.assert_echo("in the grace");
    drop(client);

    stopping.finish(Deadline::usual()).clean();
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
