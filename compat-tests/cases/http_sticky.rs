//! Sticky cookies: which back end serves a request.

use crate::cases::Lanes;
use crate::harness::http::{After, Gate, HttpBackend, HttpClient, reply, request, sticky};
use crate::harness::{Backend, Proxy, Setup, until};

/// Asks with a `Cookie` field of the value `cookie`, if there is one; gives who
/// answered.
#[track_caller]
fn served_by(client: &mut HttpClient, cookie: &str) -> String {
    let fields = match cookie {
        "" => String::new(),
        pairs => format!("Cookie: {pairs}\r\n"),
    };
    let answer = client.get("/", &fields);
    assert_eq!(answer.code(), 200, "{answer:?}");
    let name = answer.head.value("X-Backend").expect("a name");
    // Every reply sets the cookie of the back end that gave it.
    let set = format!("lane={name}; Path=/");
    assert_eq!(answer.head.value("Set-Cookie"), Some(set));
    name
}

/// The same on a connection of its own.
#[track_caller]
fn visitor_served_by(proxy: &Proxy, cookie: &str) -> String {
    served_by(&mut proxy.http(), cookie)
}

/// C39 (documented): without cookie by mode, with one to its back end.
#[test]
fn a_cookie_leads_to_its_backend_and_every_reply_sets_one() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("").start();

    let first: Vec<_> = (0..4).map(|_| visitor_served_by(&proxy, "")).collect();
    assert_eq!(first, ["maple", "birch", "cedar", "maple"]);
    for name in ["cedar", "maple", "birch", "birch", "cedar"] {
        assert_eq!(visitor_served_by(&proxy, &format!("lane={name}")), name);
    }

    // 7.1 (decided): a bound request moves no pointer.
    assert_eq!(visitor_served_by(&proxy, ""), "birch");
}

/// C39 (documented): the back end of the cookie is down, full, dead; another
/// one is assigned and sets its own cookie.
#[test]
fn a_cookie_of_a_backend_that_cannot_be_reached_leads_to_another() {
    let mut lanes = Lanes::new();
    let full = "maxconnections 1; ".to_owned() + &sticky("elm");
    let elm = HttpBackend::named("elm");
    let proxy = lanes
        .behind("dispatchmode byorder;")
        .backend("elm", elm.server(), &full)
        .start();
    let mut holding = proxy.http();
    assert_eq!(served_by(&mut holding, "lane=elm"), "elm");

    proxy.tell("birch", "down");
    lanes.cedar.kill();

    for cookie in ["lane=birch", "lane=cedar", "lane=elm"] {
        assert_eq!(visitor_served_by(&proxy, cookie), "maple", "{cookie}");
    }
    assert_eq!(proxy.state("cedar"), "unavailable");
    assert_eq!(visitor_served_by(&proxy, "lane=cedar"), "maple");
    // The place that makes it full is this client's own.
    assert_eq!(served_by(&mut holding, "lane=elm"), "elm");
    assert_eq!(elm.accepted(), 1);
}

/// C40 and 9.6 (decided): pairs are compared whole and byte for byte.
#[test]
fn only_a_whole_pair_matches() {
    let (maple, birch) = (HttpBackend::named("maple"), HttpBackend::named("birch"));
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("maple", maple.server(), "")
        .backend(
            "birch",
            birch.server(),
            "stickycookie K=10; addclientheader \"Set-Cookie: K=10\";",
        )
        .start();
    let rows = [
        ("Cookie: K=10", "birch"),
        ("cookie: a=1; K=10; b=2", "birch"),
        ("Cookie: a=1;K=10", "birch"),
        ("Cookie:  K=10\t;", "birch"),
        ("Cookie: a=1\r\nX: y\r\nCookie: K=10", "birch"),
        ("Cookie: K=100", "maple"),
        ("Cookie: xK=10", "maple"),
        ("Cookie: k=10", "maple"),
        ("Cookie: K=\"10\"", "maple"),
        ("Cookie: K= 10", "maple"),
        ("Cookie: K=1; K=0", "maple"),
        ("Cookie: a=\"; K=10\"", "maple"),
        ("Cookie: a=1, K=10", "maple"),
        ("Cookie: K=10x; K=10", "birch"),
        ("X-Cookie: K=10", "maple"),
        ("Cookie:", "maple"),
    ];

    for (fields, expected) in rows {
        let answer = proxy.http().get("/", &format!("{fields}\r\n"));
        let found = answer.head.value("X-Backend");
        assert_eq!(found.as_deref(), Some(expected), "{fields:?}");
    }
}

/// 9.6 (decided): the first pair whose back end is usable counts.
#[test]
fn the_first_pair_with_a_usable_backend_counts() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("dispatchmode byorder;").start();
    let both = "lane=cedar; lane=birch";

    assert_eq!(visitor_served_by(&proxy, both), "cedar");
    proxy.tell("cedar", "down");
    assert_eq!(visitor_served_by(&proxy, both), "birch");
    proxy.tell("birch", "unavailable");
    assert_eq!(visitor_served_by(&proxy, both), "maple");

    let fields = "Cookie: lane=cedar\r\nCookie: x=1\r\nCookie: lane=birch\r\n";
    proxy.tell("birch", "up");
    let answer = proxy.http().get("/", fields);
    assert_eq!(answer.head.value("X-Backend").as_deref(), Some("birch"));
    assert!(lanes.birch.text_on(1).contains(fields), "passed unchanged");
}

/// C41 (decided).
#[test]
fn requests_of_one_connection_can_go_to_different_backends() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("").start();
    let mut client = proxy.http();

    for name in ["maple", "birch", "birch", "cedar", "maple"] {
        assert_eq!(served_by(&mut client, &format!("lane={name}")), name);
    }

    assert_eq!(lanes.maple.counts(), [1, 1]);
    assert_eq!(lanes.birch.counts(), [2]);
    // One connection at a time: the one before was ended.
    lanes.maple.await_ending(0);
    lanes.birch.await_ending(0);
    lanes.cedar.await_ending(0);
    until("one is active", || {
        ["maple", "birch", "cedar"].map(|name| proxy.number(name, "active")) == [1, 0, 0]
    });
    assert_eq!(proxy.shop_number("accepted"), 1);
}

/// 9.5 rule 2 (decided).
#[test]
fn a_request_without_a_cookie_stays_with_the_current_backend() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("").start();
    let mut client = proxy.http();

    assert_eq!(served_by(&mut client, "lane=cedar"), "cedar");
    assert_eq!(served_by(&mut client, ""), "cedar");
    assert_eq!(served_by(&mut client, "other=1"), "cedar");

    assert_eq!(lanes.cedar.counts(), [3]);
}

/// 9.5 (decided): a back end told down loses kept clients at their next
/// request, and no sooner.
#[test]
fn a_backend_told_down_loses_its_clients_at_their_next_request() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        held.wait();
        turn.answer(&reply("200 OK", "X-Backend: maple\r\n", ""))
    });
    let birch = HttpBackend::named("birch");
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("maple", maple.server(), &sticky("maple"))
        .backend("birch", birch.server(), &sticky("birch"))
        .start();
    let mut client = proxy.http();

    client.send(request("GET", "/", ""));
    gate.await_arrived(1);
    proxy.tell("maple", "down");
    gate.open();
    let answer = client.reply();

    assert_eq!(answer.head.value("X-Backend").as_deref(), Some("maple"));
    assert_eq!(served_by(&mut client, "lane=maple"), "birch");
    maple.await_ending(0);
    assert_eq!(maple.counts(), [1]);
}

/// 9.5 (decided): a back end that is only unavailable keeps them, cookie or
/// not.
#[test]
fn an_unavailable_backend_keeps_the_clients_that_it_has() {
    let lanes = Lanes::new();
    let proxy = lanes.behind("").start();
    let mut client = proxy.http();
    assert_eq!(served_by(&mut client, "lane=birch"), "birch");

    proxy.tell("birch", "unavailable");

    assert_eq!(served_by(&mut client, "lane=birch"), "birch");
    assert_eq!(served_by(&mut client, ""), "birch");
    assert_eq!(visitor_served_by(&proxy, "lane=birch"), "maple");
    // A request bound elsewhere leaves it, and then it is out of reach.
    assert_eq!(served_by(&mut client, "lane=maple"), "maple");
    assert_eq!(served_by(&mut client, "lane=birch"), "maple");
}

/// 9.6 (decided): after a failed connect the mode chooses among the others.
#[test]
fn a_refused_cookie_falls_back_on_the_dispatch_mode() {
    let mut lanes = Lanes::new();
    let proxy = lanes.behind("revivinginterval 0;").start();
    lanes.maple.kill();

    let answers: Vec<_> = (0..2)
        .map(|_| visitor_served_by(&proxy, "lane=maple"))
        .collect();

    assert_eq!(answers, ["birch", "cedar"], "in turn");
    assert_eq!(proxy.state("maple"), "unavailable");
    assert_eq!(proxy.number("maple", "failures"), 1);
    assert_eq!(proxy.shop_number("no_backend"), 0);
}

/// 9.5 (decided): with one back end the connection of a request that is bound
/// to a dead one is closed first; then the others are tried.
#[test]
fn a_kept_client_moves_on_when_the_backend_of_its_cookie_is_dead() {
    let dead = Backend::dead("dead");
    let maple = HttpBackend::new(|turn| {
        turn.answer(&reply("200 OK", "X-Backend: maple\r\n", ""));
        After::Keep
    });
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("maple", maple.server(), &sticky("maple"))
        .backend("dead", dead.server(), &sticky("dead"))
        .start();
    let mut client = proxy.http();

    assert_eq!(served_by(&mut client, ""), "maple");
    assert_eq!(served_by(&mut client, "lane=dead"), "maple");

    assert_eq!(maple.counts(), [1, 1]);
    assert_eq!(proxy.state("dead"), "unavailable");
}

/// 7.1, 7.5 (decided): a request bound by its cookie asks no handler; one
/// without is dispatched by it, once for a client that stays.
#[test]
fn a_cookie_asks_no_handler() {
    let lanes = Lanes::new();
    let mut setup = lanes.behind("dispatchmode externalhandler echo %r >> asked && echo cedar;");
    let asked = setup.sandbox().path().join("asked");
    let proxy = setup.start();
    let count = || std::fs::read_to_string(&asked).map_or(0, |text| text.lines().count());
    let mut client = proxy.http();

    assert_eq!(served_by(&mut client, "lane=birch"), "birch");
    assert_eq!(served_by(&mut client, ""), "birch");
    assert_eq!(count(), 0);
    assert_eq!(visitor_served_by(&proxy, ""), "cedar");
    assert_eq!(count(), 1);
}
