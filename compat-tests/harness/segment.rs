//! A shared memory object of the daemon, as bytes (specification, 14.3).

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Offset of the daemon's process id in the header.
pub(crate) const PID: u64 = 28;

/// Offset of the first back end's record, which begins with its sequence.
pub(crate) const FIRST_BACKEND: u64 = 768;

/// The object of one service, where the system shows it as a file.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
}

impl Segment {
    /// The object of the service with this key.
    pub(crate) fn of(key: u32) -> Self {
        Self {
            path: format!("/dev/shm/crossroads.{key:08x}").into(),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Its permissions and owner.
    pub(crate) fn mode_and_owner(&self) -> (u32, u32) {
        let metadata = self.path.metadata().expect("the object");
        (metadata.mode() & 0o7777, metadata.uid())
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.path.metadata().expect("the object").len()
    }

    /// Reads `N` bytes at `offset`.
    pub(crate) fn read<const N: usize>(&self, offset: u64) -> [u8; N] {
        let file = OpenOptions::new()
            .read(true)
            .open(&self.path)
            .expect("the object");
        let mut bytes = [0; N];
        file.read_exact_at(&mut bytes, offset)
            .expect("bytes of the object");
        bytes
    }

    /// Overwrites bytes at `offset`, as no honest program does.
    pub(crate) fn tamper(&self, offset: u64, bytes: &[u8]) {
        let file = OpenOptions::new()
            .write(true)
            .open(&self.path)
            .expect("the object");
        file.write_all_at(bytes, offset)
            .expect("write to the object");
    }

    /// Removes it.
    pub(crate) fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
