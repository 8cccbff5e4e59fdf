//! Valid exchanges, made of random bytes. No bytes, or zeros, make the plainest
//! exchange, so that a failing case shrinks to something that can be read.

/// Where choices come from.
pub(super) struct Dice<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

/// A request and what answers it.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) request: Sent,
    pub(super) interim: Vec<Sent>,
    pub(super) reply: Sent,
}

/// A message as its sender sends it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) start: Vec<u8>,
    /// Names, and what stands behind the colon.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, chunk sizes and trailers included.
    pub(super) body: Vec<u8>,
    /// What the body says.
    pub(super) payload: Vec<u8>,
    pub(super) ends: Ends,
}

/// Where the body of a message ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Ends {
    #[default]
    AsItSays,
    WithTheConnection,
}

const METHODS: &[&str] = &[
    "GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "M-SEARCH", "CONNECT",
];
const TARGETS: &[&str] = &[
    "/",
    "/list?p=2&q=%20",
    "//a/../b;c=d",
    "http://www.shop.test/a",
    "http://[::1]:8080/?x",
];
const REQUEST_FIELDS: &[(&str, &str)] = &[
    ("Accept", " */*"),
    ("X-Client", " 10.9.9.9"),
    ("x-client", " \"a, b\""),
    ("Via", " 1.1 cache-a"),
    ("VIA", "1.1 cache-b"),
    ("Cookie", " a=b; pool=1"),
    ("cookie", " pool=\"12\";x"),
    ("Empty", ""),
    ("Blank", " \t "),
    ("User-Agent", "\tMozilla/5.0 (X; \u{e4})  "),
    ("Keep-Alive", " timeout=5"),
    ("TE", " trailers"),
    ("Upgrade", " h2c"),
    ("Expect", " 100-continue"),
    ("Content-Type", " text/plain"),
    ("Proxy-Connection", " close"),
    ("Proxy-Connection", " x-client"),
    ("Content-Lengths", " 7"),
    ("!#$%&'*+-.^_`|~9", " :"),
];
const REPLY_FIELDS: &[(&str, &str)] = &[
    ("Server", " x"),
    ("Set-Cookie", " a=b; Path=/"),
    ("set-cookie", " c=d"),
    ("Via", " 1.1 inside"),
    ("Date", " Tue, 15 Nov 1994 08:12:31 GMT"),
    ("Empty", ""),
    ("Keep-Alive", " timeout=5"),
    ("X-Latin", " \u{e4}\u{ff} "),
    ("Content-Type", "text/plain;charset=\"a\\\"b\""),
];
const CONNECTIONS: &[&str] = &[
    " keep-alive",
    " Keep-Alive, x-client",
    " via,,te, host ,content-length",
    " x-none",
    "Close",
    " keep-alive, close",
];
const STATUS_LINES: &[&str] = &[
    "200 OK",
    "404 Not found, sorry",
    "204 No Content",
    "304 Not Modified",
    "500 ",
    "206 \u{e4}",
    "999 Odd",
];

impl<'a> Dice<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
        }
    }

    /// A number below `end`, which is at least 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let mut byte = || usize::from(self.bytes.next().copied().unwrap_or_default());
        match end {
            0..=256 => byte() % end,
            _ => (byte() << 8 | byte()) % end,
        }
    }

    /// Whether something that happens once in so many times happens.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(super) fn pick<'b, T>(&mut self, all: &'b [T]) -> &'b T {
        &all[self.below(all.len())]
    }

    /// Up to `most` bytes, few rather than many.
    fn data(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        let byte = *self.pick(b"a\r\n0\0\xff");
        let mut data = vec![byte; length];
        for byte in data.iter_mut().take(8) {
            *byte = *self.pick(b"x\r\n0;:\0");
        }
        data
    }

    /// One to four exchanges of one client.
    pub(super) fn exchanges(&mut self) -> Vec<Exchange> {
        let count = 1 + self.below(4);
        (0..count).map(|_| self.exchange()).collect()
    }

    fn exchange(&mut self) -> Exchange {
        let request = self.request();
        let interim = match self.once_in(4) {
            true => (0..=self.below(2)).map(|_| self.interim()).collect(),
            false => Vec::new(),
        };
        Exchange {
            reply: self.reply(&request),
            request,
            interim,
        }
    }

    fn request(&mut self) -> Sent {
        let method = *self.pick(METHODS);
        let target = match (method, self.once_in(3)) {
            ("CONNECT", _) => "a.test:443",
            ("OPTIONS", true) => "*",
            _ => self.pick(TARGETS),
        };
        let version = if self.once_in(5) { "1.0" } else { "1.1" };
        let mut sent = Sent {
            start: format!("{method} {target} HTTP/{version}").into(),
            ..Sent::default()
        };
        if version == "1.1" || self.once_in(2) {
            let name = self.spelled("Host");
            self.put(&mut sent, name, host_for(target));
        }
        self.put_some(&mut sent, REQUEST_FIELDS);
        match (method, self.below(3)) {
            ("CONNECT", _) | (_, 0) => {}
            (_, 1) if version == "1.1" => self.put_chunked(&mut sent),
            _ => self.put_length(&mut sent),
        }
        sent
    }

    fn interim(&mut self) -> Sent {
        let mut sent = Sent {
            start: self.pick(&["HTTP/1.1 100 Continue", "HTTP/1.1 103 "])[..].into(),
            ..Sent::default()
        };
        if self.once_in(2) {
            self.put(&mut sent, "Link", " </a>");
        }
        sent
    }

    fn reply(&mut self, request: &Sent) -> Sent {
        let is_old = request.start.ends_with(b"0");
        let version = if self.once_in(6) { "1.0" } else { "1.1" };
        let status = match request.method() {
            b"CONNECT" => "403 Forbidden",
            _ => self.pick(STATUS_LINES),
        };
        let mut sent = Sent {
            start: latin1(&format!("HTTP/{version} {status}")),
            ..Sent::default()
        };
        self.put_some(&mut sent, REPLY_FIELDS);
        let has_body = !status.starts_with("204") && !status.starts_with("304");
        match self.below(4) {
            0 | 1 if has_body => self.put_length(&mut sent),
            2 if has_body && version == "1.1" && !is_old => self.put_chunked(&mut sent),
            3 if status.starts_with("304") => self.put(&mut sent, "Content-Length", " 9"),
            _ if has_body => {
                sent.ends = Ends::WithTheConnection;
                sent.body = self.data(300);
                sent.payload.clone_from(&sent.body);
            }
            _ => {}
        }
        if request.method() == b"HEAD" {
            sent.body.clear();
            sent.payload.clear();
            sent.ends = Ends::AsItSays;
        }
        sent
    }

    fn put_some(&mut self, sent: &mut Sent, fields: &[(&str, &str)]) {
        for _ in 0..self.below(8) {
            let (name, value) = *self.pick(fields);
            self.put(sent, name, value);
        }
        if self.once_in(3) {
            let value = *self.pick(CONNECTIONS);
            let name = self.spelled("Connection");
            self.put(sent, name, value);
        }
    }

    /// Puts a field somewhere.
    fn put(&mut self, sent: &mut Sent, name: &str, value: &str) {
        let place = sent.fields.len() - self.below(sent.fields.len() + 1);
        sent.fields.insert(place, (name.into(), latin1(value)));
    }

    fn put_length(&mut self, sent: &mut Sent) {
        sent.body = self.data(2_000);
        sent.payload.clone_from(&sent.body);
        let value = format!(" {}", sent.body.len());
        let name = self.spelled("Content-Length");
        self.put(sent, name, &value);
    }

    fn put_chunked(&mut self, sent: &mut Sent) {
        let name = self.spelled("Transfer-Encoding");
        let value = *self.pick(&[" chunked", "\tChunked  "]);
        self.put(sent, name, value);
        for _ in 0..self.below(4) {
            let mut data = self.data(300);
            data.push(b'.');
            let size = match self.below(3) {
                0 => format!("{:x}", data.len()),
                1 => format!("{:X}", data.len()),
                _ => format!("000{:x}", data.len()),
            };
            let extension = *self.pick(&["", ";a=b", ";", "; c=\"d;\t\u{e4}\""]);
            sent.body.extend(latin1(&format!("{size}{extension}\r\n")));
            sent.body.extend_from_slice(&data);
            sent.body.extend_from_slice(b"\r\n");
            sent.payload.extend(data);
        }
        sent.body.extend(self.pick(&["0\r\n", "00;z\r\n"]).bytes());
        for _ in 0..self.below(3) {
            let trailer = *self.pick(&["Digest: x\r\n", "Empty:\r\n", "Content-MD5:\ta \r\n"]);
            sent.body.extend(trailer.bytes());
        }
        sent.body.extend(b"\r\n");
    }

    /// A name in one of its spellings.
    fn spelled(&mut self, name: &'static str) -> &'static str {
        match (name, self.below(2)) {
            ("Host", 1) => "hOST",
            ("Connection", 1) => "connection",
            ("Content-Length", 1) => "content-length",
            ("Transfer-Encoding", 1) => "TRANSFER-encoding",
            _ => name,
        }
    }

    /// `bytes` in pieces.
    pub(super) fn pieces<'b>(&mut self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let most = *self.pick(&[usize::MAX, 1_000, 40, 3]);
        let mut rest = bytes;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let length = most.min(rest.len());
            let (piece, behind) = rest.split_at(length - self.below(length.min(256)));
            pieces.push(piece);
            rest = behind;
        }
        pieces
    }
}

impl Sent {
    pub(super) fn method(&self) -> &[u8] {
        self.start.split(|byte| *byte == b' ').next().unwrap_or(b"")
    }

    /// All of it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.start.clone();
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.fields {
            bytes.extend([name, &b":"[..], value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A `Host` that goes with a target.
fn host_for(target: &str) -> &'static str {
    match target {
        "a.test:443" => " a.test:443",
        "http://[::1]:8080/?x" => " [::1]:8080",
        _ => " www.shop.test",
    }
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u8).collect()
}
