//! A parser of messages of its own, so that a mistake of the program's is not
//! repeated here. It is stricter than the program: what the program sends on
//! must be beyond doubt.

/// What kind of message is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// A request.
    Request,
    /// The reply to a request with this method.
    ReplyTo(&'a str),
}

/// The head of a message, as it came.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Head(Vec<u8>);

/// A whole message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    /// Its head.
    pub(crate) head: Head,
    /// Its body, without the marks of chunks.
    pub(crate) body: Vec<u8>,
    /// All of its bytes as they came.
    pub(crate) wire: Vec<u8>,
}

/// Where a body ends.
enum Length {
    Exact(usize),
    Chunked,
    UntilEnd,
}

/// Takes one message from the beginning of `bytes`, and says how long it is.
/// `None`: it goes on behind them, where `ended` says whether more can come.
pub(crate) fn parse(
    bytes: &[u8],
    kind: Kind<'_>,
    ended: bool,
) -> Result<Option<(Message, usize)>, String> {
    let Some(head) = Head::parse(bytes)? else {
        return Ok(None);
    };
    let rest = &bytes[head.0.len()..];
    let body = match head.length(kind)? {
        Length::Exact(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
        Length::Chunked => chunks(rest)?,
        Length::UntilEnd => ended.then(|| (rest.to_vec(), rest.len())),
    };
    Ok(body.map(|(body, length)| {
        let length = head.0.len() + length;
        let wire = bytes[..length].to_vec();
        (Message { head, body, wire }, length)
    }))
}

impl Head {
    /// Takes a head from the beginning of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = Self(bytes[..end + 4].to_vec());
        for line in head.lines() {
            if line.contains(['\r', '\n', '\0']) {
                return Err(format!("a control character in {line:?}"));
            }
        }
        for line in head.lines().skip(1) {
            let name = line.split_once(':').map_or("", |(name, _)| name);
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(format!("no field: {line:?}"));
            }
        }
        Ok(Some(head))
    }

    /// Its bytes, the empty line included.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its lines without their ends, the empty one left out; a byte is a
    /// character.
    fn lines(&self) -> impl Iterator<Item = String> {
        let text: String = self.0.iter().map(|byte| char::from(*byte)).collect();
        let text = text.trim_end_matches("\r\n").to_owned();
        text.split("\r\n")
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The request line or status line.
    pub(crate) fn start(&self) -> String {
        self.lines().next().unwrap_or_default()
    }

    /// Word `number` of the start line, from 0.
    fn word(&self, number: usize) -> String {
        let start = self.start();
        start.split(' ').nth(number).unwrap_or_default().to_owned()
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> String {
        self.word(0)
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> String {
        self.word(1)
    }

    /// The status code of a reply.
    #[track_caller]
    pub(crate) fn code(&self) -> u16 {
        let start = self.start();
        let code = start
            .starts_with("HTTP/1.")
            .then(|| self.word(1).parse().ok());
        code.flatten()
            .unwrap_or_else(|| panic!("no status line: {start:?}"))
    }

    /// The values of all fields called `name`, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        self.lines()
            .skip(1)
            .filter_map(|line| {
                let (found, value) = line.split_once(':')?;
                let value = value.trim_matches([' ', '\t']).to_owned();
                found.eq_ignore_ascii_case(name).then_some(value)
            })
            .collect()
    }

    /// The value of the only field called `name`, if there is one.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "several {name}: {self:?}");
        values.pop()
    }

    /// Whether one of the fields called `name` has `option` in its list.
    pub(crate) fn lists(&self, name: &str, option: &str) -> bool {
        self.values(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|found| found.trim().eq_ignore_ascii_case(option))
    }

    /// Whether the connection may stay open as far as this head says.
    pub(crate) fn persists(&self) -> bool {
        let start = self.start();
        let version_1_0 = start.starts_with("HTTP/1.0") || start.ends_with("HTTP/1.0");
        if version_1_0 {
            self.lists("Connection", "keep-alive")
        } else {
            !self.lists("Connection", "close")
        }
    }

    fn length(&self, kind: Kind<'_>) -> Result<Length, String> {
        if let Kind::ReplyTo(method) = kind {
            let code = self.code();
            let tunnel = code == 101 || method == "CONNECT" && code / 100 == 2;
            if tunnel || method == "HEAD" || code / 100 == 1 || code == 204 || code == 304 {
                return Ok(Length::Exact(0));
            }
        }
        let lengths = self.values("Content-Length");
        match (self.values("Transfer-Encoding").as_slice(), &lengths[..]) {
            ([], []) if matches!(kind, Kind::Request) => Ok(Length::Exact(0)),
            ([], []) => Ok(Length::UntilEnd),
            ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
                .parse()
                .map(Length::Exact)
                .map_err(|_| format!("length {length}")),
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
            _ => Err(format!("the length of the body is in doubt: {self:?}")),
        }
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#?}", self.lines().collect::<Vec<_>>())
    }
}

impl Message {
    /// The status code of a reply.
    #[track_caller]
    pub(crate) fn code(&self) -> u16 {
        self.head.code()
    }

    /// Its body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A chunked body at the beginning of `bytes`: what it holds, and its length.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let mut pieces = Vec::new();
    let mut at = 0;
    loop {
        let Some(line) = line(&bytes[at..]) else {
            return Ok(None);
        };
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = String::from_utf8_lossy(digits);
        let size = usize::from_str_radix(digits.trim_end_matches([' ', '\t']), 16)
            .map_err(|_| format!("chunk size {digits:?}"))?;
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk without its end".to_owned());
        }
        pieces.push(&chunk[..size]);
        at += size + 2;
    }
    while let Some(trailer) = line(&bytes[at..]) {
        at += trailer.len() + 2;
        if trailer.is_empty() {
            return Ok(Some((pieces.concat(), at)));
        }
    }
    Ok(None)
}

/// The first line of `bytes`, without its end.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some(&bytes[..end])
}
