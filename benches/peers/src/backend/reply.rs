//! What the back end sends.

use std::io;

use super::request::Ending;
use crate::stream::{Push, Stream};

/// Bytes of one large write, and of one large read.
const CHUNK: usize = 1 << 20;
/// Bytes of one read of requests.
const SCRATCH: usize = 64 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Stock {
    /// The whole small reply on a connection that is kept.
    small: Vec<u8>,
    /// The whole small reply on a connection that is closed after it.
    last_small: Vec<u8>,
    /// The content of large replies.
    pub(super) payload: Vec<u8>,
    /// For reading requests.
    pub(super) scratch: Vec<u8>,
}

impl Stock {
    /// A stock with small replies of that many bytes of body.
    pub(super) fn new(small: usize) -> Self {
        let whole = |ending| {
            let mut reply = head("200 OK", small as u64, ending);
            reply.resize(reply.len() + small, b's');
            reply
        };
        Self {
            small: whole(Ending::Kept),
            last_small: whole(Ending::Closed),
            payload: vec![b'b'; CHUNK],
            scratch: vec![0; SCRATCH],
        }
    }
}

/// A reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    Small,
    /// That many bytes of body.
    Bulk(u64),
    NotFound,
}

/// A reply that is being sent, if any.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Which of the stock's small replies is meant; then `head` is empty.
    small: Option<Ending>,
    head: Vec<u8>,
    /// Bytes sent of the head, or of the small reply.
    sent: usize,
    /// Bytes of body still to be sent.
    body: u64,
}

impl Outgoing {
    /// Begins to send a reply, when the one before is done.
    pub(super) fn begin(&mut self, reply: Reply, ending: Ending) {
        debug_assert!(self.is_done());
        self.sent = 0;
        match reply {
            Reply::Small => self.small = Some(ending),
            Reply::Bulk(bytes) => {
                self.head = head("200 OK", bytes, ending);
                self.body = bytes;
            }
            Reply::NotFound => self.head = head("404 Not Found", 0, ending),
        }
    }

    /// Whether there is nothing to send.
    pub(super) fn is_done(&self) -> bool {
        self.small.is_none() && self.head.is_empty() && self.body == 0
    }

    /// Sends what fits, up to a large write; whether anything was sent.
    pub(super) fn send(&mut self, stream: &mut Stream, stock: &Stock) -> io::Result<bool> {
        if self.is_done() {
            return Ok(false);
        }
        if self.small.is_some() || !self.head.is_empty() {
            return self.send_head(stream, stock);
        }
        let chunk = self.body.min(CHUNK as u64) as usize;
        let sent = stream.send(&stock.payload[..chunk], Push::Now)?;
        self.body -= sent as u64;
        Ok(sent > 0)
    }

    fn send_head(&mut self, stream: &mut Stream, stock: &Stock) -> io::Result<bool> {
        let bytes = match self.small {
            Some(Ending::Kept) => &stock.small,
            Some(Ending::Closed) => &stock.last_small,
            None => &self.head,
        };
        let push = match self.body {
            0 => Push::Now,
            _ => Push::WithTheNext,
        };
        let sent = stream.send(&bytes[self.sent..], push)?;
        self.sent += sent;
        if self.sent == bytes.len() {
            self.small = None;
            self.head.clear();
        }
        Ok(sent > 0)
    }
}

fn head(status: &str, length: u64, ending: Ending) -> Vec<u8> {
    let connection = match ending {
        Ending::Kept => "",
        Ending::Closed => "Connection: close\r\n",
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n\
         {connection}Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_reply_has_the_length_it_says() {
        let stock = Stock::new(9);

        let text = String::from_utf8(stock.small).unwrap();

        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(head.ends_with("Content-Length: 9"));
        assert_eq!(body, "sssssssss");
    }

    #[test]
    fn last_reply_says_so() {
        let stock = Stock::new(0);

        let text = String::from_utf8(stock.last_small).unwrap();

        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
    }

    #[test]
    fn empty_bulk_reply_is_a_head_alone() {
        let mut outgoing = Outgoing::default();

        outgoing.begin(Reply::Bulk(0), Ending::Kept);

        assert!(!outgoing.is_done());
        assert!(outgoing.head.ends_with(b"Content-Length: 0\r\n\r\n"));
    }
}
