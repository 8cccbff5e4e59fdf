//! The connections of a capture: which packet belongs to which, who sent it,
//! and whether anything is missing between two of them.
//!
//! The SYN of a connection names it in a comment. A connection whose SYN is in
//! an earlier file has no number; who is the client is then guessed: the back
//! end is the address that was one before, or else the lower port.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};
use thiserror::Error;

use super::Block;
use super::recent::Recent;
use crate::base::name::{BackendName, ServiceName};
use crate::base::tap::Origin;

/// How many connections and back ends are remembered at least.
const REMEMBERED: usize = 32_768;

/// How a comment begins that names a connection.
const COMMENT: &str = "crossroads ";

/// What the SYN of a connection says about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// Its number in the logs.
    pub connection: u64,
    /// The service.
    pub service: ServiceName,
    /// The back end.
    pub backend: BackendName,
}

impl Label {
    /// Reads `crossroads connection=0004021 service=shop backend=maple`; words
    /// that are not known are passed over.
    pub fn parse(comment: &str) -> Option<Self> {
        let words = comment.strip_prefix(COMMENT)?;
        let (mut connection, mut service, mut backend) = (None, None, None);
        for (key, value) in words.split(' ').filter_map(|word| word.split_once('=')) {
            match key {
                "connection" => connection = value.parse().ok(),
                "service" => service = ServiceName::new(value).ok(),
                "backend" => backend = BackendName::new(value).ok(),
                _ => {}
            }
        }
        Some(Self {
            connection: connection?,
            service: service?,
            backend: backend?,
        })
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Tells it from all others of the capture, also from one with the same
    /// addresses or the same number.
    pub id: u64,
    /// What its SYN said; `None` where that is in an earlier file.
    pub label: Option<Label>,
    /// The client.
    pub client: SocketAddr,
    /// The back end.
    pub backend: SocketAddr,
    /// The sequence number that the client's next packet should have.
    client_next: Option<u32>,
    /// The same of the back end.
    backend_next: Option<u32>,
}

/// A packet as the file has it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its bytes, from the IP header on.
    pub bytes: &'a [u8],
    /// How many bytes at its end were not captured.
    pub cut: u64,
    /// Its comment.
    pub comment: Option<&'a str>,
}

/// Why a packet is passed over.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PacketError {
    /// No IP header can be read.
    #[error("a packet without an IP header")]
    NoIp,
    /// No TCP header can be read.
    #[error("a packet without a whole TCP header")]
    NoTcp,
}

/// The connections of a capture.
#[derive(Debug)]
pub struct Streams {
    /// By client and back end.
    known: Recent<Ends, Stream>,
    backends: Recent<SocketAddr, ()>,
    begun: u64,
}

/// Client and back end.
type Ends = (SocketAddr, SocketAddr);

impl Default for Streams {
    fn default() -> Self {
        Self {
            known: Recent::new(REMEMBERED),
            backends: Recent::new(REMEMBERED),
            begun: 0,
        }
    }
}

impl Streams {
    /// Takes note of a packet; gives the bytes that it brings, if any.
    ///
    /// # Errors
    ///
    /// [`PacketError`] when it is no packet of TCP.
    pub fn see<'a>(&'a mut self, packet: &Packet<'a>) -> Result<Option<Block<'a>>, PacketError> {
        let segment = Segment::of(packet)?;
        let label = packet.comment.and_then(Label::parse);
        let (ends, side) = self.place(&segment, label.is_some());
        let begins = segment.tcp.syn() && side == Origin::Client;
        if begins || !self.known.contains(&ends) {
            self.begin(ends);
        }
        let Some(stream) = self.known.get_mut(&ends) else {
            return Ok(None);
        };
        if label.is_some() {
            stream.label = label;
        }
        let arrival = segment.arrive(stream.next_of(side));
        let bytes = segment.payload.get(arrival.known..).unwrap_or_default();
        if bytes.is_empty() && arrival.missing == 0 && packet.cut == 0 {
            return Ok(None);
        }
        Ok(Some(Block {
            from: side,
            offset: 0,
            bytes,
            missing_before: arrival.missing,
            missing_after: packet.cut,
            stream: Some(stream),
        }))
    }

    fn begin(&mut self, ends: Ends) {
        let (client, backend) = ends;
        let stream = Stream {
            id: self.begun,
            label: None,
            client: canonical(client),
            backend: canonical(backend),
            client_next: None,
            backend_next: None,
        };
        self.begun += 1;
        // What was not used for so long is over, or will be known again by its
        // addresses.
        self.known.put(ends, stream);
        self.backends.put(backend, ());
    }

    /// Which connection a packet belongs to, and which side sent it. A packet
    /// that is `labelled` was sent by the client.
    fn place(&self, segment: &Segment<'_>, labelled: bool) -> (Ends, Origin) {
        let (sent, answered) = ((segment.from, segment.to), (segment.to, segment.from));
        let (syn, ack) = (segment.tcp.syn(), segment.tcp.ack());
        let by_client = if labelled || syn {
            labelled || !ack
        } else if self.known.contains(&sent) || self.known.contains(&answered) {
            self.known.contains(&sent)
        } else if self.backends.contains(&segment.to) || self.backends.contains(&segment.from) {
            self.backends.contains(&segment.to)
        } else {
            segment.to.port() <= segment.from.port()
        };
        match by_client {
            true => (sent, Origin::Client),
            false => (answered, Origin::Backend),
        }
    }
}

impl Stream {
    fn next_of(&mut self, side: Origin) -> &mut Option<u32> {
        match side {
            Origin::Client => &mut self.client_next,
            Origin::Backend => &mut self.backend_next,
        }
    }
}

/// Where IPv4 and IPv6 meet in one connection, the capture has both as IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What of a packet matters here.
struct Segment<'a> {
    from: SocketAddr,
    to: SocketAddr,
    tcp: TcpSlice<'a>,
    payload: &'a [u8],
    cut: u64,
}

/// How a segment fits to those before it.
#[derive(Default)]
struct Arrival {
    /// How many of its bytes came already.
    known: usize,
    /// How many bytes before it never came.
    missing: u64,
}

impl<'a> Segment<'a> {
    fn of(packet: &Packet<'a>) -> Result<Self, PacketError> {
        let sliced = LaxSlicedPacket::from_ip(packet.bytes).map_err(|_| PacketError::NoIp)?;
        let (from, to): (IpAddr, IpAddr) = match &sliced.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                )
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                )
            }
            _ => return Err(PacketError::NoIp),
        };
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else {
            return Err(PacketError::NoTcp);
        };
        Ok(Self {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            payload: tcp.slice().get(tcp.header_len()..).unwrap_or_default(),
            tcp,
            cut: packet.cut,
        })
    }

    /// Moves the sequence number that is expected `next` behind this segment.
    fn arrive(&self, next: &mut Option<u32>) -> Arrival {
        /// Farther back than this nothing is sent again; the numbers have gone
        /// round instead, since something large is missing.
        const BACK: u64 = 1 << 20;
        // A reset carries no data, and its number may be any.
        if self.tcp.rst() {
            return Arrival::default();
        }
        let begin = self.tcp.sequence_number();
        let (syn, fin) = (u32::from(self.tcp.syn()), u32::from(self.tcp.fin()));
        let length = self.payload.len() as u64 + self.cut;
        let end = begin.wrapping_add(length as u32).wrapping_add(syn + fin);
        let ahead = next.map_or(0, |next| begin.wrapping_sub(next).cast_signed());
        let distance = u64::from(ahead.unsigned_abs());
        if ahead >= 0 {
            *next = Some(end);
            let missing = distance;
            return Arrival { known: 0, missing };
        }
        if distance > BACK {
            *next = Some(end);
            let missing = (1 << 32) - distance;
            return Arrival { known: 0, missing };
        }
        if length + u64::from(fin) > distance {
            *next = Some(end);
        }
        Arrival {
            known: usize::try_from(distance).unwrap_or(usize::MAX),
            missing: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comment_of_a_syn_names_the_connection() {
        let label = Label::parse("crossroads connection=0004021 service=shop backend=maple x=1");

        let label = label.unwrap();
        assert_eq!(label.connection, 4_021);
        assert_eq!(label.service.as_str(), "shop");
        assert_eq!(label.backend.as_str(), "maple");
    }

    #[test]
    fn other_comments_name_nothing() {
        for comment in [
            "",
            "crossroads",
            "connection=1 service=shop backend=maple",
            "crossroads connection=x service=shop backend=maple",
            "crossroads connection=1 service=shop",
            "crossroads connection=1 service=shop backend=9",
        ] {
            assert_eq!(Label::parse(comment), None, "{comment}");
        }
    }
}
