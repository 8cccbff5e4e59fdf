//! What the head of a message costs in `type http`, step by step: taken apart,
//! its cookies looked through, written again with the usual changes. Without
//! sockets and without the session around it, which `http` measures.
//!
//! `cargo bench --bench head`

#![allow(
    clippy::expect_used,
    reason = "a bench whose messages are not valid has nothing to measure"
)]

use std::fmt::Write;

use crossroads::relay::http1::head::{Head, HeadLimits, Request};
use crossroads::relay::http1::rewrite::{Hops, Persistence, Rewriter};
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};

/// Shows allocations beside times: there are none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 * 1024,
    fields: 200,
};

/// The usual: `Connection` is the daemon's own.
const HOPS: Hops = Hops::Managed {
    connection: Some(Persistence::KeepAlive),
    upgrade: false,
};

fn main() {
    divan::main();
}

/// How much there is to read.
#[derive(Clone, Copy, Debug)]
enum Size {
    /// What a program sends that needs nothing.
    Small,
    /// What a browser sends to a shop, and the shop answers.
    Browser,
    /// A hundred fields and 16 KiB, as behind a portal with single sign-on.
    Large,
}

const SIZES: [Size; 3] = [Size::Small, Size::Browser, Size::Large];

impl Size {
    /// Fields of 160 bytes that mean nothing to a balancer.
    fn filling(self) -> String {
        let mut text = String::new();
        if let Self::Large = self {
            for number in 0..96 {
                let value = "claim-0123456789-".repeat(8);
                write!(text, "X-Portal-{number:03}: {value}\r\n").expect("there is memory");
            }
        }
        text
    }

    fn request(self) -> Vec<u8> {
        let browser = "Connection: keep-alive\r\n\
            Cache-Control: max-age=0\r\n\
            Upgrade-Insecure-Requests: 1\r\n\
            User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
            Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
            Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
            Accept-Encoding: gzip, deflate, br\r\n\
            Referer: https://shop.example.com/lamps/desk?colour=green&page=2\r\n\
            Cookie: basket=4f1c2a90-77d1-4a52-9c55-0a8f3d6b1e20; lane=summer; seen=lamps.desks.chairs; consent=yes\r\n\
            Sec-Fetch-Dest: document\r\n\
            Sec-Fetch-Mode: navigate\r\n\
            Sec-Fetch-Site: same-origin\r\n";
        let more = match self {
            Self::Small => "",
            Self::Browser | Self::Large => browser,
        };
        let filling = self.filling();
        format!("GET /lamps HTTP/1.1\r\nHost: shop.example.com\r\n{more}{filling}\r\n").into_bytes()
    }

    fn reply(self) -> Vec<u8> {
        let shop = "Server: Apache\r\n\
            Date: Sat, 28 Nov 2026 12:00:00 GMT\r\n\
            Content-Type: text/html; charset=utf-8\r\n\
            Vary: Accept-Encoding, Cookie\r\n\
            Cache-Control: private, max-age=0\r\n\
            Last-Modified: Fri, 27 Nov 2026 08:30:00 GMT\r\n\
            Strict-Transport-Security: max-age=63072000\r\n\
            X-Content-Type-Options: nosniff\r\n\
            Set-Cookie: seen=lamps.desks; Path=/; Secure; SameSite=Lax\r\n";
        let more = match self {
            Self::Small => "",
            Self::Browser | Self::Large => shop,
        };
        let filling = self.filling();
        format!("HTTP/1.1 200 OK\r\nContent-Length: 4200\r\n{more}{filling}\r\n").into_bytes()
    }
}

fn read(head: &mut Head, request: &[u8]) -> Request {
    let found = head.request(request, LIMITS).expect("a valid request");
    found.expect("a whole head")
}

#[divan::bench(args = SIZES)]
fn take_request_apart(bencher: Bencher<'_, '_>, size: Size) {
    let request = size.request();
    let mut head = Head::default();
    bencher
        .counter(BytesCount::new(request.len()))
        .bench_local(|| read(&mut head, black_box(&request)));
}

#[divan::bench(args = SIZES)]
fn take_reply_apart(bencher: Bencher<'_, '_>, size: Size) {
    let mut head = Head::default();
    let asked = read(&mut head, &size.request());
    let reply = size.reply();
    bencher
        .counter(BytesCount::new(reply.len()))
        .bench_local(|| {
            let found = head.reply(black_box(&reply), LIMITS, &asked);
            found.expect("a valid reply").expect("a whole head")
        });
}

/// What a service with sticky cookies does before it chooses a back end.
#[divan::bench(args = SIZES)]
fn look_for_cookie(bencher: Bencher<'_, '_>, size: Size) {
    let request = size.request();
    let mut head = Head::default();
    read(&mut head, &request);
    bencher.bench_local(|| {
        let mut cookies = black_box(&head).cookies(&request);
        cookies.any(|line| memchr::memmem::find(line, b"lane=winter").is_some())
    });
}

/// The address of the client for the back end.
#[divan::bench(args = SIZES)]
fn write_request_with_client_address(bencher: Bencher<'_, '_>, size: Size) {
    let request = size.request();
    let (mut head, mut rewriter, mut out) = (Head::default(), Rewriter::default(), Vec::new());
    read(&mut head, &request);
    bencher.bench_local(|| {
        out.clear();
        let mut editor = rewriter.edit(black_box(&request), &head);
        assert!(editor.set(b"X-Forwarded-For", b"192.0.2.7"));
        editor.finish(HOPS, true, &mut out);
        out.len()
    });
}

/// The cookie of the back end for the client.
#[divan::bench(args = SIZES)]
fn write_reply_with_cookie(bencher: Bencher<'_, '_>, size: Size) {
    let (mut head, mut rewriter, mut out) = (Head::default(), Rewriter::default(), Vec::new());
    let asked = read(&mut head, &size.request());
    let reply = size.reply();
    let found = head.reply(&reply, LIMITS, &asked);
    found.expect("a valid reply").expect("a whole head");
    bencher.bench_local(|| {
        out.clear();
        let mut editor = rewriter.edit(black_box(&reply), &head);
        assert!(editor.add(b"Set-Cookie", b"lane=summer; Path=/"));
        editor.finish(HOPS, false, &mut out);
        out.len()
    });
}
