//! Bytes: all of them, in order, both ways, by copy and by splice.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::rig::*;
use crate::base::outcome::Ended;
use crate::base::random::Random;
use crate::relay::splice::Pipe;

/// Writes `bytes` in pieces of random sizes, then ends the direction.
fn write_in_pieces(stream: &mut TcpStream, bytes: &[u8], random: &mut Random) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = 1 + random.below(100_000) as usize;
        let (now, later) = rest.split_at(piece.min(rest.len()));
        stream.write_all(now).unwrap();
        rest = later;
    }
    finish_writing(stream);
}

/// Sends `up` and `down` at the same time; what arrived.
pub(super) fn exchange(rig: &Rig, backend: &Backend, up: &[u8], down: &[u8]) -> (Vec<u8>, Vec<u8>) {
    thread::scope(|scope| {
        let mut client = rig.client();
        let mut client_writes = client.try_clone().unwrap();
        scope.spawn(move || {
            write_in_pieces(&mut client_writes, up, &mut Random::new(1));
        });
        let backend_side = scope.spawn(|| {
            let mut stream = backend.accept();
            let mut writes = stream.try_clone().unwrap();
            let writer = scope.spawn(move || {
                write_in_pieces(&mut writes, down, &mut Random::new(2));
            });
            let got = read_all(&mut stream);
            writer.join().unwrap();
            got
        });
        let got_down = read_all(&mut client);
        (backend_side.join().unwrap(), got_down)
    })
}

#[test]
fn bytes_arrive_in_order_both_ways_and_are_counted() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let mut random = Random::new(5);
    let (mut sent_up, mut sent_down) = (0, 0);
    for round in 0..12 {
        let up = pattern(random.below(3_000_000) as usize);
        let down = pattern(random.below(3_000_000) as usize);

        let (got_up, got_down) = exchange(&rig, &backend, &up, &down);

        assert!(got_up == up && got_down == down, "round {round} differs");
        let transfer = rig.diary.ended(round + 1)[round];
        assert_eq!(transfer.to_backend, up.len() as u64);
        assert_eq!(transfer.to_client, down.len() as u64);
        assert!(
            transfer
                .first_byte
                .is_none_or(|first| first <= transfer.duration)
        );
        sent_up += up.len() as u64;
        sent_down += down.len() as u64;
    }
    assert_eq!(rig.diary.traffic.to_backend(), sent_up);
    assert_eq!(rig.diary.traffic.to_client(), sent_down);
}

#[test]
fn splice_moves_the_same_bytes_as_copy_and_counts_them_the_same() {
    let (up, down) = (pattern(9_000_001), pattern(7_000_003));
    let mut transfers = Vec::new();
    for pipes in [0, 64] {
        let backend = Backend::new();
        let mut script = Script::to(backend.address);
        script.pipes = pipes;
        let rig = Rig::start(script);

        let (got_up, got_down) = exchange(&rig, &backend, &up, &down);

        assert!(got_up == up && got_down == down, "with {pipes} pipes");
        let transfer = rig.diary.ended(1)[0];
        transfers.push((transfer.to_client, transfer.to_backend));
        let spliced = rig.diary.pipes_taken.lock().unwrap().1 > 0;
        assert_eq!(spliced, pipes > 0);
    }
    assert_eq!(transfers[0], transfers[1]);
}

#[test]
fn small_scratch_changes_nothing_but_the_speed() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    script.buffer_size = 512;
    script.pipes = 0;
    let rig = Rig::start(script);
    let (up, down) = (pattern(300_000), pattern(200_000));

    let (got_up, got_down) = exchange(&rig, &backend, &up, &down);

    assert!(got_up == up && got_down == down);
}

#[test]
fn client_that_ends_its_direction_first_still_gets_its_answer() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    for round in 0..200 {
        let mut client = rig.client();
        client.write_all(b"please").unwrap();
        finish_writing(&client);
        let mut served = backend.accept();
        assert_eq!(read_all(&mut served), b"please");
        served.write_all(b"answer").unwrap();
        drop(served);

        assert_eq!(read_all(&mut client), b"answer");
        let transfer = rig.diary.ended(round + 1)[round];
        assert_eq!((transfer.to_backend, transfer.to_client), (6, 6));
        assert_eq!(transfer.ended, Ended::ByClient);
        assert!(transfer.first_byte.is_some());
    }
}

#[test]
fn backend_that_ends_its_direction_first_still_gets_the_rest() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    for round in 0..200 {
        let mut client = rig.client();
        let mut served = backend.accept();
        served.write_all(b"answer").unwrap();
        finish_writing(&served);
        assert_eq!(read_all(&mut client), b"answer");
        client.write_all(b"please").unwrap();
        drop(client);

        assert_eq!(read_all(&mut served), b"please");
        let transfer = rig.diary.ended(round + 1)[round];
        assert_eq!((transfer.to_backend, transfer.to_client), (6, 6));
        assert_eq!(transfer.ended, Ended::ByBackend);
    }
}

#[test]
fn twenty_megabytes_come_back_after_the_client_ended_its_direction() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let bytes = pattern(20_000_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut served = backend.accept();
            let got = read_all(&mut served);
            served.write_all(&got).unwrap();
        });
        let mut client = rig.client();
        client.write_all(&bytes).unwrap();
        finish_writing(&client);

        assert!(read_all(&mut client) == bytes);
    });
}

#[test]
fn backend_may_speak_first() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let mut client = rig.client();
    let mut served = backend.accept();
    served.write_all(b"220 ready\r\n").unwrap();
    let mut banner = [0; 11];

    client.read_exact(&mut banner).unwrap();

    assert_eq!(&banner, b"220 ready\r\n");
    client.write_all(b"QUIT\r\n").unwrap();
    let mut word = [0; 6];
    served.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"QUIT\r\n");
}

#[test]
fn stalled_reader_stops_the_sender_and_loses_nothing() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let mut client = rig.client();
    let mut served = backend.accept();
    served
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let chunk = pattern(251 * 1_000);
    let mut accepted = 0;

    // Nobody reads, so the sender is stopped once all buffers on the way are full.
    while let Ok(count) = served.write(&chunk[accepted % chunk.len()..]) {
        accepted += count;
        assert!(accepted < 200_000_000, "the daemon buffers without bound");
    }

    drop(served);
    let got = read_all(&mut client);
    assert_eq!(got.len(), accepted);
    assert!(got == pattern(accepted));
}

#[test]
fn urgent_data_does_not_hold_up_what_follows() {
    for length in [3, 100_000, 2_000_000] {
        let backend = Backend::new();
        let rig = Rig::start(Script::to(backend.address));
        let mut client = rig.client();
        let mut served = backend.accept();
        let bytes = pattern(length);
        thread::scope(|scope| {
            let reader = scope.spawn(move || read_all(&mut served));
            client.write_all(&bytes).unwrap();
            let urgent = rustix::net::SendFlags::OOB;
            rustix::net::send(&client, b"!", urgent).unwrap();
            client.write_all(&bytes).unwrap();
            finish_writing(&client);

            // The urgent byte itself may be left out, as a plain read does.
            let mut got = reader.join().unwrap();
            if got.len() == 2 * length + 1 {
                got.remove(length);
            }
            assert!(got == [&bytes[..], &bytes[..]].concat(), "{length}");
        });
    }
}

#[test]
fn busy_pairs_take_turns_and_stand_on_the_list_once() {
    let backend = Backend::new();
    let (mut engine, address, diary) = build(Script::to(backend.address));
    let length = 30_000_000;
    let workers: Vec<_> = (0..3)
        .map(|_| {
            thread::spawn(move || {
                let mut client = with_deadline(TcpStream::connect(address).unwrap());
                client.write_all(b"x").unwrap();
                finish_writing(&client);
                read_all(&mut client).len()
            })
        })
        .collect();
    let server = thread::spawn(move || {
        for _ in 0..3 {
            let mut stream = backend.accept();
            thread::spawn(move || {
                assert_eq!(read_all(&mut stream), b"x");
                stream.write_all(&vec![7; length]).unwrap();
            });
        }
    });
    let deadline = Instant::now() + DEADLINE;
    let (mut longest, mut done) = (0, 0);

    while done < 3 {
        engine.turn(Some(Duration::from_millis(20))).unwrap();
        longest = longest.max(engine.again.len());
        done = diary.count_of_ended();
        assert!(Instant::now() < deadline);
    }

    assert!((1..=3).contains(&longest), "{longest}");
    for worker in workers {
        assert_eq!(worker.join().unwrap(), length);
    }
    server.join().unwrap();
}

#[test]
fn stalled_readers_do_not_hold_up_a_fast_one() {
    let backend = Backend::new();
    let rig = Rig::start(Script::to(backend.address));
    let mut stalled = Vec::new();
    for _ in 0..3 {
        let client = rig.client();
        let mut served = backend.accept();
        served
            .set_write_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        while served.write(&[7; 64 * 1024]).is_ok() {}
        stalled.push((client, served));
    }
    let (up, down) = (pattern(1_000), pattern(10_000_000));

    let (got_up, got_down) = exchange(&rig, &backend, &up, &down);

    assert!(got_up == up && got_down == down);
    assert_eq!(rig.diary.ended(1).len(), 1);
}

/// The kernel refuses large pipes to a user who has many already.
#[test]
fn so_many_pipes_of_an_engine_are_large_and_some_of_them_are_kept() {
    const LARGE: usize = 16;
    const KEPT: usize = 4;
    let backend = Backend::new();
    let (mut engine, ..) = build(Script::to(backend.address));
    let (pipes, host) = (&mut engine.core.pipes, &mut engine.host);
    let large = |open: &[Pipe]| open.iter().filter(|pipe| pipe.is_large()).count();

    let mut open: Vec<_> = (0..LARGE + 2).filter_map(|_| pipes.take(host)).collect();
    if open.len() < LARGE + 2 || !open[..LARGE].iter().all(Pipe::is_large) {
        // To stderr itself, or nobody would read it.
        let _ = writeln!(io::stderr(), "not tried: no pipes of 1 MiB for this user");
        return;
    }
    assert_eq!(large(&open), LARGE);
    open.drain(..).for_each(|pipe| pipes.give_back(pipe, host));
    assert_eq!((large(&pipes.idle), pipes.idle.len()), (KEPT, KEPT + 2));

    let again: Vec<_> = (0..LARGE + 2).filter_map(|_| pipes.take(host)).collect();
    assert_eq!(large(&again), LARGE);
}

/// What one connection moves at most in a turn, one way: its share, and a pipe
/// more, since only between two rounds is it asked how much it was; and what it
/// had moved less than its share at an event of its other socket.
pub(super) const TURN: u64 = 3 * 1024 * 1024;

#[test]
fn stream_has_no_more_than_its_share_of_a_turn() {
    let backend = Backend::new();
    let (mut engine, address, _) = build(Script::to(backend.address));
    let mut client = with_deadline(TcpStream::connect(address).unwrap());
    let size = 64 * 1024 * 1024;
    thread::scope(|scope| {
        scope.spawn(|| backend.accept().write_all(&pattern(size)).unwrap());
        let reader = scope.spawn(|| read_all(&mut client).len());

        let most = most_in_a_turn(&mut engine, || reader.is_finished());

        assert_eq!(reader.join().unwrap(), size);
        assert!(most <= TURN, "{most} bytes");
    });
}
