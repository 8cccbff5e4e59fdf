//! A service whose clients share connections to back ends.

use std::cell::Cell;
use std::ops::Deref;

use super::HttpBackend;
use crate::harness::{Proxy, Setup};

/// A service whose clients share connections.
pub(crate) struct Shared {
    proxy: Proxy,
    ended: Cell<usize>,
}

impl Shared {
    /// Starts it with one worker, so that there is one pool.
    pub(crate) fn start(setup: Setup) -> Self {
        Self {
            proxy: setup.flags(["-a", "-w", "1"]).start(),
            ended: Cell::new(0),
        }
    }

    /// The service with the one back end maple.
    pub(crate) fn before(maple: &HttpBackend, service: &str) -> Self {
        let setup = Setup::http(&format!("reuse safe; {service}"));
        Self::start(setup.backend("maple", maple.server(), ""))
    }

    /// Waits until one more lease of a connection has ended. What was leased is
    /// idle then, if it may be.
    #[track_caller]
    pub(crate) fn await_end_of_lease(&self) {
        self.ended.set(self.ended.get() + 1);
        let syslog = &self.proxy.sandbox().syslog;
        syslog.await_lines("ending shop", self.ended.get());
    }

    /// A client that comes, asks and goes.
    #[track_caller]
    pub(crate) fn visit(&self, target: &str) -> String {
        let text = self.proxy.http().get(target, "").text();
        self.await_end_of_lease();
        text
    }
}

impl Deref for Shared {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}
