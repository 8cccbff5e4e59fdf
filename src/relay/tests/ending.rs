//! Ends: resets, silence, orders, faults.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::rig::*;
use crate::base::outcome::Ended;
use crate::relay::host::{Abandoned, Order};
use crate::relay::splice::Pipe;

/// The error that ends reading.
fn read_error(stream: &mut TcpStream) -> io::Error {
    stream.read_to_end(&mut Vec::new()).unwrap_err()
}

/// A client and its back end, which have exchanged a byte.
fn connected(rig: &Rig, backend: &Backend) -> (TcpStream, TcpStream) {
    let mut client = rig.client();
    client.write_all(b"a").unwrap();
    let mut served = backend.accept();
    served.read_exact(&mut [0]).unwrap();
    served.write_all(b"b").unwrap();
    client.read_exact(&mut [0]).unwrap();
    (client, served)
}

#[test]
fn reset_by_the_client_reaches_the_backend_as_a_reset() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let (client, mut served) = connected(&rig, &backend);

    reset(client);

    assert_eq!(read_error(&mut served).kind(), ErrorKind::ConnectionReset);
    assert_eq!(rig.diary.ended(1)[0].ended, Ended::ByClient);
}

#[test]
fn reset_by_the_backend_reaches_the_client_as_a_reset() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let (mut client, served) = connected(&rig, &backend);

    reset(served);

    assert_eq!(read_error(&mut client).kind(), ErrorKind::ConnectionReset);
    assert_eq!(rig.diary.ended(1)[0].ended, Ended::ByBackend);
}

#[test]
fn answer_that_a_reset_cuts_short_never_looks_complete() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    for _ in 0..200 {
        let (mut client, mut served) = connected(&rig, &backend);
        served.write_all(&[7; 1_000]).unwrap();

        reset(served);

        assert_eq!(read_error(&mut client).kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn reset_is_passed_on_though_the_other_side_does_not_read() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let (mut client, mut served) = connected(&rig, &backend);
    served
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while served.write(&[7; 64 * 1024]).is_ok() {}

    reset(served);

    assert_eq!(rig.diary.ended(1)[0].ended, Ended::ByBackend);
    assert_eq!(read_error(&mut client).kind(), ErrorKind::ConnectionReset);
}

#[test]
fn reset_after_the_end_of_a_direction_is_passed_on_too() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let (client, mut served) = connected(&rig, &backend);
    finish_writing(&client);
    assert_eq!(served.read(&mut [0]).unwrap(), 0);

    reset(client);

    let transfer = rig.diary.ended(1)[0];
    assert_eq!(transfer.ended, Ended::ByClient);
    let deadline = Instant::now() + DEADLINE;
    while served.write(b"x").is_ok() {
        assert!(Instant::now() < deadline, "the reset does not arrive");
    }
}

#[test]
fn silent_connection_is_cut_between_the_limit_and_a_second_more() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    let limit = Duration::from_millis(700);
    script.idle_limit = Some(limit);
    let rig = Rig::start(script);
    let (mut client, mut served) = connected(&rig, &backend);
    let silent_from = Instant::now();

    assert_eq!(read_all(&mut client), b"");
    let after = silent_from.elapsed();

    assert_eq!(read_all(&mut served), b"");
    let transfer = rig.diary.ended(1)[0];
    assert_eq!(transfer.ended, Ended::Idle);
    // The last byte moved a little before this test could look at its clock.
    assert!(after > limit - Duration::from_millis(50), "{after:?}");
    assert!(after < limit + Duration::from_secs(1), "{after:?}");
    assert!(transfer.duration >= limit);
}

#[test]
fn connection_that_keeps_moving_in_one_direction_lives_on() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    let limit = Duration::from_millis(300);
    script.idle_limit = Some(limit);
    let rig = Rig::start(script);
    let (client, mut served) = connected(&rig, &backend);
    let mut client_reads = client.try_clone().unwrap();
    let until = Instant::now() + limit * 4;

    // The pause is what is tested: it is shorter than the limit.
    client_reads
        .set_read_timeout(Some(Duration::from_millis(60)))
        .unwrap();
    while Instant::now() < until {
        served.write_all(b"x").unwrap();
        client_reads.read_exact(&mut [0]).unwrap();
        let quiet = client_reads.read(&mut [0]).unwrap_err();
        assert_eq!(quiet.kind(), ErrorKind::WouldBlock);
    }

    drop((client, client_reads, served));
    assert_ne!(rig.diary.ended(1)[0].ended, Ended::Idle);
}

#[test]
fn order_to_cut_ends_all_connections() {
    let (backend, hole) = (Backend::new(), Blackhole::new());
    let rig = Rig::start(Script::to(backend.address));
    let mut pairs: Vec<_> = (0..3).map(|_| connected(&rig, &backend)).collect();
    let connecting = Rig::start(Script::to(hole.address));
    let mut waiting = connecting.client();
    connecting.diary.wait_for(|heard| heard.get(1).map(|_| ()));

    rig.handle.send(Order::CutAll);
    connecting.handle.send(Order::CutAll);

    for (client, served) in &mut pairs {
        assert_eq!(read_all(client), b"");
        assert_eq!(read_all(served), b"");
    }
    for transfer in rig.diary.ended(3) {
        assert_eq!(transfer.ended, Ended::Ordered);
        assert_eq!((transfer.to_client, transfer.to_backend), (1, 1));
    }
    assert_eq!(read_all(&mut waiting), b"");
    let stopped = Heard::Abandoned(Abandoned::Stopped);
    connecting.diary.wait_for_entry(&stopped);
}

#[test]
fn panic_in_one_step_costs_one_connection() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    script.panics_at = Some(1);
    let rig = Rig::start(script);
    let (mut before, mut served) = connected(&rig, &backend);

    let mut hit = rig.client();
    assert_eq!(read_all(&mut hit), b"");

    let fault = Heard::Fault("scripted fault".to_owned());
    rig.diary.wait_for_entry(&fault);
    drop(backend.accept());
    before.write_all(b"c").unwrap();
    served.read_exact(&mut [0]).unwrap();
    connected(&rig, &backend);
    assert_eq!(rig.diary.ended(1).len(), 1);
}

#[test]
fn pipe_that_still_holds_bytes_is_not_kept_for_others() {
    let backend = Backend::new();
    let (mut engine, address, diary) = build(Script::to(backend.address));
    let client = TcpStream::connect(address).unwrap();
    let writer = thread::spawn(move || {
        let mut served = backend.accept();
        let limit = Some(Duration::from_millis(200));
        served.set_write_timeout(limit).unwrap();
        while served.write(&[7; 64 * 1024]).is_ok() {}
        served
    });
    let deadline = Instant::now() + DEADLINE;
    while !writer.is_finished() {
        engine.turn(Some(Duration::from_millis(10))).unwrap();
        assert!(Instant::now() < deadline);
    }

    engine.handle().send(Order::CutAll);
    while diary.count_of_ended() == 0 {
        engine.turn(Some(Duration::from_millis(10))).unwrap();
        assert!(Instant::now() < deadline);
    }

    let (taken, most) = *diary.pipes_taken.lock().unwrap();
    let kept = &engine.core.pipes.idle;
    assert!(most > 0);
    assert_eq!(kept.len(), taken);
    assert!(kept.iter().all(Pipe::is_empty));
    drop((client, writer.join().unwrap()));
}
