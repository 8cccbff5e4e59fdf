//! Dispatch modes, with the worked examples of the specification (section 7).

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cases::{Trees, accounted_visits, initials};
use crate::harness::{Backend, Client, Proxy, Setup, in_own_network, until};

/// C18, R1 (documented).
#[test]
fn without_a_mode_the_next_in_line_serves() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    assert_eq!(initials(&proxy.visits(7)), "mbcmbcm");
}

/// C18, R2 (documented).
#[test]
fn roundrobin_passes_over_a_backend_that_is_down() {
    let trees = Trees::new();
    let proxy = trees.behind("dispatchmode roundrobin;").start();

    let before = initials(&proxy.visits(2));
    proxy.tell("birch", "down");
    let after = initials(&proxy.visits(5));

    assert_eq!((before.as_str(), after.as_str()), ("mb", "cmcmc"));
}

/// C18, R3 (decided).
#[test]
fn roundrobin_goes_on_behind_the_backend_that_served_in_the_end() {
    let (maple, cedar) = (Backend::banner("maple"), Backend::banner("cedar"));
    let birch = Backend::dead("birch");
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "retries 5;")
        .backend("cedar", cedar.server(), "")
        .start();

    assert_eq!(initials(&proxy.visits(4)), "mcmc");
    proxy.await_idle();
    assert_eq!(proxy.number("birch", "failures"), 2);
    assert_eq!(proxy.state("birch"), "available");
}

/// C20, B1 (decided).
#[test]
fn byconnections_takes_the_least_active_times_weight() {
    let trees = Trees::new();
    let proxy = Setup::new("dispatchmode byconnections;")
        .backend("maple", trees.maple.server(), "weight 1;")
        .backend("birch", trees.birch.server(), "weight 2;")
        .backend("cedar", trees.cedar.server(), "weight 4;")
        .start();

    let (clients, names): (Vec<Client>, Vec<String>) = (0..14).map(|_| proxy.greeted()).unzip();

    assert_eq!(initials(&names), "mmbmmbcmmbmmbc");
    drop(clients);
    proxy.await_idle();
}

/// C20, B2 (decided): active 3, 1, 1.
#[test]
fn byconnections_breaks_a_tie_by_the_order_of_definition() {
    let trees = Trees::new();
    let proxy = trees.behind("dispatchmode byconnections;").start();
    proxy.tell("birch", "down");
    proxy.tell("cedar", "down");
    let on_maple: Vec<Client> = (0..3).map(|_| proxy.greeted().0).collect();
    proxy.tell("birch", "up");
    proxy.tell("cedar", "up");

    let (on_others, names): (Vec<Client>, Vec<String>) = (0..3).map(|_| proxy.greeted()).unzip();

    assert_eq!(initials(&names), "bcb");
    drop((on_maple, on_others));
}

/// C21, S2 (documented): twice as many to the back end of weight 1.
#[test]
fn bysize_gives_half_as_much_to_the_backend_of_weight_2() {
    let (maple, birch) = (Backend::sized("maple", 1000), Backend::sized("birch", 1000));
    let proxy = Setup::new("dispatchmode bysize;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "weight 2;")
        .flags(["-a"])
        .start();

    assert_eq!(accounted_visits(&proxy, 12), "mbmmbmmbmmbm");
}

/// C21, S1 (decided).
#[test]
fn bysize_takes_the_fewest_bytes_since_the_start() {
    let (maple, birch) = (Backend::sized("maple", 1000), Backend::sized("birch", 400));
    let proxy = Setup::new("dispatchmode bysize;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .flags(["-a"])
        .start();

    assert_eq!(accounted_visits(&proxy, 10), "mbbbmbbmbb");
}

/// C22, S3 (decided).
#[test]
fn bysize_over_with_decay_forgets_by_foreign_connections() {
    let (maple, birch) = (Backend::sized("maple", 4000), Backend::sized("birch", 1000));
    let proxy = Setup::new("dispatchmode bysize over 4;")
        .backend("maple", maple.server(), "decay 20;")
        .backend("birch", birch.server(), "decay 20;")
        .flags(["-a"])
        .start();

    assert_eq!(accounted_visits(&proxy, 16), "mbbbbbbbmbbbbmbb");
}

/// Two back ends of S4: the first connection to maple moves 900 bytes, all
/// later ones 100; birch always moves 300.
fn with_a_spike(maple_body: &str) -> (Proxy, [Backend; 2]) {
    let served = AtomicUsize::new(0);
    let maple = Backend::serving(move |mut peer| {
        let size = if served.fetch_add(1, Ordering::SeqCst) == 0 {
            900
        } else {
            100
        };
        let mut bytes = b"maple\n".to_vec();
        bytes.resize(size, b'.');
        peer.send(bytes);
    });
    let birch = Backend::sized("birch", 300);
    let proxy = Setup::new("dispatchmode bysize over 2;")
        .backend("maple", maple.server(), maple_body)
        .backend("birch", birch.server(), "")
        .flags(["-a"])
        .start();
    (proxy, [maple, birch])
}

/// C22, S4 (decided).
#[test]
fn a_spike_without_decay_is_never_forgotten() {
    let (proxy, _backends) = with_a_spike("");

    assert_eq!(accounted_visits(&proxy, 10), "mbbbbbbbbb");
}

/// C22, S4 (decided).
#[test]
fn a_spike_with_decay_is_forgotten() {
    let (proxy, _backends) = with_a_spike("decay 50;");

    assert_eq!(accounted_visits(&proxy, 7), "mbbmmmm");
}

/// C22, S5 (decided).
#[test]
fn bysize_over_follows_weights_and_decays_together() {
    let sizes = [("maple", 2000), ("birch", 3000), ("cedar", 2500)];
    let [maple, birch, cedar] = sizes.map(|(name, size)| Backend::sized(name, size));
    let proxy = Setup::new("dispatchmode bysize over 2;")
        .backend("maple", maple.server(), "weight 1; decay 30;")
        .backend("birch", birch.server(), "weight 2; decay 15;")
        .backend("cedar", cedar.server(), "weight 3; decay 6;")
        .flags(["-a"])
        .start();

    assert_eq!(
        accounted_visits(&proxy, 30),
        "mbcmmmmmmbmmmmmbmmmmmbmmmcmmbm"
    );
}

/// 7.3 (documented): `byduration` goes by the length of ended connections.
#[test]
fn byduration_takes_the_shortest_service_time() {
    let trees = Trees::new();
    let proxy = trees
        .behind("dispatchmode byduration;")
        .flags(["-a"])
        .start();
    let syslog = &proxy.sandbox().syslog;
    let opened = std::time::Instant::now();
    let (slow, first) = proxy.greeted();

    let others = accounted_visits(&proxy, 2);
    drop(slow);
    syslog.await_lines("ending shop", 3);
    let held = opened.elapsed().as_secs_f64();
    let next = accounted_visits(&proxy, 1);

    assert_eq!(
        (first.as_str(), others.as_str()),
        ("maple", "mb"),
        "running ones do not count"
    );
    assert_eq!(next, "c");
    proxy.await_idle();
    let usage = proxy.status().service("shop").backend("maple").usage();
    assert!(
        usage > 0.0 && usage <= 2.0 * held,
        "{usage} s of two connections in {held} s"
    );
}

/// C23 (decided), with a twentieth of the draws of N1: the tolerance is five
/// standard deviations. The full number is a property of the room `policy`.
#[test]
fn random_prefers_small_weights() {
    let [maple, birch, cedar] = ["maple", "birch", "cedar"].map(|name| Backend::sized(name, 10));
    let proxy = Setup::new("dispatchmode random;")
        .backend("maple", maple.server(), "weight 1;")
        .backend("birch", birch.server(), "weight 2;")
        .backend("cedar", cedar.server(), "weight 4;")
        .start();

    let drawn = initials(&proxy.visits(3500));

    let count = |letter: char| drawn.chars().filter(|drawn| *drawn == letter).count();
    for (letter, expected, tolerance) in [('m', 2000, 147), ('b', 1000, 134), ('c', 500, 104)] {
        assert!(
            count(letter).abs_diff(expected) <= tolerance,
            "{letter}: {}",
            count(letter)
        );
    }
}

/// Addresses of clients and their orders of back ends, from 7.4.
const BY_ADDRESS: [(&str, &str); 5] = [
    ("192.0.2.1", "bcm"),
    ("192.0.2.2", "bcm"),
    ("198.51.100.20", "mbc"),
    ("203.0.113.9", "cmb"),
    ("10.0.0.1", "cbm"),
];

fn greeting(proxy: &Proxy, from: &str) -> Client {
    let from: IpAddr = from.parse().unwrap();
    Client::connect_from(from, proxy.address())
}

fn in_network_of_clients(body: impl FnOnce()) {
    in_own_network(
        &[
            "192.0.2.1/32",
            "192.0.2.2/32",
            "198.51.100.20/32",
            "203.0.113.9/32",
            "10.0.0.1/32",
        ],
        body,
    );
}

/// C24 (decided).
#[test]
fn byclientip_leads_an_address_to_its_backend_each_time() {
    in_network_of_clients(|| {
        let trees = Trees::new();
        let proxy = trees.behind("dispatchmode byclientip;").start();
        for (address, order) in BY_ADDRESS {
            for _ in 0..3 {
                let name = greeting(&proxy, address).line();
                assert_eq!(name[..1], order[..1], "{address}");
            }
        }
        proxy.tell("birch", "down");

        greeting(&proxy, "192.0.2.1").assert_closed_without_data();
        assert_eq!(greeting(&proxy, "10.0.0.1").line(), "cedar");
    });
}

/// C24 (decided).
#[test]
fn byclientip_lax_goes_down_the_order_of_the_address() {
    in_network_of_clients(|| {
        let trees = Trees::new();
        let proxy = trees.behind("dispatchmode byclientiplax;").start();
        let firsts = |place: usize| {
            for (address, order) in BY_ADDRESS {
                let name = greeting(&proxy, address).line();
                assert_eq!(name[..1], order[place..=place], "{address}");
            }
        };

        firsts(0);
        proxy.tell("birch", "down");
        assert_eq!(greeting(&proxy, "192.0.2.1").line(), "cedar");
        proxy.tell("cedar", "down");
        assert_eq!(greeting(&proxy, "192.0.2.1").line(), "maple");
    });
}

/// C36 (documented).
#[test]
fn a_full_backend_is_passed_over() {
    let trees = Trees::new();
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", trees.maple.server(), "maxconnections 1;")
        .backend("birch", trees.birch.server(), "")
        .start();

    let (first, first_name) = proxy.greeted();
    let (second, second_name) = proxy.greeted();
    until("maple is seen to be full", || {
        proxy.number("maple", "active") == 1
    });
    drop(first);
    until("maple is free again", || {
        proxy.number("maple", "active") == 0
    });
    let (_third, third_name) = proxy.greeted();

    assert_eq!(
        [first_name, second_name, third_name],
        ["maple", "birch", "maple"]
    );
    drop(second);
}

/// 1.3, 6.3 (documented): the limit holds for clients that come at once, too.
#[test]
fn a_backend_never_has_more_connections_than_its_limit() {
    let trees = Trees::new();
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("maple", trees.maple.server(), "maxconnections 7;")
        .backend("birch", trees.birch.server(), "maxconnections 11;")
        .backend("cedar", trees.cedar.server(), "")
        .flags(["-w", "4"])
        .start();

    let threads: Vec<_> = (0..60)
        .map(|_| {
            let address = proxy.address();
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let name = client.line();
                (client, name)
            })
        })
        .collect();
    let (clients, names): (Vec<Client>, Vec<String>) = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .unzip();

    let count = |name: &str| names.iter().filter(|served| *served == name).count();
    assert_eq!(
        [count("maple"), count("birch"), count("cedar")],
        [7, 11, 42]
    );
    drop(clients);
}
