//! The cases, by feature. Each names its evidence and the conformance cases of
//! the specification (section 17) that it shows.

mod access;
mod accounts;
mod addresses;
mod captures;
mod commands;
mod control;
mod daemon;
mod dispatch;
mod failover;
mod farm;
mod flood;
mod handler;
mod harness;
mod helper_protocol;
mod helper_trouble;
mod helpers;
mod hooks;
mod http_answers;
mod http_bodies;
mod http_breaks;
mod http_continue;
mod http_crowd;
mod http_curl;
mod http_differential;
mod http_failures;
mod http_harness;
mod http_headers;
mod http_hooks;
mod http_keeping;
mod http_large;
mod http_limits;
mod http_pipelining;
mod http_privacy;
mod http_random;
mod http_refused;
mod http_remains;
mod http_repeats;
mod http_requests;
mod http_reuse;
mod http_servers;
mod http_shallow;
mod http_sticky;
mod http_stopping;
mod http_time_outs;
mod http_tunnels;
mod http_unsolicited;
mod http_websocket;
mod language;
mod lifecycle;
mod limits;
mod logs;
mod messages;
mod operator;
mod probes;
mod reading_back;
mod records;
mod relay;
mod remains;
mod resident;
mod revival;
mod segment;
mod sockets;
mod start;
mod status;
mod stopping;
mod storm;
mod syslog;
mod tell;
mod throughput;
mod time_outs;
mod trafficlog;

use crate::harness::http::{HttpBackend, sticky};
use crate::harness::{Backend, Proxy, Setup};

/// The three back ends of most cases; each says its name and then echoes.
struct Trees {
    maple: Backend,
    birch: Backend,
    cedar: Backend,
}

impl Trees {
    fn new() -> Self {
        Self {
            maple: Backend::banner("maple"),
            birch: Backend::banner("birch"),
            cedar: Backend::banner("cedar"),
        }
    }

    /// A service `shop` with all three, none of them with statements of its own.
    fn behind(&self, service: &str) -> Setup {
        Setup::new(service)
            .backend("maple", self.maple.server(), "")
            .backend("birch", self.birch.server(), "")
            .backend("cedar", self.cedar.server(), "")
    }
}

/// A service `shop` of `type http` whose only back end is maple.
fn http_shop(service: &str, maple: &Backend, body: &str) -> Proxy {
    Setup::http(service)
        .backend("maple", maple.server(), body)
        .start()
}

/// The same three as servers of HTTP. Each is found by the cookie `lane=NAME`,
/// and sets it.
struct Lanes {
    maple: HttpBackend,
    birch: HttpBackend,
    cedar: HttpBackend,
}

impl Lanes {
    fn new() -> Self {
        Self {
            maple: HttpBackend::named("maple"),
            birch: HttpBackend::named("birch"),
            cedar: HttpBackend::named("cedar"),
        }
    }

    /// A service `shop` with all three.
    fn behind(&self, service: &str) -> Setup {
        Setup::http(service)
            .backend("maple", self.maple.server(), &sticky("maple"))
            .backend("birch", self.birch.server(), &sticky("birch"))
            .backend("cedar", self.cedar.server(), &sticky("cedar"))
    }
}

/// The first letters of back end names, as the specification writes sequences.
fn initials(names: &[String]) -> String {
    names
        .iter()
        .filter_map(|name| name.chars().next())
        .collect()
}

/// Serves `count` clients, each to the end of its accounting before the next
/// one comes, and gives the initials of who served. Needs the flag `-a`.
fn accounted_visits(proxy: &Proxy, count: usize) -> String {
    let syslog = &proxy.sandbox().syslog;
    let before = syslog.matching("ending shop").len();
    let names: Vec<String> = (1..=count)
        .map(|ended| {
            let name = proxy.visit();
            syslog.await_lines("ending shop", before + ended);
            name
        })
        .collect();
    initials(&names)
}
