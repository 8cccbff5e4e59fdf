//! A reader's side of a segment: bytes in, a [`ServiceSnapshot`] out.
//!
//! Whatever the bytes are, the answer is a snapshot or a [`ReadError`], never
//! a panic: they may come from another version, from another program, or from
//! an object that is just being made shorter.
//!
//! A record is taken by three reads of the object: its sequence number, the
//! record, its sequence number again, with acquire fences between them. Both
//! numbers equal and even: nothing was written meanwhile. The loads of the
//! kernel run on the processor that runs the fences (or with a full barrier in
//! between, where the thread is moved), so the order of 14.3 holds as it does
//! for loads from a mapping. Even a kernel that copied byte by byte would do no
//! harm: fields are judged by the sequence number, and a number put together
//! from two of them is not met a second time, since numbers only grow.
//!
//! At first all records are taken together in this way, which is three system
//! calls for a segment; one that was being written then is taken by itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::decode;
use super::layout::{HEADER_SIZE, MAX_BACKENDS};
use super::map::{self, AtName, object_name};
use super::snapshot::{SegmentHeader, ServiceSnapshot};

mod records;

use records::{Copies, Source, read, read_record, record_at};

/// Tries without a pause for a record that is being written.
const QUICK_TRIES: u32 = 1000;
/// Pause between two tries after these.
const PAUSE: Duration = Duration::from_millis(1);
/// How often an object that is just being created is looked at again.
const CREATION_TRIES: u32 = 50;

/// Why an object could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The object belongs to another account; it was not read.
    #[error("shared memory object {} belongs to another account (uid {uid})", object_name(*key))]
    OtherOwner {
        /// Its key.
        key: u32,
        /// Whom it belongs to.
        uid: u32,
    },
    /// The system refused.
    #[error("cannot open shared memory object {}", object_name(*key))]
    System {
        /// Its key.
        key: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why bytes are not a segment that can be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Shorter than what it should hold.
    #[error("not a status segment: it ends after {size} bytes")]
    Truncated {
        /// How long it is.
        size: u64,
    },
    /// It does not begin as a segment does.
    #[error("not a status segment: it does not begin with XRSTATUS")]
    WrongMagic,
    /// It was written in another layout.
    #[error(
        "status segment of another version: layout {major}.{minor}, not {}.x",
        super::layout::MAJOR
    )]
    OtherVersion {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// It claims another size than it has.
    #[error("damaged status segment: it claims {claimed} bytes and has {size}")]
    WrongSize {
        /// What its header says.
        claimed: u64,
        /// How long it is.
        size: u64,
    },
    /// Its number of back ends does not fit its size, or is above the limit.
    #[error("damaged status segment: {count} back ends do not fit into {size} bytes")]
    WrongCount {
        /// What its header says.
        count: u32,
        /// How long it is.
        size: u64,
    },
    /// A text in it is not UTF-8 or holds control characters.
    #[error("damaged status segment: the {what} is not a text")]
    BadText {
        /// Which text.
        what: &'static str,
    },
    /// A number in it has no meaning.
    #[error("damaged status segment: {number} is not a {what}")]
    BadNumber {
        /// What it should be.
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// The system refused to read it.
    #[error("cannot read the status segment")]
    System(#[source] io::Error),
}

/// An open segment. Reading it neither stops nor slows its writer.
#[derive(Debug)]
pub struct StatusReader {
    file: File,
}

impl StatusReader {
    /// Opens the object with `key`; `None` if there is none. What it holds is
    /// looked at when it is read. An object that is just being created is
    /// waited for, at most 50 ms.
    ///
    /// # Errors
    ///
    /// [`OpenError::OtherOwner`] when it belongs to another account than the
    /// caller's, also for root; [`OpenError::System`].
    ///
    /// Source: decided (14.3, 14.4).
    pub fn open(key: u32) -> Result<Option<Self>, OpenError> {
        let system = |source| OpenError::System { key, source };
        let other_owner = |uid| Err(OpenError::OtherOwner { key, uid });
        let object = match map::open(key).map_err(system)? {
            AtName::Nothing => return Ok(None),
            AtName::Closed { uid } => return other_owner(uid),
            AtName::Object(object) => object,
        };
        if object.uid != rustix::process::geteuid().as_raw() {
            return other_owner(object.uid);
        }
        await_creation(&object.file);
        Ok(Some(Self { file: object.file }))
    }

    /// Reads the header, as it is now.
    ///
    /// # Errors
    ///
    /// [`ReadError`], except those about records.
    pub fn header(&self) -> Result<SegmentHeader, ReadError> {
        read_header(&self.file).map(|(header, _)| header)
    }

    /// Copies everything. A record that is being written is tried again, 1000
    /// times at once, then with pauses of 1 ms; when all pauses together have
    /// taken `record_limit` (1 s in the specification), what was read is taken
    /// and marked as torn. Blocks the thread meanwhile.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; a torn record is none.
    ///
    /// Source: decided (14.3).
    pub fn snapshot(&self, record_limit: Duration) -> Result<ServiceSnapshot, ReadError> {
        read_all(&self.file, QUICK_TRIES, Instant::now() + record_limit)
    }
}

/// Reads a segment from a copy of its bytes; a record with an odd sequence
/// number is torn.
///
/// # Errors
///
/// [`ReadError`] says what is wrong with the bytes.
pub fn parse(bytes: &[u8]) -> Result<ServiceSnapshot, ReadError> {
    read_all(bytes, 1, Instant::now())
}

/// The keys of all objects `/crossroads.*` that are there, in ascending order,
/// whoever they belong to.
///
/// # Errors
///
/// What the system says when the directory of the objects cannot be read.
pub fn list() -> io::Result<Vec<u32>> {
    map::keys()
}

fn await_creation(file: &File) {
    for _ in 0..CREATION_TRIES {
        let mut magic = [0; 8];
        match file.read_at(&mut magic, 0) {
            Ok(8) if magic != [0; 8] => return,
            Ok(_) => thread::sleep(PAUSE),
            Err(_) => return,
        }
    }
}

fn read_all(
    source: &(impl Source + ?Sized),
    quick_tries: u32,
    until: Instant,
) -> Result<ServiceSnapshot, ReadError> {
    let (header, count) = read_header(source)?;
    let copies = Copies::read(source, count)?;
    let record = |index| match copies.record(index) {
        Some(whole) => Ok(whole),
        None => read_record(source, record_at(index), quick_tries, until),
    };
    let service = decode::service(&record(0)?)?;
    let backends = (1..=count)
        .map(|index| decode::backend(&record(index)?))
        .collect::<Result<_, _>>()?;
    Ok(ServiceSnapshot {
        header,
        service,
        backends,
    })
}

/// The header and the number of back ends, checked against the size before
/// anything else is believed.
fn read_header(source: &(impl Source + ?Sized)) -> Result<(SegmentHeader, usize), ReadError> {
    let size = source.size().map_err(ReadError::System)?;
    let bytes = read::<HEADER_SIZE>(source, 0)?;
    let (header, shape) = decode::header(&bytes)?;
    if shape.total_size != size {
        let claimed = shape.total_size;
        return Err(ReadError::WrongSize { claimed, size });
    }
    let count = shape.backends as usize;
    if count > MAX_BACKENDS || super::layout::segment_size(count) as u64 != size {
        let count = shape.backends;
        return Err(ReadError::WrongCount { count, size });
    }
    Ok((header, count))
}

#[cfg(test)]
mod tests;
