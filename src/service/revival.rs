//! Wake-up calls: probes of back ends that are unavailable.
//!
//! A probe is a look-up, where a name is given, and a connect that is closed at
//! once. It runs no hooks and counts in no total; its result goes the same way
//! as every other change, so a `tell` that came in between makes it void.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::base::state::{ConnectFailure, Reason};
use crate::policy::pool::ProbeTicket;
use crate::service::connection::with_port;
use crate::service::resolve::{Addresses, Resolved, Resolver};
use crate::service::table::{BackendTable, Target};

/// How probes of one daemon are made.
pub struct Prober {
    /// Look-ups.
    pub resolver: Arc<Resolver>,
    /// Limit of one probe, look-up included.
    pub limit: Duration,
}

/// Probes the back ends of one service for as long as it runs. Needs a
/// `LocalSet`; each probe is a task of its own, so that one that hangs does not
/// hold up another back end's.
pub async fn revive(table: Arc<BackendTable>, prober: Rc<Prober>) {
    loop {
        while let Some((ticket, target)) = table.start_probe() {
            tokio::task::spawn_local(probe(
                Arc::clone(&table),
                Rc::clone(&prober),
                ticket,
                target,
            ));
        }
        let changed = table.revival_changed();
        match table.next_probe() {
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = changed => {}
            },
            None => changed.await,
        }
    }
}

async fn probe(table: Arc<BackendTable>, prober: Rc<Prober>, ticket: ProbeTicket, target: Target) {
    let result = prober.reach(target).await;
    table.probe_ended(ticket, result);
}

impl Prober {
    async fn reach(&self, target: Target) -> Result<(), ConnectFailure> {
        let (addresses, name, until) = match target {
            Target::Addresses(addresses) => (addresses, None, Instant::now() + self.limit),
            Target::Name(name, port) => {
                let (found, since) = self.look_up(&name).await?;
                (with_port(&found, port), Some(name), since + self.limit)
            }
        };
        let result = connect_to_any(&addresses, until).await;
        if let (Err(_), Some(name)) = (&result, name) {
            self.resolver.forget(&name);
        }
        result
    }

    /// The addresses of a name, and when its look-up began to run.
    async fn look_up(&self, name: &Arc<str>) -> Result<(Addresses, Instant), ConnectFailure> {
        let asked_at = Instant::now();
        let lookup = match self.resolver.resolve(name) {
            Resolved::Known(addresses) => return Ok((addresses, asked_at)),
            Resolved::Asked(lookup) => lookup,
        };
        lookup.ended().await;
        match lookup.outcome() {
            Some((since, Some(found))) => Ok((found, asked_at.max(since.into()))),
            _ => Err(ConnectFailure {
                reason: Reason::NameDoesNotResolve,
                errno: 0,
            }),
        }
    }
}

/// Connects to the first address that answers; each gets the time remaining
/// divided by the number of addresses left.
async fn connect_to_any(addresses: &[SocketAddr], until: Instant) -> Result<(), ConnectFailure> {
    let mut last = ConnectFailure {
        reason: Reason::TimedOut,
        errno: 0,
    };
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if !is_connected_to_itself(&stream) => return Ok(()),
            Ok(Ok(_)) => last = ConnectFailure::from(&io::ErrorKind::ConnectionRefused.into()),
            Ok(Err(error)) => last = ConnectFailure::from(&error),
            Err(_) => {
                last = ConnectFailure {
                    reason: Reason::TimedOut,
                    errno: 0,
                }
            }
        }
    }
    Err(last)
}

/// On loopback a connect to a free port of the ephemeral range may meet itself.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(here), Ok(there)) if here == there)
}
