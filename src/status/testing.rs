//! What the tests of this room share: segments under keys that nobody else
//! has, and values in which no two fields are alike.

use std::fs::File;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags};

use crate::base::random::Random;
use crate::base::state::{Reason, ShownState};

use super::layout::segment_size;
use super::map::object_name;
use super::owner::{boottime_seconds, own_process_start};
use super::publish::SegmentWriter;
use super::snapshot::{
    BackendFacts, BackendNumbers, Phase, SegmentHeader, ServiceFacts, ServiceNumbers,
};

/// A key that no other test, process or service has: never 0x5852xxxx.
pub(super) fn fresh_key() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let turn = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
    let seed = u64::from(std::process::id()) << 32 | turn;
    let mut random = Random::new(seed ^ own_process_start().unwrap_or_default() << 20);
    (random.next_u64() as u32) & 0x0fff_ffff
}

/// The header of a segment of this process.
pub(super) fn header(key: u32) -> SegmentHeader {
    SegmentHeader {
        key,
        pid: std::process::id(),
        started: 1_700_000_000,
        heartbeat: boottime_seconds(),
        fingerprint: 0x0123_4567_89ab_cdef,
        phase: Phase::Starting,
        socket: "/run/crossroads/2817.sock".to_owned(),
        process_start: own_process_start().unwrap(),
    }
}

/// The service `shop`.
pub(super) fn shop() -> ServiceFacts {
    ServiceFacts {
        name: "shop".to_owned(),
        mode: "bysize over 4".to_owned(),
        port: 8443,
        bind: Ipv4Addr::new(192, 0, 2, 1).into(),
        http: true,
        shallow: false,
        max_connections: 300,
    }
}

/// A back end `name`.
pub(super) fn backend(name: &str) -> BackendFacts {
    BackendFacts {
        name: name.to_owned(),
        server: "10.0.0.5:80".to_owned(),
        weight: 2,
        decay: 3,
        retries: 4,
        max_connections: 5,
    }
}

/// Numbers of the service that all depend on `n`.
pub(super) fn service_numbers(n: u64) -> ServiceNumbers {
    ServiceNumbers {
        active: n,
        accepted: n.wrapping_mul(3),
        refused_deny: n.wrapping_mul(5),
        refused_allow: n.wrapping_mul(7),
        no_backend: n.wrapping_mul(9),
        allow_filters: n.wrapping_mul(11),
        deny_filters: n.wrapping_mul(13),
        allow_read: n.wrapping_mul(15),
        deny_read: n.wrapping_mul(17),
        hooks_dropped: n.wrapping_mul(19),
        helper_dropped: n.wrapping_mul(21),
        refused_requests: n.wrapping_mul(23),
        failed_requests: n.wrapping_mul(25),
    }
}

/// Numbers of a back end that all depend on `n`.
pub(super) fn backend_numbers(n: u64) -> BackendNumbers {
    BackendNumbers {
        state: ShownState::ALL[(n % 4) as usize],
        active: n,
        total: n.wrapping_mul(3),
        failures: n.wrapping_mul(5),
        consecutive_failures: n.wrapping_mul(7),
        bytes_to_client: n.wrapping_mul(9),
        bytes_to_backend: n.wrapping_mul(11),
        microseconds: n.wrapping_mul(13),
        usage: n as f64 * 1.5,
        since: n.wrapping_mul(15),
        reason: Reason::ALL[(n % 9) as usize],
        errno: n as u32,
        requests: n.wrapping_mul(17),
        replies: [19, 21, 23, 25, 27].map(|factor| n.wrapping_mul(factor)),
        first_byte_microseconds: n.wrapping_mul(29),
        aborted: n.wrapping_mul(31),
        log_dropped: n.wrapping_mul(33),
    }
}

/// The segment of `shop` with these back ends, under a fresh key.
pub(crate) fn segment(backends: &[&str]) -> (u32, SegmentWriter) {
    let key = fresh_key();
    let facts: Vec<_> = backends.iter().map(|name| backend(name)).collect();
    let writer = SegmentWriter::create(&header(key), &shop(), &facts).unwrap();
    (key, writer)
}

/// The object of `key`, to be damaged.
pub(super) fn open_for_writing(key: u32) -> File {
    let path = format!("/dev/shm{}", object_name(key));
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    File::from(rustix::fs::open(path, flags, Mode::empty()).unwrap())
}

/// The bytes of the segment of `key`.
pub(crate) fn bytes_of(key: u32) -> Vec<u8> {
    let bytes = std::fs::read(format!("/dev/shm{}", object_name(key))).unwrap();
    assert!(bytes.len() >= segment_size(0));
    bytes
}
