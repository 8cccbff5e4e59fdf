//! What a service publishes about itself once, when it starts.

use crate::base::moment::Moment;
use crate::config::model::{self, Config, HeaderInspection, ServiceKind};
use crate::status::owner;
use crate::status::publish::{CreateError, SegmentWriter};
use crate::status::snapshot::{BackendFacts, Phase, SegmentHeader, ServiceFacts};

/// The segment of a service, with everything that is known at the start.
pub(super) fn create(
    config: &Config,
    service: &model::Service,
    socket: &str,
) -> Result<SegmentWriter, CreateError> {
    let header = SegmentHeader {
        key: service.shm_key(),
        pid: std::process::id(),
        started: Moment::now().unix,
        heartbeat: owner::boottime_seconds(),
        fingerprint: config.fingerprint,
        phase: Phase::Starting,
        socket: socket.to_owned(),
        process_start: owner::own_process_start().unwrap_or(0),
    };
    let backends: Vec<BackendFacts> = service.backends.iter().map(backend_facts).collect();
    SegmentWriter::create(&header, &service_facts(service), &backends)
}

fn service_facts(service: &model::Service) -> ServiceFacts {
    ServiceFacts {
        name: service.name.to_string(),
        mode: service.mode_text(),
        port: service.port,
        bind: service.bind.ip(),
        http: matches!(service.kind, ServiceKind::Http(_)),
        shallow: matches!(service.kind, ServiceKind::Http(HeaderInspection::Shallow)),
        max_connections: service.max_connections.as_number(),
    }
}

fn backend_facts(backend: &model::Backend) -> BackendFacts {
    BackendFacts {
        name: backend.name.to_string(),
        server: backend.server.to_string(),
        weight: u32::from(backend.weight.get()),
        decay: u32::from(backend.decay.get()),
        retries: u32::from(backend.retries),
        max_connections: backend.max_connections.as_number(),
    }
}
