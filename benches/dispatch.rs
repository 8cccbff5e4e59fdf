//! What one decision costs: a client is given to one of 2 to 1000 back ends in
//! each mode, served and let go, as the critical section of a service does.
//!
//! `cargo bench --bench dispatch`; one mode or size by a filter, such as
//! `-- "bysize over 100 among 1000"`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crossroads::base::endpoint::{Endpoint, Host};
use crossroads::base::id::BackendId;
use crossroads::base::moment::Moment;
use crossroads::base::name::{BackendName, NameError};
use crossroads::base::quantity::{ConnectionLimit, Percent, Weight};
use crossroads::base::state::ShownState;
use crossroads::policy::dispatch::{DispatchMode, Over, Stickiness};
use crossroads::policy::pool::{Pool, PoolBackend, PoolSettings, Released, Sample, Ticket, Tried};
use divan::{Bencher, black_box};

const SIZES: [u32; 4] = [2, 20, 100, 1000];

fn main() {
    divan::main();
}

/// A mode at work among so many back ends.
#[derive(Clone, Copy)]
struct Case {
    mode: DispatchMode,
    backends: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} among {}", self.mode, self.backends)
    }
}

/// Every mode that is built in.
fn modes() -> [DispatchMode; 13] {
    [
        DispatchMode::RoundRobin,
        DispatchMode::Random,
        DispatchMode::ByOrder,
        DispatchMode::ByConnections,
        DispatchMode::BySize(over(0)),
        DispatchMode::BySize(over(1)),
        DispatchMode::BySize(over(100)),
        DispatchMode::ByDuration(over(0)),
        DispatchMode::ByDuration(over(100)),
        DispatchMode::ByDuration(over(10_000)),
        DispatchMode::ByClientIp(Stickiness::Strict),
        DispatchMode::ByClientIp(Stickiness::Lax),
        DispatchMode::ExternalHandler,
    ]
}

/// Every mode with every size.
fn cases() -> Vec<Case> {
    let sizes = |mode| SIZES.map(|backends| Case { mode, backends });
    modes().into_iter().flat_map(sizes).collect()
}

/// Every mode with the greatest size.
fn great_cases() -> Vec<Case> {
    let great = |mode| Case {
        mode,
        backends: 1000,
    };
    modes().into_iter().map(great).collect()
}

/// A back end with a weight of its own.
fn backend(at: u32, decay: u32) -> Result<PoolBackend, NameError> {
    Ok(PoolBackend {
        name: BackendName::new(&format!("backend_{at}"))?,
        server: Endpoint {
            host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
            port: 80,
        },
        weight: Weight::new(1 + at % 5).unwrap_or_default(),
        decay: Percent::new(decay).unwrap_or_default(),
        retries: 0,
        limit: ConnectionLimit::new(1_000),
    })
}

/// A service that has seen every back end once.
fn decaying_pool(case: Case, decay: u32) -> Pool {
    let backends = 0..case.backends;
    let backends = backends.filter_map(|at| backend(at, decay).ok());
    let settings = PoolSettings {
        mode: case.mode,
        reviving_interval: Some(Duration::from_secs(10)),
        name_retry: Duration::from_secs(10),
        seed: 1,
        backends: backends.collect(),
    };
    let mut pool = Pool::new(settings, Moment::now());
    for at in 0..case.backends {
        if let Some(ticket) = pool.dispatch_to(BackendId(at), &Tried::default()) {
            pool.connected(&ticket);
            pool.finish(ticket, sample(u64::from(at)));
        }
    }
    pool
}

fn pool(case: Case) -> Pool {
    decaying_pool(case, 20)
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
fn pick(bencher: Bencher<'_, '_>, pool: &mut Pool, tried: &Tried) {
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        if let Some(ticket) = pool.dispatch(black_box(client(n)), tried) {
            pool.release(ticket, Released::NotHeldAgainst);
        }
    });
}

/// A whole connection: choice, connect with the decay of the others, end.
fn serve(bencher: Bencher<'_, '_>, pool: &mut Pool, tried: &Tried) {
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        if let Some(ticket) = pool.dispatch(black_box(client(n)), tried) {
            pool.connected(&ticket);
            pool.finish(ticket, sample(n));
        }
    });
}

fn over(window: u32) -> Over {
    Over::new(window).unwrap_or_default()
}

/// Leaves those back ends usable; the others are down, or full, by turns. Gives
/// the places that must stay taken.
fn hinder(pool: &mut Pool, stays: impl Fn(usize) -> bool) -> Vec<Ticket> {
    let mut taken = Vec::new();
    for at in (0..pool.len()).filter(|&at| !stays(at)) {
        let id = BackendId(at as u32);
        if at % 2 == 0 {
            pool.tell(id, ShownState::Down, Moment::now());
            continue;
        }
        while let Some(ticket) = pool.dispatch_to(id, &Tried::default()) {
            taken.push(ticket);
        }
    }
    taken
}

#[divan::bench(args = cases())]
fn picked(bencher: Bencher<'_, '_>, case: Case) {
    pick(bencher, &mut pool(case), &Tried::default());
}

#[divan::bench(args = cases())]
fn served(bencher: Bencher<'_, '_>, case: Case) {
    serve(bencher, &mut pool(case), &Tried::default());
}

/// When most, or some, of a thousand back ends are no candidates, or when all
/// that is old is forgotten at once.
mod awkward {
    use super::{BackendId, Bencher, Case, Tried, decaying_pool, great_cases, hinder, pool, serve};

    #[divan::bench(args = great_cases())]
    fn last_one_is_usable(bencher: Bencher<'_, '_>, case: Case) {
        let mut pool = pool(case);
        let last = pool.len() - 1;
        let _taken = hinder(&mut pool, |at| at == last);
        serve(bencher, &mut pool, &Tried::default());
    }

    #[divan::bench(args = great_cases())]
    fn none_is_usable(bencher: Bencher<'_, '_>, case: Case) {
        let mut pool = pool(case);
        let _taken = hinder(&mut pool, |_| false);
        serve(bencher, &mut pool, &Tried::default());
    }

    #[divan::bench(args = great_cases())]
    fn every_other_one_is_usable(bencher: Bencher<'_, '_>, case: Case) {
        let mut pool = pool(case);
        let _taken = hinder(&mut pool, |at| at % 4 < 2);
        serve(bencher, &mut pool, &Tried::default());
    }

    #[divan::bench(args = great_cases())]
    fn one_in_eight_is_not_usable(bencher: Bencher<'_, '_>, case: Case) {
        let mut pool = pool(case);
        let _taken = hinder(&mut pool, |at| at % 8 != 3);
        serve(bencher, &mut pool, &Tried::default());
    }

    #[divan::bench(args = great_cases())]
    fn one_in_fifty_was_tried(bencher: Bencher<'_, '_>, case: Case) {
        let mut tried = Tried::default();
        (0..1000)
            .step_by(50)
            .for_each(|at| tried.insert(BackendId(at)));
        serve(bencher, &mut pool(case), &tried);
    }

    #[divan::bench(args = great_cases())]
    fn decay_99(bencher: Bencher<'_, '_>, case: Case) {
        serve(bencher, &mut decaying_pool(case, 99), &Tried::default());
    }

    #[divan::bench(args = great_cases())]
    fn decay_100(bencher: Bencher<'_, '_>, case: Case) {
        serve(bencher, &mut decaying_pool(case, 100), &Tried::default());
    }
}
