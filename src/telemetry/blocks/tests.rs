//! Taps, queue, writer and files together, without any connection.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use etherparse::{PacketHeaders, TransportHeader};
use pcap_file::pcapng::{Block, PcapNgReader};

use super::*;
use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::event::Event;
use crate::base::id::{BackendId, ConnectionCounter};
use crate::base::name::BackendName;
use crate::base::tap::{ByteTap, Origin, Tapped};
use crate::policy::access::{Filter, FilterList};
use crate::telemetry::read::Item;
use crate::telemetry::read::reader::Reader;
use crate::telemetry::read::streams::Streams;

/// A sink that keeps the warnings about logs.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl EventSink for Warnings {
    fn emit(&self, event: &Event<'_>) {
        let text = match event {
            Event::LogNotOpened { backend, error, .. } => {
                format!("{} not opened: {error}", backend.name)
            }
            Event::LogDropped {
                backend, reason, ..
            } => {
                format!("{} dropped: {reason}", backend.name)
            }
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

struct Desk {
    logs: BlockLogs,
    warnings: Arc<Warnings>,
    counter: ConnectionCounter,
    taps: Arc<dyn ServiceTaps>,
}

impl Desk {
    /// A service `shop` whose only back end `maple` has these logs.
    fn new(maple: LoggedBackend, queue: usize) -> Self {
        let name = ServiceName::new("shop").unwrap();
        let service = LoggedService {
            name: name.clone(),
            backends: vec![maple],
        };
        let warnings = Arc::new(Warnings::default());
        let sink: Arc<dyn EventSink> = Arc::<Warnings>::clone(&warnings);
        let logs = BlockLogs::with_queue(vec![service], sink, queue)
            .unwrap()
            .unwrap();
        let taps = logs.of_service(&name).unwrap();
        Self {
            logs,
            warnings,
            counter: ConnectionCounter::default(),
            taps,
        }
    }

    fn connect(&self) -> Box<dyn ByteTap> {
        self.connect_from("192.0.2.7:40000").unwrap()
    }

    fn connect_from(&self, client: &str) -> Option<Box<dyn ByteTap>> {
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        self.taps.tap(&Tapped {
            backend: BackendId(0),
            connection: self.counter.next(),
            client: ClientAddr::new(address(client)),
            to: BackendAddr(address("10.0.0.5:80")),
        })
    }

    /// Waits until everything is written; what was lost, and the warnings.
    fn finish(self) -> (u64, Vec<String>) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.logs.finish() {
            assert!(Instant::now() < deadline, "the writer does not end");
        }
        let warnings = std::mem::take(&mut *self.warnings.0.lock().unwrap());
        (self.taps.lost(BackendId(0)), warnings)
    }
}

fn maple() -> LoggedBackend {
    LoggedBackend {
        name: BackendName::new("maple").unwrap(),
        verbose: false,
        traffic: None,
        throughput: None,
        capture: None,
    }
}

fn with_capture(file: &Path) -> LoggedBackend {
    let capture = CaptureSettings {
        file: file.to_owned(),
        snap_length: None,
        when: FilterList::default(),
        rotate_at: None,
        files: 3,
    };
    LoggedBackend {
        capture: Some(capture),
        ..maple()
    }
}

fn with_text(directory: &Path) -> LoggedBackend {
    LoggedBackend {
        traffic: Some(directory.join("traffic")),
        throughput: Some(directory.join("throughput")),
        ..maple()
    }
}

fn say(tap: &mut Box<dyn ByteTap>, from: Origin, bytes: &[u8]) {
    tap.block(from, bytes, Instant::now());
}

/// Sequence number, payload and original length of each packet of a capture
/// that came from port `port`; payloads of handshake and end left out.
fn packets(file: &Path, port: u16) -> Vec<(u32, Vec<u8>, u32)> {
    let mut reader = PcapNgReader::new(fs::File::open(file).unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.unwrap() else {
            continue;
        };
        let headers = PacketHeaders::from_ip_slice(&packet.data).ok();
        let Some(headers) = headers else { continue };
        let Some(TransportHeader::Tcp(tcp)) = headers.transport else {
            panic!("no TCP")
        };
        if tcp.source_port == port && tcp.psh {
            let payload = headers.payload.slice().to_vec();
            found.push((tcp.sequence_number, payload, packet.original_len));
        }
    }
    found
}

fn payload(packets: &[(u32, Vec<u8>, u32)]) -> Vec<u8> {
    packets
        .iter()
        .flat_map(|(_, bytes, _)| bytes.clone())
        .collect()
}

#[test]
fn blocks_become_lines_of_both_text_logs_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::new(with_text(directory.path()), 1 << 20);
    let mut tap = desk.connect();
    say(&mut tap, Origin::Client, b"hello\n");
    say(&mut tap, Origin::Backend, b"hi");
    drop(tap);
    assert_eq!(desk.finish(), (0, vec![]));

    let traffic = fs::read_to_string(directory.path().join("traffic")).unwrap();
    assert_eq!(
        traffic,
        format!(
            "C 0000 {:47} hello.\nB 0000 {:47} hi\n",
            "68 65 6c 6c 6f 0a", "68 69"
        )
    );
    let throughput = directory.path().join("throughput");
    let lines = fs::read_to_string(&throughput).unwrap();
    assert!(
        lines.starts_with("0000001 0.000001 C hello.\n0000001 0."),
        "{lines}"
    );
    assert!(lines.ends_with(" B hi\n"), "{lines}");
    let mode = fs::metadata(&throughput).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn connection_after_a_rename_begins_a_new_file_and_earlier_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (file, old) = (
        directory.path().join("traffic"),
        directory.path().join("old"),
    );
    let desk = Desk::new(with_text(directory.path()), 1 << 20);
    let mut first = desk.connect();
    say(&mut first, Origin::Client, b"1");
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
        assert!(Instant::now() < deadline, "nothing is written");
        thread::yield_now();
    }
    fs::rename(&file, &old).unwrap();
    let mut second = desk.connect();
    say(&mut second, Origin::Client, b"2");
    say(&mut first, Origin::Client, b"3");
    drop((first, second));
    assert_eq!(desk.finish(), (0, vec![]));

    let texts = |file| -> Vec<char> {
        let text = fs::read_to_string(file).unwrap();
        text.lines()
            .filter_map(|line| line.chars().last())
            .collect()
    };
    assert_eq!((texts(old), texts(file)), (vec!['1', '3'], vec!['2']));
}

#[test]
fn file_that_cannot_be_opened_is_warned_of_and_its_blocks_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut maple = with_text(directory.path());
    maple.traffic = Some(directory.path().join("missing/traffic"));
    let desk = Desk::new(maple, 1 << 20);
    let mark = Arc::default();
    desk.taps.mark_losses(&mark);
    let mut tap = desk.connect();
    say(&mut tap, Origin::Client, b"x");
    say(&mut tap, Origin::Client, b"y");
    drop(tap);
    let (lost, warnings) = desk.finish();

    assert_eq!(lost, 2);
    assert!(mark.is_set());
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("maple not opened: No such file"),
        "{warnings:?}"
    );
    let lines = fs::read_to_string(directory.path().join("throughput")).unwrap();
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn pipe_is_refused_as_a_log_with_and_without_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut held = None;
    for _ in 0..2 {
        let maple = LoggedBackend {
            traffic: Some(pipe.clone()),
            ..maple()
        };
        let desk = Desk::new(maple, 1 << 20);
        drop(desk.connect());
        let (_, warnings) = desk.finish();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        held = Some(
            fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(&pipe)
                .unwrap(),
        );
    }
    drop(held);
}

#[test]
fn what_finds_the_queue_full_is_a_gap_in_the_capture_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("capture");
    // Room for one block of this size, and not for two at once.
    let block = vec![7; 300_000];
    let desk = Desk::new(with_capture(&file), 400_000);
    let mut tap = desk.connect();
    for _ in 0..200 {
        say(&mut tap, Origin::Backend, &block);
    }
    // The last one is only taken where there is room for it.
    let mut refused = desk.taps.lost(BackendId(0));
    loop {
        say(&mut tap, Origin::Backend, b"the end");
        let lost = desk.taps.lost(BackendId(0));
        if lost == refused {
            break;
        }
        refused = lost;
    }
    drop(tap);
    let (lost, warnings) = desk.finish();

    assert!(lost > 0, "two hundred blocks found room");
    assert!(
        warnings
            .iter()
            .all(|text| text == "maple dropped: queue full")
    );
    let packets = packets(&file, 80);
    let (last, before) = packets.split_last().unwrap();
    assert_eq!(last.1, b"the end");
    let logged = payload(before).len();
    assert_eq!(logged % block.len(), 0, "blocks are whole or missing");
    let first = packets[0].0;
    let moved = u64::from(last.0.wrapping_sub(first));
    assert!(
        moved >= 200 * block.len() as u64,
        "no gap for what was dropped"
    );
}

#[test]
fn what_is_dropped_last_is_a_gap_before_the_end_of_the_capture() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("capture");
    let desk = Desk::new(with_capture(&file), 400_000);
    let mut tap = desk.connect();
    say(&mut tap, Origin::Backend, b"kept");
    // Only an empty queue takes so much, and is full from then on.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !desk.logs.hub.queue.reserve(1_000_000) {
        assert!(Instant::now() < deadline, "the queue does not get empty");
    }
    say(&mut tap, Origin::Client, b"lost");
    say(&mut tap, Origin::Backend, b"lost as well");
    drop(tap);
    let (lost, _) = desk.finish();

    let mut missing = [0; 2];
    let mut reader = Reader::new(Streams::default());
    let bytes = fs::read(&file).unwrap();
    let read = reader.push(&bytes, |item| match item {
        Item::Block(block) => missing[block.from as usize] += block.missing_before,
        other => panic!("{other:?}"),
    });
    read.unwrap();
    assert_eq!((lost, missing), (2, [4, 12]));
}

#[test]
fn capture_gives_the_bytes_back_and_goes_on_over_a_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("capture");
    let mut maple = with_capture(&file);
    let capture = maple.capture.as_mut().unwrap();
    (capture.rotate_at, capture.files) = (Some(200_000), 3);
    let desk = Desk::new(maple, 1 << 24);
    let mut tap = desk.connect();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    for block in sent.chunks(50_000) {
        say(&mut tap, Origin::Backend, block);
    }
    drop(tap);
    assert_eq!(desk.finish(), (0, vec![]));

    let number = |number: u32| directory.path().join(format!("capture.{number}"));
    assert!(!number(3).exists());
    let files = [number(2), number(1), file];
    let mut got = Vec::new();
    for file in files {
        assert!(fs::metadata(&file).unwrap().len() <= 200_000);
        got.extend(packets(&file, 80));
    }
    assert!(sent.ends_with(&payload(&got)) && got.len() > 8);
    for pair in got.windows(2) {
        assert_eq!(pair[1].0, pair[0].0.wrapping_add(pair[0].1.len() as u32));
    }
}

#[test]
fn snap_length_cuts_packets_and_tells_what_they_had() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("capture");
    let mut maple = with_capture(&file);
    maple.capture.as_mut().unwrap().snap_length = Some(64);
    let desk = Desk::new(maple, 1 << 20);
    let mut tap = desk.connect();
    say(&mut tap, Origin::Client, &[1; 1_000]);
    drop(tap);
    assert_eq!(desk.finish(), (0, vec![]));

    let mut reader = PcapNgReader::new(fs::File::open(&file).unwrap()).unwrap();
    let mut lengths = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            lengths.push((packet.data.len(), packet.original_len));
        }
    }
    assert_eq!(lengths[3], (64, 1_040));
    assert_eq!(lengths.len(), 7);
}

#[test]
fn only_clients_of_its_networks_are_captured() {
    let directory = tempfile::tempdir().unwrap();
    let mut maple = with_capture(&directory.path().join("capture"));
    let office: Filter = Filter::parse("192.0.2/24").unwrap();
    maple.capture.as_mut().unwrap().when = FilterList::from_iter([office]);
    let desk = Desk::new(maple, 1 << 20);

    assert!(desk.connect_from("192.0.2.7:1").is_some());
    assert!(desk.connect_from("198.51.100.7:1").is_none());
    let other = ClientAddr::new("198.51.100.7:1".parse().unwrap());
    assert!(!desk.taps.may_tap(other));
}

#[test]
fn capture_with_a_torn_end_is_put_aside_and_another_file_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("capture");
    let run = |bytes: &[u8]| {
        let desk = Desk::new(with_capture(&file), 1 << 20);
        let mut tap = desk.connect();
        say(&mut tap, Origin::Client, bytes);
        drop(tap);
        desk.finish().1
    };
    assert_eq!(run(b"first"), [""; 0]);
    assert_eq!(run(b"second"), [""; 0]);
    assert_eq!(payload(&packets(&file, 40_000)), b"firstsecond");

    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    assert_eq!(run(b"third"), [""; 0]);
    assert_eq!(payload(&packets(&file, 40_000)), b"third");
    assert!(directory.path().join("capture.1").exists());

    fs::write(&file, "a letter to somebody").unwrap();
    assert_eq!(run(b"fourth"), ["maple not opened: not a pcapng file"]);
    assert_eq!(fs::read(&file).unwrap(), b"a letter to somebody");
}
