use std::os::unix::fs::MetadataExt;

use super::super::map::object_name;
use super::super::owner::own_process_start;
use super::super::testing::{
    backend, backend_numbers, bytes_of, fresh_key, header, open_for_writing, segment,
    service_numbers, shop,
};
use super::*;
use crate::base::state::{Reason, ShownState};

/// Bytes put together by the numbers of the specification alone.
struct Expected(Vec<u8>);

impl Expected {
    fn text(&mut self, offset: usize, text: &str) {
        self.0[offset..offset + text.len()].copy_from_slice(text.as_bytes());
    }

    fn u32(&mut self, offset: usize, value: u32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn u64(&mut self, offset: usize, value: u64) {
        self.0[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
    }
}

#[test]
fn header_has_the_bytes_of_the_specification() {
    let (key, writer) = segment(&["maple", "birch"]);
    writer.set_phase(Phase::Stopping);
    writer.heartbeat(99);

    let mut expected = Expected(vec![0; 256]);
    expected.text(0, "XRSTATUS");
    expected.u32(8, 1);
    expected.u32(12, 2);
    expected.u64(16, 768 + 2 * 512);
    expected.u32(24, key);
    expected.u32(28, std::process::id());
    expected.u64(32, 1_700_000_000);
    expected.u64(40, 99);
    expected.u64(48, 0x0123_4567_89ab_cdef);
    expected.u32(56, 2);
    expected.u32(60, 2);
    expected.text(64, "/run/crossroads/2817.sock");
    expected.u64(176, own_process_start().unwrap());
    assert_eq!(bytes_of(key)[..256], expected.0);
}

#[test]
fn service_record_has_the_bytes_of_the_specification() {
    let (key, mut writer) = segment(&["maple"]);
    writer.write_service(&service_numbers(2));

    let mut expected = Expected(vec![0; 512]);
    // Three changes: facts, zeros, numbers.
    expected.u64(0, 6);
    expected.text(8, "shop");
    expected.text(72, "bysize over 4");
    expected.u32(136, 8443);
    expected.u32(140, 1);
    expected.0[154..160].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    for (offset, value) in [
        (160, 2),
        (168, 300),
        (176, 6),
        (184, 10),
        (192, 14),
        (200, 18),
        (208, 22),
        (216, 26),
        (224, 30),
        (232, 34),
        (240, 38),
        (248, 42),
        (256, 46),
        (264, 50),
    ] {
        expected.u64(offset, value);
    }
    assert_eq!(bytes_of(key)[256..768], expected.0);
}

#[test]
fn backend_record_has_the_bytes_of_the_specification() {
    let (key, mut writer) = segment(&["maple", "birch"]);
    writer.write_backend(BackendId(1), &backend_numbers(6));
    writer.set_server(BackendId(1), "[2001:db8::1]:81");

    let mut expected = Expected(vec![0; 512]);
    // Four changes: facts, zeros, numbers, server.
    expected.u64(0, 8);
    expected.text(8, "birch");
    expected.text(72, "[2001:db8::1]:81");
    for (offset, value) in [(336, 2), (340, 2), (344, 3), (348, 4), (432, 6), (436, 6)] {
        expected.u32(offset, value);
    }
    expected.u64(352, 5);
    for (turn, offset) in [360, 368, 376, 384, 392, 400, 408].into_iter().enumerate() {
        let factor = [1, 3, 5, 7, 9, 11, 13][turn];
        expected.u64(offset, 6 * factor);
    }
    expected.u64(416, 9.0f64.to_bits());
    for (turn, offset) in (424..=424).chain((440..=504).step_by(8)).enumerate() {
        let factor = [15, 17, 19, 21, 23, 25, 27, 29, 31, 33][turn];
        expected.u64(offset, 6 * factor);
    }
    assert_eq!(bytes_of(key)[1280..1792], expected.0);
}

#[test]
fn a_new_backend_is_available_since_the_start() {
    let numbers = BackendNumbers::at_start(7);

    assert_eq!((numbers.state, numbers.since), (ShownState::Available, 7));
    assert_eq!((numbers.reason, numbers.total), (Reason::None, 0));
}

#[test]
fn object_is_closed_to_others() {
    let (key, _writer) = segment(&["maple"]);

    let mode = open_for_writing(key).metadata().unwrap().mode();

    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn dropping_the_writer_removes_the_object() {
    let (key, writer) = segment(&["maple"]);
    let path = format!("/dev/shm{}", object_name(key));
    assert!(std::fs::exists(&path).unwrap());

    drop(writer);

    assert!(!std::fs::exists(&path).unwrap());
}

#[test]
fn object_that_took_the_name_meanwhile_is_not_removed() {
    let (key, mut old) = segment(&["maple"]);
    old.remove().unwrap();
    let _new = SegmentWriter::create(&header(key), &shop(), &[]).unwrap();

    old.remove().unwrap();
    drop(old);

    assert_eq!(bytes_of(key).len(), 768);
}

#[test]
fn object_that_was_replaced_is_not_removed() {
    let (key, old) = segment(&["maple"]);
    super::super::map::unlink(key).unwrap();
    let _new = SegmentWriter::create(&header(key), &shop(), &[]).unwrap();

    drop(old);

    assert_eq!(bytes_of(key).len(), 768);
}

#[test]
fn object_that_is_there_already_is_left_alone() {
    let (key, _writer) = segment(&["maple"]);

    let second = SegmentWriter::create(&header(key), &shop(), &[]);

    assert!(matches!(second, Err(CreateError::AlreadyThere { key: taken }) if taken == key));
    assert_eq!(bytes_of(key).len(), 1280);
}

#[test]
fn more_back_ends_than_allowed_are_refused() {
    let facts = vec![backend("maple"); 1025];

    let refused = SegmentWriter::create(&header(fresh_key()), &shop(), &facts);

    assert!(matches!(
        refused,
        Err(CreateError::TooManyBackends { count: 1025 })
    ));
}

#[test]
fn pages_are_reserved_at_the_start() {
    let facts = vec![backend("maple"); 100];
    let key = fresh_key();
    let _writer = SegmentWriter::create(&header(key), &shop(), &facts).unwrap();

    let found = open_for_writing(key).metadata().unwrap();

    assert!(found.blocks() * 512 >= found.len());
}
