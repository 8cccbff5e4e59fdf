//! What publishing and reading a status costs.
//!
//! `cargo bench --bench status`

#![allow(clippy::unwrap_used, reason = "a bench that cannot begin has to stop")]

use std::net::Ipv4Addr;
use std::time::Duration;

use crossroads::base::id::BackendId;
use crossroads::status::owner::{boottime_seconds, own_process_start};
use crossroads::status::publish::SegmentWriter;
use crossroads::status::read::StatusReader;
use crossroads::status::snapshot::{
    BackendFacts, BackendNumbers, Phase, SegmentHeader, ServiceFacts,
};
use divan::{AllocProfiler, Bencher};

/// Shows allocations beside times: publishing has none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A segment with `backends` back ends; `number` keeps those of one bench apart.
fn segment(number: u32, backends: usize) -> (u32, SegmentWriter) {
    let key = 0x1000_0000 | (std::process::id() & 0xf_ffff) << 4 | number;
    let header = SegmentHeader {
        key,
        pid: std::process::id(),
        started: 0,
        heartbeat: boottime_seconds(),
        fingerprint: 0,
        phase: Phase::Listening,
        socket: String::new(),
        process_start: own_process_start().unwrap(),
    };
    let service = ServiceFacts {
        name: "bench".to_owned(),
        mode: "roundrobin".to_owned(),
        port: 1,
        bind: Ipv4Addr::LOCALHOST.into(),
        http: false,
        shallow: false,
        max_connections: 0,
    };
    let backend = |number| BackendFacts {
        name: format!("b{number}"),
        server: "127.0.0.1:1".to_owned(),
        weight: 1,
        decay: 0,
        retries: 0,
        max_connections: 0,
    };
    let backends: Vec<_> = (0..backends).map(backend).collect();
    let writer = SegmentWriter::create(&header, &service, &backends).unwrap();
    (key, writer)
}

#[divan::bench]
fn publish_one_back_end(bencher: Bencher<'_, '_>) {
    let (_, mut writer) = segment(0, 1);
    let numbers = BackendNumbers::at_start(7);
    bencher.bench_local(|| writer.write_backend(BackendId(0), divan::black_box(&numbers)));
}

/// One tick of a daemon with ten services of a thousand back ends each.
#[divan::bench]
fn publish_10000_back_ends(bencher: Bencher<'_, '_>) {
    let mut writers: Vec<_> = (0..10).map(|number| segment(number, 1000).1).collect();
    let numbers = BackendNumbers::at_start(7);
    bencher.bench_local(|| {
        for writer in &mut writers {
            (0..1000)
                .for_each(|id| writer.write_backend(BackendId(id), divan::black_box(&numbers)));
        }
    });
}

#[divan::bench]
fn read_snapshot_of_100_back_ends(bencher: Bencher<'_, '_>) {
    let (key, _writer) = segment(0, 100);
    let reader = StatusReader::open(key).unwrap().unwrap();
    bencher.bench_local(|| reader.snapshot(Duration::from_secs(1)).unwrap());
}
