//! Limits of connections and of descriptors.

use std::time::Duration;

use crate::cases::Trees;
use crate::harness::{Backend, Client, Level, Setup, pace};

/// C35 (limit documented; waiting in the kernel's queue decided).
#[test]
fn clients_beyond_the_services_limit_wait_and_are_served_later() {
    let trees = Trees::new();
    let proxy = trees.behind("maxconnections 2;").start();
    let (first, _) = proxy.greeted();
    let (mut second, _) = proxy.greeted();

    let mut third = proxy.connect();
    let warning = proxy.sandbox().syslog.await_line("maxconnections");
    assert!(third.is_quiet_for(Duration::from_millis(300)));
    assert_eq!(proxy.shop_number("active"), 2);
    drop(first);

    assert_eq!(third.line(), "cedar");
    second.assert_echo("undisturbed");
    assert_eq!(warning.level, Level::Warning);
    assert_eq!(warning.text, "shop: maxconnections 2 reached, clients wait");
}

/// 8.1 (decided): one warning an episode, however many clients wait.
#[test]
fn a_full_service_warns_once_an_episode() {
    let trees = Trees::new();
    let proxy = trees.behind("maxconnections 1;").flags(["-w", "2"]).start();

    let waiting: Vec<Client> = (0..20).map(|_| proxy.connect()).collect();
    serve_each_in_its_own_time(waiting);

    proxy.await_idle();
    proxy.stop();
    let syslog = &proxy.sandbox().syslog;
    syslog.await_line("shop: stopped");
    assert_eq!(syslog.matching("maxconnections").len(), 1);
}

/// 8.1 (documented), with several workers: the limit is the service's, and a
/// freed place reaches a client whichever worker's queue it waits in.
#[test]
fn a_limit_of_one_serves_every_client_in_the_end() {
    let maple = Backend::banner("maple");
    let most = std::sync::Arc::new(std::sync::Mutex::new((0_u32, 0_u32)));
    let seen = std::sync::Arc::clone(&most);
    let counting = Backend::serving(move |mut peer| {
        {
            let mut seen = seen.lock().unwrap();
            seen.0 += 1;
            seen.1 = seen.1.max(seen.0);
        }
        peer.send("counted\n");
        // Before the end is passed on, or the next client could come first.
        peer.discard();
        seen.lock().unwrap().0 -= 1;
    });
    let proxy = Setup::new("maxconnections 1;")
        .backend("counting", counting.server(), "")
        .service("desk", "")
        .backend("maple", maple.server(), "")
        .flags(["-w", "4"])
        .start();

    let threads: Vec<_> = (0..50)
        .map(|_| {
            let address = proxy.address();
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let name = client.line();
                client.finish_sending();
                client.rest();
                name
            })
        })
        .collect();
    let names: Vec<String> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();

    assert!(names.iter().all(|name| name == "counted"));
    assert_eq!(*most.lock().unwrap(), (0, 1));
    let mut desk = Client::connect(proxy.address_of("desk"));
    assert_eq!(desk.line(), "maple");
}

/// C66 (decided): 64 descriptors, 300 clients.
#[test]
fn clients_beyond_the_descriptors_wait_and_none_is_lost() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "")
        .wrap(["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"])
        .flags(["-w", "2"])
        .start();

    let clients: Vec<Client> = (0..300).map(|_| proxy.connect()).collect();
    let warning = proxy.sandbox().syslog.await_line("out of descriptors");
    let daemon = proxy.process();
    let before = daemon.cpu();
    pace(Duration::from_secs(1));
    let spent = daemon.cpu() - before;
    let served_at_once = maple.accepted();
    serve_each_in_its_own_time(clients);

    assert!((1..=32).contains(&served_at_once), "{served_at_once}");
    assert!(
        spent < Duration::from_millis(300),
        "the daemon spins: {spent:?} in a second"
    );
    assert_eq!(warning.level, Level::Warning);
    assert_eq!(warning.text, "shop: out of descriptors, clients wait");
    proxy.await_idle();
    assert_eq!(proxy.number("maple", "total"), 300);
    assert_eq!(proxy.state("maple"), "available");
    proxy.stop();
    let syslog = &proxy.sandbox().syslog;
    syslog.await_line("shop: stopped");
    assert_eq!(syslog.matching("out of descriptors").len(), 1);
}

/// Waiting clients are served in an order that is not ours to choose: with
/// several workers there are several queues.
fn serve_each_in_its_own_time(clients: Vec<Client>) {
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                client.line();
                client.finish_sending();
                client.rest();
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every client is served");
    }
}

/// C68 (decided).
#[test]
fn four_workers_serve_four_hundred_clients() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-w", "4"]).start();

    let clients: Vec<Client> = (0..400).map(|_| proxy.connect()).collect();
    for mut client in clients {
        assert!(["maple", "birch", "cedar"].contains(&client.line().as_str()));
    }

    proxy.await_idle();
    let status = proxy.status();
    let shop = status.service("shop");
    assert_eq!(shop.number("accepted"), 400);
    let totals: Vec<u64> = shop
        .backends()
        .iter()
        .map(|backend| backend.number("total"))
        .collect();
    assert_eq!(totals.iter().sum::<u64>(), 400);
    assert!(
        totals.iter().all(|total| (133..=134).contains(total)),
        "{totals:?}"
    );
}

/// 8.1 (decided): an episode ends when the number has stayed below the limit
/// for a while, not when it has lasted so long.
#[test]
fn a_service_that_stays_full_is_one_episode() {
    let trees = Trees::new();
    let proxy = trees
        .behind("maxconnections 1;")
        .flags(["-w", "1"])
        .limit("log_repeat", 1.0)
        .start();
    let syslog = &proxy.sandbox().syslog;
    let (first, _) = proxy.greeted();
    let mut second = proxy.connect();
    syslog.await_line("maxconnections 1 reached");
    pace(Duration::from_millis(1500));

    let mut third = proxy.connect();
    drop(first);
    second.line();
    drop(second);
    third.line();

    assert_eq!(syslog.matching("maxconnections").len(), 1);
    drop(third);
    proxy.await_idle();
    pace(Duration::from_millis(1100));
    let (_fourth, _) = proxy.greeted();
    let _fifth = proxy.connect();
    syslog.await_lines("maxconnections", 2);
}

/// 8.1 (decided): with several workers, too, each of which finds out by itself
/// that the service is full.
#[test]
fn workers_that_find_a_service_full_later_begin_no_episode() {
    let trees = Trees::new();
    let proxy = trees
        .behind("maxconnections 1;")
        .flags(["-w", "4"])
        .limit("log_repeat", 0.2)
        .start();
    let syslog = &proxy.sandbox().syslog;
    let (first, _) = proxy.greeted();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(proxy.connect());
        pace(Duration::from_millis(250));
    }

    syslog.await_line("maxconnections 1 reached");

    assert_eq!(syslog.matching("maxconnections").len(), 1);
    drop((first, waiting));
}

/// 8.1 (decided): an episode is over when the service has stayed below its limit
/// for a time; only then is there another warning.
#[test]
fn a_service_that_was_below_its_limit_for_long_warns_again() {
    let trees = Trees::new();
    let proxy = trees
        .behind("maxconnections 1;")
        .limit("log_repeat", 1.0)
        .start();
    let syslog = &proxy.sandbox().syslog;
    let reach = || {
        let (mut first, _) = proxy.greeted();
        let mut second = proxy.connect();
        assert!(second.is_quiet_for(Duration::from_millis(200)));
        first.finish_sending();
        first.rest();
        serve_each_in_its_own_time(vec![second]);
    };

    reach();
    reach();
    syslog.await_line("maxconnections");
    let in_one_episode = syslog.matching("maxconnections").len();
    proxy.await_idle();
    pace(Duration::from_millis(1500));
    reach();

    syslog.await_lines("maxconnections", 2);
    assert_eq!(in_one_episode, 1);
}

/// 8.1 (decided): all back ends full is the same as none usable.
#[test]
fn a_client_that_finds_every_backend_full_is_closed_without_data() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "maxconnections 1;")
        .backend("birch", trees.birch.server(), "maxconnections 1;")
        .start();
    let (mut first, _) = proxy.greeted();
    let (mut second, _) = proxy.greeted();

    proxy.connect().assert_closed_without_data();

    first.assert_echo("served");
    second.assert_echo("served");
    proxy
        .sandbox()
        .syslog
        .await_line("shop: no usable back end for 127.0.0.1");
    crate::harness::until("it is counted", || proxy.shop_number("no_backend") == 1);
    assert_eq!(proxy.state("maple"), "available");
}
