//! Heads of requests and replies, and what they say about the message.
//!
//! A head is read from its beginning each time; nothing is remembered from one
//! call to the next. Whatever is wrong is refused as soon as it is seen, and
//! whatever two readers could understand differently is wrong: there is no
//! repair, except that LF alone ends a line (see [`Head::clean`]).

mod fields;
mod host;
mod read;
mod start;

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::{ParserConfig, Status};

use crate::relay::http1::head::read::Window;

/// How large a head may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeadLimits {
    /// Bytes, from the start line to the empty line.
    pub bytes: usize,
    /// Fields, at most [`MOST_FIELDS`].
    pub fields: usize,
}

/// The greatest number of fields that a limit may allow.
pub const MOST_FIELDS: usize = 1_000;

/// How a TLS connection begins: a record of a handshake.
const TLS: &[u8] = &[0x16];

/// Why a message is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// What is wrong, for operators: `two Content-Length fields`.
    pub what: &'static str,
}

/// Kinds of faults, as far as the answer differs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// Malformed or ambiguous: 400.
    Bad,
    /// More bytes or fields than the limits allow: 431.
    TooLarge,
    /// A version other than 1.0 and 1.1: 505.
    Version,
}

/// What of a method matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// GET, OPTIONS or TRACE: may be repeated.
    Safe,
    /// HEAD: may be repeated; its reply has no body.
    Head,
    /// CONNECT: a 2xx reply makes a tunnel.
    Connect,
    /// Anything else.
    Other,
}

/// The version of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After so many bytes, at least one.
    Length(u64),
    /// Where its chunks say.
    Chunked,
    /// Where the back end closes; replies only.
    UntilClose,
}

/// What the head of a request says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// What of its method matters.
    pub method: Method,
    /// Its version.
    pub version: Version,
    /// Its body.
    pub body: Framing,
    /// Whether the client connection may stay open after it (9.8).
    pub persistent: bool,
    /// Whether it has `Upgrade`, and `upgrade` among its `Connection` options;
    /// in HTTP/1.0 that means nothing (RFC 9110 section 7.8).
    pub upgrade: bool,
    /// Whether it carries credentials that belong to a connection (NTLM,
    /// Negotiate).
    pub private: bool,
}

/// What the head of a reply says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Its status code, 100 to 999.
    pub code: u16,
    /// Its version.
    pub version: Version,
    /// Its body.
    pub body: Framing,
    /// Whether the connection to the back end may stay open after it (9.8).
    pub persistent: bool,
    /// Whether it asks for credentials that belong to a connection (NTLM,
    /// Negotiate).
    pub private: bool,
}

/// A field whose meaning is looked at here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Known {
    /// No other.
    Other,
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Cookie`.
    Cookie,
    /// `Authorization` or `Proxy-Authorization`.
    Credentials,
    /// `WWW-Authenticate` or `Proxy-Authenticate`.
    Challenge,
    /// `Host`.
    Host,
    /// `Keep-Alive`.
    KeepAlive,
    /// `Proxy-Connection`.
    ProxyConnection,
    /// `TE`.
    Te,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
}

/// One field line; places are in the bytes that were parsed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// The whole line, its end included.
    pub line: Range<u32>,
    /// Its name as sent.
    pub name: Range<u32>,
    /// Its value without white space around it.
    pub value: Range<u32>,
    /// Which it is.
    pub known: Known,
}

/// A head taken apart; to be used again for the next one, so that a message
/// costs no allocation.
#[derive(Debug, Default)]
pub struct Head {
    /// Where the start line begins: behind empty lines that were skipped.
    pub start: usize,
    /// Where the fields begin.
    pub fields_start: usize,
    /// Where the body begins: the length of the head, skipped lines included.
    pub length: usize,
    /// Whether its bytes from `start` on may be passed on as they are: every
    /// line ends in CR LF and nothing was repaired.
    pub clean: bool,
    /// Its fields, in order.
    pub fields: Vec<Field>,
}

impl Head {
    /// Reads a request from the beginning of `input`; `None`: it goes on behind
    /// the end of `input`.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: the request is never passed on, not even in part.
    ///
    /// Source: decided (9.3, 9.4), stricter where RFC 9110 and 9112 are.
    pub fn request(&mut self, input: &[u8], limits: HeadLimits) -> Result<Option<Request>, Fault> {
        self.fields.clear();
        let Some(start) = start::behind_empty_lines(input)? else {
            return Ok(None);
        };
        let window = Window::new(&input[start..], limits);
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let result = ParserConfig::default().parse_request_with_uninit_headers(
            &mut parsed,
            window.bytes,
            &mut room[..limits.fields.min(MOST_FIELDS)],
        );
        let method = parsed.method.unwrap_or_default();
        if let (Some(target), Some(_)) = (parsed.path, parsed.version) {
            start::check_target(method, target)?;
        }
        let length = match (result, parsed.path) {
            (Ok(Status::Complete(length)), _) => length,
            (Ok(Status::Partial), _) => return window.goes_on(),
            (Err(httparse::Error::Version), Some(target)) => {
                start::check_version(start::behind(window.bytes, target), b"\r\n")?;
                return window.goes_on();
            }
            (Err(_), _) if window.bytes.starts_with(TLS) => {
                return Err(Fault::bad("TLS instead of a request"));
            }
            (Err(error), _) => return Err(Fault::of_parser(error)),
        };
        let version = Version::of_minor(parsed.version.unwrap_or_default());
        let target = parsed.path.unwrap_or_default();
        let facts = self.take_apart(input, start, length, parsed.headers)?;
        let request = facts.request(start::method(method), version)?;
        if let Some(host) = self.fields.iter().find(|field| field.known == Known::Host) {
            let value = &input[host.value.start as usize..host.value.end as usize];
            start::check_host(method, target, value)?;
        }
        Ok(Some(request))
    }

    /// Reads a reply to `request` from the beginning of `input`; `None`: it goes
    /// on behind the end of `input`.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: the client gets 502 instead.
    ///
    /// Source: decided (9.3, 9.4), stricter where RFC 9110 and 9112 are.
    pub fn reply(
        &mut self,
        input: &[u8],
        limits: HeadLimits,
        request: &Request,
    ) -> Result<Option<Reply>, Fault> {
        self.fields.clear();
        if matches!(input.first(), Some(b'\r' | b'\n')) {
            return Err(Fault::bad("empty line before a status line"));
        }
        let window = Window::new(input, limits);
        let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let result = ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            window.bytes,
            &mut room[..limits.fields.min(MOST_FIELDS)],
        );
        let code = parsed.code.unwrap_or(100);
        if code < 100 {
            return Err(Fault::bad("status code below 100"));
        }
        let length = match result {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return window.goes_on(),
            Err(httparse::Error::Version) if parsed.version.is_none() => {
                start::check_version(window.bytes, b" ")?;
                return window.goes_on();
            }
            Err(error) => return Err(Fault::of_parser(error)),
        };
        let version = Version::of_minor(parsed.version.unwrap_or(0));
        let facts = self.take_apart(input, 0, length, parsed.headers)?;
        facts.reply(code, version, request.method).map(Some)
    }

    /// The values of all `Cookie` fields, in order.
    pub fn cookies<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let cookies = self
            .fields
            .iter()
            .filter(|field| field.known == Known::Cookie);
        cookies.map(|field| &input[field.value.start as usize..field.value.end as usize])
    }
}

impl Request {
    /// Whether it may be sent once more when its connection ends unanswered.
    ///
    /// Source: decided (9.9).
    pub fn is_repeatable(&self) -> bool {
        matches!(self.method, Method::Safe | Method::Head) && self.body == Framing::Empty
    }
}

/// Whether bytes that arrived behind an incomplete head can change what is known
/// of it: a line may be complete now, or one of them may be forbidden. What else
/// is wrong with a line is found at its end.
///
/// If not, the head need not be read again before it reaches the limit of bytes.
/// As the number of lines is limited, so is then the work that a client can
/// cause by sending its head byte by byte.
pub fn is_worth_reading(fresh: &[u8]) -> bool {
    fresh
        .iter()
        .any(|byte| matches!(byte, 0..=8 | 10..=12 | 14..=31 | 127))
}
