//! Records as they are read: whole, or known to be torn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::Instant;

use super::{PAUSE, ReadError};
use crate::status::layout::{RECORD_SIZE, SERVICE_AT};
use crate::status::snapshot::Record;

/// Where bytes of a segment come from.
pub(super) trait Source {
    fn size(&self) -> io::Result<u64>;
    fn fill(&self, bytes: &mut [u8], offset: usize) -> io::Result<()>;
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill(&self, bytes: &mut [u8], offset: usize) -> io::Result<()> {
        self.read_exact_at(bytes, offset as u64)
    }
}

impl Source for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn fill(&self, bytes: &mut [u8], offset: usize) -> io::Result<()> {
        let found = self.get(offset..offset.saturating_add(bytes.len()));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Where a record begins: that of the service is the first.
pub(super) fn record_at(index: usize) -> usize {
    SERVICE_AT + index * RECORD_SIZE
}

/// All records, copied three times one after the other: the sequence numbers
/// of the first and the last copy tell which records of the second are whole.
/// Three system calls for a segment instead of three for each of its records.
pub(super) struct Copies([Vec<u8>; 3]);

impl Copies {
    /// Copies the record of the service and those of so many back ends.
    pub(super) fn read(
        source: &(impl Source + ?Sized),
        backends: usize,
    ) -> Result<Self, ReadError> {
        let mut copies = [(); 3].map(|()| vec![0; (1 + backends) * RECORD_SIZE]);
        for copy in &mut copies {
            fill(source, copy, SERVICE_AT)?;
            fence(Ordering::Acquire);
        }
        Ok(Self(copies))
    }

    /// The record, unless it was being written meanwhile.
    pub(super) fn record(&self, index: usize) -> Option<Record<[u8; RECORD_SIZE]>> {
        let at = index * RECORD_SIZE;
        let [before, value, after] = self.0.each_ref().map(|copy| &copy[at..]);
        let before = before
            .first_chunk()
            .map(|bytes| u64::from_ne_bytes(*bytes))?;
        let after = after
            .first_chunk()
            .map(|bytes| u64::from_ne_bytes(*bytes))?;
        let value = *value.first_chunk()?;
        let whole = before == after && before.is_multiple_of(2);
        whole.then_some(Record { value, torn: false })
    }
}

/// Takes one record, which is tried again as [`super::StatusReader::snapshot`] says.
pub(super) fn read_record(
    source: &(impl Source + ?Sized),
    offset: usize,
    quick_tries: u32,
    until: Instant,
) -> Result<Record<[u8; RECORD_SIZE]>, ReadError> {
    let mut tries = 0;
    loop {
        let before = u64::from_ne_bytes(read(source, offset)?);
        fence(Ordering::Acquire);
        let value = read(source, offset)?;
        fence(Ordering::Acquire);
        let after = u64::from_ne_bytes(read(source, offset)?);
        let torn = before != after || before % 2 == 1;
        tries += 1;
        if !torn || (tries >= quick_tries && Instant::now() >= until) {
            return Ok(Record { value, torn });
        }
        if tries >= quick_tries {
            thread::sleep(PAUSE);
        }
    }
}

pub(super) fn read<const N: usize>(
    source: &(impl Source + ?Sized),
    offset: usize,
) -> Result<[u8; N], ReadError> {
    let mut bytes = [0; N];
    fill(source, &mut bytes, offset)?;
    Ok(bytes)
}

fn fill(source: &(impl Source + ?Sized), bytes: &mut [u8], offset: usize) -> Result<(), ReadError> {
    match source.fill(bytes, offset) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Truncated {
            size: source.size().map_err(ReadError::System)?,
        }),
        Err(error) => Err(ReadError::System(error)),
    }
}
