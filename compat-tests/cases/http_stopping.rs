//! The end of a daemon that serves HTTP.

use std::time::{Duration, Instant};

use crate::cases::http_shop;
use crate::harness::http::{Gate, HttpBackend, HttpClient, reply, request};
use crate::harness::{Deadline, Setup};

/// A back end that answers when the gate lets it.
fn gated(gate: &Gate) -> HttpBackend {
    let held = gate.clone();
    HttpBackend::new(move |turn| {
        held.wait();
        turn.answer(&reply("200 OK", "", turn.head.target()))
    })
}

/// 2.6 (decided): an exchange under way is brought to its end.
#[test]
fn a_stop_lets_an_exchange_come_to_its_end() {
    let gate = Gate::new();
    let maple = gated(&gate);
    let proxy = http_shop("", &maple, "");
    let daemon = proxy.process();
    let mut client = proxy.http();
    client.send(request("GET", "/slow", ""));
    gate.await_arrived(1);

    let stopping = proxy.command(["-g", "10", "stop"]).spawn();
    crate::harness::until("nobody listens", || {
        crate::harness::Client::try_connect(proxy.address()).is_err()
    });
    gate.open();

    assert_eq!(client.reply().text(), "/slow");
    drop(client);
    stopping.finish(Deadline::usual()).clean();
    assert!(!daemon.is_alive());
}

/// C07, 2.6 (decided): kept clients that say nothing do not outlast the grace.
#[test]
fn kept_clients_do_not_outlast_the_grace() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");
    let mut clients: Vec<HttpClient> = (0..5).map(|_| proxy.http()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/", "").code(), 200);
    }

    let begun = Instant::now();
    proxy.run(["-g", "1", "stop"]).clean();
    let taken = begun.elapsed();

    assert!(taken < Duration::from_millis(3500), "{taken:?}");
    for client in clients {
        client.assert_closed();
    }
}

/// 2.6 (decided): without grace everything is cut, answered or not.
#[test]
fn a_stop_without_grace_cuts_exchanges_and_idle_clients() {
    let gate = Gate::new();
    let maple = gated(&gate);
    let proxy = Setup::http("")
        .backend("maple", maple.server(), "")
        .flags(["-a"])
        .start();
    let (fresh, mut waiting, mut heading) = (proxy.http(), proxy.http(), proxy.http());
    waiting.send(request("GET", "/", ""));
    heading.send("GET / HT");
    gate.await_arrived(1);

    proxy.stop();
    gate.open();

    for client in [fresh, waiting, heading] {
        client.assert_closed();
    }
    let line = proxy.sandbox().syslog.await_line("ending shop");
    assert!(line.text.ends_with(" s, stopped"), "{line:?}");
}

/// 2.6 (decided): a tunnel, an upload, a reply of the daemon that nobody reads.
#[test]
fn a_stop_without_grace_cuts_what_stands_still() {
    let maple = HttpBackend::new(|turn| {
        let block = vec![b'x'; 1 << 20];
        turn.send("HTTP/1.1 200 OK\r\n\r\n");
        while turn.send(&block) {}
        crate::harness::http::After::Close
    });
    let proxy = http_shop("", &maple, "");
    let mut clients: Vec<HttpClient> = (0..3).map(|_| proxy.http()).collect();
    clients[0].send(request("GET", "/", ""));
    clients[1].send(request("POST", "/", "Content-Length: 1000000000\r\n"));
    clients[2].send("GET / HTTP/9.9\r\n\r\n");
    crate::harness::until("both are served", || maple.heads().len() == 2);

    let begun = Instant::now();
    proxy.stop();

    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
}

/// C70 (decided): the old daemon ends its exchange, the new one serves others.
#[test]
fn a_restart_lets_an_exchange_come_to_its_end() {
    let gate = Gate::new();
    let maple = gated(&gate);
    let proxy = http_shop("", &maple, "");
    let old = proxy.process();
    let mut client = proxy.http();
    client.send(request("GET", "/old", ""));
    gate.await_arrived(1);

    proxy.run(["-g", "10", "restart"]).clean();
    let mut other = proxy.http();
    other.send(request("GET", "/new", ""));
    gate.await_arrived(2);
    gate.open();

    assert_eq!(client.reply().text(), "/old");
    assert_eq!(other.reply().text(), "/new");
    drop(client);
    old.await_end();
    assert_eq!(other.get("/again", "").text(), "/again");
}
