//! The border to the operating system: creating the object of a segment,
//! mapping it for its one writer, opening it for readers.
//!
//! Only the writer maps the object. Readers copy bytes out of it by `pread`
//! on the open object: whoever maps an object is killed by SIGBUS when its
//! owner makes it shorter, and no check of the size beforehand can rule that
//! out, while a `pread` past the end just gives fewer bytes. It costs three
//! system calls for each record and no `unsafe`; the protocol of the sequence
//! numbers (14.3) holds as it does for a mapping, see [`super::read`].
//!
//! The pages of an object are reserved when it is created, so that a full
//! file system is an error at the start and not a SIGBUS of the daemon later.

#![allow(
    unsafe_code,
    reason = "the writer's mapping is raw memory; everything else is safe"
)]

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::slice;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use shared_memory::{Shmem, ShmemConf, ShmemError};
use thiserror::Error;

use super::layout::{
    BACKENDS_AT, BackendRecord, HeaderBlock, MAX_BACKENDS, SERVICE_AT, ServiceRecord, segment_size,
};

/// Where Linux shows shared memory objects as files.
const DIRECTORY: &str = "/dev/shm";
/// What the name of every object of ours begins with.
const PREFIX: &str = "crossroads.";

/// The name of the object with `key`, as `shm_open` takes it (2.8).
pub fn object_name(key: u32) -> String {
    format!("/{PREFIX}{key:08x}")
}

/// The key in the name of a file of [`DIRECTORY`], if it is one of ours: 8
/// hexadecimal digits in lower case.
fn key_of(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_prefix(PREFIX)?;
    let fits = digits.len() == 8
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(digits, 16).ok().filter(|_| fits)
}

fn path_of(key: u32) -> PathBuf {
    PathBuf::from(format!("{DIRECTORY}{}", object_name(key)))
}

/// The keys of all objects that are there, in ascending order.
///
/// # Errors
///
/// What the system says when the directory of the objects cannot be read.
pub(super) fn keys() -> io::Result<Vec<u32>> {
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(DIRECTORY)? {
        keys.extend(entry?.file_name().to_str().and_then(key_of));
    }
    keys.sort_unstable();
    Ok(keys)
}

/// Which object it is, whatever its name: two objects that exist at the same
/// time never have the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ObjectId {
    device: u64,
    inode: u64,
}

/// The object that bears the name of `key` now.
fn object_at(key: u32) -> Option<ObjectId> {
    let found = std::fs::symlink_metadata(path_of(key)).ok()?;
    Some(ObjectId {
        device: found.dev(),
        inode: found.ino(),
    })
}

/// An object that was opened for reading, with its owner.
#[derive(Debug)]
pub(super) struct OpenObject {
    /// For `pread` only.
    pub(super) file: File,
    /// Whom it belongs to.
    pub(super) uid: u32,
}

/// What stands under the name of a key, for a reader.
#[derive(Debug)]
pub(super) enum AtName {
    /// Nothing.
    Nothing,
    /// An object that may be read.
    Object(OpenObject),
    /// Something that may not be read and belongs to this account.
    Closed {
        /// Whom it belongs to.
        uid: u32,
    },
}

/// Opens the object with `key` for reading. A link is not followed and a pipe
/// does not block, since everybody may put files where the objects are.
///
/// # Errors
///
/// What the system says, except when nothing is there or it may not be read.
pub(super) fn open(key: u32) -> io::Result<AtName> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::open(path_of(key), flags, Mode::empty()) {
        Ok(descriptor) => {
            let file = File::from(descriptor);
            let uid = file.metadata()?.uid();
            Ok(AtName::Object(OpenObject { file, uid }))
        }
        Err(rustix::io::Errno::NOENT) => Ok(AtName::Nothing),
        Err(rustix::io::Errno::ACCESS) => closed(key),
        Err(error) => Err(error.into()),
    }
}

fn closed(key: u32) -> io::Result<AtName> {
    match std::fs::symlink_metadata(path_of(key)) {
        Ok(found) => Ok(AtName::Closed { uid: found.uid() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(AtName::Nothing),
        Err(error) => Err(error),
    }
}

/// Removes whatever bears the name of `key`; nothing there is no error.
///
/// # Errors
///
/// What the system says.
pub(super) fn unlink(key: u32) -> io::Result<()> {
    match rustix::shm::unlink(object_name(key)) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Why a segment could not be created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// An object with that key is there already; it was not touched.
    #[error("shared memory object {} is there already", object_name(*key))]
    AlreadyThere {
        /// Its key.
        key: u32,
    },
    /// More back ends than a segment may have.
    #[error("a service has at most {MAX_BACKENDS} back ends, not {count}")]
    TooManyBackends {
        /// How many were asked for.
        count: usize,
    },
    /// The system refused.
    #[error("cannot create shared memory object {}", object_name(*key))]
    System {
        /// Its key.
        key: u32,
        /// What the system said, such as "no space left on device".
        #[source]
        source: io::Error,
    },
}

/// The one writer's mapping of a segment. The object is removed when it is
/// dropped, unless another one has taken the name meanwhile.
pub(super) struct WriterMap {
    shmem: Shmem,
    key: u32,
    id: ObjectId,
    backends: usize,
    removed: bool,
}

// SAFETY: the mapping belongs to this value alone until it is dropped, is
// bound to no thread, and everything in it is reached as atomics only.
unsafe impl Send for WriterMap {}
// SAFETY: as above; shared access gives out references to atomics only.
unsafe impl Sync for WriterMap {}

impl WriterMap {
    /// Creates the object, filled with zeros, mode 0600, its pages reserved.
    pub(super) fn create(key: u32, backends: usize) -> Result<Self, CreateError> {
        if backends > MAX_BACKENDS {
            return Err(CreateError::TooManyBackends { count: backends });
        }
        let size = segment_size(backends);
        let conf = ShmemConf::new().os_id(object_name(key)).size(size);
        let mut shmem = conf.create().map_err(|error| match error {
            ShmemError::MappingIdExists => CreateError::AlreadyThere { key },
            other => CreateError::System {
                key,
                source: system_error(&other),
            },
        })?;
        match secure(key, size) {
            Ok(id) => {
                // The crate would remove the name even if it is no longer ours.
                shmem.set_owner(false);
                Ok(Self {
                    shmem,
                    key,
                    id,
                    backends,
                    removed: false,
                })
            }
            Err(source) => Err(CreateError::System { key, source }),
        }
    }

    /// The header.
    pub(super) fn header(&self) -> &HeaderBlock {
        // SAFETY: the mapping is page-aligned, at least `segment_size(0)` bytes
        // long and lives as long as `self`; every bit pattern is a valid atomic.
        unsafe { &*self.shmem.as_ptr().cast::<HeaderBlock>() }
    }

    /// The record of the service.
    pub(super) fn service(&self) -> &ServiceRecord {
        // SAFETY: as for the header; SERVICE_AT is a multiple of 8 and the
        // record ends at BACKENDS_AT, which every segment has.
        unsafe { &*self.shmem.as_ptr().add(SERVICE_AT).cast::<ServiceRecord>() }
    }

    /// The records of the back ends, in order of definition.
    pub(super) fn backends(&self) -> &[BackendRecord] {
        // SAFETY: as for the header; the mapping was created with the size of
        // exactly this many records behind BACKENDS_AT, a multiple of 8.
        unsafe {
            let first = self.shmem.as_ptr().add(BACKENDS_AT);
            slice::from_raw_parts(first.cast::<BackendRecord>(), self.backends)
        }
    }

    /// Removes the object, if its name still leads to it. Whoever has it open
    /// or mapped keeps it.
    pub(super) fn remove(&mut self) -> io::Result<()> {
        let ours = !self.removed && object_at(self.key) == Some(self.id);
        self.removed = true;
        if ours { unlink(self.key) } else { Ok(()) }
    }
}

impl Drop for WriterMap {
    fn drop(&mut self) {
        // Nobody is left who could be told of a failure.
        let _ = self.remove();
    }
}

/// Sets the mode that a umask may have narrowed, reserves the pages, and tells
/// which object it is. The crate gives no access to its own descriptor.
fn secure(key: u32, size: usize) -> io::Result<ObjectId> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let object = File::from(rustix::fs::open(path_of(key), flags, Mode::empty())?);
    rustix::fs::fchmod(&object, mode)?;
    rustix::fs::fallocate(&object, FallocateFlags::empty(), 0, size as u64)?;
    let found = object.metadata()?;
    Ok(ObjectId {
        device: found.dev(),
        inode: found.ino(),
    })
}

/// The system's error inside an error of the crate.
fn system_error(error: &ShmemError) -> io::Error {
    match error {
        ShmemError::MapCreateFailed(code) | ShmemError::UnknownOsError(code) => {
            io::Error::from_raw_os_error(i32::try_from(*code).unwrap_or_default())
        }
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_named_after_the_key() {
        assert_eq!(object_name(0x5852_1f90), "/crossroads.58521f90");
        assert_eq!(object_name(10), "/crossroads.0000000a");
    }

    #[test]
    fn only_our_names_have_keys() {
        assert_eq!(key_of("crossroads.58521f90"), Some(0x5852_1f90));
        for other in [
            "crossroads.58521F90",
            "crossroads.+8521f90",
            "crossroads.58521f9",
            "crossroads.058521f90",
            "pulse-shm-1",
        ] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }
}
