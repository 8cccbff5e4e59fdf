//! What exchanges leave behind in the daemon: nothing.

use crate::harness::http::{After, HttpBackend, HttpClient, post, reply, request};
use crate::harness::{Process, Proxy, Setup, until};

/// A back end that does what the target says.
fn playing() -> HttpBackend {
    HttpBackend::new(|turn| match turn.head.target().as_str() {
        "/close" => {
            turn.answer(&reply("200 OK", "", "ok"));
            After::Close
        }
        "/reset" => After::Reset,
        "/fault" => {
            turn.send("nonsense\r\n\r\n");
            After::Close
        }
        "/half" => {
            turn.send("HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
            turn.send(vec![b'x'; 300_000]);
            After::Close
        }
        "/large" => turn.answer(&reply("200 OK", "", vec![b'x'; 2_000_000])),
        "/tunnel" => {
            turn.send("HTTP/1.1 101 Over\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            let _ = turn.receive();
            After::Close
        }
        "/silent" => {
            while turn.receive().is_ok() {}
            After::Close
        }
        _ => turn.answer(&reply("200 OK", "", "ok")),
    })
}

/// One client, who ends in one of many ways.
fn play(proxy: &Proxy, way: usize) {
    let mut client = proxy.http();
    let get = |target: &str| request("GET", target, "");
    match way {
        0 => assert_eq!(client.get("/", "").code(), 200),
        1 => assert_eq!(client.ask(post("/", "", vec![b'x'; 400_000])).code(), 200),
        2 => assert_eq!(client.get("/close", "").code(), 200),
        3 => assert_eq!(client.get("/reset", "").code(), 502),
        4 => assert_eq!(client.get("/fault", "").code(), 502),
        5 => {
            client.send(get("/half"));
            assert!(client.try_reply("GET").is_err());
        }
        6 => assert_eq!(client.ask("no request\r\n\r\n").code(), 400),
        7 => {
            client.send(request("GET", "/tunnel", UPGRADE));
            assert_eq!(client.head().code(), 101);
            client.send("bye");
            client.rest();
        }
        8 => client.send("GET / HT"),
        9 => client.send(request("POST", "/silent", "Content-Length: 10\r\n")),
        10 => {
            client.send(get("/large"));
            client.take(100_000);
        }
        11 => {
            client.send(get("/large"));
            client.take(100_000);
            client.reset();
        }
        12 => {
            client.send(get("/").repeat(5));
            client.reply();
        }
        _ => {
            client.send(get("/silent"));
            client.reset();
        }
    }
}

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: x\r\n";
const WAYS: usize = 14;

/// Waits until nothing is under way, and gives the daemon's open descriptors.
fn descriptors_at_rest(proxy: &Proxy, maple: &HttpBackend, daemon: Process) -> usize {
    proxy.await_idle();
    until("no connection is kept", || maple.open() == 0);
    daemon.descriptors().len()
}

/// Section 5, step 9 (inferred; exactness decided): however exchanges end,
/// nothing stays open, nothing stays counted, and memory does not grow.
#[test]
fn exchanges_of_every_kind_leave_nothing_behind() {
    for reuse in ["reuse never;", "reuse safe; reuseage 1;"] {
        let maple = playing();
        let proxy = Setup::http(&format!("{reuse} connectiontimeout 2;"))
            .backend("maple", maple.server(), "")
            .flags(["-w", "2"])
            .limit("discard", 0.2)
            .start();
        let daemon = proxy.process();
        let rounds = |count: usize| {
            for way in (0..count).flat_map(|_| 0..WAYS) {
                play(&proxy, way);
            }
            descriptors_at_rest(&proxy, &maple, daemon)
        };

        let warm = rounds(5);
        let memory = daemon.memory();
        let last = rounds(40);

        // Workers keep a few pipes; a leak would be one for each of 40 rounds.
        assert!(last < warm + 30, "{warm} descriptors, then {last}");
        let grown = daemon.memory().saturating_sub(memory);
        assert!(grown < 3 << 20, "{grown} bytes more");
        let status = proxy.status();
        let shop = status.service("shop");
        assert_eq!(shop.number("accepted"), 45 * WAYS as u64);
        assert_eq!(shop.number("active"), 0);
        assert_eq!(shop.backend("maple").state(), "available");
    }
}

/// 2.6 (decided): the same where two hundred clients are in the middle of
/// something when the daemon is stopped; the sandbox looks for what is left.
#[test]
fn a_stop_leaves_nothing_of_what_was_under_way() {
    let maple = playing();
    let proxy = Setup::http("reuse safe;")
        .backend("maple", maple.server(), "")
        .start();
    let begun = [&b"GET / HT"[..], &post("/silent", "", "x"), b"", b"\r\n"];
    let clients: Vec<HttpClient> = (0..200)
        .map(|number| {
            let mut client = proxy.http();
            client.send(begun[number % begun.len()]);
            client
        })
        .collect();
    until("they are being served", || maple.heads().len() == 50);

    proxy.stop();

    for client in clients {
        client.assert_closed();
    }
    until("the back end is free", || maple.open() == 0);
}
