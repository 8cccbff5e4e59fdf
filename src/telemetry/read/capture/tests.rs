use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use etherparse::PacketBuilder;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use proptest::prelude::*;

use super::*;
use crate::telemetry::layout;

const CLIENT: &str = "192.0.2.7:5000";
const BACKEND: &str = "10.0.0.5:80";
const COMMENT: &str = "crossroads connection=0004021 service=shop backend=maple";

/// A capture in the making.
struct File(PcapNgWriter<Vec<u8>>);

impl File {
    fn new() -> Self {
        Self::with_link(Endianness::Little, DataLink::RAW)
    }

    fn with_link(endianness: Endianness, linktype: DataLink) -> Self {
        let section = SectionHeaderBlock {
            endianness,
            ..SectionHeaderBlock::default()
        };
        let writer = PcapNgWriter::with_section_header(Vec::new(), section).unwrap();
        let mut file = Self(writer);
        file.add(InterfaceDescriptionBlock {
            linktype,
            snaplen: 0,
            options: Vec::new(),
        });
        file
    }

    fn add<'a>(&mut self, block: impl PcapNgBlock<'a>) {
        self.0.write_pcapng_block(block).unwrap();
    }

    /// Adds a packet of which `cut` bytes are not captured.
    fn packet(&mut self, bytes: &[u8], cut: usize, comment: Option<&str>) {
        let options = comment.map(|text| EnhancedPacketOption::Comment(Cow::Borrowed(text)));
        self.add(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::ZERO,
            original_len: bytes.len() as u32,
            data: Cow::Borrowed(&bytes[..bytes.len() - cut]),
            options: options.into_iter().collect(),
        });
    }

    /// Adds a whole segment.
    fn segment(&mut self, ends: (&str, &str), flags: &str, number: u32, payload: &[u8]) {
        let comment = (flags == "S").then_some(COMMENT);
        self.packet(&segment(ends, flags, number, payload), 0, comment);
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner()
    }
}

fn segment((from, to): (&str, &str), flags: &str, number: u32, payload: &[u8]) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let builder = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), 64)
        }
        _ => panic!("two families"),
    };
    let mut tcp = builder.tcp(from.port(), to.port(), number, 65_535);
    for flag in flags.chars() {
        tcp = match flag {
            'S' => tcp.syn(),
            'A' => tcp.ack(0),
            'F' => tcp.fin(),
            'R' => tcp.rst(),
            _ => tcp.psh(),
        };
    }
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, payload).unwrap();
    bytes
}

/// What a capture gives, a line for each item.
fn read(pieces: &[&[u8]]) -> Vec<String> {
    read_on(Streams::default(), pieces).0
}

fn read_on(streams: Streams, pieces: &[&[u8]]) -> (Vec<String>, Streams) {
    let mut capture = Capture::new(streams);
    let mut all = Vec::new();
    let mut each = |item: Item<'_>| all.push(line(&item));
    for piece in pieces {
        capture.push(piece, &mut each);
    }
    let streams = capture.end(&mut each);
    (all, streams)
}

fn line(item: &Item<'_>) -> String {
    match item {
        Item::Block(block) => {
            let stream = block.stream.unwrap();
            let number = stream.label.as_ref().map(|label| label.connection);
            let number = number.map_or("?".to_owned(), |number| number.to_string());
            let mut line = format!(
                "{} {number} {} > {}: {}",
                layout::letter(block.from),
                stream.client,
                stream.backend,
                String::from_utf8_lossy(block.bytes)
            );
            if (block.missing_before, block.missing_after) != (0, 0) {
                line += &format!(" -{} -{}", block.missing_before, block.missing_after);
            }
            line
        }
        Item::Comment(_) => panic!("a capture has no lines"),
        Item::Fault(Fault { place, what }) => format!("{place}: {what}"),
    }
}

/// A short connection: begin, a request, a reply, end.
fn connection(file: &mut File, client: &str, backend: &str) {
    let (there, back) = ((client, backend), (backend, client));
    file.segment(there, "S", 100, b"");
    file.segment(back, "SA", u32::MAX - 1, b"");
    file.segment(there, "A", 101, b"");
    file.segment(there, "PA", 101, b"hello");
    file.segment(back, "PA", u32::MAX, b"good ");
    file.segment(back, "PA", 4, b"bye");
    file.segment(there, "FA", 106, b"");
    file.segment(back, "FA", 7, b"");
}

fn lines_of(client: &str, backend: &str) -> Vec<String> {
    ["C 4021 {}: hello", "B 4021 {}: good ", "B 4021 {}: bye"]
        .map(|line| line.replace("{}", &format!("{client} > {backend}")))
        .to_vec()
}

#[test]
fn connection_gives_its_blocks_with_sides_number_and_addresses() {
    for order in [Endianness::Little, Endianness::Big] {
        let mut file = File::with_link(order, DataLink::RAW);
        connection(&mut file, CLIENT, BACKEND);
        connection(&mut file, "[2001:db8::7]:5000", "[::ffff:10.0.0.5]:80");

        let lines = read(&[&file.bytes()]);

        let mixed = lines_of("[2001:db8::7]:5000", BACKEND);
        assert_eq!(lines, [lines_of(CLIENT, BACKEND), mixed].concat());
    }
}

#[test]
fn sides_of_a_connection_without_its_syn_are_guessed() {
    let mut file = File::new();
    file.segment((CLIENT, BACKEND), "PA", 1, b"port 80 is the back end");
    file.segment((BACKEND, CLIENT), "PA", 1, b"so this is its");
    connection(&mut file, "192.0.2.8:6000", "10.0.0.5:7000");
    file.segment(("10.0.0.5:7000", "192.0.2.9:6001"), "PA", 1, b"known");

    let lines = read(&[&file.bytes()]);

    assert_eq!(
        lines[0],
        "C ? 192.0.2.7:5000 > 10.0.0.5:80: port 80 is the back end"
    );
    assert_eq!(lines[1], "B ? 192.0.2.7:5000 > 10.0.0.5:80: so this is its");
    assert_eq!(lines[5], "B ? 192.0.2.9:6001 > 10.0.0.5:7000: known");
}

#[test]
fn connection_goes_on_in_the_next_file() {
    let (mut first, mut second) = (File::new(), File::new());
    first.segment((CLIENT, BACKEND), "S", 1, b"");
    second.segment((CLIENT, BACKEND), "PA", 2, b"x");

    let (_, streams) = read_on(Streams::default(), &[&first.bytes()]);
    let (lines, _) = read_on(streams, &[&second.bytes()]);

    assert_eq!(lines, ["C 4021 192.0.2.7:5000 > 10.0.0.5:80: x"]);
}

#[test]
fn bytes_that_are_missing_are_counted_and_none_is_given_twice() {
    let ends = (CLIENT, BACKEND);
    let mut file = File::new();
    file.segment(ends, "S", 0, b"");
    file.packet(&segment(ends, "PA", 1, b"abcdefgh"), 5, None);
    file.segment(ends, "PA", 9, b"ij");
    file.segment(ends, "PA", 21, b"uv");
    file.segment(ends, "PA", 22, b"vwx");
    file.segment(ends, "PA", 21, b"uv");
    file.segment(ends, "R", 9_999, b"");
    file.segment(ends, "FA", 26, b"");

    let lines = read(&[&file.bytes()]);

    let start = "C 4021 192.0.2.7:5000 > 10.0.0.5:80: ";
    let ends: Vec<&str> = lines
        .iter()
        .map(|line| line.strip_prefix(start).unwrap())
        .collect();
    assert_eq!(ends, ["abc -0 -5", "ij", "uv -10 -0", "wx", " -1 -0"]);
}

#[test]
fn gap_of_more_than_half_of_all_numbers_is_told() {
    let mut file = File::new();
    file.segment((BACKEND, CLIENT), "PA", 1, b"before");
    file.segment((BACKEND, CLIENT), "PA", 7 + 3_000_000_000, b"after");

    assert_eq!(
        read(&[&file.bytes()])[1],
        "B ? 192.0.2.7:5000 > 10.0.0.5:80: after -3000000000 -0"
    );
}

#[test]
fn unknown_blocks_are_passed_over_in_silence() {
    let mut file = File::new();
    file.add(UnknownBlock::new(0x0bad, 0, b"what is this"));
    connection(&mut file, CLIENT, BACKEND);

    assert_eq!(read(&[&file.bytes()]), lines_of(CLIENT, BACKEND));
}

#[test]
fn section_follows_a_section_of_the_other_byte_order() {
    let mut bytes = Vec::new();
    for order in [Endianness::Little, Endianness::Big] {
        let mut file = File::with_link(order, DataLink::RAW);
        connection(&mut file, CLIENT, BACKEND);
        bytes.extend(file.bytes());
    }

    let both = [lines_of(CLIENT, BACKEND), lines_of(CLIENT, BACKEND)].concat();
    assert_eq!(read(&[&bytes]), both);
}

#[test]
fn reading_goes_on_with_the_section_behind_a_block_that_was_cut_off() {
    for kept in [1, 11, 40, 200] {
        let mut first = File::new();
        let start = first.0.get_ref().len();
        first.segment((CLIENT, BACKEND), "PA", 1, &[0; 4_000]);
        let mut bytes = first.bytes();
        bytes.truncate(start + kept);
        let mut second = File::new();
        connection(&mut second, CLIENT, BACKEND);
        bytes.extend(second.bytes());

        let lines = read(&[&bytes]);

        assert!(
            lines[0].starts_with(&format!("byte {start}: ")),
            "{lines:?}"
        );
        assert_eq!(lines[1..], lines_of(CLIENT, BACKEND), "{kept}");
    }
}

#[test]
fn packets_that_cannot_be_read_are_told_and_passed_over() {
    let mut file = File::new();
    file.packet(b"no packet at all", 0, None);
    file.packet(&segment((CLIENT, BACKEND), "PA", 1, b"x"), 9, None);
    connection(&mut file, CLIENT, BACKEND);
    let lines = read(&[&file.bytes()]);
    assert!(
        lines[0].ends_with("a packet without an IP header"),
        "{lines:?}"
    );
    assert!(
        lines[1].ends_with("a packet without a whole TCP header"),
        "{lines:?}"
    );
    assert_eq!(lines[2..], lines_of(CLIENT, BACKEND));

    let mut file = File::with_link(Endianness::Little, DataLink::ETHERNET);
    file.segment((CLIENT, BACKEND), "PA", 1, b"x");
    let lines = read(&[&file.bytes()]);
    assert!(
        lines[0].ends_with("link type 1; only raw IP (101) is read"),
        "{lines:?}"
    );
}

#[test]
fn side_that_ends_first_may_be_either() {
    let mut file = File::new();
    file.segment((BACKEND, CLIENT), "SA", 9, b"");
    file.segment((BACKEND, CLIENT), "PA", 10, b"banner");

    assert_eq!(
        read(&[&file.bytes()]),
        ["B ? 192.0.2.7:5000 > 10.0.0.5:80: banner"]
    );
}

fn sample() -> Vec<u8> {
    let mut bytes = Vec::new();
    for order in [Endianness::Big, Endianness::Little] {
        let mut file = File::with_link(order, DataLink::RAW);
        connection(&mut file, CLIENT, BACKEND);
        bytes.extend(file.bytes());
    }
    bytes
}

proptest! {
    #[test]
    fn capture_says_the_same_however_it_is_cut(size in 1_usize..700) {
        let bytes = sample();
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();

        prop_assert_eq!(read(&pieces), read(&[&bytes]));
    }

    #[test]
    fn damaged_captures_are_survived_and_say_the_same_however_they_are_cut(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        kept in any::<prop::sample::Index>(),
        size in 1_usize..200,
    ) {
        let mut bytes = sample();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(kept.index(bytes.len()) + 1);
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();

        prop_assert_eq!(read(&pieces), read(&[&bytes]));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&[&bytes]);
        read(&[&File::new().bytes(), &bytes]);
    }

    #[test]
    fn packet_of_any_bytes_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        damaged in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut file = File::new();
        file.packet(&bytes, 0, None);
        let mut packet = segment((CLIENT, BACKEND), "PA", 1, b"payload");
        let place = damaged.index(packet.len());
        packet[place] = byte;
        file.packet(&packet, 0, None);

        read(&[&file.bytes()]);
    }
}
