//! Listening sockets: bound before the process detaches, and for a restart
//! beside those of the daemon that is replaced.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::Options;
use crate::config::model::Config;
use crate::process::identity;
use crate::service::listener::{self, Claim, ListenError};

/// How many descriptors stay free beside [`Places`], for asking the old daemon
/// to give way.
const SPARE_DESCRIPTORS: usize = 32;

/// The listening sockets of all services, in order of the file.
pub(crate) struct Listeners(pub(super) Vec<Vec<OwnedFd>>);

/// Listening sockets beside those of the daemon that is being replaced, by
/// their addresses. Clients that reach them wait until the new daemon accepts.
#[derive(Default)]
pub(crate) struct Places(HashMap<SocketAddr, Vec<OwnedFd>>);

/// Takes places beside a running daemon that listens on `old`, for all
/// services that stay where they were. What cannot be had is left to
/// [`listen`], when the old daemon has gone.
pub(crate) fn listen_beside(config: &Config, options: &Options, old: &[SocketAddr]) -> Places {
    let count = listener::sockets_for_each(config.services.len(), options.workers);
    let staying = || {
        let services = config.services.iter();
        services.filter(|service| old.contains(&service.listen_address()))
    };
    let limit = identity::raise_descriptor_limit().unwrap_or(0);
    let needed = identity::open_descriptors() + staying().count() * count + SPARE_DESCRIPTORS;
    if needed as u64 > limit {
        return Places::default();
    }
    let opened = staying().filter_map(|service| {
        let sockets = listener::Listeners::open(service, count, Claim::Beside).ok()?;
        Some((service.listen_address(), sockets.into_sockets()))
    });
    Places(opened.collect())
}

/// Binds and listens for all services that have no place yet.
///
/// # Errors
///
/// One [`ListenError`] for each service that cannot listen; then none does.
pub(crate) fn listen(
    config: &Config,
    options: &Options,
    mut places: Places,
) -> Result<Listeners, Vec<ListenError>> {
    let count = listener::sockets_for_each(config.services.len(), options.workers);
    let (mut opened, mut errors) = (Vec::new(), Vec::new());
    for service in &config.services {
        if let Some(sockets) = places.0.remove(&service.listen_address()) {
            opened.push(sockets);
            continue;
        }
        match listener::Listeners::open(service, count, Claim::Alone) {
            Ok(sockets) => opened.push(sockets.into_sockets()),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Listeners(opened))
    } else {
        Err(errors)
    }
}
