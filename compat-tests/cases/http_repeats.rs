//! Which requests are sent once more when a kept connection to their back end
//! ends, and which never are (9.9).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::cases::http_failures::assert_state_unchanged;
use crate::cases::http_shop;
use crate::harness::Setup;
use crate::harness::http::{After, HttpBackend, HttpClient, post, reply, request, sticky};

/// Ends a connection as `after` says when its second request comes.
fn failing_at_the_second(after: After) -> HttpBackend {
    HttpBackend::new(move |turn| {
        if turn.number == 2 {
            turn.message();
            return after;
        }
        let text = format!("{} {}", turn.head.method(), turn.head.target());
        turn.answer(&reply("200 OK", "", text))
    })
}

/// 9.9 (decided): a kept connection that ends before the reply; what may be
/// repeated is, once, at the same back end.
#[test]
fn a_safe_request_without_a_body_is_repeated_on_a_new_connection() {
    for after in [After::Close, After::Reset] {
        let maple = failing_at_the_second(after);
        let birch = HttpBackend::named("birch");
        let proxy = Setup::http("dispatchmode byorder;")
            .backend("maple", maple.server(), "addserverheader \"X: y\";")
            .backend("birch", birch.server(), "")
            .start();

        let mut connections = 0;
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            let mut client = proxy.http();
            client.get("/first", "");
            let answer = client.ask(request(method, "/second", ""));
            assert_eq!(answer.code(), 200, "{method}, {after:?}");
            connections += 2;
            assert_eq!(maple.counts().len(), connections);
        }

        let second = "/second HTTP/1.1\r\nHost: shop.test\r\nX: y\r\n\r\n";
        assert!(maple.text_on(0).ends_with(&format!("GET {second}")));
        assert_eq!(maple.text_on(1), format!("GET {second}"));
        assert_eq!(birch.accepted(), 0);
        assert_state_unchanged(&proxy);
    }
}

/// 9.9 (decided).
#[test]
fn a_request_that_must_not_be_repeated_is_answered_502() {
    let body = |method: &str| {
        let head = request(method, "/second", "Content-Length: 4\r\n");
        [&head[..], b"body"].concat()
    };
    for after in [After::Close, After::Reset] {
        let maple = failing_at_the_second(after);
        let proxy = http_shop("", &maple, "");
        let requests = [
            post("/second", "", "body"),
            post("/second", "", ""),
            body("PUT"),
            body("GET"),
            request("DELETE", "/second", ""),
            request("PATCH", "/second", ""),
            request("get", "/second", ""),
        ];

        for (number, second) in requests.iter().enumerate() {
            let mut client = proxy.http();
            client.get("/first", "");
            let answer = client.ask(second);
            assert_eq!(
                answer.code(),
                502,
                "{after:?}: {:?}",
                second.escape_ascii().to_string()
            );
            client.assert_closed();
            assert_eq!(maple.counts().len(), number + 1, "not repeated");
        }

        assert_state_unchanged(&proxy);
    }
}

/// 9.9 (decided): once more, not for ever.
#[test]
fn a_request_is_repeated_only_once() {
    let maple = HttpBackend::new(|turn| match turn.head.target().as_str() {
        "/fatal" => After::Close,
        _ => turn.answer(&reply("200 OK", "", "")),
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    client.get("/", "");

    assert_eq!(client.get("/fatal", "").code(), 502);

    client.assert_closed();
    assert_eq!(maple.targets(), ["/", "/fatal", "/fatal"]);
    assert_eq!(maple.counts(), [2, 1]);
    assert_state_unchanged(&proxy);
}

/// 9.9 (decided): the same back end first, then the others.
#[test]
fn a_repeated_request_fails_over_when_its_backend_has_died() {
    let mut maple = HttpBackend::named("maple");
    let birch = HttpBackend::named("birch");
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("maple", maple.server(), &sticky("maple"))
        .backend("birch", birch.server(), &sticky("birch"))
        .start();
    let mut client = proxy.http();
    assert_eq!(client.get("/1", "").text(), "maple GET /1\n");

    maple.kill();
    let answer = client.get("/2", "Cookie: lane=maple\r\n");

    assert_eq!(answer.text(), "birch GET /2\n");
    assert_eq!(answer.head.values("Set-Cookie"), ["lane=birch; Path=/"]);
    assert_eq!(proxy.state("maple"), "unavailable");
}

/// 9.9 (decided): so is one of which only an interim reply has come.
#[test]
fn a_request_is_not_repeated_after_an_interim_reply() {
    let maple = HttpBackend::new(|turn| {
        if turn.number == 1 {
            return turn.answer(&reply("200 OK", "", ""));
        }
        turn.send("HTTP/1.1 103 Early Hints\r\n\r\n");
        After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut client = proxy.http();
    client.get("/", "");

    client.send(request("GET", "/", ""));
    assert_eq!(client.reply().code(), 103);
    // What has been passed on cannot be taken back, and a 502 may follow.
    if let Ok(answer) = client.try_reply("GET") {
        assert_eq!(answer.code(), 502);
    }

    assert_eq!(maple.counts(), [2]);
    assert_state_unchanged(&proxy);
}

/// 9.9 (decided): however often back ends fail, a POST reaches them at most
/// once, and one that was answered did reach them.
#[test]
fn a_post_is_never_served_twice() {
    for service in ["", "reuse safe;"] {
        let served = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&served);
        let maple = HttpBackend::new(move |turn| {
            let Some(message) = turn.message() else {
                return After::Close;
            };
            let number = {
                let mut served = noted.lock().unwrap();
                served.push(turn.head.target());
                served.len()
            };
            match number % 11 {
                0 | 3 => After::Close,
                5 => After::Reset,
                7 => {
                    turn.answer(&reply("200 OK", "", message.body));
                    After::Close
                }
                _ => turn.answer(&reply("200 OK", "", message.body)),
            }
        });
        let proxy = Setup::http(service)
            .backend("maple", maple.server(), "")
            .flags(["-w", "2"])
            .start();

        let answered: Vec<String> = std::thread::scope(|scope| {
            let address = proxy.address();
            let threads: Vec<_> = (0..8)
                .map(|thread| scope.spawn(move || post_many(address, thread)))
                .collect();
            let threads = threads.into_iter();
            threads.flat_map(|thread| thread.join().unwrap()).collect()
        });

        let mut served = served.lock().unwrap().clone();
        served.retain(|target| target.starts_with("/post"));
        served.sort_unstable();
        assert!(served.windows(2).all(|two| two[0] != two[1]), "{service:?}");
        assert!(answered.len() > 400, "{} of 800", answered.len());
        let lost = answered.iter().find(|target| !served.contains(target));
        assert_eq!(lost, None);
    }
}

/// Posts, with reads in between; gives the targets that were answered.
fn post_many(to: SocketAddr, thread: usize) -> Vec<String> {
    let mut answered = Vec::new();
    let mut client = HttpClient::connect(to);
    for number in 0..200 {
        let (target, asked) = match number % 2 {
            0 => {
                let target = format!("/post/{thread}/{number}");
                let asked = post(&target, "", &target);
                (target, asked)
            }
            _ => (String::new(), request("GET", "/", "")),
        };
        client.send(asked);
        match client.try_reply("GET") {
            Ok(answer) if answer.code() == 200 => {
                assert_eq!(answer.text(), target, "the answer of another");
                if number % 2 == 0 {
                    answered.push(target);
                }
            }
            _ => client = HttpClient::connect(to),
        }
    }
    answered
}
