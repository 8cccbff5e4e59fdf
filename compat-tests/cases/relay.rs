//! Bytes through the daemon: order, half-close, resets, back-pressure.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::harness::{Backend, Client, Ending, Proxy, Setup, eventually, until};

/// A service with one back end and nothing else.
fn before(backend: &Backend) -> Proxy {
    Setup::new("")
        .backend("maple", backend.server(), "")
        .start()
}

/// Bytes that look random and are the same for the same seed.
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            // Xorshift, by Marsaglia.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend(self.0.to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// Section 5 (decided): the order of bytes within a direction is kept, both
/// ways at once, in pieces of all sizes.
#[test]
fn random_bytes_arrive_in_order_both_ways() {
    exchange_both_ways(&[], 12 * 1024 * 1024);
}

/// 2.2 (flag documented, range decided): the same with the smallest buffer and
/// with a large one.
#[test]
fn the_size_of_the_buffer_changes_no_byte() {
    exchange_both_ways(&["-B", "1024"], 2 * 1024 * 1024);
    exchange_both_ways(&["-B", "4194304"], 12 * 1024 * 1024);
}

fn exchange_both_ways(flags: &[&str], total: usize) {
    let (backend, peers) = Backend::handing_over();
    let proxy = Setup::new("dispatchmode bysize;")
        .backend("maple", backend.server(), "")
        .flags(flags.iter().copied())
        .start();
    let client = proxy.connect();
    let peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();

    let there = exchange(client, 1, 2, total);
    let back = exchange(peer, 2, 1, total);
    there.join().unwrap();
    back.join().unwrap();

    proxy.await_idle();
    let status = proxy.status();
    let maple = status.service("shop").backend("maple");
    assert_eq!(maple.number("bytes_to_backend"), total as u64);
    assert_eq!(maple.number("bytes_to_client"), total as u64);
    assert!(
        (maple.usage() - 2.0 * total as f64).abs() < 0.5,
        "both directions count"
    );
}

/// Sends the noise of seed `mine` and expects that of seed `theirs`.
fn exchange(mut end: Client, mine: u64, theirs: u64, total: usize) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut writing = end.stream().try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            let bytes = Noise(mine).bytes(total);
            let mut left = bytes.as_slice();
            let mut size = 1;
            while !left.is_empty() {
                let piece = size.min(left.len());
                writing.write_all(&left[..piece]).unwrap();
                left = &left[piece..];
                size = size * 3 % 200_003 + 1;
            }
            writing.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let (received, ending) = end.rest();
        writer.join().unwrap();
        assert_eq!(ending, Ending::Fin);
        assert_eq!(received.len(), total);
        assert!(received == Noise(theirs).bytes(total), "bytes out of order");
    })
}

/// C37 (decided).
#[test]
fn an_answer_arrives_after_the_client_has_ended_its_sending() {
    let (backend, peers) = Backend::handing_over();
    let proxy = before(&backend);
    let mut client = proxy.connect();
    let mut peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();

    client.send("question");
    client.finish_sending();
    assert_eq!(peer.rest(), (b"question".to_vec(), Ending::Fin));
    peer.send("answer");
    drop(peer);

    assert_eq!(client.rest(), (b"answer".to_vec(), Ending::Fin));
}

/// Section 5 (decided): the same the other way round.
#[test]
fn a_backend_that_has_ended_its_sending_still_receives() {
    let (backend, peers) = Backend::handing_over();
    let proxy = before(&backend);
    let mut client = proxy.connect();
    let mut peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();

    peer.send("greeting");
    peer.finish_sending();
    assert_eq!(client.rest(), (b"greeting".to_vec(), Ending::Fin));
    client.send("late");
    drop(client);

    assert_eq!(peer.rest(), (b"late".to_vec(), Ending::Fin));
}

/// Section 5 (decided), many times, because an end that overtakes its data
/// does so rarely.
#[test]
fn no_byte_is_lost_at_the_end_of_short_connections() {
    let backend = Backend::serving(|mut peer| {
        let mut all = Vec::new();
        loop {
            match peer.receive() {
                bytes if bytes.is_empty() => break,
                bytes => all.extend(bytes),
            }
        }
        all.reverse();
        peer.send(all);
    });
    let proxy = before(&backend);

    for round in 0..300 {
        let mut client = proxy.connect();
        let text = format!("{round:06}");
        client.send(&text);
        client.finish_sending();
        let expected: Vec<u8> = text.bytes().rev().collect();
        assert_eq!(client.rest(), (expected, Ending::Fin), "round {round}");
    }
}

/// C65 (decided).
#[test]
fn a_reset_by_the_backend_reaches_the_client_as_a_reset() {
    let (backend, peers) = Backend::handing_over();
    let proxy = before(&backend);
    let mut client = proxy.connect();
    let mut peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();
    peer.send("in the middle of\n");
    client.line();

    peer.reset();

    assert_eq!(client.rest(), (Vec::new(), Ending::Reset));
}

/// C65 (decided).
#[test]
fn a_reset_by_the_client_reaches_the_backend_as_a_reset() {
    let (backend, peers) = Backend::handing_over();
    let proxy = before(&backend);
    let mut client = proxy.connect();
    let mut peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();
    client.send("in the middle of\n");
    peer.line();

    client.reset();

    assert_eq!(peer.rest(), (Vec::new(), Ending::Reset));
}

/// Section 5 (decided): a server that speaks first is heard, and one that sees
/// nothing before the client speaks gets what the client said.
#[test]
fn either_side_may_speak_first() {
    let (backend, peers) = Backend::handing_over();
    let proxy = before(&backend);
    let mut client = proxy.connect();
    let mut peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();

    peer.send("220 ready\n");
    assert_eq!(client.line(), "220 ready");
    client.send("HELO\n");
    assert_eq!(peer.line(), "HELO");
}

/// Section 5 (decided): a direction is read only when what was read before is
/// written, so a slow reader costs no memory.
#[test]
fn a_slow_reader_of_256_mib_costs_less_than_2_mib_of_memory() {
    const TOTAL: u64 = 256 * 1024 * 1024;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let backend = Backend::serving(move |mut peer| {
        let block = vec![b'x'; 1 << 20];
        while count.load(Ordering::SeqCst) < TOTAL && peer.send(&block) {
            count.fetch_add(block.len() as u64, Ordering::SeqCst);
        }
    });
    let warm = Backend::sized("warm", 1 << 20);
    let proxy = Setup::new("")
        .backend("maple", backend.server(), "")
        .service("desk", "")
        .backend("warm", warm.server(), "")
        .start();
    for _ in 0..4 {
        Client::connect(proxy.address_of("desk")).rest();
    }
    let daemon = proxy.process();
    let at_first = daemon.memory();

    let mut client = proxy.connect();
    await_standstill(&backend);
    let while_stalled = daemon.memory();
    let received = drain(&mut client);
    let afterwards = daemon.memory();

    assert_eq!(received, TOTAL);
    let grown = while_stalled.max(afterwards).saturating_sub(at_first);
    assert!(grown < 2 * 1024 * 1024, "the daemon grew by {grown} bytes");
}

/// Waits until a back end has sent something and can send no more.
fn await_standstill(backend: &Backend) {
    let mut last = (0, 0);
    eventually("the sender stands still", || {
        let sent = backend.sent();
        last = if sent == last.0 {
            (sent, last.1 + 1)
        } else {
            (sent, 0)
        };
        (sent > 0 && last.1 > 40).then_some(())
    });
}

fn drain(client: &mut Client) -> u64 {
    let stream = client.stream();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return received,
            read => received += read as u64,
        }
    }
}

/// 14.3 and section 5, step 9 (inferred; exactness decided): however
/// connections end, the active numbers return to zero and the totals are right.
#[test]
fn active_numbers_return_to_zero_after_every_kind_of_end() {
    let (dead, hole) = (Backend::dead("dead"), crate::harness::Blackhole::new());
    let echo = Backend::echo();
    let proxy = Setup::new("dispatchmode byorder; connectiontimeout 1;")
        .backend("dead", dead.server(), "retries 1000;")
        .backend("hole", hole.server(), "retries 1000; maxconnections 3;")
        .backend("echo", echo.server(), "")
        .limit("connect", 0.3)
        .start();

    let threads: Vec<_> = (0..40)
        .map(|number| {
            let address = proxy.address();
            std::thread::spawn(move || end_in_one_of_four_ways(Client::connect(address), number))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }

    proxy.await_idle();
    let status = proxy.status();
    let shop = status.service("shop");
    let number = |backend: &str, field: &str| shop.backend(backend).number(field);
    assert_eq!(shop.number("accepted"), 40);
    assert_eq!(number("dead", "failures") + number("dead", "aborted"), 40);
    assert_eq!(number("echo", "total") + number("hole", "aborted"), 40);
    assert_eq!(shop.number("no_backend"), 0);
}

fn end_in_one_of_four_ways(mut client: Client, number: usize) {
    client.send("hello");
    assert_eq!(client.take(5), b"hello");
    match number % 4 {
        0 => client.finish_sending(),
        1 => return client.reset(),
        2 => return drop(client),
        _ => {}
    }
    assert_eq!(
        client.rest().0,
        b"",
        "ended, or cut after a second of silence"
    );
}

/// 13.3 (decided): who ended a connection is told by `-a`.
#[test]
fn the_end_of_a_connection_names_who_ended_it() {
    let (backend, peers) = Backend::handing_over();
    let proxy = Setup::new("")
        .backend("maple", backend.server(), "")
        .flags(["-a"])
        .start();
    let pair = || {
        let client = proxy.connect();
        (client, peers.recv_timeout(Duration::from_secs(10)).unwrap())
    };
    let syslog = &proxy.sandbox().syslog;

    let (mut client, peer) = pair();
    drop(peer);
    client.rest();
    drop(client);
    let first = syslog.await_lines("ending shop", 1).pop().unwrap();
    let (client, mut peer) = pair();
    drop(client);
    peer.rest();
    drop(peer);
    let second = syslog.await_lines("ending shop", 2).pop().unwrap();
    let (client, _peer) = pair();
    until("it is active", || proxy.number("maple", "active") == 1);
    proxy.stop();
    let third = syslog.await_lines("ending shop", 3).pop().unwrap();
    drop(client);

    assert!(first.text.ends_with(" s, backend"), "{first:?}");
    assert!(second.text.ends_with(" s, client"), "{second:?}");
    assert!(third.text.ends_with(" s, stopped"), "{third:?}");
}

/// Section 5, steps 4 to 6 (decided): what a client sent before its back end
/// was found reaches the one that serves it, all of it and in order.
#[test]
fn early_bytes_reach_the_backend_that_serves_in_the_end() {
    const TOTAL: usize = 3 * 1024 * 1024;
    let dead = Backend::dead("dead");
    let hole = crate::harness::Blackhole::new();
    let (backend, peers) = Backend::handing_over();
    let proxy = Setup::new("dispatchmode byorder;")
        .backend("dead", dead.server(), "")
        .backend("hole", hole.server(), "")
        .backend("maple", backend.server(), "")
        .limit("connect", 0.7)
        .start();
    let client = proxy.connect();

    let sending = exchange(client, 5, 6, TOTAL);
    let peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();
    let answering = exchange(peer, 6, 5, TOTAL);

    sending.join().unwrap();
    answering.join().unwrap();
}

/// 2.6 (decided): a stop cuts connections in full flow as well as idle ones,
/// and those that cannot move because nobody reads.
#[test]
fn a_stop_without_grace_cuts_connections_in_full_flow() {
    let flood = Backend::serving(|mut peer| {
        let block = vec![b'x'; 1 << 16];
        while peer.send(&block) {}
    });
    let proxy = before(&flood);
    let daemon = proxy.process();
    let stalled: Vec<Client> = (0..3).map(|_| proxy.connect()).collect();
    let mut reading = proxy.connect();
    reading.take(20 << 20);

    let begun = std::time::Instant::now();
    proxy.stop();
    let taken = begun.elapsed();

    assert!(taken < Duration::from_secs(3), "{taken:?}");
    assert!(!daemon.is_alive());
    drop(stalled);
}

/// 8.2 (decided): a connection on which nothing moves because nobody reads is
/// idle, however much waits to be written.
#[test]
fn a_connection_that_nobody_reads_is_cut_as_idle() {
    let flood = Backend::serving(|mut peer| {
        let block = vec![b'x'; 1 << 16];
        while peer.send(&block) {}
    });
    let proxy = Setup::new("connectiontimeout 1;")
        .backend("maple", flood.server(), "")
        .flags(["-a"])
        .start();
    let stalled = proxy.connect();

    let line = proxy.sandbox().syslog.await_line("ending shop");

    assert!(line.text.ends_with(" s, idle"), "{line:?}");
    until("the back end is free again", || flood.open() == 0);
    drop(stalled);
}

/// Section 5 (decided): urgent bytes are no reason to stand still.
#[test]
fn urgent_bytes_do_not_wedge_a_connection() {
    let (backend, peers) = Backend::handing_over();
    let proxy = before(&backend);
    let mut client = proxy.connect();
    let mut peer = peers.recv_timeout(Duration::from_secs(10)).unwrap();

    client.send("before ");
    rustix::net::send(client.stream(), b"!", rustix::net::SendFlags::OOB).unwrap();
    client.send(" after\n");
    let heard = peer.line();
    peer.send("heard\n");

    assert!(
        heard.starts_with("before ") && heard.ends_with(" after"),
        "{heard:?}"
    );
    assert_eq!(client.line(), "heard");
    client.finish_sending();
    assert_eq!(peer.rest(), (Vec::new(), Ending::Fin));
}

/// Section 5 (decided): one connection at full speed does not starve others of
/// the same worker.
#[test]
fn a_fast_connection_leaves_room_for_others() {
    let flood = Backend::serving(|mut peer| {
        let block = vec![b'x'; 1 << 18];
        while peer.send(&block) {}
    });
    let maple = Backend::banner("maple");
    let proxy = Setup::new("")
        .backend("flood", flood.server(), "")
        .service("desk", "")
        .backend("maple", maple.server(), "")
        .flags(["-w", "1"])
        .start();
    let mut fast = proxy.connect();
    let reader = fast.stream().try_clone().unwrap();
    let draining = std::thread::spawn(move || {
        let mut reader = reader;
        let mut buffer = vec![0; 1 << 18];
        while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    until("it flows", || flood.sent() > 64 << 20);

    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let begun = std::time::Instant::now();
        let mut client = Client::connect(proxy.address_of("desk"));
        assert_eq!(client.line(), "maple");
        slowest = slowest.max(begun.elapsed());
    }
    let _ = fast.stream().shutdown(std::net::Shutdown::Both);
    draining.join().unwrap();

    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
