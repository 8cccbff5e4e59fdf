//! Random exchanges through a session, judged by other readers.
//!
//! A valid exchange arrives as it was sent but for what directives and
//! `Connection` change. A damaged one is refused, and then no back end has seen
//! a whole request of it; or it is passed on, and then hyper and the strict
//! reader find in it what the session has meant.

mod generate;
mod mutate;
mod second;
mod stream;
mod strict;
mod twin;
mod ways;
mod wire;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

use crate::relay::http1;
use crate::relay::http1::head::{HeadLimits, Method};
use crate::relay::http1::session::Manner;
use generate::{Dice, Ends, Exchange};
use stream::Stream;
use ways::{Action, Directive, Ways};
use wire::{Over, Wire};

const DIRECTIVES: &[(&str, &str)] = &[
    ("X-Client", "192.0.2.7"),
    ("via", "1.1 shop"),
    ("Host", "inside.test"),
    ("Cookie", ""),
    ("Empty", "x; y"),
    ("Server", "\u{e4}"),
    ("X-New", "1"),
];

/// How a connection is treated, but not shallow.
fn ways(dice: &mut Dice<'_>) -> Ways {
    let manner = Manner {
        limits: HeadLimits {
            bytes: 65_536,
            fields: 200,
        },
        managed: dice.once_in(2),
        shallow: false,
    };
    Ways {
        manner,
        server: directives(dice),
        client: directives(dice),
        unread: dice.once_in(2),
        leases: dice.once_in(2),
        hurries: dice.once_in(2),
    }
}

fn directives(dice: &mut Dice<'_>) -> Vec<Directive> {
    let one = |dice: &mut Dice<'_>| {
        let (name, value) = *dice.pick(DIRECTIVES);
        let action = *dice.pick(&[Action::Add, Action::Append, Action::Set]);
        Directive {
            // Two hosts would be the operator's fault.
            action: if name == "Host" { Action::Set } else { action },
            name: name.into(),
            value: value.into(),
        }
    };
    (0..dice.below(4)).map(|_| one(dice)).collect()
}

/// Lets a client send `bytes` in pieces, and back ends answer every whole
/// request with what `answer` says.
fn carry(
    ways: Ways,
    bytes: &[u8],
    dice: &mut Dice<'_>,
    answer: &mut dyn FnMut(Method, usize) -> (Vec<u8>, Ends),
) -> Wire {
    let hurries = ways.hurries;
    let mut wire = Wire::new(ways);
    let mut asked = 0;
    let mut owed = Vec::new();
    for piece in dice.pieces(bytes) {
        wire.client(piece);
        wire.backend(&std::mem::take(&mut owed));
        if hurries
            && dice.once_in(3)
            && let Some(method) = wire.awaited()
        {
            let (mut reply, _) = answer(method, asked);
            asked += 1;
            owed = reply.split_off(match dice.once_in(2) {
                true => reply.len().saturating_sub(1),
                false => dice.below(reply.len() + 1),
            });
            wire.backend(&reply);
            continue;
        }
        while let Some(method) = wire.asked() {
            let (reply, ends) = answer(method, asked);
            let exchange = wire.exchange();
            asked += 1;
            for piece in dice.pieces(&reply) {
                wire.backend(piece);
            }
            if ends == Ends::WithTheConnection || wire.exchange() == exchange {
                wire.backend_end();
            }
        }
    }
    wire.backend(&owed);
    wire
}

/// Whatever was asked gets the same short reply.
fn shortly(method: Method, _: usize) -> (Vec<u8>, Ends) {
    let reply: &[u8] = match method {
        Method::Head => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        Method::Connect => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        Method::Safe | Method::Other => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    };
    (reply.to_vec(), Ends::AsItSays)
}

/// What each sender sends, and what each receiver has to get.
fn valid(bytes: &[u8]) -> Result<(), TestCaseError> {
    let dice = &mut Dice::new(bytes);
    let (mut ways, exchanges) = (ways(dice), dice.exchanges());
    ways.hurries = false;
    let sent: Vec<u8> = exchanges
        .iter()
        .flat_map(|one| one.request.bytes())
        .collect();
    let keeps = |one: &&Exchange| twin::keeps_client(&one.reply, &one.request, &ways);
    let served = exchanges.iter().take_while(keeps).count();
    let served = &exchanges[..exchanges.len().min(served + 1)];

    let wire = carry(ways.clone(), &sent, dice, &mut |_, asked| {
        let Exchange { interim, reply, .. } = &exchanges[asked];
        let bytes = interim
            .iter()
            .chain([reply])
            .flat_map(generate::Sent::bytes);
        (bytes.collect(), reply.ends)
    });

    prop_assert_eq!(wire.check(), Ok(()));
    let last = &served[served.len() - 1];
    let over = (!keeps(&last)).then_some(Over::Closed);
    prop_assert_eq!(wire.over, over);
    requests_arrive(served, &ways, &wire.backends)?;
    replies_arrive(served, &ways, &wire.client)
}

fn requests_arrive(
    served: &[Exchange],
    ways: &Ways,
    backends: &[Stream],
) -> Result<(), TestCaseError> {
    let strict = backends.iter().flat_map(|to| strict::requests(to.read()).0);
    let second = backends.iter().flat_map(|to| second::requests(to.read()).0);
    let (strict, second): (Vec<_>, Vec<_>) = (strict.collect(), second.collect());
    prop_assert_eq!((strict.len(), second.len()), (served.len(), served.len()));
    for ((found, hyper), Exchange { request, .. }) in strict.iter().zip(&second).zip(served) {
        prop_assert_eq!(&found.fields, &twin::request(request, ways));
        prop_assert_eq!(found.start.join(&b' '), request.start.clone());
        prop_assert_eq!(&found.payload, &request.payload);
        prop_assert!(hyper.is(found), "{:?} or {:?}", hyper, found);
        let start: Vec<_> = found.start[..2].iter().map(|part| &part[..]).collect();
        let theirs: Vec<_> = hyper.start.iter().map(String::as_bytes).collect();
        prop_assert_eq!(theirs, start);
        let direct = second::requests(&request.bytes()).0;
        prop_assert!(direct[0].has_fields(&twin::fields(request)));
        prop_assert_eq!(&direct[0].payload, &hyper.payload);
    }
    Ok(())
}

fn replies_arrive(served: &[Exchange], ways: &Ways, client: &Stream) -> Result<(), TestCaseError> {
    let methods: Vec<&[u8]> = served.iter().map(|one| one.request.method()).collect();
    let mut found = strict::replies(client.read(), &methods).0.into_iter();
    for Exchange {
        request,
        interim,
        reply,
    } in served
    {
        for sent in interim.iter().filter(|_| request.start.ends_with(b"1")) {
            let found = found.next();
            prop_assert_eq!(found.map(|one| one.fields), Some(twin::fields(sent)));
        }
        let Some(found) = found.next() else {
            return Err(TestCaseError::fail("a reply is missing"));
        };
        prop_assert_eq!(found.start.join(&b' '), reply.start.clone());
        prop_assert_eq!(&found.fields, &twin::reply(reply, request, ways));
        prop_assert_eq!(&client.bytes[found.body.clone()], &reply.body[..]);
        let bytes = &client.bytes[found.head.start..found.body.end];
        let hyper = second::reply(bytes, request.method()).map_err(TestCaseError::fail)?;
        prop_assert!(hyper.is(&found), "{:?} or {:?}", hyper, found);
        let direct =
            second::reply(&reply.bytes(), request.method()).map_err(TestCaseError::fail)?;
        prop_assert!(direct.has_fields(&twin::fields(reply)));
        prop_assert_eq!(direct.payload, hyper.payload);
    }
    prop_assert!(found.next().is_none());
    Ok(())
}

/// Requests that were damaged on their way here.
fn damaged_requests(bytes: &[u8]) -> Result<Wire, TestCaseError> {
    let dice = &mut Dice::new(bytes);
    let (ways, exchanges) = (ways(dice), dice.exchanges());
    let sent = exchanges
        .iter()
        .flat_map(|one| one.request.bytes())
        .collect();
    let sent = mutate::damage(sent, dice);

    let wire = carry(ways, &sent, dice, &mut shortly);

    prop_assert_eq!(wire.check(), Ok(()));
    for stream in &wire.backends {
        let found = strict::requests(stream.read()).0;
        let (hyper, end) = second::requests(stream.read());
        prop_assert!(hyper.len() <= found.len(), "{}", stream.show());
        for (hyper, found) in hyper.iter().zip(&found) {
            prop_assert!(hyper.is(found), "{:?} or {:?}", hyper, found);
        }
        if let Some(refused) = found.get(hyper.len()) {
            let target = String::from_utf8_lossy(&refused.start[1]);
            let is_odd = target.parse::<hyper::Uri>().is_err();
            prop_assert!(is_odd, "hyper: {:?}: {}", end, stream.show());
        }
    }
    if let Some(Over::Answered(code)) = wire.over {
        prop_assert!([400, 431, 505].contains(&code), "{}", code);
        let mut passed = wire.backends.iter().flat_map(|stream| &stream.messages);
        let refused = passed.find(|message| message.whole && message.exchange == wire.exchange());
        prop_assert_eq!(refused, None);
    }
    Ok(wire)
}

/// Replies that were damaged on their way here.
fn damaged_replies(bytes: &[u8]) -> Result<Wire, TestCaseError> {
    let dice = &mut Dice::new(bytes);
    let (ways, exchanges) = (ways(dice), dice.exchanges());
    let sent: Vec<u8> = exchanges
        .iter()
        .flat_map(|one| one.request.bytes())
        .collect();
    let replies = exchanges.iter().map(|Exchange { interim, reply, .. }| {
        let bytes = interim
            .iter()
            .chain([reply])
            .flat_map(generate::Sent::bytes);
        mutate::damage(bytes.collect(), dice)
    });
    let replies: Vec<Vec<u8>> = replies.collect();

    let wire = carry(ways, &sent, dice, &mut |_, asked| {
        (
            replies.get(asked).cloned().unwrap_or_default(),
            Ends::AsItSays,
        )
    });

    prop_assert_eq!(wire.check(), Ok(()));
    let methods = wire.methods();
    let methods: Vec<&[u8]> = methods.iter().map(Vec::as_slice).collect();
    let found = strict::replies(wire.client.read(), &methods).0;
    let final_replies = found.iter().filter(|message| !message.is_interim());
    for (found, method) in final_replies.zip(&methods) {
        let bytes = &wire.client.bytes[found.head.start..found.body.end];
        let is_tunnel = *method == b"CONNECT" && found.start[1][0] == b'2';
        if found.start[1] == b"101" || is_tunnel {
            continue;
        }
        let hyper = second::reply(bytes, method).map_err(TestCaseError::fail)?;
        prop_assert!(hyper.is(found), "{:?} or {:?}", hyper, found);
        let code = &found.start[1];
        prop_assert_eq!(hyper.start[0].as_bytes(), &code[..]);
    }
    Ok(wire)
}

#[test]
fn damage_is_now_and_then_refused() {
    let mut runner = TestRunner::new(config(1));
    let (mut refused, mut passed) = (0, 0);

    for _ in 0..400 {
        let bytes = choices().new_tree(&mut runner).unwrap().current();
        match damaged_requests(&bytes).unwrap().over {
            Some(Over::Answered(_)) => refused += 1,
            _ => passed += 1,
        }
    }

    assert!(refused > 100 && passed > 100, "{refused} and {passed}");
}

/// The choices of one case.
fn choices() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..600)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(9),
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn valid_exchanges_arrive_as_they_were_sent(bytes in choices()) {
        valid(&bytes)?;
    }

    #[test]
    fn damaged_requests_are_refused_or_understood_alike(bytes in choices()) {
        damaged_requests(&bytes)?;
    }

    #[test]
    fn damaged_replies_are_refused_or_understood_alike(bytes in choices()) {
        damaged_replies(&bytes)?;
    }
}
