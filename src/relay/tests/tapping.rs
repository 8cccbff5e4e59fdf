//! Taps: what they see is what moves, and they change nothing of it.

use std::io::Write;
use std::net::TcpStream;

use super::rig::*;
use super::streaming::exchange;
use crate::base::outcome::Ended;
use crate::base::tap::Origin;

/// The bytes that a tap has seen from one side, in one piece.
fn seen(diary: &Diary, from: Origin) -> Vec<u8> {
    let blocks = diary.blocks.lock().unwrap();
    let blocks = blocks.iter().filter(|(origin, _)| *origin == from);
    blocks.flat_map(|(_, bytes)| bytes.clone()).collect()
}

/// An engine that begins to turn when its only client has sent `early`.
fn with_early_bytes(script: Script, early: &[u8]) -> (Rig, TcpStream) {
    let built = build(script);
    let mut client = with_deadline(TcpStream::connect(built.1).unwrap());
    client.write_all(early).unwrap();
    (Rig::turning(built), client)
}

#[test]
fn tap_sees_every_byte_in_order_and_changes_none() {
    let (up, down) = (pattern(5_000_001), pattern(3_000_003));
    let mut transfers = Vec::new();
    for tapped in [&[][..], &[0]] {
        for buffer_size in [512, 64 * 1024] {
            let backend = Backend::new();
            let mut script = Script::to(backend.address);
            (script.tapped, script.buffer_size) = (tapped, buffer_size);
            let rig = Rig::start(script);

            let (got_up, got_down) = exchange(&rig, &backend, &up, &down);

            assert!(got_up == up && got_down == down, "tapped: {tapped:?}");
            let transfer = rig.diary.ended(1)[0];
            transfers.push((transfer.to_client, transfer.to_backend));
            if !tapped.is_empty() {
                assert!(seen(&rig.diary, Origin::Client) == up);
                assert!(seen(&rig.diary, Origin::Backend) == down);
                assert_eq!(rig.diary.pipes_taken.lock().unwrap().1, 0, "spliced");
            }
        }
    }
    assert!(transfers.iter().all(|transfer| *transfer == transfers[0]));
}

#[test]
fn bytes_sent_before_the_connect_are_one_block_seen_once() {
    let backend = Backend::new();
    let mut script = Script::with(vec![Answer::Wait, Answer::Connect(vec![backend.address])]);
    script.tapped = &[1];
    let (rig, mut client) = with_early_bytes(script, b"early bytes");
    let key = rig.diary.wait_for(|heard| {
        heard.iter().find_map(|heard| match heard {
            Heard::Asked(key) => Some(*key),
            _ => None,
        })
    });
    client.write_all(b", more").unwrap();

    rig.handle.send(crate::relay::host::Order::Continue(key));
    let mut served = backend.accept();
    finish_writing(&client);
    assert_eq!(read_all(&mut served), b"early bytes, more");
    drop(served);
    rig.diary.ended(1);

    let blocks = rig.diary.blocks.lock().unwrap();
    assert_eq!(blocks[0], (Origin::Client, b"early bytes".to_vec()));
    assert_eq!(blocks[1], (Origin::Client, b", more".to_vec()));
    assert_eq!(blocks.len(), 2);
}

#[test]
fn failing_over_shows_early_bytes_to_the_tap_of_the_one_that_serves() {
    for (tapped, expected) in [(&[0][..], &b""[..]), (&[1], b"hello"), (&[0, 1], b"hello")] {
        let backend = Backend::new();
        let mut script = Script::with(vec![
            Answer::Connect(vec![refusing()]),
            Answer::Connect(vec![backend.address]),
        ]);
        script.tapped = tapped;
        let (rig, client) = with_early_bytes(script, b"hello");

        let mut served = backend.accept();
        finish_writing(&client);
        assert_eq!(read_all(&mut served), b"hello");
        drop(served);
        rig.diary.ended(1);

        assert_eq!(seen(&rig.diary, Origin::Client), expected, "{tapped:?}");
    }
}

#[test]
fn tap_outlives_half_a_close_and_ends_with_the_connection() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    script.tapped = &[0];
    let rig = Rig::start(script);
    let mut client = rig.client();
    client.write_all(b"please").unwrap();
    finish_writing(&client);
    let mut served = backend.accept();
    assert_eq!(read_all(&mut served), b"please");
    assert_eq!(*rig.diary.taps_dropped.lock().unwrap(), 0);

    served.write_all(&pattern(100_000)).unwrap();
    drop(served);
    assert_eq!(read_all(&mut client), pattern(100_000));
    let transfer = rig.diary.ended(1)[0];

    assert_eq!(transfer.ended, Ended::ByClient);
    assert_eq!(seen(&rig.diary, Origin::Client), b"please");
    assert_eq!(seen(&rig.diary, Origin::Backend), pattern(100_000));
    assert_eq!(*rig.diary.taps_dropped.lock().unwrap(), 1);
}

#[test]
fn what_came_before_a_reset_is_seen_and_the_tap_ends() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    script.tapped = &[0];
    let rig = Rig::start(script);
    let mut client = rig.client();
    client.write_all(b"last words").unwrap();
    let mut served = backend.accept();
    let mut got = [0; 10];
    std::io::Read::read_exact(&mut served, &mut got).unwrap();

    reset(client);
    rig.diary.ended(1);

    assert_eq!(seen(&rig.diary, Origin::Client), b"last words");
    assert_eq!(*rig.diary.taps_dropped.lock().unwrap(), 1);
}

#[test]
fn side_that_does_not_read_holds_the_tapped_one_back() {
    let backend = Backend::new();
    let mut script = Script::to(backend.address);
    script.tapped = &[0];
    let rig = Rig::start(script);
    let mut client = rig.client();
    let served = backend.accept();
    let silence = std::time::Duration::from_millis(200);
    served.set_write_timeout(Some(silence)).unwrap();
    let sent = pattern(64 * 1024 * 1024);
    let mut written = 0;
    // Until nothing has moved for a while, the kernel's buffers fill.
    while let Ok(count) = (&served).write(&sent[written..]) {
        written += count;
    }
    assert!(written < sent.len(), "nothing was held back");
    assert!(seen(&rig.diary, Origin::Backend).len() <= written);
    finish_writing(&served);

    assert!(read_all(&mut client) == sent[..written]);

    assert!(seen(&rig.diary, Origin::Backend) == sent[..written]);
}
