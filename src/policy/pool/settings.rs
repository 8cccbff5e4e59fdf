//! A service as its pool needs to know it.

use std::time::Duration;

use crate::base::endpoint::Endpoint;
use crate::base::name::BackendName;
use crate::base::quantity::{ConnectionLimit, Percent, Weight};
use crate::policy::dispatch::DispatchMode;

/// A back end as it is configured.
#[derive(Clone, Debug)]
pub struct PoolBackend {
    /// Its name.
    pub name: BackendName,
    /// Its address before look-up.
    pub server: Endpoint,
    /// How much weaker than its peers it is.
    pub weight: Weight,
    /// By how much its figure falls with each connection to another back end.
    pub decay: Percent,
    /// Consecutive connect failures that are allowed, 0 to 1000.
    pub retries: u16,
    /// Limit of concurrent connections to it.
    pub limit: ConnectionLimit,
}

/// A service as far as its back ends are concerned.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// How a back end is chosen.
    pub mode: DispatchMode,
    /// How long after its failure a back end is probed; `None` = never.
    pub reviving_interval: Option<Duration>,
    /// The same for a name that does not resolve, without `reviving_interval`.
    pub name_retry: Duration,
    /// Where the generator of `random` begins.
    pub seed: u64,
    /// The back ends in order of definition.
    pub backends: Vec<PoolBackend>,
}
