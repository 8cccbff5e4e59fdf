//! A relayed connection as the packets of one TCP stream.
//!
//! The bytes of both sides are put between the client's address and that of
//! the back end, as if they had talked to each other: a handshake, segments
//! with exact sequence numbers, and an end of both sides. What was not logged
//! leaves a gap in the sequence numbers.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use etherparse::PacketBuilder;

use crate::base::tap::Origin;

/// The most bytes that one packet carries.
pub(super) const LARGEST: usize = 32_768;

const TIME_TO_LIVE: u8 = 64;
const WINDOW: u16 = u16::MAX;

/// What a packet says besides its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Syn,
    SynAck,
    Ack,
    Data,
    Fin,
}

/// One stream and how far it is.
#[derive(Debug)]
pub(super) struct Stream {
    /// Client and back end.
    ends: [SocketAddr; 2],
    /// The next sequence number of each.
    next: [u32; 2],
}

impl Stream {
    /// A stream from `client` to `backend`; `start` chooses the first sequence
    /// numbers, which differ from those of an earlier stream of the same ends.
    pub(super) fn new(client: SocketAddr, backend: SocketAddr, start: u32) -> Self {
        Self {
            ends: [client, backend],
            next: [start, start.rotate_left(16) ^ 0x5a5a_5a5a],
        }
    }

    /// The three packets of the handshake.
    pub(super) fn open(&mut self) -> [Vec<u8>; 3] {
        let syn = self.packet(Origin::Client, Kind::Syn, &[]);
        let answer = self.packet(Origin::Backend, Kind::SynAck, &[]);
        [syn, answer, self.packet(Origin::Client, Kind::Ack, &[])]
    }

    /// A packet with `bytes`, at most [`LARGEST`], from one end.
    pub(super) fn data(&mut self, from: Origin, bytes: &[u8]) -> Vec<u8> {
        self.packet(from, Kind::Data, bytes)
    }

    /// Leaves out so many bytes of the client and of the back end.
    pub(super) fn skip(&mut self, [client, backend]: [u64; 2]) {
        self.advance(Origin::Client, client);
        self.advance(Origin::Backend, backend);
    }

    /// The end of both sides.
    pub(super) fn close(&mut self) -> [Vec<u8>; 3] {
        let client = self.packet(Origin::Client, Kind::Fin, &[]);
        let backend = self.packet(Origin::Backend, Kind::Fin, &[]);
        [client, backend, self.packet(Origin::Client, Kind::Ack, &[])]
    }

    fn advance(&mut self, from: Origin, bytes: u64) {
        let next = &mut self.next[from as usize];
        // Sequence numbers count modulo 2^32, so the upper half does not matter.
        *next = next.wrapping_add(bytes as u32);
    }

    fn packet(&mut self, from: Origin, kind: Kind, bytes: &[u8]) -> Vec<u8> {
        let (own, other) = match from {
            Origin::Client => (0, 1),
            Origin::Backend => (1, 0),
        };
        let (source, target) = (self.ends[own], self.ends[other]);
        let builder = match (source.ip(), target.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                PacketBuilder::ipv4(from.octets(), to.octets(), TIME_TO_LIVE)
            }
            (from, to) => {
                PacketBuilder::ipv6(mapped(from).octets(), mapped(to).octets(), TIME_TO_LIVE)
            }
        };
        let segment = builder.tcp(source.port(), target.port(), self.next[own], WINDOW);
        let segment = match kind {
            Kind::Syn => segment.syn(),
            Kind::SynAck => segment.syn().ack(self.next[other]),
            Kind::Ack => segment.ack(self.next[other]),
            Kind::Data => segment.psh().ack(self.next[other]),
            Kind::Fin => segment.fin().ack(self.next[other]),
        };
        let mut packet = Vec::with_capacity(segment.size(bytes.len()));
        // Fails for more bytes than a packet can hold, which are never given.
        let written = segment.write_to_vec(&mut packet, bytes);
        debug_assert!(written.is_ok());
        let flag = u64::from(matches!(kind, Kind::Syn | Kind::SynAck | Kind::Fin));
        self.advance(from, bytes.len() as u64 + flag);
        packet
    }
}

/// Both ends of a packet are of one family: an IPv4 address becomes the IPv6
/// one that stands for it.
fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{NetHeaders, PacketHeaders, TcpHeader, TransportHeader};

    use super::*;

    const CLIENT: &str = "192.0.2.7:40000";

    fn stream(client: &str, backend: &str) -> Stream {
        Stream::new(client.parse().unwrap(), backend.parse().unwrap(), u32::MAX)
    }

    /// The TCP header and payload of a packet whose checksums are right.
    fn parsed(packet: &[u8]) -> (TcpHeader, Vec<u8>) {
        let headers = PacketHeaders::from_ip_slice(packet).unwrap();
        let Some(TransportHeader::Tcp(tcp)) = headers.transport else {
            panic!("no TCP: {packet:?}");
        };
        let payload = headers.payload.slice().to_vec();
        let checksum = match headers.net.unwrap() {
            NetHeaders::Ipv4(ip, _) => {
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                tcp.calc_checksum_ipv4(&ip, &payload)
            }
            NetHeaders::Ipv6(ip, _) => tcp.calc_checksum_ipv6(&ip, &payload),
            NetHeaders::Arp(_) => panic!("no IP"),
        };
        assert_eq!(tcp.checksum, checksum.unwrap());
        (tcp, payload)
    }

    #[test]
    fn stream_has_a_handshake_exact_numbers_and_an_end() {
        let mut stream = stream(CLIENT, "10.0.0.5:80");
        let [syn, answer, ack] = stream.open().map(|packet| parsed(&packet).0);
        assert!(syn.syn && !syn.ack && answer.syn && answer.ack && !ack.syn && ack.ack);
        assert_eq!(
            answer.acknowledgment_number,
            syn.sequence_number.wrapping_add(1)
        );
        assert_eq!(ack.sequence_number, syn.sequence_number.wrapping_add(1));
        assert_eq!(
            ack.acknowledgment_number,
            answer.sequence_number.wrapping_add(1)
        );

        let (first, bytes) = parsed(&stream.data(Origin::Client, b"hello"));
        assert_eq!(bytes, b"hello");
        assert!(first.psh && first.ack);
        assert_eq!(first.sequence_number, ack.sequence_number);
        let (reply, _) = parsed(&stream.data(Origin::Backend, b"hi"));
        assert_eq!(
            reply.acknowledgment_number,
            first.sequence_number.wrapping_add(5)
        );

        let [client, backend, last] = stream.close().map(|packet| parsed(&packet).0);
        assert!(client.fin && backend.fin && !last.fin);
        assert_eq!(
            client.sequence_number,
            first.sequence_number.wrapping_add(5)
        );
        assert_eq!(
            backend.sequence_number,
            reply.sequence_number.wrapping_add(2)
        );
        assert_eq!(
            last.acknowledgment_number,
            backend.sequence_number.wrapping_add(1)
        );
    }

    #[test]
    fn what_is_left_out_is_a_gap_in_the_numbers() {
        let mut stream = stream(CLIENT, "10.0.0.5:80");
        let (before, _) = parsed(&stream.data(Origin::Backend, b"abc"));
        stream.skip([0, (1 << 32) + 1_000]);
        let (after, _) = parsed(&stream.data(Origin::Backend, b"def"));

        let gap = after.sequence_number.wrapping_sub(before.sequence_number);
        assert_eq!(gap, 1_003);
    }

    #[test]
    fn families_that_differ_are_shown_as_ipv6() {
        for (client, backend) in [
            (CLIENT, "[2001:db8::5]:80"),
            ("[2001:db8::7]:1", "10.0.0.5:80"),
        ] {
            let packet = stream(client, backend).data(Origin::Client, &[7; LARGEST]);
            let (_, bytes) = parsed(&packet);
            assert_eq!(bytes, [7; LARGEST]);
            assert_eq!(packet[0] >> 4, 6);
        }
        let packet = stream(CLIENT, "[2001:db8::5]:80").data(Origin::Client, b"x");
        let source: [u8; 16] = packet[8..24].try_into().unwrap();
        let expected: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(Ipv6Addr::from(source), expected);
    }
}
