//! Reaching a back end: failover, addresses, time, clients that leave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::rig::*;
use crate::base::state::Reason;
use crate::relay::host::{Abandoned, Order, RelayKey};
use crate::relay::pair::Pair;
use crate::relay::side::Side;

/// The first connection of an engine.
const FIRST: RelayKey = RelayKey {
    index: 0,
    generation: 0,
};

fn connected_to(heard: &[Heard]) -> Option<SocketAddr> {
    heard.iter().find_map(|heard| match heard {
        Heard::Connected(to) => Some(*to),
        _ => None,
    })
}

fn first_asked(heard: &[Heard]) -> Option<RelayKey> {
    heard.iter().find_map(|heard| match heard {
        Heard::Asked(key) => Some(*key),
        _ => None,
    })
}

/// Sends `request` through, with the end of the direction, and gets an answer.
fn served(rig: &Rig, backend: &Backend) {
    let mut client = rig.client();
    client.write_all(b"request").unwrap();
    finish_writing(&client);
    let mut stream = backend.accept();
    assert_eq!(read_all(&mut stream), b"request");
    stream.write_all(b"answer").unwrap();
    drop(stream);
    assert_eq!(read_all(&mut client), b"answer");
}

#[test]
fn refused_client_is_served_by_the_next_backend_with_all_it_sent() {
    let backend = Backend::new();
    let attempts = [refusing(), refusing(), backend.address];
    let attempts = attempts.map(|address| Answer::Connect(vec![address]));
    let rig = Rig::start(Script::with(attempts.to_vec()));

    served(&rig, &backend);

    let heard = rig.diary.all();
    let refused = Heard::Failed(Failure::Backend(Reason::Refused));
    assert_eq!(heard.iter().filter(|&heard| *heard == refused).count(), 2);
    assert_eq!(connected_to(&heard), Some(backend.address));
}

#[test]
fn client_without_candidate_is_closed_without_data() {
    let rig = Rig::start(Script::to(refusing()));
    let mut client = rig.client();

    assert_eq!(read_all(&mut client), b"");

    rig.diary.wait_for_entry(&Heard::Dropped);
    assert!(
        !rig.diary
            .all()
            .contains(&Heard::Abandoned(Abandoned::ClientReset))
    );
}

#[test]
fn addresses_share_the_time_and_the_first_that_answers_serves() {
    let (hole, backend) = (Blackhole::new(), Backend::new());
    let addresses = vec![hole.address, refusing(), backend.address];
    let mut script = Script::with(vec![Answer::Connect(addresses)]);
    script.connect_limit = Duration::from_millis(900);
    let rig = Rig::start(script);
    let begun = Instant::now();

    served(&rig, &backend);

    // The first address had a third of the time, and used it up.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(295), "{took:?}");
    assert!(took < Duration::from_millis(900), "{took:?}");
    assert_eq!(connected_to(&rig.diary.all()), Some(backend.address));
}

#[test]
fn connect_fails_by_time_out_close_to_its_limit() {
    let (hole, backend) = (Blackhole::new(), Backend::new());
    let attempts = [hole.address, backend.address];
    let attempts = attempts.map(|address| Answer::Connect(vec![address]));
    let mut script = Script::with(attempts.to_vec());
    script.connect_limit = Duration::from_millis(250);
    let rig = Rig::start(script);
    let begun = Instant::now();

    served(&rig, &backend);

    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert!(took < Duration::from_millis(600), "{took:?}");
    let failed = Heard::Failed(Failure::Backend(Reason::TimedOut));
    assert!(rig.diary.all().contains(&failed));
}

#[test]
fn attempt_is_given_up_when_the_time_of_the_failover_is_over() {
    let hole = Blackhole::new();
    let mut script = Script::to(hole.address);
    script.give_up = Duration::from_millis(150);
    let rig = Rig::start(script);
    let mut client = rig.client();

    assert_eq!(read_all(&mut client), b"");

    rig.diary.wait_for_entry(&Heard::Failed(Failure::OutOfTime));
}

#[test]
fn client_that_resets_while_its_backend_is_connected_is_abandoned() {
    let hole = Blackhole::new();
    let rig = Rig::start(Script::to(hole.address));
    let mut client = rig.client();
    client.write_all(b"never mind").unwrap();
    rig.diary.wait_for(first_asked);

    reset(client);

    let gone = Heard::Abandoned(Abandoned::ClientReset);
    rig.diary.wait_for_entry(&gone);
    let failed = |heard: &Heard| matches!(heard, Heard::Failed(_));
    assert!(!rig.diary.all().iter().any(failed));
}

#[test]
fn client_that_ends_its_direction_while_connecting_is_served() {
    let (hole, backend) = (Blackhole::new(), Backend::new());
    let attempts = [hole.address, backend.address];
    let attempts = attempts.map(|address| Answer::Connect(vec![address]));
    let mut script = Script::with(attempts.to_vec());
    script.connect_limit = Duration::from_millis(300);
    let rig = Rig::start(script);
    let mut client = rig.client();
    rig.diary.wait_for(first_asked);
    client.write_all(b"late request").unwrap();
    finish_writing(&client);

    let mut stream = backend.accept();
    assert_eq!(read_all(&mut stream), b"late request");
    stream.write_all(b"answer").unwrap();
    drop(stream);

    assert_eq!(read_all(&mut client), b"answer");
}

#[test]
fn waiting_client_goes_on_when_the_host_says_so() {
    let backend = Backend::new();
    let connect = Answer::Connect(vec![backend.address]);
    let rig = Rig::start(Script::with(vec![Answer::Wait, connect]));
    let mut client = rig.client();
    client.write_all(b"early").unwrap();
    let key = rig.diary.wait_for(first_asked);

    rig.handle.send(Order::Continue(key));

    let mut stream = backend.accept();
    let mut early = [0; 5];
    stream.read_exact(&mut early).unwrap();
    assert_eq!(&early, b"early");
}

#[test]
fn waiting_ends_when_its_time_is_over_or_the_client_resets() {
    let mut script = Script::with(vec![Answer::Wait]);
    script.give_up = Duration::from_millis(100);
    let rig = Rig::start(script);
    assert_eq!(read_all(&mut rig.client()), b"");
    rig.diary.wait_for_entry(&Heard::Failed(Failure::OutOfTime));

    let rig = Rig::start(Script::with(vec![Answer::Wait]));
    let client = rig.client();
    rig.diary.wait_for(first_asked);
    reset(client);
    rig.diary
        .wait_for_entry(&Heard::Abandoned(Abandoned::ClientReset));
}

#[test]
fn order_for_a_connection_that_has_gone_does_not_reach_its_successor() {
    let rig = Rig::start(Script::with(vec![Answer::Wait]));
    let client = rig.client();
    let old = rig.diary.wait_for(first_asked);
    reset(client);
    rig.diary
        .wait_for_entry(&Heard::Abandoned(Abandoned::ClientReset));
    let next = rig.client();
    let key = rig.diary.wait_for(|heard| {
        let mut keys = heard.iter().filter_map(|heard| match heard {
            Heard::Asked(key) => Some(*key),
            _ => None,
        });
        keys.nth(1)
    });
    assert_eq!(key.index, old.index);
    assert_ne!(key.generation, old.generation);

    rig.handle.send(Order::Continue(old));
    rig.handle.send(Order::StopAccepting);
    rig.diary.wait_for_entry(&Heard::ListenersClosed);

    let asked = |heard: &&Heard| matches!(heard, Heard::Asked(_));
    assert_eq!(rig.diary.all().iter().filter(asked).count(), 2);
    drop(next);
}

#[test]
fn destination_without_route_is_not_the_fault_of_the_backend() {
    // TCP has no way to a broadcast address, whatever the routes are.
    let backend = Backend::new();
    let unreachable: SocketAddr = "255.255.255.255:80".parse().unwrap();
    let attempts = [unreachable, backend.address];
    let attempts = attempts.map(|address| Answer::Connect(vec![address]));
    let rig = Rig::start(Script::with(attempts.to_vec()));

    served(&rig, &backend);

    rig.diary.wait_for_entry(&Heard::Failed(Failure::NoWay));
}

#[test]
fn nodelay_is_set_at_once_unless_the_first_bytes_are_one_segment() {
    let backend = Backend::new();
    let (mut engine, ..) = build(Script::to(backend.address));
    let client = TcpStream::connect(backend.address).unwrap();
    let mut pair = Pair::new(FIRST, client.into(), Instant::now());
    let nodelay = |pair: &Pair| sockopt::tcp_nodelay(pair.socket(Side::Backend).unwrap());

    for (first, at_once) in [(0, true), (1, false), (496, false), (497, true)] {
        let stream = TcpStream::connect(backend.address).unwrap();
        pair.set_backend(Some(stream.into()), &mut engine.core);
        pair.expect_first(first);
        assert_eq!(nodelay(&pair), Ok(at_once), "{first} bytes");

        pair.outlet(Side::Client).unwrap();
        assert_eq!(nodelay(&pair), Ok(true), "before what follows");
    }
}

#[test]
fn connect_with_bytes_at_hand_saves_acknowledgements_until_they_are_answered() {
    let backend = Backend::new();
    let (mut engine, address, _) = build(Script::to(backend.address));
    let mut client = with_deadline(TcpStream::connect(address).unwrap());
    client.write_all(b"question").unwrap();
    // Whether an acknowledgement is sent at once, as soon as so much has moved.
    // The kernel turns that on by itself when it has waited some 40 ms in vain.
    let mut at_once_after = |moved: u64| {
        let deadline = Instant::now() + DEADLINE;
        loop {
            engine.turn(Some(Duration::from_millis(10))).unwrap();
            let pair = engine.relays.get_mut(FIRST).map(|relay| &relay.pair);
            if let Some(pair) = pair.filter(|pair| pair.moved() >= moved) {
                let socket = pair.socket(Side::Backend).unwrap();
                return sockopt::tcp_quickack(socket).unwrap();
            }
            assert!(Instant::now() < deadline);
        }
    };

    assert!(!at_once_after(8));
    let mut served = backend.accept();
    let mut question = [0; 8];
    served.read_exact(&mut question).unwrap();
    served.write_all(b"half an answer").unwrap();
    assert!(at_once_after(8 + 14));

    assert_eq!(&question, b"question");
}
