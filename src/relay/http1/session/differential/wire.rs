//! One client connection as `relay::web` drives it, without sockets.
//!
//! What was passed on is noted, message by message, and [`Wire::check`] asks the
//! second reader whether it sees the same messages. The fuzz targets include
//! this file by its path.

use super::http1::answer::Answer;
use super::http1::head::{Fault, FaultKind, Framing, Method, is_worth_reading};
use super::http1::rewrite::Editor;
use super::http1::session::{BackendEnd, FromBackend, FromClient, Session, Workspace};
use super::stream::{Passed, Stream};
use super::strict::{self, Message};
use super::ways::{Ways, apply};

/// How a client connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    /// After a reply.
    Closed,
    /// After an answer of the daemon's own.
    Answered(u16),
    /// In the middle of a message.
    Cut,
}

/// One client connection.
pub(super) struct Wire {
    ways: Ways,
    pub(super) session: Session,
    work: Workspace,
    held: [Vec<u8>; 2],
    starved: [bool; 2],
    repeat: Vec<u8>,
    has_backend: bool,
    backend_ended: bool,
    kept: bool,
    fresh_only: bool,
    first: bool,
    tainted: bool,
    answered: bool,
    /// Whether the client connection was said to end after this exchange.
    ends: bool,
    exchange: usize,
    /// The next request needs another back end.
    pub(super) elsewhere: bool,
    /// All that the client has sent.
    pub(super) received: Vec<u8>,
    /// What the client got.
    pub(super) client: Stream,
    /// What the back ends got, one stream for each connection.
    pub(super) backends: Vec<Stream>,
    /// How it ended.
    pub(super) over: Option<Over>,
}

const CLIENT: usize = 0;
const BACKEND: usize = 1;

impl Wire {
    pub(super) fn new(ways: Ways) -> Self {
        Self {
            ways,
            session: Session::new(),
            work: Workspace::default(),
            held: Default::default(),
            starved: [false; 2],
            repeat: Vec::new(),
            has_backend: false,
            backend_ended: false,
            kept: false,
            fresh_only: false,
            first: true,
            tainted: false,
            answered: false,
            ends: false,
            exchange: 0,
            elsewhere: false,
            received: Vec::new(),
            client: Stream::default(),
            backends: Vec::new(),
            over: None,
        }
    }

    /// The client sends something.
    pub(super) fn client(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        self.push(CLIENT, bytes);
    }

    /// The back end sends something.
    pub(super) fn backend(&mut self, bytes: &[u8]) {
        if self.has_backend && !self.backend_ended {
            self.push(BACKEND, bytes);
        }
    }

    /// The back end sends nothing more.
    pub(super) fn backend_end(&mut self) {
        self.backend_ended = self.has_backend;
        self.settle();
    }

    /// The method of a whole request that the back end has not begun to answer.
    pub(super) fn asked(&self) -> Option<Method> {
        self.awaited().filter(|_| self.session.is_sent())
    }

    /// The method of a request that the back end has not begun to answer.
    pub(super) fn awaited(&self) -> Option<Method> {
        let awaits = self.over.is_none() && self.session.awaits_reply();
        let is_asked = awaits && self.held[BACKEND].is_empty();
        is_asked.then_some(self.session.request().method)
    }

    /// Which exchange it is.
    pub(super) fn exchange(&self) -> usize {
        self.exchange
    }

    /// The methods of the requests that were passed on, each once.
    pub(super) fn methods(&self) -> Vec<Vec<u8>> {
        let mut methods = Vec::new();
        for stream in &self.backends {
            for message in &stream.messages {
                let head = &stream.bytes[message.head.clone()];
                let method = head.split(|byte| *byte == b' ').next();
                methods.resize(message.exchange, Vec::new());
                methods.push(method.unwrap_or_default().to_vec());
            }
        }
        methods
    }

    fn push(&mut self, from: usize, bytes: &[u8]) {
        if !bytes.is_empty() && self.over.is_none() {
            let held = &mut self.held[from];
            held.extend_from_slice(bytes);
            let is_complete = held.len() >= self.ways.manner.limits.bytes;
            self.starved[from] &= !is_complete && !is_worth_reading(bytes);
            self.settle();
        }
    }

    /// Moves what can be moved. Every step takes bytes or ends a state of which
    /// there are few; else this would not end.
    fn settle(&mut self) {
        let held = self.held[CLIENT].len() + self.held[BACKEND].len();
        let mut steps = 4 * (held + self.repeat.len()) + 16;
        while self.over.is_none() && (self.client_step() | self.backend_step()) {
            steps -= 1;
            assert!(steps > 0, "steps that take nothing");
        }
    }

    fn client_step(&mut self) -> bool {
        if self.session.client_is_raw() && self.has_backend {
            return self.pass_raw(CLIENT);
        }
        let waits = self.held[CLIENT].is_empty() || self.starved[CLIENT];
        if self.over.is_some() || self.session.is_sent() || waits {
            return false;
        }
        let left = self.session.client_body_left();
        if self.ways.unread && left > 0 {
            let bytes = least(left, self.held[CLIENT].len());
            self.session.skip_client_body(bytes as u64);
            self.pass_body(CLIENT, bytes);
            return true;
        }
        let input = &self.held[CLIENT];
        let manner = &self.ways.manner;
        match self.session.client(input, manner, &mut self.work) {
            Err(fault) => self.fault_of_client(fault),
            Ok(FromClient::More) if matches!(&input[..], b"\r\n" | b"\n") => {
                self.held[CLIENT].clear();
                return false;
            }
            Ok(FromClient::More) => {
                self.starved[CLIENT] = true;
                return false;
            }
            Ok(FromClient::Rest | FromClient::Raw) => return false,
            Ok(FromClient::Choose) => return self.choose(),
            Ok(FromClient::Body(bytes)) => self.pass_body(CLIENT, bytes),
        }
        true
    }

    fn fault_of_client(&mut self, fault: Fault) {
        if self.session.has_replied() {
            self.over = Some(Over::Cut);
        } else {
            self.answer(match fault.kind {
                FaultKind::Bad => 400,
                FaultKind::TooLarge => 431,
                FaultKind::Version => 505,
            });
        }
    }

    /// A request needs a back end: the one that is there, or another.
    fn choose(&mut self) -> bool {
        if self.has_backend && !std::mem::take(&mut self.elsewhere) {
            if !self.held[BACKEND].is_empty() || self.backend_ended {
                return true;
            }
            let head = self.forward();
            if self.session.request().is_repeatable() {
                self.repeat = self.held[CLIENT][..head].to_vec();
            }
            self.held[CLIENT].drain(..head);
            return true;
        }
        self.part();
        self.backends.push(Stream::default());
        let head = self.forward();
        let request = *self.session.request();
        self.kept =
            self.ways.leases && !self.fresh_only && (!self.first || request.is_repeatable());
        if self.kept && request.is_repeatable() {
            self.repeat = self.held[CLIENT][..head].to_vec();
        }
        self.fresh_only = false;
        self.session.backend_changed();
        self.has_backend = true;
        self.held[CLIENT].drain(..head);
        true
    }

    /// Passes a head on; how many bytes of it the client has sent.
    fn forward(&mut self) -> usize {
        let stream = self.backends.last_mut().expect("a back end");
        let start = stream.bytes.len();
        let input = &self.held[CLIENT][..];
        let edit = |editor: &mut Editor<'_>| apply(&self.ways.server, editor);
        let manner = &self.ways.manner;
        let head = self
            .session
            .forward(input, manner, &mut self.work, edit, &mut stream.bytes);
        self.answered = false;
        let end = stream.bytes.len();
        assert!(head > 0 && head <= input.len() && end > start);
        stream.messages.push(Passed {
            exchange: self.exchange,
            head: start..end,
            body: end..end,
            whole: self.session.request().body == Framing::Empty,
            persistent: self.session.request().persistent,
        });
        head
    }

    /// Passes on so many bytes of a body.
    fn pass_body(&mut self, from: usize, bytes: usize) {
        assert!(bytes > 0 && bytes <= self.held[from].len());
        let whole = match from {
            CLIENT => self.session.is_sent(),
            _ => self.session.is_complete(),
        };
        let stream = match from {
            CLIENT => self.backends.last_mut().expect("a back end"),
            _ => &mut self.client,
        };
        stream.bytes.extend(self.held[from].drain(..bytes));
        let message = stream.messages.last_mut().expect("a head");
        message.body.end += bytes;
        message.whole = whole;
    }

    fn pass_raw(&mut self, from: usize) -> bool {
        let held = std::mem::take(&mut self.held[from]);
        let stream = match from {
            CLIENT => self.backends.last_mut().expect("a back end"),
            _ => &mut self.client,
        };
        stream.raw.get_or_insert(stream.bytes.len());
        stream.bytes.extend_from_slice(&held);
        !held.is_empty()
    }

    fn backend_step(&mut self) -> bool {
        if !self.has_backend || self.over.is_some() {
            return false;
        }
        if self.session.backend_is_raw() {
            let passed = self.pass_raw(BACKEND);
            if !passed && self.backend_ended {
                self.over = Some(Over::Closed);
            }
            return passed;
        }
        if self.session.is_complete() {
            self.done();
            return true;
        }
        if self.held[BACKEND].is_empty() || self.starved[BACKEND] {
            return self.backend_ended && self.end_of_backend();
        }
        let left = self.session.backend_body_left();
        if self.ways.unread && left > 0 {
            let bytes = least(left, self.held[BACKEND].len());
            self.session.skip_backend_body(bytes as u64);
            self.pass_body(BACKEND, bytes);
            return true;
        }
        self.take_reply()
    }

    fn take_reply(&mut self) -> bool {
        self.answered = true;
        let input = &self.held[BACKEND];
        let (start, manner) = (self.client.bytes.len(), &self.ways.manner);
        let edit = |editor: &mut Editor<'_>| apply(&self.ways.client, editor);
        let out = &mut self.client.bytes;
        match self
            .session
            .backend(input, manner, &mut self.work, edit, out)
        {
            Err(_) if self.session.has_replied() => self.over = Some(Over::Cut),
            Err(_) => self.answer(502),
            Ok(FromBackend::More) => {
                self.starved[BACKEND] = true;
            }
            Ok(FromBackend::Raw) => return false,
            Ok(FromBackend::Complete) => self.tainted |= !input.is_empty(),
            Ok(FromBackend::Unsolicited) => self.part(),
            Ok(FromBackend::Head { bytes, code }) => self.note_reply(start, bytes, code),
            Ok(FromBackend::Body(bytes)) => self.pass_body(BACKEND, bytes),
        }
        true
    }

    /// Notes the head of a reply that may stand in what the client gets.
    fn note_reply(&mut self, start: usize, bytes: usize, code: u16) {
        assert!(bytes > 0 && bytes <= self.held[BACKEND].len());
        self.held[BACKEND].drain(..bytes);
        let end = self.client.bytes.len();
        let is_final = self.session.has_replied();
        assert_eq!(is_final, code >= 200 || code == 101);
        assert!(end > start || !is_final, "a final reply that vanishes");
        self.ends = is_final && self.session.ends_client(&self.ways.manner);
        if end > start {
            self.client.messages.push(Passed {
                exchange: self.exchange,
                head: start..end,
                body: end..end,
                whole: !is_final || self.session.is_complete(),
                persistent: true,
            });
        }
    }

    fn end_of_backend(&mut self) -> bool {
        self.tainted = true;
        match self.session.backend_end() {
            BackendEnd::Idle => self.part(),
            BackendEnd::NoReply => self.no_reply(),
            BackendEnd::Complete => {
                if let Some(message) = self.client.messages.last_mut() {
                    message.whole = true;
                }
            }
            BackendEnd::Broken => self.over = Some(Over::Cut),
        }
        true
    }

    fn no_reply(&mut self) {
        let repeats = self.kept && !self.answered && !self.repeat.is_empty() && !self.fresh_only;
        self.part();
        if !repeats {
            return self.answer(502);
        }
        let request = std::mem::take(&mut self.repeat);
        self.held[CLIENT].splice(..0, request);
        self.starved[CLIENT] = false;
        self.session.again();
        self.fresh_only = true;
    }

    fn done(&mut self) {
        let manner = &self.ways.manner;
        let keeps_client = self.session.is_sent() && self.session.keeps_client(manner);
        let keeps_backend = self.session.is_sent()
            && self.session.keeps_backend(manner)
            && !self.tainted
            && !self.backend_ended
            && self.held[BACKEND].is_empty();
        let gives_back = manner.managed && self.ways.leases && !self.session.is_private();
        if !keeps_client || !keeps_backend || gives_back {
            self.part();
        }
        if !keeps_client {
            self.over = Some(Over::Closed);
            return;
        }
        assert!(!self.ends, "an exchange behind the last");
        self.session.next();
        self.exchange += 1;
        self.kept = true;
        self.first = false;
        self.repeat.clear();
    }

    /// The back end connection is over.
    fn part(&mut self) {
        self.has_backend = false;
        self.backend_ended = false;
        self.held[BACKEND].clear();
        self.starved[BACKEND] = false;
        self.kept = false;
        self.tainted = false;
    }

    fn answer(&mut self, code: u16) {
        self.part();
        let head_only = match self.session.reads_head() {
            true => self.held[CLIENT].starts_with(b"HEAD "),
            false => self.session.request().method == Method::Head,
        };
        let answer = Answer {
            code,
            page: None,
            retry_after: 30,
            head_only,
        };
        self.client.raw.get_or_insert(self.client.bytes.len());
        answer.write(&mut self.client.bytes);
        self.over = Some(Over::Answered(code));
    }

    /// Compares what was passed on with what the second reader finds in it.
    ///
    /// # Errors
    ///
    /// What differs.
    pub(super) fn check(&self) -> Result<(), String> {
        let (sent, _) = strict::requests(&self.received);
        for stream in &self.backends {
            let (found, read) = strict::requests(stream.read());
            read.map_err(|why| format!("to the back end: {why}: {}", stream.show()))?;
            stream
                .agrees(&found)
                .map_err(|why| format!("to the back end: {why}"))?;
            for (passed, message) in stream.messages.iter().zip(&found) {
                if let Some(sent) = sent.get(passed.exchange) {
                    self.is_same(sent, message, stream)?;
                }
            }
        }
        let methods = self.methods();
        let methods: Vec<&[u8]> = methods.iter().map(Vec::as_slice).collect();
        let (found, read) = strict::replies(self.client.read(), &methods);
        read.map_err(|why| format!("to the client: {why}: {}", self.client.show()))?;
        self.client
            .agrees(&found)
            .map_err(|why| format!("to the client: {why}"))?;
        let closing = found.iter().position(Message::says_close);
        match closing {
            Some(place) if place + 1 < found.len() => Err(format!(
                "a reply behind one with close: {}",
                self.client.show()
            )),
            _ => Ok(()),
        }
    }

    /// Whether a request arrived as the client has sent it.
    fn is_same(&self, sent: &Message, found: &Message, stream: &Stream) -> Result<(), String> {
        let body = |message: &Message, bytes: &[u8]| bytes[message.body.clone()].to_vec();
        let (was, is) = (body(sent, &self.received), body(found, &stream.bytes));
        let is_good = sent.start == found.start
            && was.starts_with(&is)
            && (!found.whole || sent.whole && was == is);
        match is_good {
            true => Ok(()),
            false => Err(format!("sent as {sent:?}, arrived as {found:?}")),
        }
    }
}

fn least(left: u64, held: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(held)
}
