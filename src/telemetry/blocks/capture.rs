//! A capture file in the pcapng format, and its rotation.
//!
//! One interface, raw IP, nanoseconds. Every file and every start of a daemon
//! begins a section. `FILE` is being written, `FILE.1` was before it, and so on.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

use super::file::{AppendFile, Mend};
use super::files::AtPath;
use super::settings::CaptureSettings;

/// The first bytes of every pcapng file.
const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The smallest block: type, length, and the length again.
const SMALLEST_BLOCK: u32 = 12;

/// Time stamps count in 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// A packet on its way into a capture.
pub(super) struct Packet<'a> {
    /// The packet from its IP header on.
    pub(super) bytes: &'a [u8],
    /// When it was seen, since 1970.
    pub(super) at: Duration,
    /// How many of its bytes are kept.
    pub(super) kept: Option<u32>,
    /// A remark on it.
    pub(super) comment: Option<String>,
}

/// A capture that is being written.
pub(super) struct CaptureFile {
    path: PathBuf,
    rotate_at: Option<u64>,
    /// The size at which this file is full; more than `rotate_at` after a
    /// rotation that failed.
    full_at: u64,
    files: u32,
    file: AppendFile,
    encoder: PcapNgWriter<Vec<u8>>,
    /// What begins the section; empty once it is written.
    head: Vec<u8>,
}

impl AtPath for CaptureFile {
    fn is_at(&self, path: &Path) -> bool {
        self.file.is_at(path)
    }
}

impl CaptureFile {
    /// Opens or makes the file of `settings`. One whose last block is torn, as
    /// a power cut leaves it, is put aside.
    ///
    /// # Errors
    ///
    /// What the system says, or that the file is no capture.
    pub(super) fn open(settings: &CaptureSettings) -> io::Result<Self> {
        let path = settings.file.clone();
        let mut file = AppendFile::open(&path, Mend::Rest)?;
        let begins = MAGIC
            .len()
            .min(usize::try_from(file.size()).unwrap_or(usize::MAX));
        if !MAGIC.starts_with(&file.read_at(0, begins)?) {
            return Err(io::Error::other("not a pcapng file"));
        }
        if file.size() > 0 && !is_whole(&file) {
            file = replace(&path, settings.files)?;
        }
        let (encoder, head) = begin_section()?;
        Ok(Self {
            path,
            rotate_at: settings.rotate_at,
            full_at: settings.rotate_at.unwrap_or(u64::MAX),
            files: settings.files,
            file,
            encoder,
            head,
        })
    }

    /// Appends packets with one call; before that, goes on in a new file if
    /// this one is full.
    ///
    /// # Errors
    ///
    /// What the system says; then none of them counts as written.
    pub(super) fn append(&mut self, packets: &[Packet<'_>]) -> io::Result<()> {
        let mut blocks = self.encode(packets)?;
        let size = self.file.size() + (self.head.len() + blocks.len()) as u64;
        // A file that holds nothing but its head would not be smaller.
        let has_packets = self.head.is_empty() || self.file.size() > 0;
        if has_packets && size > self.full_at {
            self.rotate()?;
        }
        if !self.head.is_empty() {
            blocks.splice(0..0, self.head.iter().copied());
        }
        self.file.append(&blocks)?;
        self.head.clear();
        Ok(())
    }

    fn encode(&mut self, packets: &[Packet<'_>]) -> io::Result<Vec<u8>> {
        for packet in packets {
            let kept = packet.kept.map_or(usize::MAX, |kept| kept as usize);
            let data = &packet.bytes[..packet.bytes.len().min(kept)];
            let comment = packet.comment.as_deref();
            let comment = comment.map(|text| EnhancedPacketOption::Comment(text.into()));
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp: packet.at,
                // A packet has an IP header, which cannot say more.
                original_len: u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX),
                data: Cow::Borrowed(data),
                options: comment.into_iter().collect(),
            };
            self.encoder.write_pcapng_block(block).map_err(into_io)?;
        }
        Ok(std::mem::take(self.encoder.get_mut()))
    }

    /// Goes on in a new file, unless another daemon has begun one already.
    /// If that fails, the file in hand grows by another share before it is tried
    /// again.
    fn rotate(&mut self) -> io::Result<()> {
        let share = self.rotate_at.unwrap_or(u64::MAX);
        self.full_at = self.file.size().saturating_add(share);
        self.file = if self.file.is_at(&self.path) {
            replace(&self.path, self.files)?
        } else {
            AppendFile::open(&self.path, Mend::Rest)?
        };
        self.full_at = share;
        (self.encoder, self.head) = begin_section()?;
        Ok(())
    }
}

/// Moves the file at `path` and those before it by one, so that `files` are
/// left with the one that is opened in its place.
fn replace(path: &Path, files: u32) -> io::Result<AppendFile> {
    for number in (1..files).rev() {
        let from = numbered(path, number - 1);
        match std::fs::rename(from, numbered(path, number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if files <= 1 {
        std::fs::remove_file(path)?;
    }
    AppendFile::open(path, Mend::Rest)
}

/// `FILE.number`, or `FILE` for 0.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Whether the last block of a capture is whole: its length stands at both of
/// its ends.
fn is_whole(file: &AppendFile) -> bool {
    let number = |offset| -> Option<u32> {
        let bytes = file.read_at(offset, 4).ok()?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let Some(length) =
        number(-4).filter(|&length| length >= SMALLEST_BLOCK && length.is_multiple_of(4))
    else {
        return false;
    };
    file.size().is_multiple_of(4) && number(4 - i64::from(length)) == Some(length)
}

/// What a section begins with, and who writes its packets.
fn begin_section() -> io::Result<(PcapNgWriter<Vec<u8>>, Vec<u8>)> {
    let section = SectionHeaderBlock {
        endianness: Endianness::native(),
        options: vec![SectionHeaderOption::UserApplication("crossroads".into())],
        ..SectionHeaderBlock::default()
    };
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        // Connections of one file may keep different lengths.
        snaplen: 0,
        options: vec![InterfaceDescriptionOption::IfTsResol(NANOSECONDS)],
    };
    let mut encoder = PcapNgWriter::with_section_header(Vec::new(), section).map_err(into_io)?;
    encoder.write_pcapng_block(interface).map_err(into_io)?;
    let head = std::mem::take(encoder.get_mut());
    Ok((encoder, head))
}

/// Memory takes every block, so this is about faults of the program.
fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
