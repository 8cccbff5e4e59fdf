//! A second reader of HTTP/1 messages, to judge the first one by.
//!
//! It shares nothing with the code under test, knows only what RFC 9112 lets a
//! sender do, wants CR LF everywhere, and takes its time. The fuzz targets
//! include it by its path.

use std::ops::Range;

/// One message of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Message {
    /// The three parts of its first line.
    pub(super) start: [Vec<u8>; 3],
    /// Its fields, values without white space around them.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where its head is in the stream.
    pub(super) head: Range<usize>,
    /// Where its body is, chunk sizes and trailers included.
    pub(super) body: Range<usize>,
    /// What the body says.
    pub(super) payload: Vec<u8>,
    /// Whether it ends there, and not where the stream does.
    pub(super) whole: bool,
}

/// What of a stream belongs to a body.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Body {
    pub(super) bytes: usize,
    pub(super) payload: Vec<u8>,
    pub(super) whole: bool,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    After(u64),
    Chunked,
    Close,
}

/// The requests of a stream; only the body of the last may be unfinished.
pub(super) fn requests(stream: &[u8]) -> (Vec<Message>, Result<(), String>) {
    messages(stream, |_, message| end_of_request(message))
}

/// The replies of a stream to requests of these methods; only the body of the
/// last may be unfinished.
pub(super) fn replies(stream: &[u8], methods: &[&[u8]]) -> (Vec<Message>, Result<(), String>) {
    let mut final_replies = 0;
    messages(stream, |_, message| {
        let method = methods.get(final_replies).ok_or("reply without request")?;
        if !message.is_interim() {
            final_replies += 1;
        }
        end_of_reply(method, message)
    })
}

impl Message {
    /// Whether it is a reply that another one follows.
    pub(super) fn is_interim(&self) -> bool {
        self.start[1].starts_with(b"1") && self.start[1] != b"101"
    }

    /// Whether it ends its connection.
    pub(super) fn says_close(&self) -> bool {
        let mut options = self
            .values("connection")
            .flat_map(|value| value.split(|byte| *byte == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
            && !self.is_interim()
    }

    /// Whether its fields say where it ends.
    pub(super) fn is_framed(&self) -> bool {
        let mut framing = self
            .values("content-length")
            .chain(self.values("transfer-encoding"));
        framing.next().is_some()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter();
        let named = fields.filter(move |field| field.0.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|field| &field.1[..])
    }
}

fn messages(
    stream: &[u8],
    mut end_of: impl FnMut(usize, &Message) -> Result<End, String>,
) -> (Vec<Message>, Result<(), String>) {
    let mut found: Vec<Message> = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        if found.last().is_some_and(|last| !last.whole) {
            return (found, Err("bytes behind an unfinished message".to_owned()));
        }
        let message = head(&stream[at..]).and_then(|mut message| {
            let end = end_of(found.len(), &message)?;
            let body = body(&stream[at + message.head.end..], end)?;
            message.head = at..at + message.head.end;
            message.body = message.head.end..message.head.end + body.bytes;
            message.payload = body.payload;
            message.whole = body.whole;
            Ok(message)
        });
        match message {
            Ok(message) => {
                at = message.body.end;
                found.push(message);
            }
            Err(why) => return (found, Err(why)),
        }
    }
    (found, Ok(()))
}

/// A head, its places counted from its own beginning.
fn head(bytes: &[u8]) -> Result<Message, String> {
    let mut at = 0;
    let mut lines = Vec::new();
    loop {
        let line = line(&bytes[at..])?.ok_or("unfinished head")?;
        at += line.len() + 2;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let (first, fields) = lines.split_first().ok_or("empty line before a message")?;
    Ok(Message {
        start: start(first)?,
        fields: fields
            .iter()
            .copied()
            .map(field)
            .collect::<Result<_, _>>()?,
        head: 0..at,
        body: at..at,
        payload: Vec::new(),
        whole: false,
    })
}

/// The first line of `bytes` without its end; `None`: it goes on.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n");
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let checked = match line {
        [before @ .., b'\r'] if end.is_none() => before,
        _ => line,
    };
    if let Some(bad) = checked
        .iter()
        .find(|byte| byte.is_ascii_control() && **byte != b'\t')
    {
        return Err(format!("{bad:#x} in a line"));
    }
    Ok(end.map(|_| line))
}

fn start(line: &[u8]) -> Result<[Vec<u8>; 3], String> {
    let mut parts = line.splitn(3, |byte| *byte == b' ').map(<[u8]>::to_vec);
    let mut part = || parts.next().unwrap_or_default();
    let start = [part(), part(), part()];
    let is_version = |part: &[u8]| part == b"HTTP/1.0" || part == b"HTTP/1.1";
    let is_good = if is_version(&start[0]) {
        start[1].len() == 3 && start[1].iter().all(u8::is_ascii_digit) && start[1][0] != b'0'
    } else {
        let is_target = !start[1].is_empty() && start[1].iter().all(u8::is_ascii_graphic);
        is_token(&start[0]) && is_target && is_version(&start[2])
    };
    match is_good {
        true => Ok(start),
        false => Err(format!("first line {:?}", String::from_utf8_lossy(line))),
    }
}

fn field(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or("field without colon")?);
    if !is_token(name) {
        return Err(format!("field {:?}", String::from_utf8_lossy(name)));
    }
    Ok((name.to_vec(), value[1..].trim_ascii().to_vec()))
}

fn is_token(name: &[u8]) -> bool {
    let is_good = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    !name.is_empty() && name.iter().all(is_good)
}

/// What `Transfer-Encoding` and `Content-Length` say.
fn announced(message: &Message, version: &[u8]) -> Result<Option<End>, String> {
    let codings: Vec<&[u8]> = message.values("transfer-encoding").collect();
    let lengths: Vec<&[u8]> = message.values("content-length").collect();
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(None),
        ([coding], []) if version == b"HTTP/1.1" && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Some(End::Chunked))
        }
        ([], [length]) if length.iter().all(u8::is_ascii_digit) => {
            let length = std::str::from_utf8(length).unwrap_or_default();
            let length = length.parse().map_err(|_| "length too large".to_owned())?;
            Ok(Some(End::After(length)))
        }
        _ => Err("contradictory or unknown framing".to_owned()),
    }
}

fn end_of_request(message: &Message) -> Result<End, String> {
    let [method, _, version] = &message.start;
    let end = announced(message, version)?;
    let hosts = message.values("host").count();
    if hosts > 1 || hosts == 0 && version == b"HTTP/1.1" {
        return Err(format!("{hosts} Host fields"));
    }
    if method == b"CONNECT" && end.is_some() {
        return Err("CONNECT with a body".to_owned());
    }
    Ok(end.unwrap_or(End::After(0)))
}

fn end_of_reply(method: &[u8], message: &Message) -> Result<End, String> {
    let [version, code, _] = &message.start;
    let end = announced(message, version)?;
    let tunnel = method == b"CONNECT" && code[0] == b'2';
    let bodiless = code[0] == b'1' || code == b"204" || code == b"304" || tunnel;
    if bodiless || method == b"HEAD" {
        return Ok(End::After(0));
    }
    Ok(end.unwrap_or(End::Close))
}

fn body(bytes: &[u8], end: End) -> Result<Body, String> {
    match end {
        End::Chunked => chunked(bytes),
        End::After(length) => {
            let all = usize::try_from(length).unwrap_or(usize::MAX);
            let bytes = &bytes[..all.min(bytes.len())];
            Ok(Body {
                bytes: bytes.len(),
                payload: bytes.to_vec(),
                whole: bytes.len() == all,
            })
        }
        End::Close => Ok(Body {
            bytes: bytes.len(),
            payload: bytes.to_vec(),
            whole: false,
        }),
    }
}

/// A chunked body; all of `bytes` belongs to it if it is not whole.
pub(super) fn chunked(bytes: &[u8]) -> Result<Body, String> {
    let mut payload = Vec::new();
    let end = match chunks(bytes, &mut payload)? {
        Some(at) => trailers(bytes, at)?,
        None => None,
    };
    Ok(Body {
        bytes: end.unwrap_or(bytes.len()),
        payload,
        whole: end.is_some(),
    })
}

/// Where the trailers begin; `None`: behind the end of `bytes`.
fn chunks(bytes: &[u8], payload: &mut Vec<u8>) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(size_line) = line(&bytes[at..])? else {
            begins_size_line(&bytes[at..])?;
            return Ok(None);
        };
        at += size_line.len() + 2;
        let size = usize::try_from(size(size_line)?).map_err(|_| "chunk too large")?;
        if size == 0 {
            return Ok(Some(at));
        }
        let data = &bytes[at..at.saturating_add(size).min(bytes.len())];
        payload.extend_from_slice(data);
        at += data.len();
        match bytes[at..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => at += 2,
            _ => return Err("no line end behind a chunk".to_owned()),
        }
    }
}

/// Where trailers that begin at `at` end; `None`: behind the end of `bytes`.
fn trailers(bytes: &[u8], mut at: usize) -> Result<Option<usize>, String> {
    loop {
        let Some(trailer) = line(&bytes[at..])? else {
            begins_trailer(&bytes[at..])?;
            return Ok(None);
        };
        at += trailer.len() + 2;
        if trailer.is_empty() {
            return Ok(Some(at));
        }
        check_trailer(&field(trailer)?.0)?;
    }
}

/// What is there of a size line must be the beginning of one.
fn begins_size_line(line: &[u8]) -> Result<(), String> {
    let cut = line.strip_suffix(b"\r");
    match line {
        [] => Ok(()),
        _ => size(cut.unwrap_or(line)).map(drop),
    }
}

fn size(line: &[u8]) -> Result<u64, String> {
    let end = line.iter().position(|byte| *byte == b';');
    let digits = &line[..end.unwrap_or(line.len())];
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    let number = i64::from_str_radix(digits, 16).ok().filter(|_| is_number);
    number
        .map(i64::unsigned_abs)
        .ok_or_else(|| format!("size {digits:?}"))
}

/// What is there of a trailer must be the beginning of one.
fn begins_trailer(line: &[u8]) -> Result<(), String> {
    let whole = line.strip_suffix(b"\r").unwrap_or(line);
    match whole.contains(&b':') {
        true => check_trailer(&field(whole)?.0),
        false if whole.is_empty() || is_token(line) => Ok(()),
        false => Err("name of a trailer".to_owned()),
    }
}

fn check_trailer(name: &[u8]) -> Result<(), String> {
    let framing = ["content-length", "transfer-encoding"];
    match framing
        .iter()
        .any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
    {
        true => Err("framing in a trailer".to_owned()),
        false => Ok(()),
    }
}
