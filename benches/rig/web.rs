//! Requests and replies of HTTP, a client that asks and a back end that answers.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crossroads::relay::host::WebManner;
use crossroads::relay::http1::head::HeadLimits;

use crate::rig::Rig;
use crate::rig::host::Fixed;

pub(crate) const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 200,
};

pub(crate) const SHORT_REQUEST: &[u8] = b"GET /short HTTP/1.1\r\nHost: www.example.com\r\n\r\n";

/// As a browser on a desktop sends it, with the cookies of an ordinary shop.
pub(crate) const PAGE_REQUEST: &[u8] = b"GET /page HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"125\", \"Not.A/Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Windows\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Referer: https://www.example.com/shop/index.html\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: _ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000001; session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0; theme=dark\r\n\
    \r\n";

pub(crate) const SHORT_REPLY: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 6\r\n\
    \r\n\
    short\n";

pub(crate) const PAGE_REPLY_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sat, 28 Feb 2026 12:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Transfer-Encoding: chunked\r\n\
    Vary: Accept-Encoding\r\n\
    Cache-Control: private, no-cache\r\n\
    Strict-Transport-Security: max-age=31536000\r\n\
    X-Frame-Options: SAMEORIGIN\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Set-Cookie: cart=3f2504e0-4f89-11d3-9a0c-0305e82c3301; Path=/; Secure; HttpOnly; SameSite=Lax\r\n\
    \r\n";

/// Bytes of a page that comes in chunks, and of each chunk.
pub(crate) const PAGE: usize = 12 * 1024;
pub(crate) const PAGE_CHUNK: usize = 4 * 1024;

/// What a client asks for, and gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exchange {
    /// The least that is valid.
    Short,
    /// What a browser sends, and a page in chunks.
    Page,
}

pub(crate) const EXCHANGES: [Exchange; 2] = [Exchange::Short, Exchange::Page];

impl Exchange {
    pub(crate) fn request(self) -> &'static [u8] {
        match self {
            Self::Short => SHORT_REQUEST,
            Self::Page => PAGE_REQUEST,
        }
    }

    pub(crate) fn reply(self) -> Vec<u8> {
        match self {
            Self::Short => SHORT_REPLY.to_vec(),
            Self::Page => [PAGE_REPLY_HEAD, &chunks(PAGE, PAGE_CHUNK)].concat(),
        }
    }

    /// Where the reply ends, and nothing else does.
    pub(crate) fn end(self) -> &'static [u8] {
        match self {
            Self::Short => b"short\n",
            Self::Page => b"\r\n0\r\n\r\n",
        }
    }
}

/// Whose the connections to the back end are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reuse {
    /// Each belongs to one client.
    Never,
    /// They serve one client after the other.
    Safe,
}

pub(crate) const REUSES: [Reuse; 2] = [Reuse::Never, Reuse::Safe];

impl Reuse {
    pub(crate) fn manner(self) -> WebManner {
        WebManner {
            limits: LIMITS,
            shallow: false,
            managed: self == Self::Safe,
        }
    }
}

/// An exchange under one of the rules.
#[derive(Clone, Copy)]
pub(crate) struct Case(pub(crate) Exchange, pub(crate) Reuse);

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, reuse {:?}", self.0, self.1)
    }
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    let of = |exchange| REUSES.map(|reuse| Case(exchange, reuse));
    EXCHANGES.into_iter().flat_map(of)
}

/// A body of that many bytes, all chunks but the last of equal size.
pub(crate) fn chunks(size: usize, chunk: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for part in vec![b'x'; size].chunks(chunk) {
        body.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// An engine between clients of HTTP and [`serve`].
pub(crate) fn start(reuse: Reuse) -> Rig {
    Rig::start(Fixed::web(serve(), reuse.manner()))
}

/// One kept-alive connection; nothing in its exchanges allocates.
pub(crate) struct Client {
    stream: TcpStream,
    received: Box<[u8]>,
}

impl Client {
    pub(crate) fn connect(rig: &Rig) -> Self {
        Self {
            stream: rig.connect(),
            received: vec![0; 64 * 1024].into(),
        }
    }

    pub(crate) fn ask(&mut self, what: Exchange) {
        self.stream.write_all(what.request()).unwrap();
    }

    pub(crate) fn hear(&mut self, what: Exchange) {
        let mut length = 0;
        while !self.received[..length].ends_with(what.end()) {
            match self.stream.read(&mut self.received[length..]).unwrap() {
                0 => unreachable!("the engine ends a connection that goes on"),
                read => length += read,
            }
        }
        assert!(contains(&self.received[..length], b"Set-Cookie: pool=one;"));
    }
}

pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let replies = EXCHANGES.map(|what| (what.request(), what.reply().into()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let replies = replies.clone();
            thread::spawn(move || answer(stream, &replies));
        }
    });
    address
}

/// Answers each request by its first line, until the engine ends it.
pub(crate) fn answer(mut stream: TcpStream, replies: &[(&[u8], Arc<[u8]>)]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = [0; 4_096];
    let mut length = 0;
    loop {
        match stream.read(&mut received[length..])? {
            0 => return Ok(()),
            read => length += read,
        }
        let request = &received[..length];
        if request.ends_with(b"\r\n\r\n") {
            assert!(contains(request, b"X-Forwarded-For: 192.0.2.7\r\n"));
            let is_it = |asked: &[u8]| asked[..10] == request[..10];
            let reply = replies.iter().find(|(asked, _)| is_it(asked));
            stream.write_all(&reply.expect("one of the requests").1)?;
            length = 0;
        }
    }
}
