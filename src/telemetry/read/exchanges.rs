//! The blocks of a throughput log, put together to exchanges.
//!
//! An *exchange* is one or more blocks of the client, and then one or more
//! blocks of the back end, on one connection; the next block of the client
//! begins another one. So a kept connection has several. Of each:
//!
//! ```text
//!   C ──── C ───────── B ─────── B ─────── B          C ...
//!   │                  │                   │          the next exchange
//!   ├── first byte ────┤                   │
//!   └── whole ─────────────────────────────┘
//! ```
//!
//! What a back end sends before the first block of its client, a greeting,
//! belongs to no exchange. An exchange that ends without a block of the back
//! end is *unanswered*.
//!
//! A connection ends where its time goes back, or is 0.000001 again for a
//! block of the client, since its number then belongs to a new one; or at the
//! end of the log. One that was not heard of while
//! tens of thousands of others were is taken to have ended.

use super::recent::Recent;
use super::throughput::ThroughputLine;
use crate::base::tap::Origin;
use crate::telemetry::layout::{SHOWN, START};

/// How many connections are remembered at least. A balancer with one address
/// has about as many ports for one back end, and each has a log of its own.
const REMEMBERED: usize = 32_768;

/// The beginning of the first block of a request.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    bytes: [u8; SHOWN],
    count: u8,
}

impl Beginning {
    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; SHOWN];
        let count = text.len().min(SHOWN);
        bytes[..count].copy_from_slice(&text[..count]);
        Self {
            bytes,
            count: count as u8,
        }
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.count)]
    }
}

/// Blocks of a client, and perhaps of the back end that answered; times in
/// microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The number of the connection.
    pub connection: u64,
    /// The line of its first block.
    pub line: u64,
    /// How its first block begins.
    pub request: Beginning,
    /// The answer; `None` if there was none.
    pub answer: Option<Answer>,
    /// When in its connection it began.
    begun: u64,
}

/// When a back end answered, in microseconds from the first block of the
/// client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Time to its first block.
    pub first_byte: u64,
    /// Time to its last block.
    pub whole: u64,
}

/// A connection that may go on.
#[derive(Default)]
struct Open {
    last: u64,
    exchange: Option<Exchange>,
}

/// Puts blocks together to exchanges.
pub struct Exchanges {
    open: Recent<u64, Open>,
    connections: u64,
}

impl Default for Exchanges {
    fn default() -> Self {
        Self {
            open: Recent::new(REMEMBERED),
            connections: 0,
        }
    }
}

impl Exchanges {
    /// Takes the block of the line with this number; `ended` gets each exchange
    /// that is known to be over by it.
    pub fn block(
        &mut self,
        number: u64,
        line: &ThroughputLine<'_>,
        mut ended: impl FnMut(Exchange),
    ) {
        match self.open.get_mut(&line.connection) {
            Some(open) if open.continues(line) => open.exchange(number, line, &mut ended),
            earlier => {
                // The number belongs to another connection now.
                earlier
                    .and_then(|open| open.exchange.take())
                    .map(&mut ended);
                self.connections += 1;
                let mut open = Open::default();
                open.exchange(number, line, &mut ended);
                self.open.put(line.connection, open);
            }
        }
        for forgotten in self.open.take_forgotten() {
            forgotten.exchange.map(&mut ended);
        }
    }

    /// The log ends here.
    pub fn end(&mut self, mut ended: impl FnMut(Exchange)) {
        for open in self.open.drain() {
            open.exchange.map(&mut ended);
        }
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> u64 {
        self.connections
    }
}

impl Open {
    /// Whether a line with the same number belongs to the same connection.
    fn continues(&self, line: &ThroughputLine<'_>) -> bool {
        let begins = line.time <= START && line.from == Origin::Client;
        line.time >= self.last && !begins
    }

    fn exchange(
        &mut self,
        number: u64,
        line: &ThroughputLine<'_>,
        ended: &mut impl FnMut(Exchange),
    ) {
        self.last = line.time;
        match (line.from, &mut self.exchange) {
            (Origin::Backend, None) => {}
            (Origin::Backend, Some(exchange)) => exchange.answered(line.time),
            (Origin::Client, Some(exchange)) if exchange.answer.is_none() => {}
            (Origin::Client, exchange) => {
                let begun = Exchange {
                    connection: line.connection,
                    line: number,
                    request: Beginning::of(line.text),
                    answer: None,
                    begun: line.time,
                };
                exchange.replace(begun).map(ended);
            }
        }
    }
}

impl Exchange {
    fn answered(&mut self, time: u64) {
        let since = time.saturating_sub(self.begun);
        let first_byte = self.answer.map_or(since, |answer| answer.first_byte);
        self.answer = Some(Answer {
            first_byte,
            whole: since,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The exchanges of a log, as `CONNECTION@LINE REQUEST FIRST/WHOLE`.
    fn exchanges(log: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut exchanges = Exchanges::default();
        let mut ended = |exchange: Exchange| {
            let request = String::from_utf8_lossy(exchange.request.text()).into_owned();
            let answer = exchange.answer.map_or("none".to_owned(), |answer| {
                format!("{}/{}", answer.first_byte, answer.whole)
            });
            let Exchange {
                connection, line, ..
            } = exchange;
            all.push(format!("{connection}@{line} {request} {answer}"));
        };
        for (number, line) in (1..).zip(log.lines()) {
            let line = ThroughputLine::parse(line.trim().as_bytes()).unwrap();
            exchanges.block(number, &line, &mut ended);
        }
        exchanges.end(&mut ended);
        all.sort();
        all
    }

    #[test]
    fn exchange_is_blocks_of_the_client_and_then_of_the_back_end() {
        let log = "1 0.000001 C post
                   1 0.000101 C body
                   1 0.000301 B head
                   1 0.000901 B end";

        assert_eq!(exchanges(log), ["1@1 post 300/900"]);
    }

    #[test]
    fn kept_connection_has_several_exchanges() {
        let log = "1 0.000001 C one
                   1 0.000101 B reply
                   1 5.000000 C two
                   1 5.000020 B reply
                   1 9.000000 C three";

        assert_eq!(
            exchanges(log),
            ["1@1 one 100/100", "1@3 two 20/20", "1@5 three none"]
        );
    }

    #[test]
    fn connections_that_take_turns_in_the_log_are_kept_apart() {
        let log = "1 0.000001 C one
                   2 0.000001 C two
                   2 0.000002 B reply
                   1 0.000011 B reply";

        assert_eq!(exchanges(log), ["1@1 one 10/10", "2@2 two 1/1"]);
    }

    #[test]
    fn number_whose_time_goes_back_belongs_to_a_new_connection() {
        let log = "7 0.000001 C old
                   7 0.000009 B reply
                   7 0.000001 C new
                   7 0.000003 B reply";

        assert_eq!(exchanges(log), ["7@1 old 8/8", "7@3 new 2/2"]);
    }

    #[test]
    fn number_that_begins_again_belongs_to_a_new_connection() {
        let log = "7 0.000001 C old
                   7 0.000001 C new
                   7 0.000003 B reply";

        assert_eq!(exchanges(log), ["7@1 old none", "7@2 new 2/2"]);
    }

    #[test]
    fn greeting_of_a_back_end_belongs_to_no_exchange() {
        let log = "1 0.000001 B 220 hello
                   1 0.000500 C EHLO
                   1 0.000600 B 250 ok";

        assert_eq!(exchanges(log), ["1@2 EHLO 100/100"]);
    }

    #[test]
    fn connections_are_counted_and_a_number_used_again_counts_twice() {
        let mut exchanges = Exchanges::default();
        for (number, line) in [(1, "7 0.5 C x"), (2, "8 0.1 C x"), (3, "7 0.1 C x")] {
            let line = ThroughputLine::parse(line.as_bytes()).unwrap();
            exchanges.block(number, &line, drop);
        }

        assert_eq!(exchanges.connections(), 3);
    }

    #[test]
    fn forgotten_connections_end_their_exchanges() {
        let mut exchanges = Exchanges::default();
        let mut count = 0;
        let all = 5 * REMEMBERED as u64;
        for connection in 0..all {
            let line = ThroughputLine {
                connection,
                time: 1,
                from: Origin::Client,
                text: b"x",
            };
            exchanges.block(connection, &line, |_| count += 1);
        }

        assert!(count >= 3 * REMEMBERED, "{count}");
        exchanges.end(|_| count += 1);
        assert_eq!(count as u64, all);
    }

    proptest! {
        #[test]
        fn every_first_block_of_a_client_is_in_one_exchange(
            blocks in prop::collection::vec((0_u64..4, 1_u64..50, any::<bool>()), 0..60),
        ) {
            let mut exchanges = Exchanges::default();
            let mut ended = Vec::new();
            for (number, (connection, time, client)) in (1..).zip(&blocks) {
                let line = ThroughputLine {
                    connection: *connection,
                    time: *time,
                    from: if *client { Origin::Client } else { Origin::Backend },
                    text: b"",
                };
                exchanges.block(number, &line, |exchange| ended.push(exchange));
            }
            exchanges.end(|exchange| ended.push(exchange));

            let mut lines: Vec<u64> = ended.iter().map(|exchange| exchange.line).collect();
            let count = lines.len();
            lines.sort_unstable();
            lines.dedup();
            prop_assert_eq!(lines.len(), count);
            for answer in ended.iter().filter_map(|exchange| exchange.answer) {
                prop_assert!(answer.first_byte <= answer.whole);
            }
        }
    }
}
