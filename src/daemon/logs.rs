//! Joins the logs of traffic that a configuration asks for.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Options;
use crate::base::event::EventSink;
use crate::base::text::Text;
use crate::config::model::{Backend, Capture, CaptureRotation, Config, Service};
use crate::telemetry::blocks::{BlockLogs, CaptureSettings, LoggedBackend, LoggedService};

/// Starts the writer of these logs, if there are any.
///
/// # Errors
///
/// If the system gives no thread.
pub(super) fn start(
    config: &Config,
    options: &Options,
    sink: &Arc<dyn EventSink>,
) -> io::Result<Option<Arc<BlockLogs>>> {
    let services = config.services.iter();
    let logged = services.map(|service| LoggedService {
        name: service.name.clone(),
        backends: service
            .backends
            .iter()
            .map(|backend| logs_of(service, backend, options))
            .collect(),
    });
    let logs = BlockLogs::start(logged.collect(), Arc::clone(sink))?;
    Ok(logs.map(Arc::new))
}

/// The logs of a back end: its own, else those of its service.
fn logs_of(service: &Service, backend: &Backend, options: &Options) -> LoggedBackend {
    let path = |own: &Option<Text>, default: &Option<Text>| -> Option<PathBuf> {
        own.as_ref().or(default.as_ref()).map(path_of)
    };
    let capture = backend.capture.as_ref().or(service.capture.as_ref());
    LoggedBackend {
        name: backend.name.clone(),
        verbose: backend.verbosity || options.verbose,
        traffic: path(&backend.traffic_log, &service.traffic_log),
        throughput: path(&backend.throughput_log, &service.throughput_log),
        capture: capture.map(|capture| capture_of(capture, service.capture_rotation)),
    }
}

fn capture_of(capture: &Capture, rotation: CaptureRotation) -> CaptureSettings {
    const MEBIBYTE: u64 = 1024 * 1024;
    let size = u64::from(rotation.size) * MEBIBYTE;
    CaptureSettings {
        file: path_of(&capture.file),
        snap_length: capture.snap_length,
        when: capture.when.clone(),
        rotate_at: (size > 0).then_some(size),
        files: rotation.files,
    }
}

/// The bytes of a file name as they stood in the file.
fn path_of(text: &Text) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(text.as_bytes()))
}
