//! Random requests and replies, cut at random, held against what was sent.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cases::relay::Noise;
use crate::harness::http::{After, HttpBackend, HttpClient, Turn, chunked, reply, request, sticky};
use crate::harness::{Proxy, Setup, pace};

const LANES: [&str; 3] = ["maple", "birch", "cedar"];

/// Numbers that look random and are the same for the same seed.
struct Dice(Noise);

impl Dice {
    fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike.
        Self(Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        let bytes = self.0.bytes(8);
        let number = u64::from_le_bytes(bytes.try_into().unwrap());
        (number >> 11) as usize % sides
    }

    /// A size that is mostly small.
    fn size(&mut self) -> usize {
        let most = [0, 1, 30, 1_000, 40_000, 300_000][self.roll(6)];
        self.roll(most + 1)
    }
}

/// What a client asks, and whom.
struct Asked {
    bytes: Vec<u8>,
    method: &'static str,
    lane: &'static str,
    last: bool,
}

impl Asked {
    /// Whether the client says that it is the last one.
    fn closes(&self) -> bool {
        let option = b"\r\nConnection: close\r\n";
        let mut windows = self.bytes.windows(option.len());
        windows.any(|part| part == option)
    }

    fn random(dice: &mut Dice) -> Self {
        let lane = LANES[dice.roll(3)];
        let method = ["GET", "HEAD", "POST", "PUT", "OPTIONS"][dice.roll(5)];
        // Nothing is sent behind a request after which one side closes.
        let end = ["Connection: close\r\n", "X-End: 1\r\n", ""][dice.roll(20).min(2)];
        let mut fields = format!(
            "Cookie: x=y; lane={lane}\r\nX-Seed: {}\r\n",
            dice.roll(1 << 20)
        );
        fields += end;
        let body = dice.size();
        let body = dice.0.bytes(body);
        let bytes = match dice.roll(3) {
            0 => request(method, "/", &fields),
            1 => {
                fields += &format!("Content-Length: {}\r\n", body.len());
                [request(method, "/", &fields), body].concat()
            }
            _ => {
                fields += "Transfer-Encoding: chunked\r\n";
                let size = dice.roll(5_000) + 1;
                [request(method, "/", &fields), chunked(&body, size)].concat()
            }
        };
        Self {
            bytes,
            method,
            lane,
            last: !end.is_empty(),
        }
    }
}

/// Answers with the request itself, framed and cut as its seed says.
fn answer(turn: &mut Turn<'_>, lane: &str) -> After {
    let Some(message) = turn.message() else {
        return After::Close;
    };
    let seed = turn.head.value("X-Seed").unwrap();
    let mut dice = Dice::new(seed.parse().unwrap());
    let head = format!("X-Backend: {lane}\r\nX-Length: {}\r\n", message.wire.len());
    let (bytes, after) = match dice.roll(4) {
        _ if turn.head.value("X-End").is_some() => {
            let head = format!("HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n");
            ([head.as_bytes(), &message.wire].concat(), After::Close)
        }
        0 => {
            let size = dice.roll(5_000) + 1;
            let head = format!("HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n");
            let body = chunked(&message.wire, size);
            (([head.as_bytes(), &body].concat()), After::Keep)
        }
        1 => {
            turn.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            (reply("200 OK", &head, message.wire), After::Keep)
        }
        _ => (reply("200 OK", &head, message.wire), After::Keep),
    };
    let bytes = match turn.head.method().as_str() {
        "HEAD" => {
            &bytes[..bytes
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .unwrap()
                + 4]
        }
        _ => &bytes[..],
    };
    let mut left = bytes;
    while !left.is_empty() {
        let piece = (dice.size() + 1).min(left.len());
        if !turn.send(&left[..piece]) {
            return After::Close;
        }
        left = &left[piece..];
    }
    match turn.head.persists() {
        true => after,
        false => After::Close,
    }
}

/// Sends bytes in random pieces.
fn send(client: &mut HttpClient, bytes: &[u8], dice: &mut Dice) {
    let mut left = bytes;
    while !left.is_empty() {
        let piece = (dice.size() + 1).min(left.len());
        client.send(&left[..piece]);
        left = &left[piece..];
        if dice.roll(4) == 0 {
            pace(Duration::from_micros(300));
        }
    }
}

/// Reads the answer to `asked`; whether the connection goes on.
fn expect(client: &mut HttpClient, asked: &Asked, managed: bool) -> bool {
    let mut answer = client.reply_to(asked.method);
    if answer.code() == 103 {
        answer = client.reply_to(asked.method);
    }
    assert_eq!(answer.code(), 200, "{answer:?}");
    let head = &answer.head;
    assert_eq!(head.value("X-Backend").as_deref(), Some(asked.lane));
    let set = format!("lane={}; Path=/", asked.lane);
    assert_eq!(head.values("Set-Cookie"), [set]);
    if asked.method != "HEAD" && !(managed && asked.closes()) {
        assert!(answer.body == asked.bytes, "not what was sent");
    }
    if !managed {
        let length = asked.bytes.len().to_string();
        assert_eq!(head.value("X-Length"), Some(length));
    }
    // Where the daemon manages the connections, its word is what counts.
    head.persists() && (managed || !asked.last)
}

/// A client with `count` requests, some of them sent ahead.
fn play(proxy: &Proxy, seed: u64, count: usize, managed: bool) {
    let mut dice = Dice::new(seed);
    let mut client = proxy.http();
    let mut waiting: VecDeque<Asked> = VecDeque::new();
    let mut number = 0;
    while number < count || !waiting.is_empty() {
        let ahead = waiting.iter().map(|asked| asked.bytes.len()).sum::<usize>();
        let may_send = waiting.back().is_none_or(|asked| !asked.last) && ahead < 20_000;
        if number < count && may_send && (waiting.is_empty() || dice.roll(2) == 0) {
            let asked = Asked::random(&mut dice);
            send(&mut client, &asked.bytes, &mut dice);
            waiting.push_back(asked);
            number += 1;
            continue;
        }
        let asked = waiting.pop_front().unwrap();
        if !expect(&mut client, &asked, managed) {
            // What was sent ahead is not served; it is forgotten.
            client.assert_closed();
            client = proxy.http();
            waiting.clear();
        }
    }
}

fn play_all(service: &str, managed: bool) {
    let backends = LANES.map(|lane| HttpBackend::new(move |turn| answer(turn, lane)));
    let mut setup = Setup::http(service).flags(["-w", "2"]);
    for (lane, backend) in LANES.iter().zip(&backends) {
        setup = setup.backend(lane, backend.server(), &sticky(lane));
    }
    let proxy = setup.start();

    std::thread::scope(|scope| {
        let proxy = &proxy;
        let threads: Vec<_> = (1..=6)
            .map(|seed| scope.spawn(move || play(proxy, seed, 120, managed)))
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });

    proxy.await_idle();
    for lane in LANES {
        assert_eq!(proxy.state(lane), "available");
        assert_eq!(proxy.number(lane, "failures"), 0);
    }
}

/// 9.1 to 9.6 (decided): whatever clients and back ends may say, in whatever
/// pieces, every reply is that of its request.
#[test]
fn random_exchanges_are_passed_on_unharmed() {
    play_all("", false);
}

/// The same (decided) over shared connections, where the daemon manages
/// `Connection`.
#[test]
fn random_exchanges_over_shared_connections_are_passed_on_unharmed() {
    play_all("reuse safe;", true);
}
