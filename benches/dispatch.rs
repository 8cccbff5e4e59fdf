//! What one decision costs: a client is given to one of 2, 20 or 500 back ends
//! in each mode, served and let go, as the critical section of a service does.
//!
//! `cargo bench --bench dispatch`

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crossroads::base::endpoint::{Endpoint, Host};
use crossroads::base::id::BackendId;
use crossroads::base::moment::Moment;
use crossroads::base::name::{BackendName, NameError};
use crossroads::base::quantity::{ConnectionLimit, Percent, Weight};
use crossroads::policy::dispatch::{DispatchMode, Over, Stickiness};
use crossroads::policy::pool::{Pool, PoolBackend, PoolSettings, Released, Sample, Tried};
use divan::{Bencher, black_box};

const SIZES: [u32; 3] = [2, 20, 500];

fn main() {
    divan::main();
}

/// A back end with a weight of its own, decaying by a fifth.
fn backend(at: u32) -> Result<PoolBackend, NameError> {
    Ok(PoolBackend {
        name: BackendName::new(&format!("backend_{at}"))?,
        server: Endpoint {
            host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
            port: 80,
        },
        weight: Weight::new(1 + at % 5).unwrap_or_default(),
        decay: Percent::new(20).unwrap_or_default(),
        retries: 0,
        limit: ConnectionLimit::new(1_000),
    })
}

/// A service that has seen every back end once.
fn pool(mode: DispatchMode, backends: u32) -> Pool {
    let settings = PoolSettings {
        mode,
        reviving_interval: Some(Duration::from_secs(10)),
        name_retry: Duration::from_secs(10),
        seed: 1,
        backends: (0..backends).filter_map(|at| backend(at).ok()).collect(),
    };
    let mut pool = Pool::new(settings, Moment::now());
    for at in 0..backends {
        if let Some(ticket) = pool.dispatch_to(BackendId(at), &Tried::default()) {
            pool.connected(&ticket);
            pool.finish(ticket, sample(u64::from(at)));
        }
    }
    pool
}

fn sample(n: u64) -> Sample {
    Sample {
        bytes: 1_000 + n % 7_000,
        duration: Duration::from_micros(500 + n % 300),
        first_byte: None,
    }
}

fn client(n: u64) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 | (n as u32 & 0x00ff_ffff)).into()
}

/// Choice and reservation, given back at once.
fn pick(bencher: Bencher<'_, '_>, mode: DispatchMode, backends: u32) {
    let mut pool = pool(mode, backends);
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        let ticket = pool.dispatch(black_box(client(n)), &Tried::default());
        if let Some(ticket) = ticket {
            pool.release(ticket, Released::NotHeldAgainst);
        }
    });
}

/// A whole connection: choice, connect with the decay of the others, end.
fn serve(bencher: Bencher<'_, '_>, mode: DispatchMode, backends: u32) {
    let mut pool = pool(mode, backends);
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        let ticket = pool.dispatch(black_box(client(n)), &Tried::default());
        if let Some(ticket) = ticket {
            pool.connected(&ticket);
            pool.finish(ticket, sample(n));
        }
    });
}

fn over(window: u32) -> Over {
    Over::new(window).unwrap_or_default()
}

/// A connection in the modes whose figures decay.
mod served {
    use super::{Bencher, DispatchMode, SIZES, over, serve};

    #[divan::bench(args = SIZES)]
    fn bysize(bencher: Bencher<'_, '_>, backends: u32) {
        serve(bencher, DispatchMode::BySize(over(0)), backends);
    }

    #[divan::bench(args = SIZES)]
    fn bysize_over_100(bencher: Bencher<'_, '_>, backends: u32) {
        serve(bencher, DispatchMode::BySize(over(100)), backends);
    }

    #[divan::bench(args = SIZES)]
    fn byduration_over_10000(bencher: Bencher<'_, '_>, backends: u32) {
        serve(bencher, DispatchMode::ByDuration(over(10_000)), backends);
    }

    #[divan::bench(args = SIZES)]
    fn roundrobin(bencher: Bencher<'_, '_>, backends: u32) {
        serve(bencher, DispatchMode::RoundRobin, backends);
    }
}

#[divan::bench(args = SIZES)]
fn roundrobin(bencher: Bencher<'_, '_>, backends: u32) {
    pick(bencher, DispatchMode::RoundRobin, backends);
}

#[divan::bench(args = SIZES)]
fn random(bencher: Bencher<'_, '_>, backends: u32) {
    pick(bencher, DispatchMode::Random, backends);
}

#[divan::bench(args = SIZES)]
fn bysize(bencher: Bencher<'_, '_>, backends: u32) {
    pick(bencher, DispatchMode::BySize(over(0)), backends);
}

#[divan::bench(args = SIZES)]
fn byduration(bencher: Bencher<'_, '_>, backends: u32) {
    pick(bencher, DispatchMode::ByDuration(over(100)), backends);
}

#[divan::bench(args = SIZES)]
fn byconnections(bencher: Bencher<'_, '_>, backends: u32) {
    pick(bencher, DispatchMode::ByConnections, backends);
}

#[divan::bench(args = SIZES)]
fn byorder(bencher: Bencher<'_, '_>, backends: u32) {
    pick(bencher, DispatchMode::ByOrder, backends);
}

#[divan::bench(args = SIZES)]
fn byclientip(bencher: Bencher<'_, '_>, backends: u32) {
    pick(
        bencher,
        DispatchMode::ByClientIp(Stickiness::Strict),
        backends,
    );
}

#[divan::bench(args = SIZES)]
fn byclientiplax(bencher: Bencher<'_, '_>, backends: u32) {
    pick(bencher, DispatchMode::ByClientIp(Stickiness::Lax), backends);
}
