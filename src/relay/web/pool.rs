//! Connections to back ends that no client needs now, kept for the next one.
//!
//! Only connections between two exchanges get here, with nothing unsent; that
//! nothing is unread is looked at when one is lent. They stay in the epoll set
//! under their link: one that has an event here, be it bytes or its end, is
//! closed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::base::endpoint::BackendAddr;
use crate::relay::engine::{Core, Engine};
use crate::relay::flow::is_quiet;
use crate::relay::host::{Attempt, Host, PoolKey, RelayKey};
use crate::relay::side::Side;
use crate::relay::web::links::{LinkOwner, Loose};

/// An idle connection.
struct Idle {
    loose: Loose,
    to: BackendAddr,
    until: Instant,
}

/// The idle connections of one worker, the one used last at the end of each
/// list.
#[derive(Default)]
pub(in crate::relay) struct Pool {
    idle: HashMap<PoolKey, Vec<Idle>>,
    /// The earliest end of a time to be kept, or earlier.
    due: Option<Instant>,
}

impl Pool {
    /// When [`Engine::sweep_pool`] has something to do at the earliest.
    pub(in crate::relay) fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// The sockets of all of them.
    #[cfg(test)]
    pub(in crate::relay) fn sockets(&self) -> Vec<&std::os::fd::OwnedFd> {
        let idle = self.idle.values().flatten();
        idle.map(|idle| &idle.loose.socket).collect()
    }
}

impl<H: Host> Engine<H> {
    /// Keeps the back end connection of a client for others, if it may be; the
    /// client has none afterwards. Its account is the caller's.
    pub(in crate::relay) fn park(&mut self, key: RelayKey) {
        let now = self.core.now;
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let Some(exchange) = &relay.exchange else {
            return;
        };
        let (Some((pool, to)), settings) = (exchange.home, &exchange.settings) else {
            return;
        };
        let kept = self.pool.idle.entry(pool).or_default();
        if kept.len() >= settings.pool_size || !self.host.take_idle() {
            return;
        }
        let until = now.checked_add(settings.pool_age).unwrap_or(now);
        let Some(loose) = relay.pair.take_backend() else {
            return self.host.return_idle();
        };
        if let Some(owner) = self.core.links.get_mut(loose.link) {
            *owner = LinkOwner::Idle(pool);
        }
        kept.push(Idle { loose, to, until });
        if self.pool.due.is_none_or(|due| until < due) {
            self.pool.due = Some(until);
        }
    }

    /// Gives a client an idle connection to one of the addresses of `attempt`,
    /// if there is one and its request may take it; says where it leads.
    pub(in crate::relay) fn lease(
        &mut self,
        key: RelayKey,
        attempt: &Attempt,
    ) -> Option<BackendAddr> {
        let pool = attempt.pool?;
        let relay = self.relays.get_mut(key)?;
        if !relay.exchange.as_ref()?.may_lease() {
            return None;
        }
        let kept = self.pool.idle.get_mut(&pool)?;
        while let Some(idle) = kept.pop() {
            let fits = |address: &SocketAddr| *address == idle.to.0;
            if idle.until > self.core.now
                && attempt.addresses.iter().any(fits)
                && is_quiet(idle.loose.socket.as_fd())
            {
                relay.pair.adopt_backend(idle.loose, &mut self.core);
                self.host.return_idle();
                return Some(idle.to);
            }
            close(&idle, &mut self.core, &mut self.host);
        }
        None
    }

    /// A back end's socket has an event.
    pub(in crate::relay) fn on_link(&mut self, link: RelayKey, flags: EventFlags) {
        match self.core.links.get_mut(link).copied() {
            Some(LinkOwner::Relay(key)) => {
                self.current = Some(key);
                self.on_event(key, Side::Backend, flags);
            }
            // Room to write is no news to an idle connection.
            Some(LinkOwner::Idle(pool)) if flags != EventFlags::OUT => self.drop_idle(pool, link),
            Some(LinkOwner::Idle(_)) | None => {}
        }
    }

    fn drop_idle(&mut self, pool: PoolKey, link: RelayKey) {
        let kept = self.pool.idle.entry(pool).or_default();
        if let Some(place) = kept.iter().position(|idle| idle.loose.link == link) {
            close(&kept.remove(place), &mut self.core, &mut self.host);
        }
    }

    /// Closes connections that were kept for long enough.
    pub(in crate::relay) fn sweep_pool(&mut self) {
        let now = self.core.now;
        if self.pool.due.is_none_or(|due| due > now) {
            return;
        }
        let mut next: Option<Instant> = None;
        for kept in self.pool.idle.values_mut() {
            kept.retain(|idle| {
                if idle.until > now {
                    next = next.into_iter().chain([idle.until]).min();
                    return true;
                }
                close(idle, &mut self.core, &mut self.host);
                false
            });
        }
        self.pool.due = next;
    }

    /// Closes all of them.
    pub(in crate::relay) fn empty_pool(&mut self) {
        for idle in self.pool.idle.drain().flat_map(|(_, kept)| kept) {
            close(&idle, &mut self.core, &mut self.host);
        }
        self.pool.due = None;
    }
}

/// Takes an idle connection out of the epoll set; its socket is closed with it.
fn close<H: Host>(idle: &Idle, core: &mut Core, host: &mut H) {
    core.links.remove(idle.loose.link);
    core.poll.remove(&idle.loose.socket);
    host.return_idle();
}
