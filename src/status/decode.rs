//! The fields of a header and of a record out of their bytes. Pure; the
//! offsets are those of [`super::layout`].

use std::mem::offset_of;
use std::net::{IpAddr, Ipv6Addr};

use crate::base::state::{Reason, ShownState};

use super::layout::{
    BackendRecord, FLAG_HTTP, FLAG_SHALLOW, HEADER_SIZE, HeaderBlock, MAGIC, MAJOR, RECORD_SIZE,
    ServiceRecord,
};
use super::read::ReadError;
use super::snapshot::{
    BackendFacts, BackendNumbers, Phase, Record, SegmentHeader, ServiceFacts, ServiceNumbers,
};

/// What a header claims about the segment.
pub(super) struct Shape {
    /// Size in bytes.
    pub(super) total_size: u64,
    /// Number of back ends.
    pub(super) backends: u32,
}

/// Reads a header of our magic and major version.
pub(super) fn header(bytes: &[u8; HEADER_SIZE]) -> Result<(SegmentHeader, Shape), ReadError> {
    let block = Block { bytes, torn: false };
    if !bytes.starts_with(&MAGIC) {
        return Err(ReadError::WrongMagic);
    }
    let major = block.u32(offset_of!(HeaderBlock, major));
    if major != MAJOR {
        let minor = block.u32(offset_of!(HeaderBlock, minor));
        return Err(ReadError::OtherVersion { major, minor });
    }
    let phase = block.u32(offset_of!(HeaderBlock, phase));
    let header = SegmentHeader {
        key: block.u32(offset_of!(HeaderBlock, key)),
        pid: block.u32(offset_of!(HeaderBlock, pid)),
        started: block.u64(offset_of!(HeaderBlock, started)),
        heartbeat: block.u64(offset_of!(HeaderBlock, heartbeat)),
        fingerprint: block.u64(offset_of!(HeaderBlock, fingerprint)),
        phase: Phase::from_number(phase).ok_or(bad("phase", phase))?,
        socket: block.text(offset_of!(HeaderBlock, socket), 112, "path of the socket")?,
        process_start: block.u64(offset_of!(HeaderBlock, process_start)),
    };
    let shape = Shape {
        total_size: block.u64(offset_of!(HeaderBlock, total_size)),
        backends: block.u32(offset_of!(HeaderBlock, backends)),
    };
    Ok((header, shape))
}

/// Reads a service record.
pub(super) fn service(
    record: &Record<[u8; RECORD_SIZE]>,
) -> Result<Record<(ServiceFacts, ServiceNumbers)>, ReadError> {
    let block = Block::of(record);
    let port = block.u32(offset_of!(ServiceRecord, port));
    let flags = block.u32(offset_of!(ServiceRecord, flags));
    let facts = ServiceFacts {
        name: block.text(offset_of!(ServiceRecord, name), 64, "name of the service")?,
        mode: block.text(offset_of!(ServiceRecord, mode), 64, "dispatch mode")?,
        port: u16::try_from(port).map_err(|_| bad("port", port))?,
        bind: block.address(offset_of!(ServiceRecord, bind)),
        http: flags & FLAG_HTTP != 0,
        shallow: flags & FLAG_SHALLOW != 0,
        max_connections: block.u64(offset_of!(ServiceRecord, max_connections)),
    };
    let numbers = ServiceNumbers {
        active: block.u64(offset_of!(ServiceRecord, active)),
        accepted: block.u64(offset_of!(ServiceRecord, accepted)),
        refused_deny: block.u64(offset_of!(ServiceRecord, refused_deny)),
        refused_allow: block.u64(offset_of!(ServiceRecord, refused_allow)),
        no_backend: block.u64(offset_of!(ServiceRecord, no_backend)),
        allow_filters: block.u64(offset_of!(ServiceRecord, allow_filters)),
        deny_filters: block.u64(offset_of!(ServiceRecord, deny_filters)),
        allow_read: block.u64(offset_of!(ServiceRecord, allow_read)),
        deny_read: block.u64(offset_of!(ServiceRecord, deny_read)),
        hooks_dropped: block.u64(offset_of!(ServiceRecord, hooks_dropped)),
        helper_dropped: block.u64(offset_of!(ServiceRecord, helper_dropped)),
        refused_requests: block.u64(offset_of!(ServiceRecord, refused_requests)),
        failed_requests: block.u64(offset_of!(ServiceRecord, failed_requests)),
    };
    Ok(Record {
        value: (facts, numbers),
        torn: record.torn,
    })
}

/// Reads a back end record.
pub(super) fn backend(
    record: &Record<[u8; RECORD_SIZE]>,
) -> Result<Record<(BackendFacts, BackendNumbers)>, ReadError> {
    let block = Block::of(record);
    let facts = BackendFacts {
        name: block.text(offset_of!(BackendRecord, name), 64, "name of a back end")?,
        server: block.text(offset_of!(BackendRecord, server), 264, "server")?,
        weight: block.u32(offset_of!(BackendRecord, weight)),
        decay: block.u32(offset_of!(BackendRecord, decay)),
        retries: block.u32(offset_of!(BackendRecord, retries)),
        max_connections: block.u64(offset_of!(BackendRecord, max_connections)),
    };
    Ok(Record {
        value: (facts, backend_numbers(&block)?),
        torn: record.torn,
    })
}

fn backend_numbers(block: &Block<'_>) -> Result<BackendNumbers, ReadError> {
    let state = block.u32(offset_of!(BackendRecord, state));
    let replies = offset_of!(BackendRecord, replies);
    Ok(BackendNumbers {
        state: ShownState::from_number(state).ok_or(bad("state", state))?,
        active: block.u64(offset_of!(BackendRecord, active)),
        total: block.u64(offset_of!(BackendRecord, total)),
        failures: block.u64(offset_of!(BackendRecord, failures)),
        consecutive_failures: block.u64(offset_of!(BackendRecord, consecutive_failures)),
        bytes_to_client: block.u64(offset_of!(BackendRecord, bytes_to_client)),
        bytes_to_backend: block.u64(offset_of!(BackendRecord, bytes_to_backend)),
        microseconds: block.u64(offset_of!(BackendRecord, microseconds)),
        usage: f64::from_bits(block.u64(offset_of!(BackendRecord, usage_bits))),
        since: block.u64(offset_of!(BackendRecord, since)),
        // A later minor version may know more reasons than this reader.
        reason: Reason::from_number(block.u32(offset_of!(BackendRecord, reason)))
            .unwrap_or(Reason::Other),
        errno: block.u32(offset_of!(BackendRecord, errno)),
        requests: block.u64(offset_of!(BackendRecord, requests)),
        replies: std::array::from_fn(|class| block.u64(replies + class * 8)),
        first_byte_microseconds: block.u64(offset_of!(BackendRecord, first_byte_microseconds)),
        aborted: block.u64(offset_of!(BackendRecord, aborted)),
        log_dropped: block.u64(offset_of!(BackendRecord, log_dropped)),
    })
}

fn bad(what: &'static str, number: u32) -> ReadError {
    ReadError::BadNumber { what, number }
}

/// Bytes that are read field by field; offsets are constants of the layout.
struct Block<'a> {
    bytes: &'a [u8],
    torn: bool,
}

impl<'a> Block<'a> {
    fn of(record: &'a Record<[u8; RECORD_SIZE]>) -> Self {
        Self {
            bytes: &record.value,
            torn: record.torn,
        }
    }

    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[offset..offset + N]);
        array
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.array(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.array(offset))
    }

    fn address(&self, offset: usize) -> IpAddr {
        IpAddr::from(Ipv6Addr::from(self.array::<16>(offset))).to_canonical()
    }

    /// The text before the first NUL. Half a text in a torn record is no
    /// error: what does not belong there is shown as U+FFFD. Control
    /// characters are refused, since the text ends on somebody's terminal.
    fn text(&self, offset: usize, size: usize, what: &'static str) -> Result<String, ReadError> {
        let field = &self.bytes[offset..offset + size];
        let end = field.iter().position(|&byte| byte == 0);
        let text = String::from_utf8_lossy(&field[..end.unwrap_or(size)]);
        let clean = text.replace(char::is_control, "\u{fffd}");
        if clean.as_bytes() == &field[..end.unwrap_or(size)] || self.torn {
            Ok(clean)
        } else {
            Err(ReadError::BadText { what })
        }
    }
}
