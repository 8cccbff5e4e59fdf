//! Stopping and restarting, and finding the daemon that is meant.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{Client, Deadline, Setup, eventually, until};

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

/// 2.6 (decided): also when there is no grace, they are accepted and then cut.
#[test]
fn clients_in_the_kernels_queue_are_accepted_by_a_stop_without_grace() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-g", "0"]).start();
    let daemon = proxy.process();
    daemon.freeze();
    let clients: Vec<Client> = (0..12).map(|_| proxy.connect()).collect();

    daemon.signal(Signal::SIGTERM);
    daemon.signal(Signal::SIGCONT);
    daemon.await_end();

    let stopped = proxy.sandbox().syslog.await_line("shop: stopped");
    assert_eq!(stopped.text, "shop: stopped, 12 connections cut");
    drop(clients);
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

/// 2.5 (decided): several stops at once all succeed.
#[test]
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

/// 2.3 (decided): whatever several restarts at once do to each other, the
/// service runs afterwards, in one daemon.
#[test]
fn after_many_restarts_at_once_one_daemon_serves() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let restarting: Vec<_> = (0..5).map(|_| proxy.command(["restart"]).spawn()).collect();
    let codes: Vec<Option<i32>> = restarting
        .into_iter()
        .map(|run| run.finish(Deadline::usual()).code)
        .collect();

    assert!(codes.contains(&Some(0)), "{codes:?}");
    until("one daemon is left", || {
        proxy.sandbox().processes().len() == 1
    });
    assert_eq!(proxy.sandbox().processes(), [proxy.process()]);
    assert!(!proxy.visit().is_empty());
}
