//! Messages that are refused, and odd ones that are not: every row of a table
//! that the tests of the message code read as well.

use crate::harness::http::{After, HttpBackend, HttpClient, request};
use crate::harness::http_faults::{
    CHUNKED, Faulty, ODD_CHUNKED, ODD_REPLIES, ODD_REQUESTS, REPLIES, REQUESTS,
};
use crate::harness::{Backend, Ending, Proxy, Setup};

/// Both ways of treating connections to back ends.
const REUSE: [&str; 2] = ["reuse never;", "reuse safe;"];

fn shop(reuse: &str, maple: &Backend) -> Proxy {
    Setup::http(reuse)
        .backend("maple", maple.server(), "")
        .flags(["-w", "2"])
        .start()
}

/// Collects what is wrong with rows, so that one run shows all of them.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn expect(&mut self, right: bool, row: &str, found: &[u8]) {
        if !right {
            let found = String::from_utf8_lossy(found).into_owned();
            self.0.push(format!("{row}: {found:?}"));
        }
    }

    #[track_caller]
    fn assert_none(self) {
        assert!(self.0.is_empty(), "{} rows: {:#?}", self.0.len(), self.0);
    }
}

/// The number in a target such as `/12`.
fn number(target: &str) -> usize {
    target[1..].parse().unwrap()
}

/// C46, 9.3, 9.4 (decided): the client is told, its connection closes, and no
/// back end hears of it.
#[test]
fn no_faulty_request_reaches_a_backend() {
    let maple = Backend::silent();
    let proxy = shop("", &maple);
    let mut wrong = Wrong::default();

    for (name, _, kind, _, bytes) in REQUESTS {
        let mut client = proxy.http();
        client.send(bytes);
        let (answer, ending) = client.rest();
        let start: &[u8] = match *kind {
            "large" => b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
            "version" => b"HTTP/1.1 505 HTTP Version Not Supported\r\n",
            _ => b"HTTP/1.1 400 Bad Request\r\n",
        };
        let right = answer.starts_with(start) && ending == Ending::Fin;
        wrong.expect(right, name, &answer);
    }

    wrong.assert_none();
    proxy.await_idle();
    assert_eq!(maple.accepted(), 0);
    assert!(REQUESTS.len() + REPLIES.len() + CHUNKED.len() >= 200);
}

/// 9.3 (decided): the same behind a good request on the same connection.
#[test]
fn no_faulty_request_behind_a_good_one_reaches_a_backend() {
    let maple = HttpBackend::named("maple");
    let proxy = shop("", &maple);
    let good = request("GET", "/good", "");
    let mut wrong = Wrong::default();

    for (row, (name, _, _, _, bytes)) in REQUESTS.iter().enumerate() {
        let mut client = proxy.http();
        client.send([&good, *bytes].concat());
        assert_eq!(client.reply().code(), 200, "{name}");
        let (answer, _) = client.rest();
        let right = answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 505 ");
        wrong.expect(right, name, &answer);
        wrong.expect(
            maple.received_on(row) == good,
            name,
            &maple.received_on(row),
        );
    }

    wrong.assert_none();
}

/// A back end that sends the bytes of a row, and waits for what comes of it.
fn faulty(prefix: &'static [u8], rows: &'static [Faulty]) -> HttpBackend {
    HttpBackend::new(move |turn| {
        turn.message();
        let row = rows[number(&turn.head.target())].4;
        turn.send([prefix, row].concat());
        while turn.receive().is_ok() {}
        After::Close
    })
}

/// C75, 9.3, 9.4 (decided): 502, and the connection is never used again.
#[test]
fn faulty_replies_are_answered_502() {
    for reuse in REUSE {
        let maple = faulty(b"", REPLIES);
        let proxy = shop(reuse, &maple);
        let mut wrong = Wrong::default();

        for (row, (name, ..)) in REPLIES.iter().enumerate() {
            let mut client = proxy.http();
            client.send(request("GET", &format!("/{row}"), ""));
            let (answer, ending) = client.rest();
            let right = answer.starts_with(b"HTTP/1.1 502 Bad Gateway\r\n");
            wrong.expect(right && ending == Ending::Fin, name, &answer);
            maple.await_ending(row);
        }

        wrong.assert_none();
        assert_eq!(maple.counts(), vec![1; REPLIES.len()]);
        proxy.await_idle();
        assert_eq!(proxy.state("maple"), "available");
    }
}

/// 9.4 (decided; the reset stricter): 502 as long as nothing has been passed
/// on, otherwise a reset.
#[test]
fn faulty_chunks_of_replies_are_never_a_whole_reply() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for reuse in REUSE {
        let maple = faulty(head, CHUNKED);
        let proxy = shop(reuse, &maple);
        let mut wrong = Wrong::default();

        for (row, (name, _, _, _, bytes)) in CHUNKED.iter().enumerate() {
            let mut client = proxy.http();
            client.send(request("GET", &format!("/{row}"), ""));
            let (answer, ending) = client.rest();
            let right = answer.starts_with(b"HTTP/1.1 502 ") || ending == Ending::Reset;
            wrong.expect(right, name, &answer);
            wrong.expect(!answer.ends_with(bytes), name, &answer);
            maple.await_ending(row);
        }

        wrong.assert_none();
        assert_eq!(maple.counts(), vec![1; CHUNKED.len()]);
        proxy.await_idle();
        assert_eq!(proxy.state("maple"), "available");
    }
}

/// 9.4 (decided): the back end never gets a whole request.
#[test]
fn faulty_chunks_of_requests_are_never_a_whole_request() {
    let maple = Backend::silent();
    let proxy = shop("", &maple);
    let head = request("POST", "/", "Transfer-Encoding: chunked\r\n");
    let mut wrong = Wrong::default();

    for (name, _, _, _, bytes) in CHUNKED {
        let mut client = proxy.http();
        let received = maple.received();
        client.send([&head, *bytes].concat());
        let (answer, _) = client.rest();
        let right = answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 ");
        wrong.expect(right, name, &answer);
        let most = (head.len() + bytes.len()) as u64;
        wrong.expect(maple.received() - received < most, name, b"all of it");
    }

    wrong.assert_none();
    proxy.await_idle();
    assert_eq!(maple.open(), 0);
}

/// 9.3 (decided): what is odd, but beyond doubt, passes.
#[test]
fn odd_requests_pass() {
    let maple = HttpBackend::named("maple");
    for reuse in REUSE {
        let proxy = shop(reuse, &maple);
        let mut wrong = Wrong::default();
        for (name, _, head) in ODD_REQUESTS {
            let mut client = proxy.http();
            client.send(head);
            let text = String::from_utf8_lossy(head).to_ascii_lowercase();
            if text.contains("content-length: 5\r\n") {
                client.send("hello");
            } else if text.contains("transfer-encoding:\t") || text.contains(": chunked\r\n") {
                client.send("0\r\n\r\n");
            }
            let answer = client.head();
            wrong.expect(answer.code() == 200, name, answer.bytes());
        }
        wrong.assert_none();
    }
}

/// 9.3 (decided): the same for replies.
#[test]
fn odd_replies_pass() {
    for reuse in REUSE {
        let maple = HttpBackend::new(|turn| {
            turn.message();
            let row = ODD_REPLIES[number(&turn.head.target())].2;
            turn.send(row);
            if row.starts_with(b"HTTP/1.1 100 ") {
                turn.send("HTTP/1.1 200 OK\r\n\r\n");
            }
            After::Close
        });
        let proxy = shop(reuse, &maple);
        let mut wrong = Wrong::default();
        for (row, (name, _, bytes)) in ODD_REPLIES.iter().enumerate() {
            let answer = proxy.http().get(&format!("/{row}"), "");
            let same = answer.wire[8..12] == bytes[8..12];
            wrong.expect(same, name, &answer.wire);
        }
        wrong.assert_none();
    }
}

/// 9.4 (decided): odd chunks pass byte for byte, both ways.
#[test]
fn odd_chunks_pass_byte_for_byte() {
    let maple = HttpBackend::new(|turn| {
        let Some(message) = turn.message() else {
            return After::Close;
        };
        let body = &message.wire[message.head.bytes().len()..];
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        turn.answer(&[&head[..], body].concat())
    });
    for reuse in REUSE {
        let proxy = shop(reuse, &maple);
        let mut client: HttpClient = proxy.http();
        for (name, _, bytes) in ODD_CHUNKED {
            let head = request("POST", "/", "Transfer-Encoding: chunked\r\n");
            let answer = client.ask([&head, *bytes].concat());
            assert!(answer.wire.ends_with(bytes), "{name}: {answer:?}");
        }
    }
}
