//! What operators order over the control socket, carried out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::base::id::BackendId;
use crate::base::state::Tell;
use crate::control::server::{OrderError, Orders};
use crate::service::running::RunningService;

/// An order to stop.
pub(super) struct Stop {
    /// How long running connections may go on.
    pub(super) grace: Duration,
    /// Whether the segments go at once, for a successor.
    pub(super) release: bool,
    /// Told when all listeners are closed.
    pub(super) listeners_closed: oneshot::Sender<()>,
}

/// The running daemon as the control socket sees it.
pub(super) struct Told {
    services: Vec<Arc<RunningService>>,
    config: String,
    stops: mpsc::UnboundedSender<Stop>,
}

impl Told {
    pub(super) fn new(
        services: Vec<Arc<RunningService>>,
        config: String,
        stops: mpsc::UnboundedSender<Stop>,
    ) -> Self {
        Self {
            services,
            config,
            stops,
        }
    }

    fn find(
        &self,
        service: &str,
        backend: &str,
    ) -> Result<(&RunningService, BackendId), OrderError> {
        let service = self
            .services
            .iter()
            .find(|running| running.name().as_str() == service)
            .ok_or_else(|| OrderError::NoSuchService(service.to_owned()))?;
        match service.table().find(backend) {
            Some(found) => Ok((service, found)),
            None => Err(OrderError::NoSuchBackend {
                service: service.name().to_string(),
                backend: backend.to_owned(),
            }),
        }
    }

    async fn end(&self, grace: Duration, release: bool) {
        let (listeners_closed, closed) = oneshot::channel();
        // The receivers live as long as the daemon; if one is gone, so is it.
        let _ = self.stops.send(Stop {
            grace,
            release,
            listeners_closed,
        });
        let _ = closed.await;
    }
}

impl Orders for Told {
    fn tell(
        &self,
        service: &str,
        backend: &str,
        tell: Tell,
    ) -> Result<(String, String), OrderError> {
        let (service, backend) = self.find(service, backend)?;
        Ok(match tell {
            Tell::State(state) => {
                let change = service.table().tell_state(backend, state);
                (change.from.word().to_owned(), change.to.word().to_owned())
            }
            Tell::Server(server) => {
                let old = service.table().tell_server(backend, &server);
                (old.to_string(), server.to_string())
            }
        })
    }

    async fn stop(&self, grace: Duration) {
        self.end(grace, false).await;
    }

    async fn release(&self, grace: Duration) {
        self.end(grace, true).await;
    }

    fn ping(&self) -> (u32, String) {
        (std::process::id(), self.config.clone())
    }
}
