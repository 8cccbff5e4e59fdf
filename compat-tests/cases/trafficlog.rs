//! `crossroads trafficlog`: traffic logs and captures, shown and taken apart.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use etherparse::PacketBuilder;
use nix::sys::signal::Signal;
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;

use crate::harness::{Deadline, Run, Sandbox};

/// The example of the specification.
const SAMPLE: &str = "\
C 0000 50 55 54 20 2f 61 20 48 54 54 50 2f 31 2e 31 0d PUT /a HTTP/1.1.
C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....
";

const CLIENT: &str = "192.0.2.7:5000";
const BACKEND: &str = "10.0.0.5:80";

/// Runs `trafficlog` on the file `name`.
fn trafficlog(sandbox: &Sandbox, name: &str, flags: &[&str]) -> Run {
    let program = sandbox.program().args(["trafficlog", name]);
    program.args(flags).run()
}

/// Bytes of every value in no order that a person would choose.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// A traffic log of one block.
fn hex(letter: char, bytes: &[u8]) -> String {
    let mut log = String::new();
    for (offset, piece) in (0_usize..).step_by(16).zip(bytes.chunks(16)) {
        let digits: Vec<String> = piece.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = piece
            .iter()
            .map(|byte| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '.',
            })
            .collect();
        let (offset, digits) = (offset & 0xffff, digits.join(" "));
        log += &format!("{letter} {offset:04x} {digits:47} {text}\n");
    }
    log
}

/// A capture in the making, as the daemon writes it.
struct Capture(PcapNgWriter<Vec<u8>>);

impl Capture {
    fn new() -> Self {
        let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: Vec::new(),
        };
        writer.write_pcapng_block(interface).unwrap();
        Self(writer)
    }

    /// Adds a packet of which all but `kept` bytes were cut off.
    fn packet(&mut self, packet: &[u8], kept: usize, comment: Option<String>) {
        let comment = comment.map(|text| EnhancedPacketOption::Comment(Cow::Owned(text)));
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_secs(1),
            original_len: packet.len() as u32,
            data: Cow::Borrowed(&packet[..kept.min(packet.len())]),
            options: comment.into_iter().collect(),
        };
        self.0.write_pcapng_block(block).unwrap();
    }

    fn segment(&mut self, ends: (&str, &str), flags: &str, number: u32, payload: &[u8]) {
        self.packet(&segment(ends, flags, number, payload), usize::MAX, None);
    }

    /// Adds the three packets that a connection begins with; both sides count
    /// from 1 then.
    fn begin(&mut self, connection: u32, client: &str) {
        let there = (client, BACKEND);
        let comment = format!("crossroads connection={connection:07} service=shop backend=maple");
        self.packet(&segment(there, "S", 0, b""), usize::MAX, Some(comment));
        self.segment((BACKEND, client), "SA", 0, b"");
        self.segment(there, "A", 1, b"");
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner()
    }
}

fn segment((from, to): (&str, &str), flags: &str, number: u32, payload: &[u8]) -> Vec<u8> {
    let (Ok(SocketAddr::V4(from)), Ok(SocketAddr::V4(to))) = (from.parse(), to.parse()) else {
        panic!("IPv4 addresses");
    };
    let mut tcp = PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64).tcp(
        from.port(),
        to.port(),
        number,
        65_535,
    );
    for flag in flags.chars() {
        tcp = match flag {
            'S' => tcp.syn(),
            'F' => tcp.fin(),
            'P' => tcp.psh(),
            _ => tcp.ack(1),
        };
    }
    let mut packet = Vec::new();
    tcp.write(&mut packet, payload).unwrap();
    packet
}

/// 13.1 (documented): the layout. Short lines without padding, and capitals,
/// are taken for the original's (inferred).
#[test]
fn traffic_log_is_shown_in_the_hex_layout() {
    let sandbox = Sandbox::new();
    sandbox.write("own.log", SAMPLE);
    sandbox.write("old.log", "B 0000 4F 4B 0d 0a OK..\n");

    assert_eq!(trafficlog(&sandbox, "own.log", &[]).clean(), SAMPLE);
    assert_eq!(
        trafficlog(&sandbox, "old.log", &[]).clean(),
        format!("B 0000 {:47} OK..\n", "4f 4b 0d 0a")
    );
}

/// 13.1 (decided): a traffic log holds every byte of both directions.
#[test]
fn bytes_of_each_side_come_out_of_a_traffic_log_as_they_went_in() {
    let sandbox = Sandbox::new();
    let (asked, answered) = (noise(1, 5_003), noise(2, 140_001));
    let mut log = String::new();
    let pieces = asked.chunks(1_000).zip(answered.chunks(70_000));
    for (client, backend) in pieces {
        log += &(hex('C', client) + &hex('B', backend));
    }
    log += &hex('C', &asked[3_000..]);
    for rest in answered.chunks(70_000).skip(3) {
        log += &hex('B', rest);
    }
    sandbox.write("t.log", log);

    let client = trafficlog(&sandbox, "t.log", &["--raw", "client"]);
    let backend = trafficlog(&sandbox, "t.log", &["--raw=backend"]);

    client.clean();
    backend.clean();
    assert!(client.bytes == asked, "{} bytes", client.bytes.len());
    assert!(backend.bytes == answered, "{} bytes", backend.bytes.len());
}

/// 2.4, 13.1 (decided): what cannot be read does not end the command.
#[test]
fn faulty_lines_are_told_with_their_places_and_passed_over() {
    let sandbox = Sandbox::new();
    let mut log = format!("{SAMPLE}rubbish\nB 0010 41 A\nC 0000 41 B\n");
    log += &"x\n".repeat(20);
    sandbox.write("t.log", &log);

    let run = trafficlog(&sandbox, "t.log", &[]);

    assert_eq!(run.ok().lines().count(), 3, "{run:#?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 11, "{run:#?}");
    assert!(
        lines[0].starts_with("t.log:3: begins with neither"),
        "{run:#?}"
    );
    assert!(
        lines[1].starts_with("t.log:4: B 0010 without B 0000"),
        "{run:#?}"
    );
    assert!(
        lines[2].starts_with("t.log:5: the text at the end"),
        "{run:#?}"
    );
    assert_eq!(
        lines[10],
        "crossroads: t.log: 23 faults, the first 10 are shown"
    );
}

/// 2.5 (decided): errors are one line that names the file.
#[test]
fn files_that_cannot_be_shown_are_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("t.log", SAMPLE);
    sandbox.write("t.log.gz", b"\x1f\x8b\x08\0\0\0\0\0");
    sandbox.write("old.pcap", b"\xd4\xc3\xb2\xa1\x02\0\x04\0");
    let mut capture = Capture::new();
    capture.begin(7, CLIENT);
    sandbox.write("t.pcapng", capture.bytes());
    for (name, flags, expected) in [
        ("gone", &[][..], "gone: No such file or directory"),
        (".", &[], ".: Is a directory"),
        ("t.log.gz", &[], "t.log.gz: compressed by gzip"),
        (
            "old.pcap",
            &[],
            "old.pcap: a capture in the older pcap format",
        ),
        (
            "t.log",
            &["--connection", "7"],
            "t.log: a traffic log has no connection numbers",
        ),
        (
            "t.pcapng",
            &["--connection", "8"],
            "t.pcapng: no bytes of a connection 0000008",
        ),
    ] {
        let run = trafficlog(&sandbox, name, flags);

        let line = run.failed_with_one_line();
        assert!(line.starts_with(expected), "{line}");
    }
}

/// 2.5 (decided).
#[test]
fn usage_errors_of_the_flags_say_what_is_accepted() {
    let sandbox = Sandbox::new();
    for (words, expected) in [
        (
            &["trafficlog"][..],
            "'trafficlog' needs one file, or '-' for standard input",
        ),
        (
            &["trafficlog", "a", "b"],
            "'trafficlog' needs one file, or '-' for standard input",
        ),
        (
            &["trafficlog", "a", "--raw", "clinet"],
            "argument 'clinet' of '--raw' is neither 'client' nor 'backend' (did you mean \
             'client'?)",
        ),
        (
            &["trafficlog", "a", "--connection", "0"],
            "argument '0' of '--connection' is not within 1 to 9999999",
        ),
        (
            &["status", "--follow"],
            "'--follow' belongs to 'trafficlog', not to 'status'",
        ),
        (
            &["trafficlog", "a", "--plot", "b"],
            "'--plot' belongs to 'throughput', not to 'trafficlog'",
        ),
    ] {
        assert_eq!(sandbox.program().args(words).run().usage_error(), expected);
    }
}

/// Captures (decided): connections are told apart, although they take turns.
#[test]
fn capture_is_shown_connection_by_connection_in_the_hex_layout() {
    let sandbox = Sandbox::new();
    let other = "192.0.2.8:5001";
    let mut capture = Capture::new();
    capture.begin(4_021, CLIENT);
    capture.begin(4_022, other);
    capture.segment((CLIENT, BACKEND), "PA", 1, b"one");
    capture.segment((other, BACKEND), "PA", 1, b"two");
    capture.segment((BACKEND, other), "PA", 1, b"2!");
    capture.segment((CLIENT, BACKEND), "FA", 4, b"");
    capture.segment(("192.0.2.9:6000", BACKEND), "PA", 77, b"x");
    sandbox.write("t.pcapng", capture.bytes());

    let all = trafficlog(&sandbox, "t.pcapng", &[]);
    let one = trafficlog(&sandbox, "t.pcapng", &["--connection", "0004022"]);

    let first = format!(
        "# connection 0004021 shop maple {CLIENT} -> {BACKEND}\n{}",
        hex('C', b"one")
    );
    let second = format!(
        "# connection 0004022 shop maple {other} -> {BACKEND}\n{}{}",
        hex('C', b"two"),
        hex('B', b"2!")
    );
    let third = format!(
        "# connection ? 192.0.2.9:6000 -> {BACKEND} (begins in an earlier file)\n{}",
        hex('C', b"x")
    );
    assert_eq!(all.clean(), format!("{first}{second}{third}"));
    assert_eq!(one.clean(), second);
}

/// Captures (decided): every byte of one connection and one direction.
#[test]
fn bytes_of_one_connection_come_out_of_a_capture_as_they_went_in() {
    let sandbox = Sandbox::new();
    let (asked, answered) = (noise(3, 100_000), noise(4, 200_000));
    let other = "192.0.2.8:5001";
    let mut capture = Capture::new();
    capture.begin(1, CLIENT);
    capture.begin(2, other);
    let mut number = 1;
    let pieces = asked.chunks(16_384).zip(answered.chunks(32_768));
    for (place, (client, backend)) in (0_u32..).zip(pieces) {
        capture.segment((CLIENT, BACKEND), "PA", 1 + place * 16_384, client);
        capture.segment((BACKEND, CLIENT), "PA", number, backend);
        capture.segment((other, BACKEND), "PA", 1 + place * 5, b"other");
        number += backend.len() as u32;
    }
    sandbox.write("t.pcapng", capture.bytes());

    let client = trafficlog(&sandbox, "t.pcapng", &["--raw=client", "--connection=1"]);
    let backend = trafficlog(&sandbox, "t.pcapng", &["--raw=backend", "--connection=1"]);

    client.clean();
    backend.clean();
    assert!(client.bytes == asked, "{} bytes", client.bytes.len());
    assert!(backend.bytes == answered, "{} bytes", backend.bytes.len());
}

/// Captures (decided): a side that sent nothing gives nothing; only a connection
/// of which nothing at all is there is an error.
#[test]
fn side_of_a_connection_that_sent_nothing_is_no_error() {
    let sandbox = Sandbox::new();
    let mut capture = Capture::new();
    capture.begin(1, CLIENT);
    capture.segment((BACKEND, CLIENT), "PA", 1, b"220 hello");
    sandbox.write("t.pcapng", capture.bytes());

    let silent = trafficlog(&sandbox, "t.pcapng", &["--raw=client", "--connection=1"]);
    let absent = trafficlog(&sandbox, "t.pcapng", &["--raw=client", "--connection=2"]);

    assert_eq!(silent.clean(), "");
    assert_eq!(
        absent.failed_with_one_line(),
        "t.pcapng: no bytes of a connection 0000002"
    );
}

/// Captures (decided): packets may be cut to the snap length, or be lost.
#[test]
fn bytes_that_a_capture_lacks_are_told() {
    let sandbox = Sandbox::new();
    let mut capture = Capture::new();
    capture.begin(1, CLIENT);
    let cut = segment((CLIENT, BACKEND), "PA", 1, b"0123456789");
    capture.packet(&cut, cut.len() - 4, None);
    capture.segment((CLIENT, BACKEND), "PA", 21, b"end");
    sandbox.write("t.pcapng", capture.bytes());

    let raw = trafficlog(&sandbox, "t.pcapng", &["--raw", "client"]);
    let shown = trafficlog(&sandbox, "t.pcapng", &[]);

    assert_eq!(raw.ok(), "012345end");
    let told = "crossroads: t.pcapng: 14 bytes of this are missing: cut off, or never captured\n";
    assert_eq!(raw.stderr, told);
    let lines: Vec<&str> = shown.clean().lines().skip(1).collect();
    let (begin, end) = (hex('C', b"012345"), hex('C', b"end"));
    let expected = format!("{begin}# C 4 bytes missing\n# C 10 bytes missing\n{end}");
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
}

/// Captures (decided): a daemon that was killed leaves half a block, and the
/// next one goes on behind it.
#[test]
fn capture_is_read_on_behind_a_block_that_was_cut_off() {
    let sandbox = Sandbox::new();
    let mut first = Capture::new();
    first.begin(1, CLIENT);
    first.segment((CLIENT, BACKEND), "PA", 1, &noise(5, 9_000));
    let mut bytes = first.bytes();
    bytes.truncate(bytes.len() - 5_000);
    let mut second = Capture::new();
    second.begin(2, CLIENT);
    second.segment((CLIENT, BACKEND), "PA", 1, b"after");
    bytes.extend(second.bytes());
    sandbox.write("t.pcapng", bytes);

    let run = trafficlog(&sandbox, "t.pcapng", &["--raw", "client"]);

    assert_eq!(run.ok(), "after");
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    assert!(run.stderr.starts_with("t.pcapng: byte "), "{run:#?}");
}

/// 2.4 (decided): whatever a file holds, the command ends, and ends well.
#[test]
fn files_of_noise_are_survived() {
    let sandbox = Sandbox::new();
    for seed in 0..8 {
        let mut bytes = noise(seed, 60_000);
        if seed % 2 == 0 {
            let mut capture = Capture::new();
            capture.begin(1, CLIENT);
            bytes.splice(..0, capture.bytes());
        }
        sandbox.write("noise", bytes);

        trafficlog(&sandbox, "noise", &[]).ok();
        trafficlog(&sandbox, "noise", &["--raw", "backend"]).ok();
    }
}

/// Appends to a file of the sandbox.
fn append(path: &Path, text: impl AsRef<[u8]>) {
    let file = OpenOptions::new().append(true).open(path);
    file.unwrap().write_all(text.as_ref()).unwrap();
}

/// `--follow` (decided): as `tail -F`, and SIGINT and SIGTERM end it well.
#[test]
fn followed_log_may_grow_be_emptied_and_be_replaced() {
    for end in [Signal::SIGINT, Signal::SIGTERM] {
        let sandbox = Sandbox::new();
        let path = sandbox.write("t.log", "C 0000 41 A\n");
        let program = sandbox.program().args(["trafficlog", "--follow", "t.log"]);
        let mut running = program.spawn();
        let mut await_text = |text: &str| {
            running.stdout_until(|line| line.ends_with(text));
        };
        await_text(" A");

        // Half a line waits for its other half.
        append(&path, "C 0000 42");
        append(&path, " B\nrubbish\n");
        await_text(" B");
        std::fs::write(&path, "C 0000 43 C\n").unwrap();
        await_text(" C");
        std::fs::rename(&path, sandbox.path().join("t.log.1")).unwrap();
        append(&sandbox.path().join("t.log.1"), "C 0000 44 D\n");
        await_text(" D");
        sandbox.write("t.log", "C 0000 45 E\n");
        await_text(" E");
        running.signal(end);

        let run = running.finish(Deadline::usual());
        assert_eq!(run.code, Some(0), "{run:#?}");
        assert!(run.stderr.starts_with("t.log:3: begins with"), "{run:#?}");
    }
}

/// `--follow` of a capture (decided): a connection goes on in the next file.
#[test]
fn followed_capture_may_be_rotated_in_the_middle_of_a_connection() {
    let sandbox = Sandbox::new();
    let mut first = Capture::new();
    first.begin(9, CLIENT);
    first.segment((CLIENT, BACKEND), "PA", 1, b"one\n");
    let path = sandbox.write("t.pcapng", first.bytes());
    let words = [
        "trafficlog",
        "--follow",
        "--raw=client",
        "--connection=9",
        "t.pcapng",
    ];
    let mut running = sandbox.program().args(words).spawn();
    running.stdout_until(|line| line == "one");

    let mut second = Capture::new();
    second.segment((CLIENT, BACKEND), "PA", 5, b"two\n");
    let next = sandbox.write("next", second.bytes());
    std::fs::rename(next, &path).unwrap();
    running.stdout_until(|line| line == "two");
    running.signal(Signal::SIGINT);

    running.finish(Deadline::usual()).clean();
}

/// Pager (decided): text on a terminal goes through PAGER, other text does not.
#[test]
fn text_on_a_terminal_goes_through_the_pager() {
    let sandbox = Sandbox::new();
    if !Path::new("/usr/bin/script").exists() {
        println!("skipped: no program 'script' to make a terminal");
        return;
    }
    sandbox.write("t.log", "C 0000 68 69 hi\n");
    let program = crate::harness::binary_under_test();
    let on_terminal = |pager: &str| {
        let line = format!("{} trafficlog t.log", program.display());
        let script = sandbox.other_program("/usr/bin/script");
        let run = script
            .args(["-qec", &line, "/dev/null"])
            .env("PAGER", pager)
            .run();
        run.ok().trim_end().to_owned()
    };

    assert!(on_terminal("tr hi HI").ends_with(" HI"));
    assert!(on_terminal("").ends_with(" hi"));
    // A pager may be left before it has seen everything.
    sandbox.write("t.log", "C 0000 68 69 hi\n".repeat(50_000));
    assert_eq!(on_terminal("head -n 1").lines().count(), 1);
    sandbox.write("t.log", "C 0000 68 69 hi\n");
    let piped = sandbox
        .program()
        .args(["trafficlog", "t.log"])
        .env("PAGER", "tr hi HI")
        .run();
    assert!(piped.clean().trim_end().ends_with(" hi"));
}
