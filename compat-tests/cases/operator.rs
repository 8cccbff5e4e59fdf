//! What an operator meets at the terminal and in scripts: descriptors left
//! open, odd surroundings, and messages that say what to do.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::cases::Trees;
use crate::harness::{Client, Sandbox, Segment, Setup, until};

/// 2.6, step 5 (decided): a script's pipe ends with the script, and its lock is
/// free, although the daemon lives on.
#[test]
fn a_daemon_keeps_no_descriptor_of_the_script_that_started_it() {
    let trees = Trees::new();
    // The output of `start` is read to its end, so a copy would hold it up.
    let mut proxy = trees
        .behind("")
        .wrap(["sh", "-c", "exec 7>&1 9>lock; exec \"$@\"", "sh"])
        .start();
    proxy.sandbox_mut().wrap::<&str>([]);

    let open = proxy.process().descriptors();

    let lock = proxy.sandbox().path().join("lock");
    assert!(!open.contains(&lock), "{open:#?}");
    assert_eq!(proxy.visit(), "maple");
    proxy.stop();
}

/// 2.6 (decided): a restart under load refuses nobody, with one socket for a
/// service and with several.
#[test]
fn no_client_is_refused_while_a_restart_goes_on() {
    for workers in ["1", "3"] {
        let trees = Trees::new();
        let proxy = trees.behind("").flags(["-w", workers]).start();
        let (over, served, refused) = (
            AtomicBool::new(false),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        let address = proxy.address();
        let knock = || {
            while !over.load(Ordering::Relaxed) {
                match Client::try_connect(address) {
                    Ok(mut client) => {
                        let greeted = client.try_line().is_ok();
                        served.fetch_add(usize::from(greeted), Ordering::Relaxed);
                    }
                    Err(error) => {
                        let refusal = error.kind() == ErrorKind::ConnectionRefused;
                        refused.fetch_add(usize::from(refusal), Ordering::Relaxed);
                    }
                }
            }
        };

        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(knock);
            }
            let runs: Vec<_> = (0..5).map(|_| proxy.run(["restart"])).collect();
            over.store(true, Ordering::Relaxed);
            for run in runs {
                run.clean();
            }
        });

        assert_eq!(refused.into_inner(), 0);
        assert!(served.into_inner() > 0);
        proxy.stop();
        until("all daemons have ended", || {
            proxy.sandbox().processes().is_empty()
        });
    }
}

/// 2.6 (decided): a port that another daemon shares among its own workers is
/// not for a service that moves there.
#[test]
fn a_restart_does_not_join_the_port_of_another_daemon() {
    let trees = Trees::new();
    let other = trees.behind("").start();
    let proxy = trees.behind("").start();
    let old = proxy.config_text();
    proxy.rewrite(&old.replace(
        &format!("port {};", proxy.port()),
        &format!("port {};", other.port()),
    ));

    let run = proxy.run(["-g", "0", "restart"]);

    let expected = format!(
        "crossroads: service shop: cannot listen on {}: address in use",
        other.address()
    );
    assert!(run.failed().starts_with(&expected), "{run:#?}");
    assert_eq!(other.visit(), "maple");
}

/// 14.4 (decided): an object that cannot be read is an error for `stop` too,
/// since the service may well run.
#[test]
fn stop_does_not_say_that_nothing_runs_where_it_cannot_look() {
    let trees = Trees::new();
    let proxy = trees
        .behind("")
        .service("desk", "")
        .backend("birch", trees.birch.server(), "")
        .start();
    let daemon = proxy.process();
    proxy.segment().remove();
    std::fs::write(proxy.segment().path(), "something else").unwrap();

    let run = proxy.run(["-g", "0", "stop"]);

    let line = run.failed_with_one_line();
    assert!(
        line.starts_with("service shop: shared memory object"),
        "{line}"
    );
    assert!(!daemon.is_alive(), "the rest is stopped nevertheless");
    proxy.segment().remove();
}

/// 2.6 (decided): who finds something else at the place of an object is told
/// where it lies.
#[test]
fn a_foreign_object_is_named_with_a_remedy() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let segment = Segment::of(proxy.key());
    std::fs::write(segment.path(), "something else").unwrap();

    let run = proxy.run(["start"]);

    let line = run.failed_with_one_line();
    let place = segment.path().display().to_string();
    assert!(line.contains("choose another shmkey"), "{line}");
    assert!(line.contains(&place), "{line}");
    segment.remove();
}

/// 2.8 (decided): a daemon whose socket is gone can still be ended, and the
/// message says how.
#[test]
fn stop_without_a_socket_names_the_way_out() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();
    std::fs::remove_dir_all(proxy.sandbox().run_dir()).unwrap();

    let run = proxy.run(["stop"]);

    let way_out = format!("'kill {}' ends it", daemon.0);
    assert!(run.failed_with_one_line().contains(&way_out), "{run:#?}");
    assert_eq!(proxy.visit(), "maple");
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    daemon.await_end();
}

/// 2.8 (decided): a relative RUNDIR is that of the directory where `start` was
/// called, for commands from everywhere.
#[test]
fn a_relative_run_directory_is_found_from_elsewhere() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let command = |word: &str| proxy.command([word]).env("CROSSROADS_RUN_DIR", "run");
    command("start").run().clean();
    let elsewhere = proxy.sandbox().path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();

    let run = command("stop").directory(elsewhere).run();

    assert_eq!(run.clean(), "");
    assert!(!proxy.segment().exists());
}

/// 2.6 (decided): many services need more descriptors than the soft limit has.
#[test]
fn listeners_beyond_the_soft_limit_are_no_obstacle() {
    let trees = Trees::new();
    let mut setup = trees.behind("");
    for number in 0..30 {
        setup =
            setup
                .service(&format!("desk{number}"), "")
                .backend("birch", trees.birch.server(), "");
    }
    let limits = "ulimit -Sn 30; ulimit -Hn 1000; exec \"$@\"";

    let proxy = setup
        .flags(["-w", "2"])
        .wrap(["sh", "-c", limits, "sh"])
        .start();
    let old = proxy.process();
    proxy.run(["-g", "0", "restart"]).clean();

    assert_ne!(proxy.process(), old);
    assert_eq!(proxy.visit(), "maple");
    proxy.stop();
}

/// 2.6 (decided): where there is no room for its sockets the old daemon is
/// ordered away as ever, and the message names the limit.
#[test]
fn a_restart_without_room_for_its_sockets_says_what_to_raise() {
    let trees = Trees::new();
    let mut setup = trees.behind("");
    for number in 0..30 {
        setup =
            setup
                .service(&format!("desk{number}"), "")
                .backend("birch", trees.birch.server(), "");
    }
    let mut proxy = setup.flags(["-w", "2"]).start();
    let old = proxy.process();
    let limits = "ulimit -n 60; exec \"$@\"";
    proxy.sandbox_mut().wrap(["sh", "-c", limits, "sh"]);

    let run = proxy.run(["-g", "0", "restart"]);

    assert!(run.failed().contains("ulimit -n"), "{run:#?}");
    proxy.sandbox_mut().wrap::<&str>([]);
    old.await_end();
    assert!(!proxy.segment().exists());
}

/// 2.6 (decided): out of descriptors is said with what helps.
#[test]
fn a_start_without_descriptors_says_what_to_raise() {
    // With the last one a daemon could run, but would never accept a client.
    for limit in ["6", "14", "40"] {
        let trees = Trees::new();
        let limits = format!("ulimit -n {limit}; exec \"$@\"");
        let setup = trees.behind("").flags(["-w", "2"]);
        let proxy = setup.wrap(["sh", "-c", &limits, "sh"]).write();

        let run = proxy.run(["start"]);

        assert!(run.failed().contains("ulimit -n"), "{run:#?}");
        assert!(!proxy.segment().exists());
    }
}

/// 2.8 (decided): a place that cannot hold the socket is named with the
/// variable that leads elsewhere.
#[test]
fn an_unfit_run_directory_is_named_with_its_variable() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .write();
    let missing = proxy.sandbox().path().join("no/such");

    let run = proxy
        .command(["start"])
        .env("CROSSROADS_RUN_DIR", missing)
        .run();

    let line = run.failed_with_one_line();
    assert!(line.contains("CROSSROADS_RUN_DIR"), "{line}");
}

/// 2.3 (decided): a demo without a place for its files says which place it
/// tried, and how to choose another one.
#[test]
fn a_demo_without_a_temporary_directory_names_the_variable() {
    let sandbox = Sandbox::new();
    let missing = sandbox.path().join("missing");

    let run = sandbox
        .program()
        .args(["demo"])
        .env("TMPDIR", &missing)
        .run();

    let line = run.failed_with_one_line();
    assert!(line.contains(&missing.display().to_string()), "{line}");
    assert!(line.contains("TMPDIR"), "{line}");
}
