//! One open log file, to which whole blocks are appended.

use std::borrow::Cow;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// What follows a block that was written in part and could not be taken back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mend {
    /// A line end: the next block begins on a fresh line.
    NewLine,
    /// The rest of it: readers need every block whole.
    Rest,
}

/// A regular file that is appended to.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    size: u64,
    mend: Mend,
    /// Written before the next block.
    owed: Vec<u8>,
}

impl AppendFile {
    /// Opens or makes the file at `path`; a new one is for its owner alone.
    ///
    /// # Errors
    ///
    /// What the system says, or that it is no regular file: a pipe could hold
    /// up the writer, and with it all logs.
    pub(super) fn open(path: &Path, mend: Mend) -> io::Result<Self> {
        // Without NONBLOCK the open of a pipe would wait for its reader.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            // The end of a capture is looked at before it goes on.
            .read(mend == Mend::Rest)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self {
            file,
            size: metadata.len(),
            mend,
            owed: Vec::new(),
        })
    }

    /// Whether `path` leads to this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let place = |metadata: Metadata| (metadata.dev(), metadata.ino());
        match (self.file.metadata(), path.metadata()) {
            (Ok(own), Ok(there)) => place(own) == place(there),
            _ => false,
        }
    }

    /// Bytes in it, as far as this program knows.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads `length` bytes at `offset`, counted from the end if negative.
    ///
    /// # Errors
    ///
    /// What the system says; also if there are not so many.
    pub(super) fn read_at(&self, offset: i64, length: usize) -> io::Result<Vec<u8>> {
        let from_start = if offset < 0 {
            self.size.checked_add_signed(offset)
        } else {
            u64::try_from(offset).ok()
        };
        let start = from_start.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// Appends a block with one call; one that does not get in as a whole is
    /// taken back.
    ///
    /// # Errors
    ///
    /// What the system says; then nothing of the block counts as written.
    pub(super) fn append(&mut self, block: &[u8]) -> io::Result<()> {
        let whole = if self.owed.is_empty() {
            Cow::Borrowed(block)
        } else {
            Cow::Owned([&self.owed, block].concat())
        };
        let mut written = 0;
        while written < whole.len() {
            // Once, unless the disk is full: then the second call says why.
            match self.file.write(&whole[written..]) {
                Ok(0) => return self.take_back(&whole, written, io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.take_back(&whole, written, error),
            }
        }
        self.size += written as u64;
        self.owed.clear();
        Ok(())
    }

    fn take_back(&mut self, whole: &[u8], written: usize, error: io::Error) -> io::Result<()> {
        if written > 0 && !self.cut(written as u64) {
            self.size += written as u64;
            self.owed = match self.mend {
                Mend::NewLine if whole[written - 1] == b'\n' => Vec::new(),
                Mend::NewLine => vec![b'\n'],
                Mend::Rest => whole[written..].to_vec(),
            };
        }
        Err(error)
    }

    /// Takes the last `count` bytes off the file, unless something came behind
    /// them; whether that was done.
    fn cut(&mut self, count: u64) -> bool {
        let (Ok(position), Ok(metadata)) = (self.file.stream_position(), self.file.metadata())
        else {
            return false;
        };
        position == metadata.len() && self.file.set_len(position - count).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file at `name` in a new directory, and what is in it afterwards.
    fn with_file(mend: Mend, action: impl FnOnce(&mut AppendFile, &Path)) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut file = AppendFile::open(&path, mend).unwrap();
        action(&mut file, &path);
        std::fs::read(path).unwrap()
    }

    /// As if the disk had been full after `written` bytes of `block`.
    fn fill_after(file: &mut AppendFile, block: &[u8], written: usize) {
        file.file.write_all(&block[..written]).unwrap();
        let full = io::ErrorKind::StorageFull.into();
        assert!(file.take_back(block, written, full).is_err());
    }

    #[test]
    fn part_of_a_block_is_taken_back() {
        let found = with_file(Mend::NewLine, |file, _| {
            file.append(b"one\n").unwrap();
            fill_after(file, b"two\n", 2);
            file.append(b"three\n").unwrap();
        });
        assert_eq!(found, b"one\nthree\n");
    }

    #[test]
    fn part_behind_which_somebody_wrote_stays_and_is_mended() {
        for (mend, expected) in [
            (Mend::NewLine, &b"twx\nthree\n"[..]),
            (Mend::Rest, b"twxo\nthree\n"),
        ] {
            let found = with_file(mend, |file, path| {
                file.file.write_all(b"tw").unwrap();
                let mut other = OpenOptions::new().append(true).open(path).unwrap();
                other.write_all(b"x").unwrap();
                let full = io::ErrorKind::StorageFull.into();
                assert!(file.take_back(b"two\n", 2, full).is_err());
                file.append(b"three\n").unwrap();
            });
            assert_eq!(found, expected, "{mend:?}");
        }
    }

    #[test]
    fn file_is_at_its_path_until_that_is_renamed_or_removed() {
        with_file(Mend::NewLine, |file, path| {
            assert!(file.is_at(path));
            std::fs::remove_file(path).unwrap();
            assert!(!file.is_at(path));
            std::fs::write(path, "another").unwrap();
            assert!(!file.is_at(path));
        });
    }
}
