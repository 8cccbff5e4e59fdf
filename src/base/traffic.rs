//! Byte counters of connections that are still running.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes moved for one back end by one worker. Only that worker adds, so an
/// addition is a load and a store; anyone may read.
///
/// Each stands on cache lines of its own, so that workers do not slow each
/// other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Traffic {
    to_client: AtomicU64,
    to_backend: AtomicU64,
}

impl Traffic {
    /// Adds bytes written to a client. Only for the worker that owns this.
    pub fn add_to_client(&self, bytes: u64) {
        let sum = self.to_client.load(Ordering::Relaxed).wrapping_add(bytes);
        self.to_client.store(sum, Ordering::Relaxed);
    }

    /// Adds bytes written to a back end. Only for the worker that owns this.
    pub fn add_to_backend(&self, bytes: u64) {
        let sum = self.to_backend.load(Ordering::Relaxed).wrapping_add(bytes);
        self.to_backend.store(sum, Ordering::Relaxed);
    }

    /// Bytes written to clients so far.
    pub fn to_client(&self) -> u64 {
        self.to_client.load(Ordering::Relaxed)
    }

    /// Bytes written to the back end so far.
    pub fn to_backend(&self) -> u64 {
        self.to_backend.load(Ordering::Relaxed)
    }
}
