//! The daemon's side of a segment: its only writer.
//!
//! A record is written between two steps of its sequence number:
//!
//! ```text
//!   writer                              reader
//!   sequence := odd      (relaxed)      s1 := sequence, even?  (acquire)
//!   fence                (release)      copy the fields
//!   fields               (relaxed)      fence                  (acquire)
//!   sequence := even     (release)      s2 := sequence, = s1?
//! ```
//!
//! A reader that sees any field of a half-written record also sees the odd
//! number or a later one, and tries again. That holds for one writer at a
//! time, which `&mut self` makes sure of: whoever owns the state of a service
//! keeps its [`SegmentWriter`] behind the same lock. Writing allocates
//! nothing, calls no system function and cannot fail.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::base::id::BackendId;

use super::layout::{
    BackendRecord, FLAG_HTTP, FLAG_SHALLOW, HeaderBlock, MAGIC, MAJOR, MINOR, ServiceRecord,
    segment_size,
};
pub use super::map::CreateError;
use super::map::WriterMap;
use super::snapshot::{
    BackendFacts, BackendNumbers, Phase, SegmentHeader, ServiceFacts, ServiceNumbers,
};

/// The segment of one service, while its daemon runs. Dropping it removes the
/// object.
pub struct SegmentWriter {
    map: WriterMap,
}

impl SegmentWriter {
    /// Creates the segment with everything that is known at the start; all
    /// numbers are 0 and all back ends available since `header.started`.
    ///
    /// Readers accept it only when it is complete: the magic comes last.
    ///
    /// # Errors
    ///
    /// [`CreateError::AlreadyThere`] when the name is taken, whoever by;
    /// [`CreateError::TooManyBackends`]; [`CreateError::System`].
    ///
    /// Source: decided (14.3).
    pub fn create(
        header: &SegmentHeader,
        service: &ServiceFacts,
        backends: &[BackendFacts],
    ) -> Result<Self, CreateError> {
        let mut writer = Self {
            map: WriterMap::create(header.key, backends.len())?,
        };
        write_service_facts(writer.map.service(), service);
        writer.write_service(&ServiceNumbers::default());
        for (record, facts) in writer.map.backends().iter().zip(backends) {
            write_backend_facts(record, facts);
            write_backend_numbers(record, &BackendNumbers::at_start(header.started));
        }
        write_header(writer.map.header(), header, backends.len());
        Ok(writer)
    }

    /// Says what the service is doing.
    pub fn set_phase(&self, phase: Phase) {
        let block = self.map.header();
        block.phase.store(phase.number(), Ordering::Release);
    }

    /// Gives a sign of life: CLOCK_BOOTTIME in whole seconds, once a second.
    pub fn heartbeat(&self, boottime_secs: u64) {
        let block = self.map.header();
        block.heartbeat.store(boottime_secs, Ordering::Relaxed);
    }

    /// Publishes the numbers of the service.
    pub fn write_service(&mut self, numbers: &ServiceNumbers) {
        let record = self.map.service();
        change(&record.sequence, || {
            let put = |field: &AtomicU64, value| field.store(value, Ordering::Relaxed);
            put(&record.active, numbers.active);
            put(&record.accepted, numbers.accepted);
            put(&record.refused_deny, numbers.refused_deny);
            put(&record.refused_allow, numbers.refused_allow);
            put(&record.no_backend, numbers.no_backend);
            put(&record.allow_filters, numbers.allow_filters);
            put(&record.deny_filters, numbers.deny_filters);
            put(&record.allow_read, numbers.allow_read);
            put(&record.deny_read, numbers.deny_read);
            put(&record.hooks_dropped, numbers.hooks_dropped);
            put(&record.helper_dropped, numbers.helper_dropped);
            put(&record.refused_requests, numbers.refused_requests);
            put(&record.failed_requests, numbers.failed_requests);
        });
    }

    /// Publishes the state and the numbers of a back end.
    pub fn write_backend(&mut self, id: BackendId, numbers: &BackendNumbers) {
        if let Some(record) = self.record(id) {
            write_backend_numbers(record, numbers);
        }
    }

    /// Publishes another HOST:PORT of a back end; at most 263 bytes are kept.
    pub fn set_server(&mut self, id: BackendId, server: &str) {
        if let Some(record) = self.record(id) {
            change(&record.sequence, || record.server.store(server));
        }
    }

    /// Removes the object now, if its name still leads to it; the segment can
    /// be written on, for readers that have it open. Doing it twice is no error.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn remove(&mut self) -> io::Result<()> {
        self.map.remove()
    }

    fn record(&self, id: BackendId) -> Option<&BackendRecord> {
        let record = self.map.backends().get(id.index());
        debug_assert!(record.is_some(), "{id:?} is not of this service");
        record
    }
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentWriter").finish_non_exhaustive()
    }
}

/// Changes a record as the protocol above says.
fn change(sequence: &AtomicU64, write: impl FnOnce()) {
    let even = sequence.load(Ordering::Relaxed);
    sequence.store(even.wrapping_add(1), Ordering::Relaxed);
    fence(Ordering::Release);
    write();
    sequence.store(even.wrapping_add(2), Ordering::Release);
}

fn write_header(block: &HeaderBlock, header: &SegmentHeader, backends: usize) {
    let order = Ordering::Relaxed;
    block.major.store(MAJOR, order);
    block.minor.store(MINOR, order);
    block.total_size.store(segment_size(backends) as u64, order);
    block.key.store(header.key, order);
    block.pid.store(header.pid, order);
    block.started.store(header.started, order);
    block.heartbeat.store(header.heartbeat, order);
    block.fingerprint.store(header.fingerprint, order);
    block.backends.store(backends as u32, order);
    block.phase.store(header.phase.number(), order);
    block.socket.store(&header.socket);
    block.process_start.store(header.process_start, order);
    let magic = u64::from_ne_bytes(MAGIC);
    block.magic.store(magic, Ordering::Release);
}

fn write_service_facts(record: &ServiceRecord, facts: &ServiceFacts) {
    let order = Ordering::Relaxed;
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    change(&record.sequence, || {
        record.name.store(&facts.name);
        record.mode.store(&facts.mode);
        record.port.store(u32::from(facts.port), order);
        let flags = flag(facts.http, FLAG_HTTP) | flag(facts.shallow, FLAG_SHALLOW);
        record.flags.store(flags, order);
        for (word, half) in record.bind.iter().zip(bind_words(facts.bind)) {
            word.store(half, order);
        }
        record.max_connections.store(facts.max_connections, order);
    });
}

/// The address in network order, IPv4 as mapped address, as the two words that
/// have these bytes in memory.
fn bind_words(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [(bits >> 64) as u64, bits as u64].map(u64::to_be)
}

fn write_backend_facts(record: &BackendRecord, facts: &BackendFacts) {
    let order = Ordering::Relaxed;
    change(&record.sequence, || {
        record.name.store(&facts.name);
        record.server.store(&facts.server);
        record.weight.store(facts.weight, order);
        record.decay.store(facts.decay, order);
        record.retries.store(facts.retries, order);
        record.max_connections.store(facts.max_connections, order);
    });
}

fn write_backend_numbers(record: &BackendRecord, numbers: &BackendNumbers) {
    let put = |field: &AtomicU64, value| field.store(value, Ordering::Relaxed);
    change(&record.sequence, || {
        let state = numbers.state.number();
        record.state.store(state, Ordering::Relaxed);
        put(&record.active, numbers.active);
        put(&record.total, numbers.total);
        put(&record.failures, numbers.failures);
        put(&record.consecutive_failures, numbers.consecutive_failures);
        put(&record.bytes_to_client, numbers.bytes_to_client);
        put(&record.bytes_to_backend, numbers.bytes_to_backend);
        put(&record.microseconds, numbers.microseconds);
        put(&record.usage_bits, numbers.usage.to_bits());
        put(&record.since, numbers.since);
        let reason = numbers.reason.number();
        record.reason.store(reason, Ordering::Relaxed);
        record.errno.store(numbers.errno, Ordering::Relaxed);
        put(&record.requests, numbers.requests);
        for (field, replies) in record.replies.iter().zip(numbers.replies) {
            put(field, replies);
        }
        let first_byte = numbers.first_byte_microseconds;
        put(&record.first_byte_microseconds, first_byte);
        put(&record.aborted, numbers.aborted);
        put(&record.log_dropped, numbers.log_dropped);
    });
}

#[cfg(test)]
mod tests;
