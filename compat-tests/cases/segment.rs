//! The shared memory object: what it says at which time, and what happens when
//! it is not what it should be.

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{Client, Segment, until};

/// Offsets in the header (14.3).
const MAJOR: u64 = 8;
const SIZE: u64 = 16;
const HEARTBEAT: u64 = 40;
const PHASE: u64 = 60;
/// In the service record.
const ACCEPTED: u64 = 256 + 176;

fn number(segment: &Segment, offset: u64) -> u32 {
    u32::from_ne_bytes(segment.read(offset))
}

/// 14.3 (decided): the phase is 1 while the daemon listens and 2 while it stops.
#[test]
fn the_phase_follows_the_life_of_the_daemon() {
    let trees = Trees::new();
    let proxy = trees.behind("").flags(["-g", "600"]).start();
    let daemon = proxy.process();
    let (mut client, _) = proxy.greeted();
    let listening = number(&proxy.segment(), PHASE);

    daemon.signal(Signal::SIGTERM);
    until("the listener is closed", || {
        Client::try_connect(proxy.address()).is_err()
    });
    let stopping = number(&proxy.segment(), PHASE);
    client.assert_echo("in the grace");
    drop(client);
    daemon.await_end();

    assert_eq!((listening, stopping), (1, 2));
}

/// 14.3 (decided): the heartbeat goes on while nothing else happens.
#[test]
fn the_heartbeat_goes_on_without_traffic() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let segment = proxy.segment();
    let beat = || u64::from_ne_bytes(segment.read(HEARTBEAT));
    let first = beat();

    until("two seconds are counted", || beat() >= first + 2);

    assert!(
        !proxy
            .run(["--limit", "heartbeat=3", "status"])
            .clean()
            .contains("no sign of life")
    );
}

/// What a broken writer, another version or a full disk could leave in place of
/// the object of a service.
fn damages(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |offset: u64, bytes: &[u8]| {
        let mut damaged = good.to_vec();
        let offset = usize::try_from(offset).unwrap();
        damaged[offset..offset + bytes.len()].copy_from_slice(bytes);
        damaged
    };
    vec![
        ("empty", Vec::new()),
        ("shorter than its header", good[..100].to_vec()),
        ("cut in a record", good[..good.len() - 300].to_vec()),
        ("longer than it says", [good, &[0; 512]].concat()),
        ("another magic", with(0, b"XRSTATUT")),
        ("a later layout", with(MAJOR, &2_u32.to_ne_bytes())),
        ("a size that is none", with(SIZE, &u64::MAX.to_ne_bytes())),
        ("nothing but ones", vec![0xff; good.len()]),
    ]
}

/// 14.3 (decided): another version, a wrong magic or size is an error with a
/// clear message for every command, never a crash, and never removed.
#[test]
fn a_damaged_object_is_an_error_of_one_line_for_every_command() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    proxy.kill();
    let segment = proxy.segment();
    let good = std::fs::read(segment.path()).unwrap();

    for (damage, bytes) in damages(&good) {
        std::fs::write(segment.path(), &bytes).unwrap();

        let start = proxy.run(["start"]);
        let status = proxy.run(["status"]);
        let tell = proxy.run(["tell", "shop", "maple", "down"]);
        let stop = proxy.run(["stop"]);

        for run in [start, status, tell, stop] {
            let text = run.failed_with_one_line();
            assert!(text.contains("shared memory"), "{damage}: {text}");
        }
        assert_eq!(std::fs::read(segment.path()).unwrap(), bytes, "{damage}");
    }

    std::fs::write(segment.path(), &good).unwrap();
    proxy.run(["start"]).ok();
    assert_eq!(proxy.visit(), "maple");
}

/// 14.3 (decided): whoever can write the object, the daemon included, can put
/// anything into its records; `status` shows something or says what is wrong.
#[test]
fn records_of_nonsense_do_not_crash_status() {
    let trees = Trees::new();
    // A record that cannot be read hides whose socket there is, so that is asked.
    let limits = ["--limit", "record=0.05", "--limit", "control=0.05"];
    let proxy = trees.behind("").start();
    let daemon = proxy.process();
    daemon.freeze();
    let segment = proxy.segment();
    let good = std::fs::read(segment.path()).unwrap();

    for place in (256..good.len() as u64).step_by(64) {
        for form in ["-v", "-j", "-x"] {
            segment.tamper(place, &[0xfe; 64]);
            let run = proxy.run([&limits[..], &["status", form]].concat());
            segment.tamper(place, &good[usize::try_from(place).unwrap()..][..64]);
            assert!(matches!(run.code, Some(0 | 1)), "{place} {form} {run:#?}");
            assert!(!run.stderr.contains("panicked"), "{place} {form}");
        }
    }

    daemon.signal(Signal::SIGCONT);
    assert_eq!(proxy.visit(), "maple");
}

/// 14.3 (decided): numbers are published at least every 200 ms. Each client
/// comes right behind a publication, so the waits add up to the intervals.
#[test]
fn numbers_are_published_at_least_every_200_ms() {
    const COUNT: u64 = 8;
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let segment = proxy.segment();
    let accepted = || u64::from_ne_bytes(segment.read(ACCEPTED));

    let mut waited = std::time::Duration::ZERO;
    for number in 1..=COUNT {
        proxy.visit();
        let served = std::time::Instant::now();
        until("the client is counted", || accepted() == number);
        waited += served.elapsed();
    }

    let limit = std::time::Duration::from_millis(200 * COUNT + 1500);
    assert!(waited < limit, "{COUNT} publications took {waited:?}");
}
