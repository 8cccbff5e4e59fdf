//! Services of `type http`: which connection a message takes, and what becomes
//! of both.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::rig::*;
use super::streaming::TURN;
use crate::base::id::BackendId;
use crate::base::outcome::{Ended, Manner};
use crate::relay::Engine;
use crate::relay::host::{PoolKey, WebManner, WebSettings};
use crate::relay::http1::head::HeadLimits;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &[u8] = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn settings() -> WebSettings {
    WebSettings {
        manner: WebManner {
            limits: HeadLimits {
                bytes: 65_536,
                fields: 200,
            },
            shallow: false,
            managed: false,
        },
        idle_limit: None,
        keepalive_limit: None,
        head_limit: DEADLINE * 2,
        response_limit: None,
        discard_limit: Duration::from_millis(300),
        retry_after: 30,
        pages: Vec::new(),
        pool_size: 4,
        pool_age: DEADLINE * 2,
    }
}

/// One attempt after the other at these back ends.
fn script(backends: &[&Backend], settings: WebSettings) -> Script {
    let attempts = backends
        .iter()
        .map(|backend| Answer::Connect(vec![backend.address]));
    Script {
        web: Some(settings),
        ..Script::with(attempts.collect())
    }
}

fn pooled(backends: &[&Backend]) -> Script {
    let mut settings = settings();
    settings.manner.managed = true;
    Script {
        pool: Some(PoolKey {
            listener: LISTENER,
            backend: BackendId(0),
        }),
        ..script(backends, settings)
    }
}

/// Reads exactly what is expected, and says what came instead.
fn expect(stream: &mut TcpStream, wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    let mut filled = 0;
    while filled < got.len() {
        match stream.read(&mut got[filled..]).unwrap() {
            0 => break,
            read => filled += read,
        }
    }
    let (got, wanted) = (got[..filled].escape_ascii(), wanted.escape_ascii());
    assert_eq!(got.to_string(), wanted.to_string());
}

fn expect_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.escape_ascii().to_string(), "");
}

fn expect_reset(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// One exchange: what the client sends arrives, and what the back end sends.
fn exchange(client: &mut TcpStream, server: &mut TcpStream, request: &[u8]) {
    client.write_all(request).unwrap();
    expect(server, request);
    server.write_all(OK).unwrap();
    expect(client, OK);
}

#[test]
fn plain_exchanges_keep_both_connections_and_every_byte() {
    let backend = Backend::new();
    let rig = Rig::start(script(&[&backend], settings()));
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    expect(&mut client, OK);
    for _ in 0..20 {
        exchange(&mut client, &mut server, GET);
        exchange(&mut client, &mut server, POST);
    }
    drop(client);
    expect_end(&mut server);

    let transfer = rig.diary.ended(1)[0];
    assert_eq!(
        transfer.to_backend,
        21 * GET.len() as u64 + 20 * POST.len() as u64
    );
    assert_eq!(transfer.to_client, 41 * OK.len() as u64);
    assert_eq!(
        (transfer.ended, transfer.manner),
        (Ended::ByClient, Manner::Closed)
    );
    assert_eq!(rig.diary.traffic.requests(), 41);
    assert_eq!(rig.diary.traffic.replies(), [0, 41, 0, 0, 0]);
}

#[test]
fn heads_are_edited_both_ways_for_each_exchange() {
    let backend = Backend::new();
    let rig = Rig::start(Script {
        edits: true,
        ..script(&[&backend], settings())
    });
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = backend.accept();
    for round in 0..3 {
        expect(
            &mut server,
            b"GET /a HTTP/1.1\r\nHost: h\r\nX-Request: changed\r\n\r\n",
        );
        server.write_all(OK).unwrap();
        expect(
            &mut client,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Reply: changed\r\n\r\nok",
        );
        if round < 2 {
            client.write_all(GET).unwrap();
        }
    }
}

/// The peers here hold a small piece back until the one before is acknowledged;
/// and on a connection that was in use for a while the kernel takes 40 ms for
/// that unless it is told not to.
#[test]
fn messages_in_small_pieces_do_not_wait_for_late_acknowledgements() {
    let backend = Backend::new();
    let rig = Rig::start(script(&[&backend], settings()));
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    expect(&mut client, OK);

    let mut shortest = Duration::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        for piece in POST.chunks(20) {
            client.write_all(piece).unwrap();
        }
        expect(&mut server, POST);
        for piece in OK.chunks(20) {
            server.write_all(piece).unwrap();
        }
        expect(&mut client, OK);
        shortest = shortest.min(begun.elapsed());
    }

    assert!(shortest < Duration::from_millis(30), "{shortest:?}");
}

#[test]
fn requests_in_one_piece_are_answered_in_order_each_by_its_back_end() {
    let (first, second) = (Backend::new(), Backend::new());
    let rig = Rig::start(script(&[&first, &second], settings()));
    let elsewhere = b"GET /b HTTP/1.1\r\nHost: h\r\nCookie: elsewhere\r\n\r\n";
    let mut client = rig.client();
    client.write_all(&[GET, elsewhere].concat()).unwrap();

    let mut server = first.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    // The first connection ends before the second is made.
    expect_end(&mut server);
    let mut server = second.accept();
    expect(&mut server, elsewhere);
    server.write_all(OK).unwrap();

    expect(&mut client, &[OK, OK].concat());
    let transfers = rig.diary.ended(1);
    assert_eq!(transfers[0].to_backend, GET.len() as u64);
}

#[test]
fn kept_connection_that_ends_unanswered_is_replaced_where_the_request_may_be_repeated() {
    let backend = Backend::new();
    let rig = Rig::start(script(&[&backend], settings()));
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    expect(&mut client, OK);

    client.write_all(GET).unwrap();
    expect(&mut server, GET);
    drop(server);
    let mut server = backend.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();

    expect(&mut client, OK);
    rig.diary.wait_for_entry(&Heard::Again);
}

#[test]
fn kept_connection_that_ends_unanswered_is_a_bad_gateway_for_others() {
    let backend = Backend::new();
    let rig = Rig::start(script(&[&backend], settings()));
    let mut client = rig.client();
    client.write_all(POST).unwrap();
    let mut server = backend.accept();
    expect(&mut server, POST);
    server.write_all(OK).unwrap();
    expect(&mut client, OK);

    client.write_all(POST).unwrap();
    expect(&mut server, POST);
    drop(server);

    let reply = read_all(&mut client);
    assert!(reply.starts_with(b"HTTP/1.1 502 Bad Gateway\r\n"));
    rig.diary.wait_for_entry(&Heard::Answered(502));
}

#[test]
fn faulty_request_is_answered_and_no_back_end_hears_of_it() {
    for (request, code) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], 400),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n",
            400,
        ),
    ] {
        let backend = Backend::new();
        let rig = Rig::start(script(&[&backend], settings()));
        let mut client = rig.client();
        client.write_all(request).unwrap();

        let reply = read_all(&mut client);
        assert!(reply.starts_with(format!("HTTP/1.1 {code} ").as_bytes()));
        drop(client);
        rig.diary.wait_for_entry(&Heard::Left);
        let connects = |heard: &Heard| matches!(heard, Heard::Asked(_));
        assert!(!rig.diary.all().iter().any(connects));
    }
}

#[test]
fn answer_reaches_a_client_that_is_still_sending() {
    let backend = Backend::new();
    let rig = Rig::start(script(&[&backend], settings()));
    let mut client = rig.client();
    let body = vec![b'x'; 60_000];
    client
        .write_all(b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n")
        .unwrap();
    let _ = client.write_all(&body);

    let reply = read_all(&mut client);
    assert!(reply.starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn reply_that_breaks_off_is_seen_to_be_broken() {
    for reply in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
    ] {
        let backend = Backend::new();
        let rig = Rig::start(script(&[&backend], settings()));
        let mut client = rig.client();
        client.write_all(GET).unwrap();
        let mut server = backend.accept();
        expect(&mut server, GET);
        server.write_all(reply).unwrap();
        drop(server);

        expect_reset(&mut client);
        rig.diary.ended(1);
    }
}

#[test]
fn early_reply_is_delivered_whole_and_ends_both() {
    let backend = Backend::new();
    let rig = Rig::start(script(&[&backend], settings()));
    let mut client = rig.client();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n";
    client.write_all(&[&head[..], b"some"].concat()).unwrap();
    let mut server = backend.accept();
    expect(&mut server, &[&head[..], b"some"].concat());
    server.write_all(OK).unwrap();

    expect(&mut client, OK);
    expect_end(&mut client);
    expect_end(&mut server);
}

#[test]
fn bytes_that_nobody_asked_for_reach_nobody() {
    let (first, second) = (Backend::new(), Backend::new());
    let rig = Rig::start(script(&[&first, &second], settings()));
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = first.accept();
    expect(&mut server, GET);
    server
        .write_all(&[OK, b"HTTP/1.1 200 OK\r\n"].concat())
        .unwrap();
    expect(&mut client, OK);
    rig.diary.ended(1);

    client.write_all(GET).unwrap();
    let mut server = second.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    expect(&mut client, OK);
}

/// Turns an engine by hand until it has nothing more to do, so that several
/// things can happen at once for it.
fn settle(engine: &mut Engine<ScriptedHost>) {
    let wait = Some(Duration::from_millis(20));
    while engine.turn(wait).unwrap().events > 0 {}
}

#[test]
fn unasked_bytes_are_not_the_reply_to_a_request_that_comes_at_the_same_time() {
    let (first, second) = (Backend::new(), Backend::new());
    let (mut engine, address, _) = build(script(&[&first, &second], settings()));
    let mut client = with_deadline(TcpStream::connect(address).unwrap());
    client.write_all(GET).unwrap();
    settle(&mut engine);
    let mut server = first.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    settle(&mut engine);
    expect(&mut client, OK);

    // The engine hears of the client first.
    client.write_all(GET).unwrap();
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        .unwrap();
    settle(&mut engine);
    let mut server = second.accept();
    expect(&mut server, GET);
}

#[test]
fn surplus_behind_a_body_that_came_alone_spoils_the_connection() {
    let (first, second) = (Backend::new(), Backend::new());
    let rig = Rig::start(script(&[&first, &second], settings()));
    let (head, body) = OK.split_at(OK.len() - 2);
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = first.accept();
    expect(&mut server, GET);
    server.write_all(head).unwrap();
    expect(&mut client, head);
    // The next request is there before the body is.
    client.write_all(GET).unwrap();
    server.write_all(&[body, OK].concat()).unwrap();
    expect(&mut client, body);

    let mut server = second.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    expect(&mut client, OK);
}

#[test]
fn connection_with_surplus_is_not_lent_to_others() {
    let backend = Backend::new();
    let rig = Rig::start(pooled(&[&backend]));
    let (head, body) = OK.split_at(OK.len() - 2);
    let mut first = rig.client();
    first.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);
    server.write_all(head).unwrap();
    expect(&mut first, head);
    server.write_all(&[body, b"HT"].concat()).unwrap();
    expect(&mut first, body);
    rig.diary.ended(1);

    let mut second = rig.client();
    second.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);
}

#[test]
fn reset_behind_a_reply_that_the_client_has_not_taken_cuts_nothing_off() {
    let (first, second) = (Backend::new(), Backend::new());
    for pool in [None, pooled(&[]).pool] {
        let mut settings = settings();
        settings.manner.managed = pool.is_some();
        let (mut engine, address, diary) = build(Script {
            pool,
            send_buffer: Some(4096),
            ..script(&[&first, &second], settings)
        });
        let mut turn = || settle(&mut engine);
        let mut client = narrow_client(address);
        client.write_all(GET).unwrap();
        turn();
        let mut server = first.accept();
        expect(&mut server, GET);
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n";
        let reply = [&head[..], &pattern(60_000)].concat();
        server.write_all(&reply).unwrap();
        turn();
        reset(server);
        turn();
        assert_eq!(
            diary.count_of_ended(),
            0,
            "the client has not got all of it"
        );

        client.set_nonblocking(true).unwrap();
        let mut got = Vec::new();
        let mut room = [0; 8192];
        while got.len() < reply.len() {
            match client.read(&mut room) {
                Ok(0) => break,
                Ok(read) => got.extend_from_slice(&room[..read]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            turn();
        }
        assert!(got == reply, "{} bytes came", got.len());
        assert_eq!(diary.count_of_ended(), 1);
    }
}

#[test]
fn pipes_of_large_replies_are_given_back_with_the_connection() {
    let backend = Backend::new();
    let rig = Rig::start(pooled(&[&backend]));
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n";
    let reply = [&head[..], &pattern(3_000_000)].concat();
    for round in 1..=20 {
        let mut client = rig.client();
        client.write_all(GET).unwrap();
        let mut server = backend.accept();
        expect(&mut server, GET);
        thread::scope(|scope| {
            scope.spawn(|| server.write_all(&reply).unwrap());
            let mut got = vec![0; reply.len() - "Connection: close\r\n".len()];
            client.read_exact(&mut got).unwrap();
        });
        rig.diary.ended(round);
    }
    let (taken, _) = *rig.diary.pipes_taken.lock().unwrap();
    assert!(taken <= 2, "{taken} pipes are open");
}

#[test]
fn limits_hold_after_an_attempt_that_ran_out_of_time() {
    let (nowhere, backend) = (Blackhole::new(), Backend::new());
    let mut settings = settings();
    settings.response_limit = Some(Duration::from_millis(150));
    let rig = Rig::start(Script {
        web: Some(settings),
        connect_limit: Duration::from_millis(150),
        ..Script::with(vec![
            Answer::Connect(vec![nowhere.address]),
            Answer::Connect(vec![backend.address]),
        ])
    });
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);

    assert!(read_all(&mut client).starts_with(b"HTTP/1.1 504 "));
}

#[test]
fn large_bodies_pass_both_ways_at_once() {
    let backend = Backend::new();
    let rig = Rig::start(script(&[&backend], settings()));
    let (up, down) = (pattern(3_000_000), pattern(5_000_000));
    for chunked in [false, true] {
        let framed = |body: &[u8], head: &str| {
            if !chunked {
                let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
                return [head.as_bytes(), body].concat();
            }
            let mut out = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in body.chunks(700_000) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
            out
        };
        let request = framed(&up, "POST / HTTP/1.1\r\nHost: h\r\n");
        let reply = framed(&down, "HTTP/1.1 200 OK\r\n");
        let mut client = rig.client();
        let mut writer = client.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&request).unwrap());
            let mut server = backend.accept();
            let mut replies = server.try_clone().unwrap();
            let (request, reply) = (&request, &reply);
            scope.spawn(move || {
                let mut got = vec![0; request.len()];
                server.read_exact(&mut got).unwrap();
                assert!(got == *request);
            });
            scope.spawn(move || replies.write_all(reply).unwrap());
            let mut got = vec![0; reply.len()];
            client.read_exact(&mut got).unwrap();
            assert!(got == *reply);
        });
    }
}

#[test]
fn idle_connection_serves_the_next_client() {
    let backend = Backend::new();
    let rig = Rig::start(pooled(&[&backend]));
    let mut first = rig.client();
    first.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    expect(&mut first, OK);
    rig.diary.ended(1);

    // The same socket, while its first client is still there.
    let mut second = rig.client();
    exchange(&mut second, &mut server, GET);
    rig.diary.ended(2);
    assert_eq!(rig.diary.traffic.reused(), 1);
}

#[test]
fn first_request_that_cannot_be_repeated_gets_a_connection_of_its_own() {
    let backend = Backend::new();
    let rig = Rig::start(pooled(&[&backend]));
    let mut first = rig.client();
    first.write_all(GET).unwrap();
    let mut idle = backend.accept();
    expect(&mut idle, GET);
    idle.write_all(OK).unwrap();
    expect(&mut first, OK);
    rig.diary.ended(1);

    let mut second = rig.client();
    second.write_all(POST).unwrap();
    let mut server = backend.accept();
    expect(&mut server, POST);
}

#[test]
fn idle_connection_that_spoke_or_ended_serves_nobody() {
    for speaks in [true, false] {
        let backend = Backend::new();
        let rig = Rig::start(pooled(&[&backend]));
        let mut first = rig.client();
        first.write_all(GET).unwrap();
        let mut idle = backend.accept();
        expect(&mut idle, GET);
        idle.write_all(OK).unwrap();
        expect(&mut first, OK);
        rig.diary.ended(1);
        if speaks {
            idle.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        } else {
            drop(idle);
        }

        let mut second = rig.client();
        second.write_all(GET).unwrap();
        let mut server = backend.accept();
        expect(&mut server, GET);
        server.write_all(OK).unwrap();
        expect(&mut second, OK);
    }
}

#[test]
fn connection_that_is_shared_sends_without_delay() {
    let backend = Backend::new();
    let (mut engine, address, _) = build(pooled(&[&backend]));
    let mut client = with_deadline(TcpStream::connect(address).unwrap());
    client.write_all(GET).unwrap();
    let mut served = None;
    let deadline = Instant::now() + DEADLINE;

    // What is given back shows up as an idle connection of the pool.
    while engine.pool.sockets().is_empty() {
        engine.turn(Some(Duration::from_millis(10))).unwrap();
        if served.is_none() && engine.core.links.len() > 0 {
            let mut server = backend.accept();
            expect(&mut server, GET);
            server.write_all(OK).unwrap();
            served = Some(server);
        }
        assert!(Instant::now() < deadline);
    }

    for socket in engine.pool.sockets() {
        assert!(sockopt::tcp_nodelay(socket).unwrap());
    }
}

#[test]
fn connection_with_credentials_of_its_own_stays_with_its_client() {
    let backend = Backend::new();
    let rig = Rig::start(pooled(&[&backend]));
    let login = b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: NTLM abc\r\n\r\n";
    let mut first = rig.client();
    first.write_all(login).unwrap();
    let mut server = backend.accept();
    expect(&mut server, login);
    server.write_all(OK).unwrap();
    expect(&mut first, OK);

    let mut second = rig.client();
    second.write_all(GET).unwrap();
    let mut other = backend.accept();
    expect(&mut other, GET);
    exchange(&mut first, &mut server, GET);
}

#[test]
fn late_heads_and_replies_are_answered_and_silent_clients_closed() {
    let short = Duration::from_millis(150);
    let late = |change: fn(&mut WebSettings, Duration)| {
        let mut settings = settings();
        change(&mut settings, short);
        settings
    };
    let backend = Backend::new();

    let rig = Rig::start(script(&[&backend], late(|web, at| web.head_limit = at)));
    let mut client = rig.client();
    client.write_all(b"HEAD / HT").unwrap();
    let reply = read_all(&mut client);
    assert!(reply.starts_with(b"HTTP/1.1 408 ") && reply.ends_with(b"\r\n\r\n"));

    let rig = Rig::start(script(
        &[&backend],
        late(|web, at| web.response_limit = Some(at)),
    ));
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let _server = backend.accept();
    assert!(read_all(&mut client).starts_with(b"HTTP/1.1 504 "));

    let rig = Rig::start(script(
        &[&backend],
        late(|web, at| web.idle_limit = Some(at)),
    ));
    expect_end(&mut rig.client());

    let rig = Rig::start(script(
        &[&backend],
        late(|web, at| web.keepalive_limit = Some(at)),
    ));
    let mut client = rig.client();
    client.write_all(GET).unwrap();
    let mut server = backend.accept();
    expect(&mut server, GET);
    server.write_all(OK).unwrap();
    expect(&mut client, OK);
    expect_end(&mut client);
    expect_end(&mut server);
}

#[test]
fn large_body_has_no_more_than_its_share_of_a_turn() {
    let backend = Backend::new();
    let (mut engine, address, _) = build(script(&[&backend], settings()));
    let mut client = with_deadline(TcpStream::connect(address).unwrap());
    client.write_all(GET).unwrap();
    let size = 64 * 1024 * 1024;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut server = backend.accept();
            expect(&mut server, GET);
            server.write_all(head.as_bytes()).unwrap();
            server.write_all(&pattern(size)).unwrap();
        });
        let reader = scope.spawn(|| {
            let mut reply = vec![0; head.len() + size];
            client.read_exact(&mut reply).unwrap();
        });

        let most = most_in_a_turn(&mut engine, || reader.is_finished());

        reader.join().unwrap();
        assert!(most <= TURN, "{most} bytes");
    });
}
