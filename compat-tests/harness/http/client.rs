//! A client that sends bytes as they are written and reads replies one by one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::message::{Head, Kind, Message, parse};
use crate::harness::{Client, Ending, pace};

/// A reply that did not come to its end.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Broken {
    /// What there is of it.
    pub(crate) bytes: Vec<u8>,
    /// How the connection ended.
    pub(crate) ending: Ending,
}

/// A raw HTTP client; every operation has a deadline.
pub(crate) struct HttpClient {
    client: Client,
    buffer: Vec<u8>,
    ended: Option<Ending>,
}

impl HttpClient {
    /// Connects to `to`.
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::over(Client::connect(to))
    }

    /// Connects to `to` with the local address `from`.
    #[track_caller]
    pub(crate) fn connect_from(from: IpAddr, to: SocketAddr) -> Self {
        Self::over(Client::connect_from(from, to))
    }

    fn over(mut client: Client) -> Self {
        client.stream().set_nodelay(true).expect("TCP_NODELAY");
        Self {
            client,
            buffer: Vec::new(),
            ended: None,
        }
    }

    /// The connection, for what is not HTTP.
    pub(crate) fn raw(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.send(bytes);
    }

    /// Sends bytes in pieces of `size`, each as a packet of its own.
    #[track_caller]
    pub(crate) fn dribble(&mut self, bytes: impl AsRef<[u8]>, size: usize) {
        for piece in bytes.as_ref().chunks(size) {
            pace(Duration::from_micros(200));
            self.client.send(piece);
        }
    }

    /// Sends a request, whose method is its first word, and reads its reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        self.send(request);
        let method = request.split(|byte| *byte == b' ').next();
        let method = String::from_utf8_lossy(method.unwrap_or_default()).into_owned();
        self.reply_to(&method)
    }

    /// Asks for `target` with GET; `fields` each with its line end.
    #[track_caller]
    pub(crate) fn get(&mut self, target: &str, fields: &str) -> Message {
        self.ask(super::request("GET", target, fields))
    }

    /// Reads the reply to a GET or POST; interim replies count as replies.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Message {
        self.reply_to("GET")
    }

    /// Reads the reply to a request with `method`.
    #[track_caller]
    pub(crate) fn reply_to(&mut self, method: &str) -> Message {
        self.try_reply(method)
            .unwrap_or_else(|broken| panic!("no whole reply: {broken:?}"))
    }

    /// Reads the reply to a request with `method`, if it comes to its end.
    #[track_caller]
    pub(crate) fn try_reply(&mut self, method: &str) -> Result<Message, Broken> {
        loop {
            let ended = self.ended == Some(Ending::Fin);
            match parse(&self.buffer, Kind::ReplyTo(method), ended) {
                Ok(Some((message, length))) => {
                    self.buffer.drain(..length);
                    return Ok(message);
                }
                Ok(None) => self.more()?,
                Err(fault) => panic!("{fault} in {:?}", self.shown()),
            }
        }
    }

    /// Reads the head of a reply, nothing more.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Head {
        loop {
            match Head::parse(&self.buffer) {
                Ok(Some(head)) => {
                    self.buffer.drain(..head.bytes().len());
                    return head;
                }
                Ok(None) => self
                    .more()
                    .unwrap_or_else(|broken| panic!("no whole head: {broken:?}")),
                Err(fault) => panic!("{fault} in {:?}", self.shown()),
            }
        }
    }

    /// Reads exactly `count` bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            self.more()
                .unwrap_or_else(|broken| panic!("{count} bytes wanted: {broken:?}"));
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads up to the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Ending) {
        loop {
            if let Err(broken) = self.more() {
                self.buffer.clear();
                return (broken.bytes, broken.ending);
            }
        }
    }

    /// Asserts that the connection is closed without another byte; FIN and RST
    /// both count as closed (specification, section 5).
    #[track_caller]
    pub(crate) fn assert_closed(mut self) {
        let (bytes, _) = self.rest();
        assert_eq!(String::from_utf8_lossy(&bytes), "", "closed, but with data");
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.client.reset();
    }

    fn shown(&self) -> String {
        self.buffer.iter().map(|byte| char::from(*byte)).collect()
    }

    /// Waits for more bytes.
    #[track_caller]
    fn more(&mut self) -> Result<(), Broken> {
        let ending = match self.ended {
            Some(ending) => ending,
            None => match self.client.receive() {
                Ok(bytes) if bytes.is_empty() => Ending::Fin,
                Ok(bytes) => {
                    self.buffer.extend(bytes);
                    return Ok(());
                }
                Err(ending) => ending,
            },
        };
        // An end is told twice: first to a reply that lasts until the end.
        if self.ended.replace(ending).is_none() && ending == Ending::Fin {
            return Ok(());
        }
        Err(Broken {
            bytes: self.buffer.clone(),
            ending,
        })
    }
}
