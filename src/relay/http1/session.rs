//! The exchanges of one client connection as a machine without I/O: bytes in,
//! orders out.
//!
//! ```text
//!            Choose            forward                    body
//! request:  Head ───► (a back end is found) ──► Body ───────────► Sent
//!                                                 │ shallow, tunnel
//!                                                 ▼
//!                                                Raw
//! reply:    Idle ─── forward ──► Head ─── final head ──► Body ──► Complete
//!                                 ▲ │                      │
//!                                 └─┘ interim              └ tunnel: Raw
//! ```
//!
//! Whoever drives it feeds each direction with all bytes that were received and
//! not taken yet, sends what it appends to `out`, and passes bodies on without
//! looking at them. When a reply is complete and sent, [`Session::next`] begins
//! the next exchange.

use crate::relay::http1::body::{Chunked, Taken};
use crate::relay::http1::head::{Fault, FaultKind, Framing, Head, HeadLimits, Method};
use crate::relay::http1::head::{Reply, Request, Version};
use crate::relay::http1::rewrite::{Editor, Hops, Persistence, Rewriter};

/// What taking a message apart needs; one for all connections of a worker.
#[derive(Debug, Default)]
pub struct Workspace {
    head: Head,
    rewriter: Rewriter,
}

/// How the messages of a service are treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Manner {
    /// How large a head may be.
    pub limits: HeadLimits,
    /// Whether only the first request and its reply are looked at (9.12).
    pub shallow: bool,
    /// Whether the daemon manages connections itself (`reuse safe`); else
    /// `Connection` is passed on and both connections end together (9.8).
    pub managed: bool,
}

/// The exchanges of one client connection, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    inbound: Inbound,
    outbound: Outbound,
    request: Request,
    reply: Reply,
    /// Whether a back end connection carried credentials of its own.
    private: bool,
    /// Whether no further exchange may begin.
    last: bool,
}

/// How far the request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Inbound {
    Head,
    Body(Progress),
    Sent,
    Raw,
}

/// How far the reply is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outbound {
    Idle,
    Head,
    Body(Progress),
    Complete,
    Raw,
}

/// How far a body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// What comes next from the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FromClient {
    /// Nothing can be done before more bytes come.
    More,
    /// The input waits until this exchange is over.
    Rest,
    /// The head of a request is at the beginning of the input: it needs a back
    /// end, then [`Session::forward`].
    Choose,
    /// So many bytes belong to the body: to be passed on as they are.
    Body(usize),
    /// From here on everything is passed on as it comes.
    Raw,
}

/// What comes next from the back end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FromBackend {
    /// Nothing can be done before more bytes come.
    More,
    /// A head was taken; it stands in `out` if it is passed on.
    Head {
        /// So many bytes of the input.
        bytes: usize,
        /// Its status.
        code: u16,
    },
    /// So many bytes belong to the body: to be passed on as they are.
    Body(usize),
    /// The reply is complete; the input, if any, is nobody's.
    Complete,
    /// Nobody has asked for these bytes.
    Unsolicited,
    /// From here on everything is passed on as it comes.
    Raw,
}

/// What the end of the back end's stream means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BackendEnd {
    /// No exchange runs: only that connection is gone.
    Idle,
    /// The reply has not begun.
    NoReply,
    /// The reply ends there.
    Complete,
    /// The reply breaks off.
    Broken,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A client that has sent nothing yet.
    pub fn new() -> Self {
        Self {
            inbound: Inbound::Head,
            outbound: Outbound::Idle,
            request: Request {
                method: Method::Other,
                version: Version::Http11,
                body: Framing::Empty,
                persistent: false,
                upgrade: false,
                private: false,
            },
            reply: Reply {
                code: 0,
                version: Version::Http11,
                body: Framing::Empty,
                persistent: false,
                private: false,
            },
            private: false,
            last: false,
        }
    }

    /// Looks at `input`, what the client has sent and nobody has taken yet.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of the request. In its head: nothing of it was passed on. In
    /// its body: the exchange cannot go on.
    pub fn client(
        &mut self,
        input: &[u8],
        manner: &Manner,
        work: &mut Workspace,
    ) -> Result<FromClient, Fault> {
        match &mut self.inbound {
            Inbound::Head if input.is_empty() => Ok(FromClient::More),
            Inbound::Head => match work.head.request(input, manner.limits)? {
                Some(request) => {
                    if request.body == Framing::Chunked {
                        // What is faulty already is not even begun.
                        Chunked::new().take(&input[work.head.length..])?;
                    }
                    self.request = request;
                    Ok(FromClient::Choose)
                }
                None => Ok(FromClient::More),
            },
            Inbound::Body(_) if input.is_empty() => Ok(FromClient::More),
            Inbound::Body(progress) => {
                let taken = progress.take(input)?;
                if taken.complete {
                    self.inbound = Inbound::Sent;
                }
                Ok(FromClient::Body(taken.bytes))
            }
            Inbound::Sent => Ok(FromClient::Rest),
            Inbound::Raw => Ok(FromClient::Raw),
        }
    }

    /// The values of the `Cookie` fields of the request that [`Session::client`]
    /// has just found in `input`.
    pub fn cookies<'a>(
        work: &'a Workspace,
        input: &'a [u8],
    ) -> impl Iterator<Item = &'a [u8]> + 'a {
        work.head.cookies(input)
    }

    /// Passes on the head that [`Session::client`] has just found at the
    /// beginning of `input`; how many bytes it takes there.
    pub fn forward(
        &mut self,
        input: &[u8],
        manner: &Manner,
        work: &mut Workspace,
        edit: impl FnOnce(&mut Editor<'_>),
        out: &mut Vec<u8>,
    ) -> usize {
        let hops = if manner.managed && !manner.shallow {
            Hops::Managed {
                connection: (self.request.version == Version::Http10)
                    .then_some(Persistence::KeepAlive),
                upgrade: self.request.upgrade,
            }
        } else {
            Hops::PassedOn
        };
        let mut editor = work.rewriter.edit(input, &work.head);
        edit(&mut editor);
        editor.finish(hops, true, out);
        self.inbound = match Progress::of(self.request.body) {
            _ if manner.shallow => Inbound::Raw,
            Some(progress) => Inbound::Body(progress),
            None => Inbound::Sent,
        };
        self.outbound = Outbound::Head;
        self.private |= self.request.private;
        work.head.length
    }

    /// Looks at `input`, what the back end has sent and nobody has taken yet.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of the reply; [`Session::has_replied`] says whether the
    /// client has seen a part of it.
    pub fn backend(
        &mut self,
        input: &[u8],
        manner: &Manner,
        work: &mut Workspace,
        edit: impl FnOnce(&mut Editor<'_>),
        out: &mut Vec<u8>,
    ) -> Result<FromBackend, Fault> {
        match &mut self.outbound {
            Outbound::Complete => Ok(FromBackend::Complete),
            Outbound::Raw => Ok(FromBackend::Raw),
            _ if input.is_empty() => Ok(FromBackend::More),
            Outbound::Idle => Ok(FromBackend::Unsolicited),
            Outbound::Head => {
                let read = work.head.reply(input, manner.limits, &self.request)?;
                match read {
                    Some(reply) => self.reply(reply, (input, manner), work, edit, out),
                    None => Ok(FromBackend::More),
                }
            }
            Outbound::Body(progress) => {
                let taken = progress.take(input)?;
                if taken.complete {
                    self.outbound = Outbound::Complete;
                }
                Ok(FromBackend::Body(taken.bytes))
            }
        }
    }

    fn reply(
        &mut self,
        reply: Reply,
        (input, manner): (&[u8], &Manner),
        work: &mut Workspace,
        edit: impl FnOnce(&mut Editor<'_>),
        out: &mut Vec<u8>,
    ) -> Result<FromBackend, Fault> {
        let switches = reply.code == 101;
        let mut editor = work.rewriter.edit(input, &work.head);
        if reply.code < 200 && !switches {
            // A client of version 1.0 does not know interim replies.
            if self.request.version == Version::Http11 {
                editor.finish(Hops::PassedOn, false, out);
            }
            return Ok(FromBackend::Head {
                bytes: work.head.length,
                code: reply.code,
            });
        }
        if switches && !self.request.upgrade {
            return Err(Fault {
                kind: FaultKind::Bad,
                what: "a 101 that nobody asked for",
            });
        }
        self.reply = reply;
        self.private |= reply.private;
        let tunnel =
            switches || self.request.method == Method::Connect && (200..300).contains(&reply.code);
        let hops = if manner.managed && !manner.shallow {
            let word = if tunnel { None } else { self.word_to_client() };
            // Who was told so waits for the end.
            self.last |= word == Some(Persistence::Close);
            Hops::Managed {
                connection: word,
                // 426 says with it what to upgrade to.
                upgrade: switches || reply.code == 426,
            }
        } else {
            Hops::PassedOn
        };
        edit(&mut editor);
        editor.finish(hops, false, out);
        if tunnel || manner.shallow {
            self.inbound = Inbound::Raw;
            self.outbound = Outbound::Raw;
        } else {
            self.outbound = match Progress::of(reply.body) {
                Some(progress) => Outbound::Body(progress),
                None => Outbound::Complete,
            };
        }
        Ok(FromBackend::Head {
            bytes: work.head.length,
            code: reply.code,
        })
    }

    /// What `Connection` says to the client where the daemon manages it.
    fn word_to_client(&self) -> Option<Persistence> {
        let old = Version::Http10;
        if !self.may_keep_client() {
            Some(Persistence::Close)
        } else if self.request.version == old || self.reply.version == old {
            Some(Persistence::KeepAlive)
        } else {
            None
        }
    }

    /// Whether the client connection may go on as far as the heads say and the
    /// daemon manages it.
    fn may_keep_client(&self) -> bool {
        self.request.persistent
            && !self.last
            && self.inbound == Inbound::Sent
            && self.reply.body != Framing::UntilClose
    }

    /// What it means that the back end sends nothing more.
    pub fn backend_end(&mut self) -> BackendEnd {
        match self.outbound {
            Outbound::Idle => BackendEnd::Idle,
            Outbound::Head => BackendEnd::NoReply,
            Outbound::Complete | Outbound::Raw => BackendEnd::Complete,
            Outbound::Body(Progress::UntilClose) => {
                self.outbound = Outbound::Complete;
                BackendEnd::Complete
            }
            Outbound::Body(_) => BackendEnd::Broken,
        }
    }

    /// The request that was forwarded is to be forwarded again; the bytes of it
    /// are the client's input once more.
    pub fn again(&mut self) {
        self.inbound = Inbound::Head;
        self.outbound = Outbound::Idle;
    }

    /// Begins the next exchange. Only after a complete request and reply.
    pub fn next(&mut self) {
        debug_assert!(self.inbound == Inbound::Sent && self.outbound == Outbound::Complete);
        self.again();
    }

    /// Another back end connection serves from now on.
    pub fn backend_changed(&mut self) {
        self.private = false;
    }

    /// No further exchange may begin on the client connection.
    pub fn make_last(&mut self) {
        self.last = true;
    }

    /// Whether no request has been forwarded that is not answered.
    pub fn is_idle(&self) -> bool {
        self.outbound == Outbound::Idle
    }

    /// Whether a request is being read whose head is not complete.
    pub fn reads_head(&self) -> bool {
        self.inbound == Inbound::Head
    }

    /// Whether the whole request was taken.
    pub fn is_sent(&self) -> bool {
        self.inbound == Inbound::Sent
    }

    /// Whether the final reply is waited for.
    pub fn awaits_reply(&self) -> bool {
        self.outbound == Outbound::Head
    }

    /// Whether the final reply has begun: its head stood in `out`.
    pub fn has_replied(&self) -> bool {
        !matches!(self.outbound, Outbound::Idle | Outbound::Head)
    }

    /// Whether the whole reply was taken.
    pub fn is_complete(&self) -> bool {
        self.outbound == Outbound::Complete
    }

    /// Whether the bytes of the client pass unread.
    pub fn client_is_raw(&self) -> bool {
        self.inbound == Inbound::Raw
    }

    /// Whether the bytes of the back end pass unread.
    pub fn backend_is_raw(&self) -> bool {
        self.outbound == Outbound::Raw
    }

    /// Whether the client connection goes on after this exchange.
    pub fn keeps_client(&self, manner: &Manner) -> bool {
        self.may_keep_client() && (manner.managed || self.reply.persistent)
    }

    /// Whether the client connection ends after this exchange whatever the rest
    /// of the messages brings; known once the reply has begun.
    pub fn ends_client(&self, manner: &Manner) -> bool {
        !self.request.persistent
            || self.last
            || self.reply.body == Framing::UntilClose
            || !(manner.managed || self.reply.persistent)
    }

    /// Whether the end of the back end connection is the end of the reply.
    pub fn ends_with_backend(&self) -> bool {
        matches!(self.outbound, Outbound::Body(Progress::UntilClose))
    }

    /// Whether the back end connection can serve another exchange.
    pub fn keeps_backend(&self, manner: &Manner) -> bool {
        self.reply.persistent
            && self.inbound == Inbound::Sent
            && (manner.managed || self.request.persistent)
    }

    /// Whether the back end connection belongs to this client alone.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The request under way.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Bytes of the client's body that come next and need not be looked at.
    pub fn client_body_left(&self) -> u64 {
        match &self.inbound {
            Inbound::Body(progress) => progress.left(),
            _ => 0,
        }
    }

    /// So many of them passed.
    pub fn skip_client_body(&mut self, bytes: u64) {
        if let Inbound::Body(progress) = &mut self.inbound
            && progress.skip(bytes)
        {
            self.inbound = Inbound::Sent;
        }
    }

    /// Bytes of the back end's body that come next and need not be looked at.
    pub fn backend_body_left(&self) -> u64 {
        match &self.outbound {
            Outbound::Body(progress) => progress.left(),
            _ => 0,
        }
    }

    /// So many of them passed.
    pub fn skip_backend_body(&mut self, bytes: u64) {
        if let Outbound::Body(progress) = &mut self.outbound
            && progress.skip(bytes)
        {
            self.outbound = Outbound::Complete;
        }
    }
}

impl Progress {
    fn of(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Empty => None,
            Framing::Length(bytes) => Some(Self::Length(bytes)),
            Framing::Chunked => Some(Self::Chunked(Chunked::new())),
            Framing::UntilClose => Some(Self::UntilClose),
        }
    }

    fn take(&mut self, input: &[u8]) -> Result<Taken, Fault> {
        match self {
            Self::Length(left) => {
                let bytes = usize::try_from(*left).unwrap_or(usize::MAX);
                let bytes = bytes.min(input.len());
                *left -= bytes as u64;
                let complete = *left == 0;
                Ok(Taken { bytes, complete })
            }
            Self::Chunked(chunked) => chunked.take(input),
            Self::UntilClose => Ok(Taken {
                bytes: input.len(),
                complete: false,
            }),
        }
    }

    fn left(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(chunked) => chunked.data_left(),
            Self::UntilClose => u64::MAX,
        }
    }

    /// Whether the body ends there.
    fn skip(&mut self, bytes: u64) -> bool {
        match self {
            Self::Length(left) => {
                *left -= bytes;
                *left == 0
            }
            Self::Chunked(chunked) => {
                chunked.skip(bytes);
                false
            }
            Self::UntilClose => false,
        }
    }
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
