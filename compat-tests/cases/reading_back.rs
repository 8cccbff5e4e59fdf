//! Logs that the daemon wrote, read by the commands for them.

use std::collections::BTreeMap;
use std::fs;

use crate::cases::relay::Noise;
use crate::harness::{Backend, Client, Proxy, Run, Setup};

/// How many connections there are side by side.
const CONNECTIONS: usize = 5;

/// How many bytes each of them sends in each round, and gets back.
const ROUNDS: [usize; 5] = [1, 3_000, 20_000, 777, 70_000];

/// A back end that answers a whole round at once: each byte the other way round.
fn inverting() -> Backend {
    Backend::serving(|mut peer| {
        for length in ROUNDS {
            let mut answer = Vec::new();
            while answer.len() < length {
                let got = peer.receive();
                if got.is_empty() {
                    return;
                }
                answer.extend(got.iter().map(|byte| !byte));
            }
            if !peer.send(&answer) {
                return;
            }
        }
        peer.discard();
    })
}

fn inverted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// What each connection sends in each round.
struct Sent(Vec<Vec<Vec<u8>>>);

impl Sent {
    /// Random bytes, which pass through `proxy` both ways; one connection after
    /// the other in each round, so the order of all blocks is known.
    fn through(proxy: &Proxy) -> Self {
        let mut noise = Noise(41);
        let rounds = ROUNDS.map(|length| {
            let mut bytes = || noise.bytes(length);
            (0..CONNECTIONS).map(|_| bytes()).collect::<Vec<_>>()
        });
        let mut clients: Vec<Client> = Vec::new();
        for round in &rounds {
            for (number, bytes) in round.iter().enumerate() {
                // Before the next one connects, so that their numbers are known.
                if clients.len() == number {
                    clients.push(proxy.connect());
                }
                clients[number].send(bytes);
                let answer = clients[number].take(bytes.len());
                assert!(answer == inverted(bytes), "the logs changed the traffic");
            }
        }
        Self(rounds.into())
    }

    /// What the connection with this number sent, from 1.
    fn of(&self, number: usize) -> Vec<u8> {
        let rounds = self.0.iter();
        rounds.flat_map(|round| round[number - 1].clone()).collect()
    }

    /// What all sent, in order.
    fn all(&self) -> Vec<u8> {
        self.0.iter().flatten().flatten().copied().collect()
    }
}

#[track_caller]
fn assert_gives(run: &Run, bytes: &[u8]) {
    run.clean();
    assert!(run.bytes == bytes, "other bytes than those that were sent");
}

/// Least and greatest, in microseconds.
type Range = (u64, u64);

/// Times to the first and to the last block of the back end, of all exchanges
/// in a throughput log; worked out here without the code under test.
fn times(log: &str) -> [Range; 2] {
    let mut begun = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for (line, text) in log.lines().enumerate() {
        let (connection, time) = (&text[..7], text[8..].split(' ').next().unwrap());
        let time: u64 = time.replace('.', "").parse().unwrap();
        let side = text[8..].split(' ').nth(1).unwrap();
        let exchange: &mut (u64, usize, &str) =
            begun.entry(connection).or_insert((time, line, "B"));
        if side == "C" && exchange.2 == "B" {
            *exchange = (time, line, side);
        } else if side == "B" {
            exchange.2 = side;
            let since = time - exchange.0;
            answers.entry(exchange.1).or_insert((since, since)).1 = since;
        }
    }
    assert_eq!(answers.len(), CONNECTIONS * ROUNDS.len(), "{log}");
    let range = |times: Vec<u64>| (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    let answers = answers.values();
    [
        range(answers.clone().map(|answer| answer.0).collect()),
        range(answers.map(|answer| answer.1).collect()),
    ]
}

/// Sections 13.1 and 13.2 (documented), `capture` and the commands (decided):
/// what the daemon logs of random bytes both ways on several connections, the
/// commands give back exactly.
#[test]
fn what_the_daemon_logs_the_commands_read_back_exactly() {
    let maple = inverting();
    let body = "trafficlog traffic; throughputlog blocks; capture packets;";
    let proxy = Setup::new("")
        .backend("maple", maple.server(), body)
        .start();
    let sent = Sent::through(&proxy);
    assert_eq!(proxy.number("maple", "log_dropped"), 0);
    proxy.stop();

    let read = |words: &[&str]| proxy.sandbox().program().args(words).run();
    for number in 1..=CONNECTIONS {
        let raw = |side| {
            let number = number.to_string();
            let words = ["trafficlog", "--raw", side, "--connection", &number];
            read(&[&words[..], &["packets"]].concat())
        };
        assert_gives(&raw("client"), &sent.of(number));
        assert_gives(&raw("backend"), &inverted(&sent.of(number)));
    }
    for file in ["traffic", "packets"] {
        let raw = |side| read(&["trafficlog", "--raw", side, file]);
        assert_gives(&raw("client"), &sent.all());
        assert_gives(&raw("backend"), &inverted(&sent.all()));
    }
    let written = |name| fs::read_to_string(proxy.sandbox().path().join(name)).unwrap();
    assert_gives(
        &read(&["trafficlog", "traffic"]),
        written("traffic").as_bytes(),
    );
    assert_times(&read(&["throughput", "-j", "blocks"]), &written("blocks"));
}

/// Asserts that an analysis says what is in the log.
fn assert_times(analysis: &Run, log: &str) {
    let value: serde_json::Value = serde_json::from_str(analysis.clean()).unwrap();
    let file = &value["files"][0];
    let exchanges = CONNECTIONS * ROUNDS.len();
    for (name, expected) in [
        ("lines", log.lines().count()),
        ("faults", 0),
        ("connections", CONNECTIONS),
        ("exchanges", exchanges),
        ("unanswered", 0),
    ] {
        assert_eq!(file[name], expected, "{name}: {file}");
    }
    let micros = |value: &serde_json::Value| (value.as_f64().unwrap() * 1e6).round() as u64;
    let [first_byte, whole] = times(log);
    for (name, expected) in [("first_byte", first_byte), ("whole", whole)] {
        let found = (micros(&file[name]["min"]), micros(&file[name]["max"]));
        assert_eq!(found, expected, "{name}: {file}");
    }
    for slow in file["slowest"].as_array().unwrap() {
        let line = slow["line"].as_u64().unwrap() as usize;
        let line = log.lines().nth(line - 1).unwrap();
        let connection = slow["connection"].as_u64().unwrap();
        assert!(line.starts_with(&format!("{connection:07} ")), "{line}");
        let request = slow["request"].as_str().unwrap();
        assert!(line.contains(&format!(" C {request}")), "{line} {slow}");
    }
}
