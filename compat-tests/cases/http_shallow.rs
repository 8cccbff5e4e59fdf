//! `headerinspection shallow`: only the first request and its reply are looked
//! at.

use crate::harness::http::{After, Gate, HttpBackend, reply, request, sticky};
use crate::harness::{Ending, Setup};

/// C47 (decided).
#[test]
fn only_the_first_request_and_its_reply_are_changed() {
    let (maple, birch) = (HttpBackend::named("maple"), HttpBackend::named("birch"));
    let statements = |name| format!("setserverheader \"X-Client: %r\"; {}", sticky(name));
    let proxy = Setup::http("headerinspection shallow; dispatchmode byorder;")
        .backend("maple", maple.server(), &statements("maple"))
        .backend("birch", birch.server(), &statements("birch"))
        .start();
    let mut client = proxy.http();

    let first = client.get("/1", "Cookie: lane=birch\r\n");
    let second = client.get("/2", "Cookie: lane=maple\r\n");
    let third = client.ask("GET /3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

    assert_eq!(first.text(), "birch GET /1\n");
    assert_eq!(second.text(), "birch GET /2\n");
    assert_eq!(third.text(), "birch GET /3\n");
    let set = |answer: &crate::harness::http::Message| answer.head.values("Set-Cookie").len();
    assert_eq!([set(&first), set(&second), set(&third)], [1, 0, 0]);
    let told: Vec<_> = birch
        .heads()
        .iter()
        .map(|head| head.values("X-Client").len())
        .collect();
    assert_eq!(told, [1, 0, 0]);
    assert_eq!((birch.counts(), maple.accepted()), (vec![3], 0));
}

/// 9.12 (decided): what is faulty later is the back end's affair.
#[test]
fn what_follows_the_first_request_is_relayed_unread() {
    let maple = HttpBackend::new(|turn| {
        turn.answer(&reply("200 OK", "", "first"));
        while let Ok(bytes) = turn.receive() {
            turn.send(bytes);
        }
        turn.send("farewell");
        After::Close
    });
    let proxy = Setup::http("headerinspection shallow;")
        .backend("maple", maple.server(), "")
        .start();
    let mut client = proxy.http();
    assert_eq!(client.get("/", "").text(), "first");

    client.send("\0no \r http at all\r\n\r\n");
    assert_eq!(client.take(21), b"\0no \r http at all\r\n\r\n");
    client.raw().finish_sending();

    assert_eq!(client.rest(), (b"farewell".to_vec(), Ending::Fin));
}

/// 9.12 (decided): interim replies pass, the final head is changed.
#[test]
fn interim_replies_come_before_the_head_that_is_changed() {
    let gate = Gate::new();
    let held = gate.clone();
    let maple = HttpBackend::new(move |turn| {
        turn.send("HTTP/1.1 100 Continue\r\n\r\n");
        held.wait();
        turn.answer(&reply("200 OK", "", "done"))
    });
    let proxy = Setup::http("headerinspection shallow;")
        .backend("maple", maple.server(), "setclientheader \"X: y\";")
        .start();
    let mut client = proxy.http();

    client.send(request(
        "POST",
        "/",
        "Content-Length: 4\r\nExpect: 100-continue\r\n",
    ));
    assert_eq!(client.reply().wire, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    gate.open();
    let answer = client.reply();

    assert_eq!(answer.head.value("X").as_deref(), Some("y"));
    assert_eq!(answer.text(), "done");
}

/// 9.12 (decided): the first request is checked like all requests.
#[test]
fn a_faulty_first_request_is_refused() {
    let maple = HttpBackend::named("maple");
    let proxy = Setup::http("headerinspection shallow;")
        .backend("maple", maple.server(), "")
        .start();

    let mut client = proxy.http();
    assert_eq!(client.ask("GET / HTTP/1.1\r\n\r\n").code(), 400);
    client.assert_closed();
    proxy.tell("maple", "down");
    assert_eq!(proxy.http().get("/", "").code(), 503);

    assert_eq!(maple.accepted(), 0);
}

/// 9.12, 8.2 (decided): a body of any length, and both ends.
#[test]
fn bodies_are_relayed_as_in_a_plain_service() {
    let maple = HttpBackend::mirror();
    let proxy = Setup::http("headerinspection shallow;")
        .backend("maple", maple.server(), "")
        .start();
    let mut client = proxy.http();
    let body = crate::cases::relay::Noise(12).bytes(500_000);

    for _ in 0..3 {
        let sent = crate::harness::http::post("/", "", &body);
        assert!(client.ask(&sent).body == sent);
    }
    drop(client);

    maple.await_ending(0);
    proxy.await_idle();
}
