//! `reuse safe`: idle connections to back ends serve other clients.

use std::sync::Arc;

use crate::harness::http::{
    After, Gate, HttpBackend, HttpClient, Shared, post, reply, request, sticky,
};
use crate::harness::{Setup, until};

/// Without the directive (decided): connections are never shared.
#[test]
fn connections_are_not_shared_unless_that_is_asked_for() {
    let maple = HttpBackend::named("maple");
    for service in ["", "reuse never;"] {
        let before = maple.accepted();
        let proxy = Shared::start(Setup::http(service).backend("maple", maple.server(), ""));
        for _ in 0..3 {
            proxy.visit("/");
        }
        assert_eq!(maple.accepted() - before, 3);
    }
}

/// `reuse` (decided): clients after one another, and one while another is idle.
#[test]
fn an_idle_connection_serves_other_clients() {
    let maple = HttpBackend::named("maple");
    let proxy = Shared::before(&maple, "");

    for number in 0..20 {
        let target = format!("/{number}");
        assert_eq!(proxy.visit(&target), format!("maple GET {target}\n"));
    }
    let (mut first, mut second) = (proxy.http(), proxy.http());
    for _ in 0..5 {
        first.get("/first", "");
        proxy.await_end_of_lease();
        second.get("/second", "");
        proxy.await_end_of_lease();
    }

    assert_eq!(maple.counts(), [30]);
    until("both clients are shown", || {
        proxy.shop_number("active") == 2
    });
}

/// `reuse` (decided): each lease is a connection in all accounts and hooks.
#[test]
fn a_lease_counts_as_a_connection() {
    let maple = HttpBackend::named("maple");
    let mut setup = Setup::http("reuse safe;");
    let log = setup.sandbox().path().join("log");
    let hooks = format!(
        "onstart echo start >> {0}; onend echo end >> {0};",
        log.display()
    );
    let proxy = Shared::start(setup.backend("maple", maple.server(), &hooks));

    for _ in 0..4 {
        proxy.visit("/");
    }

    proxy.await_idle();
    assert_eq!(maple.accepted(), 1);
    assert_eq!(proxy.number("maple", "total"), 4);
    assert_eq!(proxy.number("maple", "requests"), 4);
    let syslog = &proxy.sandbox().syslog;
    let ends = syslog.await_lines("ending shop", 4);
    assert!(ends[3].text.contains("connection 0000004"), "{ends:?}");
    let expected = "start\nend\n".repeat(4);
    until("the hooks have run", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.len() == expected.len())
    });
}

/// 8.1 (decided): where the number of connections is limited, an idle one would
/// hold a place for nobody; so they stay with their clients.
#[test]
fn connections_to_a_limited_backend_stay_with_their_clients() {
    let (maple, birch) = (HttpBackend::named("maple"), HttpBackend::named("birch"));
    let setup = Setup::http("reuse safe; dispatchmode byorder;")
        .backend("maple", maple.server(), "maxconnections 1;")
        .backend("birch", birch.server(), "");
    let proxy = Shared::start(setup);
    let (mut first, mut second) = (proxy.http(), proxy.http());

    for _ in 0..3 {
        assert_eq!(first.get("/", "").text(), "maple GET /\n");
        assert_eq!(second.get("/", "").text(), "birch GET /\n");
        proxy.await_end_of_lease();
    }
    drop(first);
    proxy.await_end_of_lease();

    assert_eq!(proxy.visit("/"), "maple GET /\n", "the place is free");
    assert_eq!((maple.counts(), birch.counts()), (vec![3, 1], vec![3]));
}

/// `reuse` (decided): two hundred clients at once, each asks for what only it
/// may see.
#[test]
fn two_hundred_clients_get_their_own_answers() {
    let maple = HttpBackend::mirror();
    let proxy = Arc::new(
        Setup::http("reuse safe;")
            .backend("maple", maple.server(), "")
            .flags(["-w", "2"])
            .start(),
    );
    let address = proxy.address();

    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut clients: Vec<_> = (0..25).map(|_| HttpClient::connect(address)).collect();
                for round in 0..8 {
                    for (number, client) in clients.iter_mut().enumerate() {
                        client.send(marked(thread, number, round));
                    }
                    for (number, client) in clients.iter_mut().enumerate() {
                        let mark = format!("/{thread}.{number}.{round}");
                        let text = client.reply().text();
                        assert!(text.contains(&format!(" {mark} ")), "{mark}: {text}");
                        assert!(text.contains(&format!("X-Mark: {mark}\r\n")), "{text}");
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }

    proxy.await_idle();
    let served: usize = maple.counts().iter().sum();
    assert_eq!(served, 8 * 200);
    assert!(maple.accepted() < 1000, "{} connections", maple.accepted());
    assert_eq!(proxy.number("maple", "requests"), 8 * 200);
}

/// A request that says whose it is, with and without a body.
fn marked(thread: usize, number: usize, round: usize) -> Vec<u8> {
    let mark = format!("/{thread}.{number}.{round}");
    let fields = format!("X-Mark: {mark}\r\n");
    match (number + round) % 4 {
        0 => post(&mark, &fields, mark.repeat(number * 50)),
        _ => request("GET", &mark, &fields),
    }
}

/// `reuse` (decided): the first request of a client goes out on a connection
/// that others had only if it may be repeated.
#[test]
fn a_first_request_that_cannot_be_repeated_gets_a_new_connection() {
    let maple = HttpBackend::named("maple");
    let proxy = Shared::before(&maple, "");
    proxy.visit("/");

    let with_body = [&request("GET", "/", "Content-Length: 2\r\n")[..], b"ok"].concat();
    let firsts = [post("/", "", "body"), request("DELETE", "/", ""), with_body];
    for (number, first) in firsts.iter().enumerate() {
        let before = maple.accepted();
        assert_eq!(proxy.http().ask(first).code(), 200);
        assert_eq!(maple.accepted(), before + 1, "{number}");
        proxy.await_end_of_lease();
    }
    let before = maple.accepted();
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(proxy.http().ask(request(method, "/", "")).code(), 200);
        proxy.await_end_of_lease();
    }
    assert_eq!(maple.accepted(), before, "these may");
}

/// `reuse` (decided): a pooled connection that has ended costs no client an
/// answer.
#[test]
fn a_backend_that_closes_idle_connections_costs_no_client_an_answer() {
    for after in [After::Close, After::Reset] {
        let maple = HttpBackend::new(move |turn| {
            if turn.number == 2 {
                return after;
            }
            turn.answer(&reply("200 OK", "", turn.head.target()));
            match turn.head.target().as_str() {
                "/close" => After::Close,
                _ => After::Keep,
            }
        });
        let proxy = Shared::before(&maple, "");

        for number in 0..10 {
            assert_eq!(proxy.visit("/close"), "/close");
            let target = format!("/{number}");
            // This one is taken from the pool, and its connection ends.
            assert_eq!(proxy.visit(&target), target);
            assert_eq!(proxy.visit(&target), target);
        }

        assert_eq!(proxy.state("maple"), "available");
        assert_eq!(proxy.number("maple", "failures"), 0);
    }
}

/// `reusemax` (decided): so many are kept idle.
#[test]
fn no_more_than_reusemax_connections_are_kept() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        held.wait();
        turn.answer(&reply("200 OK", "", ""))
    });
    let proxy = Shared::before(&maple, "reusemax 2;");
    let mut clients: Vec<HttpClient> = (0..5).map(|_| proxy.http()).collect();

    for client in &mut clients {
        client.send(request("GET", "/", ""));
    }
    gate.await_arrived(5);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.reply().code(), 200);
        proxy.await_end_of_lease();
    }

    until("three are closed", || maple.open() == 2);
    for _ in 0..6 {
        proxy.visit("/");
    }
    assert_eq!((maple.accepted(), maple.open()), (5, 2));
}

/// `reuseage` (decided).
#[test]
fn an_idle_connection_is_dropped_after_reuseage() {
    let maple = HttpBackend::named("maple");
    let proxy = Shared::before(&maple, "reuseage 1;");

    proxy.visit("/");
    maple.await_ending(0);
    proxy.visit("/");
    proxy.visit("/");

    assert_eq!(maple.counts(), [1, 2]);
}

/// 9.6 with `reuse` (decided): pools belong to a back end, and a client goes
/// where its cookie leads.
#[test]
fn cookies_lead_to_their_backends_over_pooled_connections() {
    let (maple, birch) = (HttpBackend::named("maple"), HttpBackend::named("birch"));
    let setup = Setup::http("reuse safe;")
        .backend("maple", maple.server(), &sticky("maple"))
        .backend("birch", birch.server(), &sticky("birch"));
    let proxy = Shared::start(setup);

    for number in 0..10 {
        let name = ["maple", "birch"][number % 2];
        let mut client = proxy.http();
        for _ in 0..3 {
            let answer = client.get("/", &format!("Cookie: lane={name}\r\n"));
            assert_eq!(answer.text(), format!("{name} GET /\n"));
            proxy.await_end_of_lease();
        }
    }

    assert_eq!((maple.counts(), birch.counts()), (vec![15], vec![15]));
}

/// 6.2 with `reuse` (decided): what was said of a back end holds for its pool.
#[test]
fn a_backend_told_down_or_elsewhere_is_not_asked_over_its_pool() {
    let (maple, elsewhere) = (HttpBackend::named("maple"), HttpBackend::named("elsewhere"));
    let proxy = Shared::before(&maple, "");
    proxy.visit("/");

    proxy.tell("maple", "down");
    assert_eq!(proxy.http().get("/", "").code(), 503);
    proxy.tell("maple", "up");
    let server = elsewhere.server();
    proxy
        .run(["tell", "shop", "maple", "server", &server])
        .clean();

    assert_eq!(proxy.visit("/"), "elsewhere GET /\n");
    assert_eq!(maple.heads().len(), 1);
}
