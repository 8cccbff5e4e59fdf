//! What publishing and reading a status costs.
//!
//! `cargo bench --bench status`

#![allow(clippy::unwrap_used, reason = "a bench that cannot begin has to stop")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crossroads::base::change::Touched;
use crossroads::base::endpoint::{Endpoint, Host};
use crossroads::base::event::{Event, EventSink};
use crossroads::base::id::BackendId;
use crossroads::base::name::{BackendName, ServiceName};
use crossroads::base::quantity::{ConnectionLimit, Percent, Weight};
use crossroads::base::traffic::Traffic;
use crossroads::policy::dispatch::{DispatchMode, Over};
use crossroads::policy::pool::{PoolBackend, PoolSettings, Tried};
use crossroads::service::table::{self, BackendTable};
use crossroads::status::owner::{boottime_seconds, own_process_start};
use crossroads::status::publish::SegmentWriter;
use crossroads::status::read::StatusReader;
use crossroads::status::snapshot::{
    BackendFacts, BackendNumbers, Phase, SegmentHeader, ServiceFacts, ServiceNumbers,
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

/// Nobody listens.
struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _event: &Event<'_>) {}
}

/// A service of a thousand back ends, for which `workers` move something.
fn service(number: u32, workers: usize) -> Arc<BackendTable> {
    let touched = Arc::new(Touched::new(1000, Arc::default()));
    let names = (0..1000).map(|at| BackendName::new(&format!("b{at}")).unwrap());
    let facts = (0..).map(BackendId).zip(names.clone());
    let facts = facts.map(|(id, name)| table::BackendFacts {
        name,
        verbose: false,
        traffic: Traffic::of_workers(workers, &touched, id),
    });
    let backends = names.map(|name| PoolBackend {
        name,
        server: Endpoint {
            host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
            port: 1,
        },
        weight: Weight::default(),
        decay: Percent::default(),
        retries: 0,
        limit: ConnectionLimit::NONE,
    });
    let settings = PoolSettings {
        mode: DispatchMode::BySize(Over::default()),
        reviving_interval: None,
        name_retry: Duration::from_secs(10),
        seed: 1,
        backends: backends.collect(),
    };
    let name = ServiceName::new("bench").unwrap();
    let segment = segment(number, 1000).1;
    let table = BackendTable::new(name, facts.collect(), settings, segment, Arc::new(Nobody));
    Arc::new(table.with_touched(touched))
}

/// The same with everything that is gathered for it: from the pools, and from
/// the counters of so many workers for each back end for which one of them has
/// moved something, here one of `each`. It happens every 150 ms.
#[divan::bench(args = [(2, 1), (16, 1), (2, 100), (16, 100)])]
fn gather_and_publish_10000_back_ends(bencher: Bencher<'_, '_>, (workers, each): (usize, usize)) {
    let tables: Vec<_> = (0..10).map(|number| service(number, workers)).collect();
    let touch = || {
        for table in &tables {
            for id in (0..1000).step_by(each).map(BackendId) {
                table.traffic(id, 0).add_to_client(1);
            }
        }
    };
    bencher.with_inputs(touch).bench_local_values(|()| {
        for table in &tables {
            table.publish(&ServiceNumbers::default(), 7);
        }
    });
}

/// What a client waits for in the lock of a service, and does in it.
#[divan::bench]
fn dispatch_by_a_table_of_1000(bencher: Bencher<'_, '_>) {
    let table = service(0, 2);
    let client = Ipv4Addr::LOCALHOST.into();
    bencher.bench_local(|| {
        if let Some((mut slot, _target)) = table.dispatch(client, &Tried::default()) {
            slot.connected();
        }
    });
}

#[divan::bench]
fn read_snapshot_of_100_back_ends(bencher: Bencher<'_, '_>) {
    let (key, _writer) = segment(0, 100);
    let reader = StatusReader::open(key).unwrap().unwrap();
    bencher.bench_local(|| reader.snapshot(Duration::from_secs(1)).unwrap());
}
