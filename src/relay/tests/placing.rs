//! Places, pausing and the end of accepting.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::rig::*;
use crate::relay::host::Order;

fn count(heard: &[Heard], wanted: &Heard) -> usize {
    heard.iter().filter(|heard| *heard == wanted).count()
}

#[test]
fn client_beyond_the_places_waits_until_one_is_free() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    script.places = 2;
    let rig = Rig::start(script);
    let mut clients: Vec<_> = (0..5).map(|_| rig.client()).collect();
    rig.diary.wait_for_entry(&Heard::NoPlace);
    assert_eq!(count(&rig.diary.all(), &Heard::Admitted), 2);

    for served in 0..5 {
        let mut stream = backend.accept();
        stream.write_all(b"done").unwrap();
        drop(stream);
        let mut client = clients.remove(0);
        assert_eq!(read_all(&mut client), b"done", "client {served}");
    }

    drop(clients);
    rig.diary.ended(5);
    assert_eq!(count(&rig.diary.all(), &Heard::Admitted), 5);
}

#[test]
fn order_to_stop_accepting_takes_in_who_waits_and_closes_the_listener() {
    let backend = Backend::new();
    let (mut engine, address, diary) = build(Script::to(backend.address));
    let clients: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();

    engine.handle().send(Order::StopAccepting);
    let deadline = Instant::now() + DEADLINE;
    while !diary.all().contains(&Heard::ListenersClosed) {
        let turn = engine.turn(Some(Duration::ZERO)).unwrap();
        assert!(!turn.finished);
        assert!(Instant::now() < deadline);
    }

    assert_eq!(engine.connections(), 100);
    assert!(TcpStream::connect(address).is_err());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(engine.add_listener(LISTENER, listener.into()).is_err());
    drop(clients);
    engine.handle().send(Order::CutAll);
    while !engine
        .turn(Some(Duration::from_millis(10)))
        .unwrap()
        .finished
    {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(count(&diary.all(), &Heard::Dropped), 100);
}

#[test]
fn order_to_cut_closes_listeners_whose_queues_are_not_empty_yet() {
    let backend = Backend::new();
    let (mut engine, address, diary) = build(Script::to(backend.address));
    let clients: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();

    engine.handle().send(Order::StopAccepting);
    engine.handle().send(Order::CutAll);
    let turn = engine.turn(Some(Duration::from_secs(1))).unwrap();

    assert!(turn.finished);
    assert_eq!(engine.connections(), 0);
    assert_eq!(count(&diary.all(), &Heard::ListenersClosed), 1);
    assert!(TcpStream::connect(address).is_err());
    drop(clients);
}

#[test]
fn stopping_does_not_wait_for_places() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    script.places = 1;
    let mut rig = Rig::start(script);
    let first = rig.client();
    let second = rig.client();
    rig.diary.wait_for_entry(&Heard::NoPlace);

    rig.handle.send(Order::StopAccepting);
    rig.diary.wait_for_entry(&Heard::ListenersClosed);

    drop((first, second, backend.accept()));
    rig.join();
    assert_eq!(count(&rig.diary.all(), &Heard::Admitted), 1);
}

#[test]
fn driver_returns_when_the_last_connection_has_ended() {
    let backend = Backend::new();
    let mut rig = Rig::start(Script::to(backend.address));
    let mut client = rig.client();
    let mut served = backend.accept();
    rig.handle.send(Order::StopAccepting);
    rig.diary.wait_for_entry(&Heard::ListenersClosed);

    served.write_all(b"still here").unwrap();
    drop(served);

    assert_eq!(read_all(&mut client), b"still here");
    drop(client);
    rig.join();
    assert_eq!(rig.diary.ended(1).len(), 1);
}

#[test]
fn failed_accept_is_tried_again_after_a_pause_that_grows() {
    // Nobody listens on this socket, so accepting from it fails.
    let deaf = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let backend = Backend::new();
    let (mut engine, address, diary) = build(Script::to(backend.address));
    engine.add_listener(LISTENER, deaf).unwrap();
    let begun = Instant::now();

    while count(&diary.all(), &Heard::AcceptFailed) < 3 {
        engine.turn(Some(Duration::from_secs(1))).unwrap();
        assert!(begun.elapsed() < DEADLINE);
    }

    // 100 ms, then 200 ms.
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let client = TcpStream::connect(address).unwrap();
    while count(&diary.all(), &Heard::Admitted) == 0 {
        engine.turn(Some(Duration::from_secs(1))).unwrap();
        assert!(begun.elapsed() < DEADLINE);
    }
    drop(client);
}

#[test]
fn listener_that_somebody_else_holds_too_leaves_the_engine_in_peace() {
    let backend = Backend::new();
    let (mut engine, _, diary) = build(Script::to(backend.address));
    let shared = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = shared.local_addr().unwrap();
    let copy = shared.try_clone().unwrap();
    engine.add_listener(LISTENER, copy.into()).unwrap();
    engine.handle().send(Order::StopAccepting);
    let deadline = Instant::now() + DEADLINE;
    while !diary.all().contains(&Heard::ListenersClosed) {
        engine.turn(Some(Duration::ZERO)).unwrap();
        assert!(Instant::now() < deadline);
    }

    let client = TcpStream::connect(address).unwrap();
    let turn = engine.turn(Some(Duration::from_millis(50))).unwrap();

    assert_eq!(turn.events, 0);
    assert!(turn.finished);
    drop((client, shared));
}
