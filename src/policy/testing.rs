//! What the tests of this room share: the service of the specification's
//! examples, and clients that go through it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::test_runner::{Config, RngAlgorithm, RngSeed};

use crate::base::endpoint::Endpoint;
use crate::base::id::BackendId;
use crate::base::moment::Moment;
use crate::base::name::BackendName;
use crate::base::quantity::{ConnectionLimit, Percent, Weight};
use crate::base::state::{ConnectFailure, Reason};
use crate::policy::dispatch::{DispatchMode, Over};
use crate::policy::pool::{Pool, PoolBackend, PoolSettings, Sample, Ticket, Tried};

/// The back ends of the examples, in order of definition.
pub(crate) const MAPLE: BackendId = BackendId(0);
pub(crate) const BIRCH: BackendId = BackendId(1);
pub(crate) const CEDAR: BackendId = BackendId(2);

/// Some client whose address does not matter.
pub(crate) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A back end that answers with a reset.
pub(crate) const REFUSED: ConnectFailure = ConnectFailure {
    reason: Reason::Refused,
    errno: 111,
};

/// A back end whose name nobody knows.
pub(crate) const NO_ADDRESS: ConnectFailure = ConnectFailure {
    reason: Reason::NameDoesNotResolve,
    errno: 0,
};

/// Property tests with a fixed seed and a bounded number of cases, so that a
/// run can be repeated and leaves no file behind.
pub(crate) fn property_config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(0x0c10_55f0_ad5e_ed00),
        ..Config::default()
    }
}

pub(crate) fn over(window: u32) -> Over {
    Over::new(window).unwrap()
}

pub(crate) fn weight(weight: u32) -> Weight {
    Weight::new(weight).unwrap()
}

pub(crate) fn percent(percent: u32) -> Percent {
    Percent::new(percent).unwrap()
}

pub(crate) fn limit(limit: u32) -> ConnectionLimit {
    ConnectionLimit::new(limit)
}

pub(crate) fn server(port: u16) -> Endpoint {
    Endpoint::parse(&format!("192.0.2.80:{port}")).unwrap()
}

/// A back end with nothing but defaults.
pub(crate) fn backend(name: &str) -> PoolBackend {
    PoolBackend {
        name: BackendName::new(name).unwrap(),
        server: server(80),
        weight: Weight::default(),
        decay: Percent::default(),
        retries: 0,
        limit: ConnectionLimit::NONE,
    }
}

/// Maple, birch and cedar with these weights.
pub(crate) fn weighted(weights: [u32; 3]) -> Vec<PoolBackend> {
    let named = ["maple", "birch", "cedar"].into_iter().zip(weights);
    let with = |(name, of)| PoolBackend {
        weight: weight(of),
        ..backend(name)
    };
    named.map(with).collect()
}

/// A service without revival.
pub(crate) fn settings(mode: DispatchMode, backends: Vec<PoolBackend>) -> PoolSettings {
    PoolSettings {
        mode,
        reviving_interval: None,
        name_retry: Duration::from_secs(10),
        seed: 1,
        backends,
    }
}

/// The pool of such a service, started at any moment.
pub(crate) fn pool(mode: DispatchMode, backends: Vec<PoolBackend>) -> Pool {
    Pool::new(settings(mode, backends), Moment::now())
}

/// Maple, birch and cedar without weights.
pub(crate) fn three(mode: DispatchMode) -> Pool {
    pool(mode, weighted([1, 1, 1]))
}

pub(crate) fn tried(backends: &[BackendId]) -> Tried {
    let mut tried = Tried::default();
    for &backend in backends {
        tried.insert(backend);
    }
    tried
}

pub(crate) fn bytes(bytes: u64) -> Sample {
    Sample {
        bytes,
        duration: Duration::ZERO,
        first_byte: None,
    }
}

pub(crate) fn lasting(duration: Duration) -> Sample {
    Sample {
        bytes: 0,
        duration,
        first_byte: None,
    }
}

/// One client comes and stays.
pub(crate) fn stay(pool: &mut Pool) -> Option<Ticket> {
    let ticket = pool.dispatch(CLIENT, &Tried::default())?;
    pool.connected(&ticket);
    Some(ticket)
}

/// One client comes, is served, and leaves a sample that depends on where.
pub(crate) fn serve(pool: &mut Pool, sample: impl Fn(BackendId) -> Sample) -> BackendId {
    let ticket = stay(pool).unwrap();
    let backend = ticket.backend();
    pool.finish(ticket, sample(backend));
    backend
}

/// One client comes, fails over past the back ends that refuse, and is served.
pub(crate) fn fail_over(pool: &mut Pool, refusing: &[BackendId], now: Moment) -> Vec<BackendId> {
    let mut tried = Tried::default();
    let mut way = Vec::new();
    while let Some(ticket) = pool.dispatch(CLIENT, &tried) {
        let backend = ticket.backend();
        tried.insert(backend);
        way.push(backend);
        if refusing.contains(&backend) {
            pool.connect_failed(ticket, REFUSED, now);
        } else {
            pool.connected(&ticket);
            pool.finish(ticket, bytes(1));
            break;
        }
    }
    way
}

/// The first letters of maple, birch, cedar, as the examples have them.
pub(crate) fn letters(backends: impl IntoIterator<Item = BackendId>) -> String {
    let letter = |backend: BackendId| ["m", "b", "c"][backend.index()];
    let letters: Vec<_> = backends.into_iter().map(letter).collect();
    letters.join(" ")
}
