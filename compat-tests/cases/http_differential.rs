//! Random exchanges through the real program, judged by other readers.
//!
//! The same thing without sockets, and with many more exchanges, is in
//! `src/relay/http1/session/differential.rs`; makers of messages and readers
//! come from there.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossroads::relay::http1;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::harness::{Backend, Client, Peer, Proxy, Setup, until};
use generate::{Dice, Ends, Exchange, Sent};
use ways::{Action, Directive, Ways};

#[path = "../../src/relay/http1/session/differential/generate.rs"]
mod generate;
#[path = "../../src/relay/http1/session/differential/mutate.rs"]
mod mutate;
#[path = "../../src/relay/http1/session/differential/second.rs"]
mod second;
#[path = "../../src/relay/http1/session/differential/strict.rs"]
mod strict;
#[path = "../../src/relay/http1/session/differential/twin.rs"]
mod twin;
#[allow(dead_code, reason = "what drives a session needs more of it")]
#[path = "../../src/relay/http1/session/differential/ways.rs"]
mod ways;

/// What the back end of a case has seen and is going to say.
#[derive(Default)]
struct Script {
    /// Replies, in the order of the requests, and how they end; when none is
    /// left, a short one.
    replies: VecDeque<(Vec<u8>, Ends)>,
    /// What `/next` is answered with, whatever else is asked.
    next: Vec<u8>,
    /// Whole requests, in the order of their ends.
    arrived: Vec<Vec<u8>>,
    /// All bytes, one entry for each connection.
    streams: Vec<Vec<u8>>,
    /// What the strict reader said against them.
    faults: Vec<String>,
}

type Shared = Arc<Mutex<Script>>;

/// A back end that notes every byte and answers every whole request.
fn recording(script: &Shared) -> Backend {
    let script = Arc::clone(script);
    Backend::serving(move |peer| serve(peer, &script))
}

fn serve(mut peer: Peer, script: &Shared) {
    let mut all = Vec::new();
    let mut answered = 0;
    let place = {
        let mut script = script.lock().unwrap();
        script.streams.push(Vec::new());
        script.streams.len() - 1
    };
    loop {
        let bytes = peer.receive();
        if bytes.is_empty() {
            return;
        }
        all.extend(bytes);
        let mut script = script.lock().unwrap();
        script.streams[place].clone_from(&all);
        let (found, read) = strict::requests(&all);
        if let Err(why) = read {
            let shown = all.escape_ascii();
            // A head may arrive in two pieces.
            if why != "unfinished head" {
                script.faults.push(format!("{why}: {shown}"));
            }
        }
        for message in found.iter().skip(answered).filter(|one| one.whole) {
            answered += 1;
            let request = &all[message.head.start..message.body.end];
            script.arrived.push(request.to_vec());
            let (reply, ends) = script.reply_to(message);
            if !peer.send(reply) || ends == Ends::WithTheConnection {
                return;
            }
        }
    }
}

impl Script {
    fn reply_to(&mut self, message: &strict::Message) -> (Vec<u8>, Ends) {
        if message.start[1] == b"/next" {
            return (self.next.clone(), Ends::AsItSays);
        }
        let reply = self.replies.pop_front();
        reply.unwrap_or_else(|| short_reply(&message.start[0]))
    }
}

fn short_reply(method: &[u8]) -> (Vec<u8>, Ends) {
    let reply: &[u8] = match method {
        b"HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"CONNECT" => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nok",
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    };
    (reply.into(), Ends::AsItSays)
}

/// Runs `case` a hundred times with random choices, always the same ones.
fn repeated(mut case: impl FnMut(&mut Dice<'_>)) {
    let times = std::env::var("CROSSROADS_EXCHANGES").map(|count| count.parse());
    let times: usize = times.map_or(100, |times| times.expect("a number"));
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(11),
        ..Config::default()
    });
    for _ in 0..times {
        let choices = vec(any::<u8>(), 0..600).new_tree(&mut runner).unwrap();
        case(&mut Dice::new(&choices.current()));
    }
}

/// All that a client gets that sends `bytes` in pieces.
fn ask(proxy: &Proxy, bytes: &[u8], dice: &mut Dice<'_>) -> Vec<u8> {
    let mut client = Client::connect(proxy.address());
    client.stream().set_nodelay(true).unwrap();
    for piece in dice.pieces(bytes) {
        if client.try_send(piece).is_err() {
            break;
        }
    }
    client.finish_sending();
    client.rest().0
}

/// How many of these are served before the connection ends.
fn served<'a>(exchanges: &'a [Exchange], ways: &Ways) -> &'a [Exchange] {
    let keeps = |one: &&Exchange| twin::keeps_client(&one.reply, &one.request, ways);
    let kept = exchanges.iter().take_while(keeps).count();
    &exchanges[..exchanges.len().min(kept + 1)]
}

/// What their back end says, with interim replies.
fn replies(exchanges: &[Exchange]) -> VecDeque<(Vec<u8>, Ends)> {
    let replies = exchanges.iter().map(|Exchange { interim, reply, .. }| {
        let bytes = interim.iter().chain([reply]).flat_map(Sent::bytes);
        (bytes.collect(), reply.ends)
    });
    replies.collect()
}

/// What of that a client gets.
fn understood(exchange: &Exchange) -> impl Iterator<Item = &Sent> {
    let is_new = exchange.request.start.ends_with(b"1");
    let interim = exchange.interim.iter().filter(move |_| is_new);
    interim.chain([&exchange.reply])
}

fn requests(exchanges: &[Exchange]) -> Vec<u8> {
    exchanges
        .iter()
        .flat_map(|one| one.request.bytes())
        .collect()
}

fn ways(managed: bool, server: &[(Action, &str, &str)], client: &[(Action, &str, &str)]) -> Ways {
    let directives = |all: &[(Action, &str, &str)]| {
        let one = |(action, name, value): &(Action, &str, &str)| Directive {
            action: *action,
            name: (*name).into(),
            value: (*value).into(),
        };
        all.iter().map(one).collect()
    };
    let limits = http1::head::HeadLimits {
        bytes: 65_536,
        fields: 200,
    };
    Ways {
        manner: http1::session::Manner {
            limits,
            managed,
            shallow: false,
        },
        server: directives(server),
        client: directives(client),
        unread: false,
        leases: managed,
        hurries: false,
    }
}

/// 9.1 (decided): what no directive asks for is not changed.
#[test]
fn valid_exchanges_pass_byte_for_byte() {
    let script = Shared::default();
    let maple = recording(&script);
    let proxy = Setup::new("type http;")
        .backend("maple", maple.server(), "")
        .start();
    let ways = ways(false, &[], &[]);

    repeated(|dice| {
        let exchanges = dice.exchanges();
        let served = served(&exchanges, &ways);
        script.lock().unwrap().replies = replies(served);

        let got = ask(&proxy, &requests(&exchanges), dice);

        let arrived = std::mem::take(&mut script.lock().unwrap().arrived);
        assert_eq!(shown(&arrived.concat()), shown(&requests(served)));
        let expected = served.iter().flat_map(understood).flat_map(Sent::bytes);
        assert_eq!(shown(&got), shown(&expected.collect::<Vec<u8>>()));
    });

    assert_eq!(script.lock().unwrap().faults, [""; 0]);
}

/// 9.7, 9.8 (decided): directives and `Connection` change what they say, and
/// nothing else, also where connections are shared.
#[test]
fn directives_change_valid_exchanges_as_they_say() {
    let script = Shared::default();
    let maple = recording(&script);
    let proxy = Setup::new("type http; reuse safe;")
        .backend(
            "maple",
            maple.server(),
            "addserverheader \"X-Client: 192.0.2.7\"; appendserverheader \"Via: 1.1 shop\";
             setserverheader \"Host: inside.test\"; addclientheader \"Set-Cookie: pool=1\";
             setclientheader \"Server: y\";",
        )
        .start();
    let server = [
        (Action::Add, "X-Client", "192.0.2.7"),
        (Action::Append, "Via", "1.1 shop"),
        (Action::Set, "Host", "inside.test"),
    ];
    let client = [
        (Action::Add, "Set-Cookie", "pool=1"),
        (Action::Set, "Server", "y"),
    ];
    let ways = ways(true, &server, &client);

    repeated(|dice| {
        let exchanges = dice.exchanges();
        let served = served(&exchanges, &ways);
        script.lock().unwrap().replies = replies(served);

        let got = ask(&proxy, &requests(&exchanges), dice);

        let arrived = std::mem::take(&mut script.lock().unwrap().arrived);
        assert_eq!(arrived.len(), served.len(), "{}", shown(&got));
        for (arrived, Exchange { request, .. }) in arrived.iter().zip(served) {
            let found = &strict::requests(arrived).0[0];
            assert_eq!(found.start.join(&b' '), request.start);
            assert_eq!(found.fields, twin::request(request, &ways));
            assert_eq!(shown(&arrived[found.body.clone()]), shown(&request.body));
        }
        let methods: Vec<&[u8]> = served.iter().map(|one| one.request.method()).collect();
        let (mut found, read) = strict::replies(&got, &methods);
        assert_eq!(read, Ok(()), "{}", shown(&got));
        found.retain(|message| !message.is_interim());
        assert_eq!(found.len(), served.len());
        for (found, Exchange { request, reply, .. }) in found.iter().zip(served) {
            assert_eq!(found.start.join(&b' '), reply.start);
            assert_eq!(found.fields, twin::reply(reply, request, &ways));
            assert_eq!(shown(&got[found.body.clone()]), shown(&reply.body));
            let bytes = &got[found.head.start..found.body.end];
            let hyper = second::reply(bytes, request.method()).unwrap();
            assert!(hyper.is(found) && hyper.start[0].as_bytes() == found.start[1]);
        }
    });

    assert_eq!(script.lock().unwrap().faults, [""; 0]);
}

/// 9.3, 9.4 (decided): what two readers could understand differently is not
/// passed on.
#[test]
fn damaged_requests_are_refused_or_understood_alike() {
    let script = Shared::default();
    let maple = recording(&script);
    let proxy = Setup::new("type http;")
        .backend("maple", maple.server(), "")
        .start();

    repeated(|dice| {
        let bytes = mutate::damage(requests(&dice.exchanges()), dice);

        let got = ask(&proxy, &bytes, dice);

        until("all connections to the back end are over", || {
            maple.open() == 0
        });
        let script = std::mem::take(&mut *script.lock().unwrap());
        assert_eq!(script.faults, [""; 0]);
        for stream in &script.streams {
            let (found, read) = strict::requests(stream);
            assert_eq!(read, Ok(()), "{}", shown(stream));
            let (hyper, _) = second::requests(stream);
            assert!(hyper.len() <= found.len());
            assert!(hyper.iter().zip(&found).all(|(one, found)| one.is(found)));
        }
        let methods = script.arrived.iter().map(|one| &one[..4]);
        let mut methods: Vec<&[u8]> = methods.map(<[u8]>::trim_ascii_end).collect();
        methods.push(refused_method(&bytes, &methods));
        let (found, _) = strict::replies(&got, &methods);
        let closing = found.iter().position(strict::Message::says_close);
        assert!(closing.is_none_or(|place| place + 1 == found.len()));
        let own = found.iter().filter(|one| is_own(one));
        let own: Vec<_> = own.map(|one| &one.start[1][..]).collect();
        assert!(
            own.iter()
                .all(|code| [&b"400"[..], b"431", b"505"].contains(code)),
            "{}",
            shown(&got)
        );
        assert!(
            found.len() - own.len() <= script.arrived.len(),
            "{}",
            shown(&got)
        );
    });
}

/// 9.4, 9.9 (decided): what a reply says too much is nobody's, least of all the
/// next client's.
#[test]
fn damaged_replies_reach_nobody_else() {
    let script = Shared::default();
    let maple = recording(&script);
    let proxy = Setup::new("type http; reuse safe;")
        .backend("maple", maple.server(), "")
        .start();
    let mut number = 0;

    repeated(|dice| {
        let exchanges = dice.exchanges();
        let mut replies = replies(&exchanges);
        for (reply, ends) in &mut replies {
            *reply = mutate::damage(std::mem::take(reply), dice);
            *ends = *dice.pick(&[Ends::AsItSays, Ends::AsItSays, *ends]);
        }
        script.lock().unwrap().replies = replies;
        let methods: Vec<&[u8]> = exchanges.iter().map(|one| one.request.method()).collect();

        let mut client = Client::connect(proxy.address());
        client.send(requests(&exchanges));
        let got = until_quiet(&mut client);
        drop(client);

        let (found, read) = strict::replies(&got, &methods);
        assert_eq!(read, Ok(()), "{}", shown(&got));
        let passed = found.iter().rev().skip(1);
        assert!(passed.rev().all(|one| one.whole), "{}", shown(&got));
        number += 1;
        let expected = format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{number:09}");
        script.lock().unwrap().next = expected.clone().into();
        let mut next = Client::connect(proxy.address());
        next.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            shown(&next.take(expected.len())),
            shown(expected.as_bytes())
        );
    });

    assert_eq!(script.lock().unwrap().faults, [""; 0]);
}

/// What a client gets before its connection ends or nothing more happens; how
/// long that is waited for only says how much is seen.
fn until_quiet(client: &mut Client) -> Vec<u8> {
    let mut got = Vec::new();
    let mut buffer = [0; 4_096];
    while !client.is_quiet_for(Duration::from_millis(10)) {
        match client.stream().read(&mut buffer) {
            Ok(read @ 1..) => got.extend_from_slice(&buffer[..read]),
            Ok(0) | Err(_) => break,
        }
    }
    got
}

/// What the daemon takes for the method of a request that it refuses.
fn refused_method(bytes: &[u8], before: &[&[u8]]) -> &'static [u8] {
    match before.is_empty() && bytes.starts_with(b"HEAD ") {
        true => b"HEAD",
        false => b"GET",
    }
}

/// Whether the daemon itself has said that.
fn is_own(message: &strict::Message) -> bool {
    let is_own = (b"Cache-Control".to_vec(), b"no-store".to_vec());
    message.fields.contains(&is_own)
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
