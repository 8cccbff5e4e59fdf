//! A capture: blocks of pcapng, whose packets go to [`Streams`].
//!
//! A daemon that was killed, or a full disk, leaves a block cut off in the
//! middle of a file, and the next daemon begins a new section behind it. So a
//! damaged place is told once, and reading goes on with the next section.
//!
//! ```text
//!              damage
//!  InStep ◄─────────────► Searching
//!          section header
//! ```

use std::ops::ControlFlow;

use memchr::memmem;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, SECTION_HEADER_BLOCK,
};
use pcap_file::pcapng::{Block as FileBlock, PcapNgParser};
use pcap_file::{DataLink, Endianness};

use super::streams::{Packet, Streams};
use super::{Fault, Item, Place};

/// What every pcapng file begins with.
pub const MAGIC: [u8; 4] = SECTION_HEADER_BLOCK.to_be_bytes();

/// The largest block that is looked into, in bytes. A packet of ours has at
/// most 32 KiB and its comment less than 64 KiB.
const LARGEST: u32 = 1 << 20;

/// How many interfaces of a section are remembered; ours have one.
const INTERFACES: usize = 1_024;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    /// The next byte begins a block.
    InStep,
    /// Something is damaged; the next section header is looked for.
    Searching,
}

/// Reads a capture.
pub struct Capture {
    /// What has come and is not used up.
    buffer: Vec<u8>,
    /// Where in the file `buffer` begins.
    place: u64,
    framing: Framing,
    /// The section, once one has begun.
    section: Option<PcapNgParser>,
    streams: Streams,
}

impl Capture {
    /// Reads a file whose connections may have begun in an earlier one, which
    /// left `streams`.
    pub fn new(streams: Streams) -> Self {
        Self {
            buffer: Vec::new(),
            place: 0,
            framing: Framing::InStep,
            section: None,
            streams,
        }
    }

    /// Takes more of the file; `each` gets what it holds.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Item<'_>)) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(bytes);
        let used = self.steps(&buffer, &mut each);
        buffer.drain(..used);
        self.buffer = buffer;
    }

    /// The file ends here. Gives the connections that go on in the next one.
    pub fn end(mut self, mut each: impl FnMut(Item<'_>)) -> Streams {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            if self.framing == Framing::InStep {
                self.damage("the block is cut off", &mut each);
            }
            // A short section may lie behind a block that promised more.
            rest = &rest[1..];
            self.place += 1;
            rest = &rest[self.steps(rest, &mut each)..];
        }
        self.streams
    }

    /// Uses up what can be used of `bytes`, which begin at `place`; gives how
    /// much that was.
    fn steps(&mut self, bytes: &[u8], each: &mut impl FnMut(Item<'_>)) -> usize {
        let mut used = 0;
        while let ControlFlow::Continue(more) = match self.framing {
            Framing::InStep => self.block(&bytes[used..], each),
            Framing::Searching => self.search(&bytes[used..]),
        } {
            used += more;
            self.place += more as u64;
        }
        used
    }

    /// Looks for the next section header, all of it: half of one may be chance.
    fn search(&mut self, bytes: &[u8]) -> ControlFlow<(), usize> {
        for start in memmem::find_iter(bytes, &MAGIC) {
            match frame(&bytes[start..], None) {
                Frame::Damaged(_) => {}
                Frame::Whole(_) => {
                    self.framing = Framing::InStep;
                    return ControlFlow::Continue(start);
                }
                Frame::Partial if start == 0 => return ControlFlow::Break(()),
                Frame::Partial => return ControlFlow::Continue(start),
            }
        }
        // The magic may have come in part.
        match bytes.len().saturating_sub(MAGIC.len() - 1) {
            0 => ControlFlow::Break(()),
            used => ControlFlow::Continue(used),
        }
    }

    fn block(&mut self, bytes: &[u8], each: &mut impl FnMut(Item<'_>)) -> ControlFlow<(), usize> {
        let order = self.section.as_ref().map(|one| one.section().endianness);
        match frame(bytes, order) {
            Frame::Partial => ControlFlow::Break(()),
            Frame::Whole(length) => {
                if let Err(what) = self.look_into(&bytes[..length], each) {
                    let place = Place::Byte(self.place);
                    each(Item::Fault(Fault { place, what }));
                }
                ControlFlow::Continue(length)
            }
            Frame::Damaged(what) => {
                self.damage(what, each);
                // Not this one again.
                ControlFlow::Continue(1)
            }
        }
    }

    fn damage(&mut self, what: &str, each: &mut impl FnMut(Item<'_>)) {
        let place = Place::Byte(self.place);
        let what = format!("{what}; what follows is passed over up to the next section");
        each(Item::Fault(Fault { place, what }));
        self.framing = Framing::Searching;
    }

    /// Looks into one whole block.
    fn look_into(&mut self, block: &[u8], each: &mut impl FnMut(Item<'_>)) -> Result<(), String> {
        let Some(section) = self.section.as_mut() else {
            let (_, section) = PcapNgParser::new(block).map_err(|error| error.to_string())?;
            self.section = Some(section);
            return Ok(());
        };
        match kind(block, section.section().endianness) {
            Some(INTERFACE_DESCRIPTION_BLOCK) if section.interfaces().len() == INTERFACES => {
                return Err(format!("more than {INTERFACES} interfaces in one section"));
            }
            Some(SECTION_HEADER_BLOCK | INTERFACE_DESCRIPTION_BLOCK | ENHANCED_PACKET_BLOCK) => {}
            // Names, statistics and what later versions may bring.
            _ => return Ok(()),
        }
        let (_, block) = section
            .next_block(block)
            .map_err(|error| error.to_string())?;
        if let FileBlock::EnhancedPacket(packet) = block {
            check_link(section.packet_interface(&packet).map(|one| one.linktype))?;
            let seen = self.streams.see(&seen(&packet));
            if let Some(block) = seen.map_err(|error| error.to_string())? {
                each(Item::Block(block));
            }
        }
        Ok(())
    }
}

fn kind(block: &[u8], order: Endianness) -> Option<u32> {
    block.first_chunk().map(|bytes| number(bytes, order))
}

fn number(bytes: &[u8; 4], order: Endianness) -> u32 {
    match order {
        Endianness::Big => u32::from_be_bytes(*bytes),
        Endianness::Little => u32::from_le_bytes(*bytes),
    }
}

/// Only packets that begin with their IP header are read.
fn check_link(link: Option<DataLink>) -> Result<(), String> {
    match link {
        Some(DataLink::RAW | DataLink::IPV4 | DataLink::IPV6) => Ok(()),
        Some(other) => Err(format!(
            "a packet of link type {}; only raw IP (101) is read",
            u32::from(other)
        )),
        None => Err("a packet of an interface that the section does not describe".to_owned()),
    }
}

fn seen<'a>(packet: &'a EnhancedPacketBlock<'_>) -> Packet<'a> {
    let comment = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Comment(text) => Some(&**text),
        _ => None,
    });
    let captured = packet.data.len() as u64;
    Packet {
        bytes: &packet.data,
        cut: u64::from(packet.original_len).saturating_sub(captured),
        comment,
    }
}

/// What the beginning of some bytes is.
enum Frame {
    /// The beginning of a block.
    Partial,
    /// A block of so many bytes.
    Whole(usize),
    /// No block.
    Damaged(&'static str),
}

/// Looks at the frame of a block; without an `order` only a section header is
/// one.
fn frame(bytes: &[u8], order: Option<Endianness>) -> Frame {
    let Some(kind) = bytes.first_chunk::<4>() else {
        return Frame::Partial;
    };
    let order = match (*kind == MAGIC, order) {
        (true, _) => match bytes.get(8..12) {
            None => return Frame::Partial,
            Some([0x1a, 0x2b, 0x3c, 0x4d]) => Endianness::Big,
            Some([0x4d, 0x3c, 0x2b, 0x1a]) => Endianness::Little,
            Some(_) => return Frame::Damaged("a section header without its byte order"),
        },
        (false, Some(order)) => order,
        (false, None) => return Frame::Damaged("no section header"),
    };
    let Some(length) = bytes[4..].first_chunk() else {
        return Frame::Partial;
    };
    let length = number(length, order);
    if length < 12 || !length.is_multiple_of(4) || length > LARGEST {
        return Frame::Damaged("a block whose length cannot be right");
    }
    let length = length as usize;
    match bytes.get(length - 4..length) {
        None => Frame::Partial,
        Some(trailer) if *trailer == bytes[4..8] => Frame::Whole(length),
        Some(_) => Frame::Damaged("a block with two lengths that differ"),
    }
}

#[cfg(test)]
mod tests;
