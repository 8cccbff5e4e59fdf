use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::super::publish::SegmentWriter;
use super::super::testing::{
    backend, backend_numbers, bytes_of, fresh_key, header, open_for_writing, segment,
    service_numbers, shop,
};
use super::*;
use crate::base::id::BackendId;
use crate::base::state::{Reason, ShownState};

const LIMIT: Duration = Duration::from_secs(20);

fn open(key: u32) -> StatusReader {
    StatusReader::open(key).unwrap().unwrap()
}

/// The bytes of a segment with two back ends.
fn sample() -> Vec<u8> {
    let (key, _writer) = segment(&["maple", "birch"]);
    bytes_of(key)
}

/// The sample with these bytes at `offset`.
fn damaged(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut sample = sample();
    sample[offset..offset + bytes.len()].copy_from_slice(bytes);
    sample
}

fn message(bytes: &[u8]) -> String {
    parse(bytes).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read() {
    let (key, mut writer) = segment(&["maple", "birch"]);
    writer.write_service(&service_numbers(4));
    writer.write_backend(BackendId(1), &backend_numbers(5));

    let snapshot = open(key).snapshot(LIMIT).unwrap();

    assert_eq!(snapshot.header, header(key));
    assert_eq!(snapshot.service.value, (shop(), service_numbers(4)));
    let birch = &snapshot.backends[1];
    assert_eq!(birch.value, (backend("birch"), backend_numbers(5)));
    assert!(!snapshot.service.torn && !birch.torn);
    assert_eq!(snapshot.backends.len(), 2);
}

#[test]
fn an_open_reader_sees_later_changes() {
    let (key, mut writer) = segment(&["maple"]);
    let reader = open(key);
    reader.snapshot(LIMIT).unwrap();

    writer.set_server(BackendId(0), "leaf:81");
    writer.heartbeat(77);

    let snapshot = reader.snapshot(LIMIT).unwrap();
    assert_eq!(snapshot.backends[0].value.0.server, "leaf:81");
    assert_eq!(reader.header().unwrap().heartbeat, 77);
}

#[test]
fn addresses_of_both_families_come_back() {
    for bind in [
        shop().bind,
        Ipv6Addr::UNSPECIFIED.into(),
        "2001:db8::7".parse().unwrap(),
        "0.0.0.0".parse().unwrap(),
    ] {
        let key = fresh_key();
        let facts = super::super::snapshot::ServiceFacts { bind, ..shop() };
        let _writer = SegmentWriter::create(&header(key), &facts, &[]).unwrap();

        let snapshot = open(key).snapshot(LIMIT).unwrap();

        assert_eq!(snapshot.service.value.0.bind, bind);
    }
}

/// Bytes that are read by so many calls.
struct Counted(Vec<u8>, std::cell::Cell<usize>);

impl Source for Counted {
    fn size(&self) -> io::Result<u64> {
        self.0.as_slice().size()
    }

    fn fill(&self, bytes: &mut [u8], offset: usize) -> io::Result<()> {
        self.1.set(self.1.get() + 1);
        self.0.as_slice().fill(bytes, offset)
    }
}

#[test]
fn segment_at_rest_takes_as_many_calls_whatever_it_holds() {
    let names: Vec<String> = (0..100).map(|number| format!("b{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for names in [&names[..1], &names] {
        let (key, _writer) = segment(names);
        let counted = Counted(bytes_of(key), Default::default());

        let snapshot = read_all(&counted, QUICK_TRIES, Instant::now() + LIMIT).unwrap();

        assert_eq!(snapshot.backends.len(), names.len());
        assert_eq!(counted.1.get(), 4);
    }
}

#[test]
fn no_object_is_no_error() {
    assert!(StatusReader::open(fresh_key()).unwrap().is_none());
}

#[test]
fn keys_of_all_objects_are_listed() {
    let (first, _first) = segment(&["maple"]);
    let (second, second_writer) = segment(&["maple"]);

    let both = list().unwrap();
    drop(second_writer);
    let one = list().unwrap();

    assert!(both.contains(&first) && both.contains(&second));
    assert!(one.contains(&first) && !one.contains(&second));
}

#[test]
fn object_of_another_account_is_not_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give an object away");
        return;
    }
    let (key, _writer) = segment(&["maple"]);
    std::os::unix::fs::fchown(open_for_writing(key), Some(65534), None).unwrap();

    let refused = StatusReader::open(key).unwrap_err();

    assert!(matches!(refused, OpenError::OtherOwner { uid: 65534, .. }));
    assert!(
        refused
            .to_string()
            .ends_with("belongs to another account (uid 65534)")
    );
}

#[test]
fn no_record_is_torn_while_the_writer_never_pauses() {
    const BACKENDS: u32 = 64;
    const SNAPSHOTS: usize = 300;
    let names: Vec<_> = (0..BACKENDS).map(|number| format!("b{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (key, mut writer) = segment(&names);
    let reader = open(key);
    let (ready, written) = std::sync::mpsc::channel();
    let done = AtomicBool::new(false);

    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..5_000_000 {
                (0..BACKENDS)
                    .for_each(|id| writer.write_backend(BackendId(id), &backend_numbers(n)));
                writer.write_service(&service_numbers(n));
                if n == 1 {
                    ready.send(()).unwrap();
                }
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let begun = written.recv_timeout(LIMIT);
        let outcome: Vec<_> = (0..SNAPSHOTS).map(|_| reader.snapshot(LIMIT)).collect();
        done.store(true, Ordering::Relaxed);
        begun.unwrap();
        let mut versions = std::collections::BTreeSet::new();
        for snapshot in outcome {
            let snapshot = snapshot.unwrap();
            let (_, service) = snapshot.service.value;
            assert_eq!(service, service_numbers(service.active));
            versions.insert(service.active);
            for record in snapshot.backends {
                assert!(!record.torn);
                assert_eq!(record.value.1, backend_numbers(record.value.1.active));
            }
        }
        assert!(versions.len() > 1, "the writer did not write meanwhile");
    });
}

#[test]
fn record_that_stays_odd_is_torn_after_the_limit() {
    let (key, _writer) = segment(&["maple", "birch"]);
    open_for_writing(key)
        .write_all_at(&7u64.to_ne_bytes(), 1280)
        .unwrap();

    let begun = Instant::now();
    let limit = Duration::from_millis(30);
    let snapshot = open(key).snapshot(limit).unwrap();

    assert!(begun.elapsed() >= limit);
    assert!(snapshot.backends[1].torn);
    assert!(!snapshot.backends[0].torn && !snapshot.service.torn);
    assert_eq!(snapshot.backends[1].value.0, backend("birch"));
}

#[test]
fn half_a_text_in_a_torn_record_is_no_error() {
    let mut bytes = damaged(768, &3u64.to_ne_bytes());
    bytes[776..779].copy_from_slice(b"a\xe9\x1b");

    let snapshot = parse(&bytes).unwrap();

    assert!(snapshot.backends[0].torn);
    let name = &snapshot.backends[0].value.0.name;
    assert_eq!(name, "a\u{fffd}\u{fffd}le");
}

#[test]
fn object_made_shorter_under_the_reader_is_an_error() {
    let (key, _writer) = segment(&["maple", "birch"]);
    let reader = open(key);
    let object = open_for_writing(key);

    object.set_len(1300).unwrap();
    let cut = reader.snapshot(LIMIT).unwrap_err();
    object.set_len(0).unwrap();
    let empty = reader.snapshot(LIMIT).unwrap_err();

    assert!(matches!(
        cut,
        ReadError::WrongSize {
            claimed: 1792,
            size: 1300
        }
    ));
    assert!(matches!(empty, ReadError::Truncated { size: 0 }));
}

#[test]
fn object_that_is_no_file_is_an_error() {
    let key = fresh_key();
    let path = format!("/dev/shm{}", object_name(key));
    std::fs::create_dir(&path).unwrap();

    let refused = StatusReader::open(key).map(|reader| reader.unwrap().snapshot(LIMIT));
    std::fs::remove_dir(&path).unwrap();

    assert!(matches!(refused, Ok(Err(ReadError::System(_)))));
}

#[test]
fn object_that_is_never_completed_is_an_error() {
    let (key, _writer) = segment(&["maple"]);
    open_for_writing(key).write_all_at(&[0; 8], 0).unwrap();

    let unfinished = open(key).snapshot(LIMIT).unwrap_err();

    assert!(matches!(unfinished, ReadError::WrongMagic));
}

#[test]
fn damage_is_named() {
    let size = 1792;
    for (bytes, expected) in [
        (
            Vec::new(),
            "not a status segment: it ends after 0 bytes".to_owned(),
        ),
        (
            sample()[..200].to_vec(),
            "not a status segment: it ends after 200 bytes".to_owned(),
        ),
        (
            sample()[..1700].to_vec(),
            "damaged status segment: it claims 1792 bytes and has 1700".to_owned(),
        ),
        (
            damaged(0, b"xrstatus"),
            "not a status segment: it does not begin with XRSTATUS".to_owned(),
        ),
        (
            damaged(8, &2u32.to_ne_bytes()),
            "status segment of another version: layout 2.2, not 1.x".to_owned(),
        ),
        (
            damaged(56, &3u32.to_ne_bytes()),
            format!("damaged status segment: 3 back ends do not fit into {size} bytes"),
        ),
        (
            damaged(56, &u32::MAX.to_ne_bytes()),
            format!("damaged status segment: 4294967295 back ends do not fit into {size} bytes"),
        ),
        (
            damaged(60, &9u32.to_ne_bytes()),
            "damaged status segment: 9 is not a phase".to_owned(),
        ),
        (
            damaged(264, b"\xff"),
            "damaged status segment: the name of the service is not a text".to_owned(),
        ),
        (
            damaged(776, b"\x1b[31m"),
            "damaged status segment: the name of a back end is not a text".to_owned(),
        ),
        (
            damaged(256 + 136, &65536u32.to_ne_bytes()),
            "damaged status segment: 65536 is not a port".to_owned(),
        ),
        (
            damaged(768 + 336, &4u32.to_ne_bytes()),
            "damaged status segment: 4 is not a state".to_owned(),
        ),
    ] {
        assert_eq!(message(&bytes), expected);
    }
}

#[test]
fn more_back_ends_than_allowed_are_an_error() {
    let size = super::super::layout::segment_size(1025);
    let mut bytes = sample();
    bytes.resize(size, 0);
    bytes[16..24].copy_from_slice(&(size as u64).to_ne_bytes());
    bytes[56..60].copy_from_slice(&1025u32.to_ne_bytes());

    assert!(matches!(
        parse(&bytes),
        Err(ReadError::WrongCount { count: 1025, .. })
    ));
}

#[test]
fn later_minor_version_with_an_unknown_reason_is_read() {
    let mut bytes = damaged(12, &7u32.to_ne_bytes());
    bytes[768 + 432..768 + 436].copy_from_slice(&99u32.to_ne_bytes());

    let snapshot = parse(&bytes).unwrap();

    assert_eq!(snapshot.backends[0].value.1.reason, Reason::Other);
    assert_eq!(snapshot.backends[0].value.1.state, ShownState::Available);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_make_a_segment(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        // The magic of 8 bytes does not come about by chance.
        prop_assert!(parse(&bytes).is_err());
    }

    #[test]
    fn random_damage_gives_a_snapshot_or_an_error(
        damage in proptest::collection::vec((0usize..1792, any::<u8>()), 1..40),
        length in 0usize..1793,
    ) {
        let mut bytes = sample();
        for (offset, byte) in damage {
            bytes[offset] = byte;
        }
        if let Ok(snapshot) = parse(&bytes) {
            prop_assert_eq!(snapshot.backends.len(), 2);
        }
        let cut = parse(&bytes[..length]);
        prop_assert!(length == bytes.len() || cut.is_err());
    }
}
