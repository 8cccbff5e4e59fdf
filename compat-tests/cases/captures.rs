//! `capture`: traffic as packets in the pcapng format.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use etherparse::{NetHeaders, PacketHeaders, TcpHeader, TransportHeader};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::cases::relay::Noise;
use crate::harness::{Backend, Client, Proxy, Setup, until};

/// A packet of a capture.
struct Packet {
    tcp: TcpHeader,
    payload: Vec<u8>,
    original: u32,
    kept: usize,
    comment: Option<String>,
}

/// All packets of a capture; those that are kept whole must have right
/// checksums.
fn packets(file: &Path) -> Vec<Packet> {
    let opened = fs::File::open(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let mut reader = PcapNgReader::new(opened).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.unwrap() else {
            continue;
        };
        let comment = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::Comment(text) => Some(text.to_string()),
            _ => None,
        });
        let whole = packet.data.len() == packet.original_len as usize;
        let headers = PacketHeaders::from_ip_slice(&packet.data);
        let (tcp, payload) = match headers {
            Ok(headers) => {
                let Some(TransportHeader::Tcp(tcp)) = headers.transport.clone() else {
                    panic!("no TCP in {file:?}");
                };
                let payload = headers.payload.slice().to_vec();
                if whole {
                    assert_checksum(&headers, &tcp, &payload);
                }
                (tcp, payload)
            }
            Err(error) if whole => panic!("{error}"),
            Err(_) => (TcpHeader::default(), Vec::new()),
        };
        packets.push(Packet {
            tcp,
            payload,
            original: packet.original_len,
            kept: packet.data.len(),
            comment,
        });
    }
    packets
}

fn assert_checksum(headers: &PacketHeaders<'_>, tcp: &TcpHeader, payload: &[u8]) {
    let Some(NetHeaders::Ipv4(ip, _)) = &headers.net else {
        panic!("no IPv4");
    };
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    let right = tcp.calc_checksum_ipv4(ip, payload).unwrap();
    assert_eq!(tcp.checksum, right);
}

/// The bytes that came from `port`; every packet follows the one before it.
fn stream(packets: &[Packet], port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = None;
    for packet in packets
        .iter()
        .filter(|packet| packet.tcp.source_port == port)
    {
        let start = packet.tcp.sequence_number;
        assert_eq!(start, *next.get_or_insert(start), "a gap or a repetition");
        let flags = u32::from(packet.tcp.syn) + u32::from(packet.tcp.fin);
        next = Some(start.wrapping_add(packet.payload.len() as u32 + flags));
        bytes.extend(&packet.payload);
    }
    bytes
}

/// A service with the statements `body` whose only back end is `maple`.
fn capturing(maple: &Backend, body: &str) -> (Proxy, PathBuf) {
    let mut setup = Setup::new(body);
    let directory = setup.sandbox().path().to_owned();
    let proxy = setup.backend("maple", maple.server(), "").start();
    (proxy, directory.join("capture"))
}

/// A back end that reads `length` bytes and then sends `answer`.
fn trading(length: usize, answer: Vec<u8>) -> Backend {
    Backend::serving(move |mut peer| {
        let mut got = 0;
        while got < length {
            match peer.receive().len() {
                0 => return,
                read => got += read,
            }
        }
        peer.send(&answer);
    })
}

/// Sends `up` and reads what comes; the client's port.
fn trade(proxy: &Proxy, up: &[u8], down: &[u8]) -> u16 {
    let mut client = proxy.connect();
    let port = client.stream().local_addr().unwrap().port();
    client.send(up);
    let (got, _) = client.rest();
    assert!(got == down, "the capture changed the traffic");
    port
}

/// `capture` (decided): the streams can be put together again byte for byte,
/// and each says whose it is.
#[test]
fn capture_holds_the_exact_bytes_of_both_directions() {
    let (up, down) = (Noise(11).bytes(500_001), Noise(13).bytes(700_003));
    let maple = trading(up.len(), down.clone());
    let (proxy, file) = capturing(&maple, "capture capture;");
    let port = trade(&proxy, &up, &down);
    proxy.await_idle();
    assert_eq!(proxy.number("maple", "log_dropped"), 0);
    proxy.stop();

    let packets = packets(&file);
    assert!(stream(&packets, port) == up);
    assert!(stream(&packets, maple.address().port()) == down);
    let comment = packets[0].comment.as_deref();
    let expected = "crossroads connection=0000001 service=shop backend=maple";
    assert_eq!(comment, Some(expected));
    assert!(packets[0].tcp.syn && !packets[0].tcp.ack);
    assert_eq!(packets.iter().filter(|packet| packet.tcp.fin).count(), 2);
    assert!(packets.iter().all(|packet| packet.payload.len() <= 32_768));
}

/// `capture` (decided): tshark, where it is installed, puts the same streams
/// together.
#[test]
fn tshark_puts_the_streams_together_again() {
    if Command::new("tshark").arg("-v").output().is_err() {
        eprintln!("skipped: tshark is not installed");
        return;
    }
    let (up, down) = (Noise(17).bytes(200_001), Noise(19).bytes(300_003));
    let maple = trading(up.len(), down.clone());
    let (proxy, file) = capturing(&maple, "capture capture;");
    for _ in 0..3 {
        trade(&proxy, &up, &down);
    }
    proxy.stop();

    for number in 0..3 {
        let follow = format!("follow,tcp,raw,{number}");
        let run = Command::new("tshark")
            .args([
                "-o",
                "tcp.check_checksum:TRUE",
                "-o",
                "ip.check_checksum:TRUE",
                "-r",
            ])
            .arg(&file)
            .args(["-q", "-z", &follow])
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        let text = String::from_utf8(run.stdout).unwrap();
        let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let hex = line.trim_start();
            if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            let bytes = (0..hex.len()).step_by(2);
            let bytes = bytes.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            if line.starts_with('\t') {
                got_down.extend(bytes);
            } else {
                got_up.extend(bytes);
            }
        }
        assert!(got_up == up && got_down == down, "stream {number} differs");
    }
    let odd = Command::new("tshark")
        .args(["-o", "tcp.check_checksum:TRUE", "-r"])
        .arg(&file)
        .args(["-Y", "_ws.expert.severity >= warn || tcp.analysis.flags"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&odd.stdout), "");
}

/// `capturesize`, `capturefiles` (decided): a stream goes on in the next file
/// without a gap, and the oldest file goes.
#[test]
fn capture_goes_on_in_new_files_and_keeps_so_many() {
    let down = Noise(23).bytes(5_500_000);
    let maple = trading(5, down.clone());
    let (proxy, file) = capturing(&maple, "capture capture; capturesize 1; capturefiles 3;");
    trade(&proxy, b"hello", &down);
    proxy.stop();

    let numbered = |number| file.with_file_name(format!("capture.{number}"));
    assert!(!numbered(3).exists(), "more than three files");
    let files = [numbered(2), numbered(1), file.clone()];
    let mut kept = Vec::new();
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 1024 * 1024);
        kept.extend(packets(file));
    }
    let bytes = stream(&kept, maple.address().port());
    assert!(bytes.len() > 2 * 1024 * 1024 - 100_000, "{}", bytes.len());
    assert!(down.ends_with(&bytes));
}

/// C77 (decided): at the limit of its size a capture loses packets, and what is
/// in it can still be read.
#[test]
fn capture_at_the_limit_of_its_size_stays_readable() {
    let maple = Backend::echo();
    let mut setup = Setup::new("capture capture; capturesize 0;");
    let file = setup.sandbox().path().join("capture");
    let proxy = setup
        .backend("maple", maple.server(), "")
        .wrap(["prlimit", "--fsize=150001", "--"])
        .start();
    let sent = Noise(29).bytes(20_000);
    let mut client = proxy.connect();
    let port = client.stream().local_addr().unwrap().port();
    for _ in 0..10 {
        client.send(&sent);
        assert!(client.take(sent.len()) == sent, "the traffic goes on");
    }
    // Packets that are small enough may still find room, behind a gap.
    client.assert_echo("short");
    drop(client);
    let text = "capture: file too large";
    proxy.sandbox().syslog.await_line(text);
    proxy.stop();

    let packets = packets(&file);
    assert!(fs::metadata(&file).unwrap().len() <= 150_001);
    let own = |packet: &&Packet| packet.tcp.source_port == port && packet.tcp.psh;
    let first = packets.iter().find(own).expect("a packet of the client");
    let start = first.tcp.sequence_number;
    let all = [sent.repeat(10), b"short".to_vec()].concat();
    for packet in packets.iter().filter(own) {
        let at = packet.tcp.sequence_number.wrapping_sub(start) as usize;
        assert!(all[at..].starts_with(&packet.payload), "wrong place");
    }
}

/// `capture FILE SNAPLEN` (decided): packets are cut to so many bytes, headers
/// included.
#[test]
fn packets_are_cut_to_the_snap_length() {
    let maple = trading(1_000, vec![b'x'; 2_000]);
    let (proxy, file) = capturing(&maple, "capture capture 100;");
    trade(&proxy, &[b'y'; 1_000], &[b'x'; 2_000]);
    proxy.stop();

    let packets = packets(&file);
    assert!(packets.iter().all(|packet| packet.kept <= 100));
    let sum: u32 = packets.iter().map(|packet| packet.original).sum();
    let headers = 40 * u32::try_from(packets.len()).unwrap();
    assert_eq!(sum, headers + 3_000, "what was cut off is still counted");
}

/// `capture FILE when FILTER...` (decided): other clients are not captured.
#[test]
fn only_clients_of_the_named_networks_are_captured() {
    let maple = Backend::echo();
    let (proxy, file) = capturing(&maple, "capture capture when 127.0.0.2 127.0.1/24;");
    for last in 1..=3 {
        let from = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
        let mut client = Client::connect_from(from, proxy.address());
        client.assert_echo(&format!("client {last}"));
    }
    proxy.stop();

    let packets = packets(&file);
    assert_eq!(stream(&packets, maple.address().port()), b"client 2");
}

/// `capture` (decided): a restart goes on in the same file with a new section,
/// and a file that is no capture is not touched.
#[test]
fn restart_goes_on_behind_what_was_captured() {
    let maple = Backend::echo();
    let (proxy, file) = capturing(&maple, "capture capture;");
    proxy.connect().assert_echo("before");
    proxy.run(["restart"]).clean();
    proxy.connect().assert_echo("after");
    let daemon = proxy.process();
    proxy.stop();
    daemon.await_end();

    let payloads: Vec<u8> = packets(&file)
        .into_iter()
        .filter(|packet| packet.tcp.source_port == maple.address().port())
        .flat_map(|packet| packet.payload)
        .collect();
    assert_eq!(payloads, b"beforeafter");

    fs::write(&file, "a letter").unwrap();
    proxy.start();
    proxy.connect().assert_echo("not captured");
    let warning = "capture: not a pcapng file";
    proxy.sandbox().syslog.await_line(warning);
    until("the blocks are counted", || {
        proxy.number("maple", "log_dropped") >= 2
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "a letter");
}
