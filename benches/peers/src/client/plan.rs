//! What a work means: what is sent, what must come back, what counts.

use std::fmt::Write;
use std::net::SocketAddrV4;

use clap::ValueEnum;
use thiserror::Error;

use super::Options;

/// The works, by the names that the command line knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Work {
    /// A connection for each small request.
    Conn,
    /// Small requests on kept connections.
    Keep,
    /// Large replies on kept connections.
    Bulk,
    /// Large requests on kept connections.
    Upload,
    /// Large requests and replies at the same time on kept connections.
    Both,
    /// Small requests at a fixed rate on kept connections.
    Fixed,
    /// Small requests at a fixed rate, each with its own connection.
    FixedConn,
    /// Connections on which nothing happens.
    Idle,
    /// As `keep`, beside readers which have stopped reading.
    Slow,
    /// As `conn`, when errors are expected.
    Churn,
}

/// What begins an exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// The end of the one before.
    Closed,
    /// The clock: so many a second, over all threads.
    Fixed(f64),
    /// Nothing.
    Idle,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    Exchanges,
    /// MiB of all bytes received.
    Received,
    /// MiB of bodies sent.
    Sent,
    /// MiB of both.
    Both,
    /// Connections open at the end.
    Open,
}

/// Whether connections are tried before the load begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rehearsal {
    /// Each has one small exchange.
    Exchange,
    None,
}

/// What the client does with the connection after an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lifetime {
    Kept,
    /// The peer closes it after the reply.
    OneExchange,
}

/// One exchange.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Script {
    /// The head of the request.
    pub(super) request: Vec<u8>,
    /// Bytes of the request's body.
    pub(super) body: u64,
    /// Bytes of the reply's body, if they are known before.
    pub(super) reply: Option<u64>,
    pub(super) lifetime: Lifetime,
}

/// Everything that a work means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) to: SocketAddrV4,
    pub(super) pace: Pace,
    pub(super) unit: Unit,
    pub(super) rehearsal: Rehearsal,
    /// The exchange that every connection has before the load begins.
    pub(super) probe: Script,
    pub(super) exchange: Script,
    /// What stalled readers ask for.
    pub(super) stall: Script,
    pub(super) connections: u32,
    pub(super) stalled: u32,
}

/// Options which do not fit together.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum PlanError {
    #[error("work `{0}` needs --rate, requests a second greater than 0")]
    RateMissing(&'static str),
    #[error("--rate is of no use to work `{0}`: only fixed and fixed-conn have one")]
    RateUseless(&'static str),
    #[error("--stalled is of no use to work `{0}`: only slow has stalled readers")]
    StalledUseless(&'static str),
    #[error("work `slow` needs --stalled, the number of readers that never read")]
    StalledMissing,
    #[error("header `{0}` is not of the form `Name: value`")]
    Header(String),
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Conn => "conn",
            Self::Keep => "keep",
            Self::Bulk => "bulk",
            Self::Upload => "upload",
            Self::Both => "both",
            Self::Fixed => "fixed",
            Self::FixedConn => "fixed-conn",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Churn => "churn",
        }
    }

    fn lifetime(self) -> Lifetime {
        match self {
            Self::Conn | Self::FixedConn | Self::Churn => Lifetime::OneExchange,
            _ => Lifetime::Kept,
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Bulk => Unit::Received,
            Self::Upload => Unit::Sent,
            Self::Both => Unit::Both,
            Self::Idle => Unit::Open,
            _ => Unit::Exchanges,
        }
    }

    fn script(self, size: u64, headers: &str) -> Script {
        let (method, path, body, reply) = match self {
            Self::Bulk => ("GET", format!("/bulk/{size}"), 0, Some(size)),
            Self::Upload => ("PUT", "/upload".to_owned(), size, None),
            Self::Both => ("PUT", format!("/both/{size}"), size, Some(size)),
            _ => ("GET", "/small".to_owned(), 0, None),
        };
        let lifetime = self.lifetime();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: peers\r\n{headers}");
        if lifetime == Lifetime::OneExchange {
            request.push_str("Connection: close\r\n");
        }
        if method == "PUT" {
            // Writing to a string cannot fail.
            let _ = write!(request, "Content-Length: {body}\r\n");
        }
        request.push_str("\r\n");
        Script {
            request: request.into_bytes(),
            body,
            reply,
            lifetime,
        }
    }
}

impl Plan {
    /// The plan that the options ask for.
    ///
    /// # Errors
    ///
    /// [`PlanError`] for options which do not fit together.
    pub(super) fn new(options: &Options) -> Result<Self, PlanError> {
        let work = options.work;
        let headers = headers(&options.headers)?;
        let probe = match work.lifetime() {
            Lifetime::OneExchange => Work::Conn,
            Lifetime::Kept => Work::Keep,
        };
        Ok(Self {
            to: options.to,
            pace: pace(work, options.rate)?,
            unit: work.unit(),
            rehearsal: match work {
                Work::Churn => Rehearsal::None,
                _ => Rehearsal::Exchange,
            },
            probe: probe.script(0, &headers),
            exchange: work.script(options.size, &headers),
            stall: Work::Bulk.script(options.size, &headers),
            connections: options.connections,
            stalled: stalled(work, options.stalled)?,
        })
    }

    /// The part of thread number `thread` out of `threads`.
    pub(super) fn share(&self, thread: u32, threads: u32) -> Self {
        let part = |all: u32| all / threads + u32::from(thread < all % threads);
        Self {
            connections: part(self.connections),
            stalled: part(self.stalled),
            ..self.clone()
        }
    }
}

fn pace(work: Work, rate: Option<f64>) -> Result<Pace, PlanError> {
    match (work, rate) {
        (Work::Fixed | Work::FixedConn, Some(rate)) if rate > 0.0 && rate.is_finite() => {
            Ok(Pace::Fixed(rate))
        }
        (Work::Fixed | Work::FixedConn, _) => Err(PlanError::RateMissing(work.name())),
        (_, Some(_)) => Err(PlanError::RateUseless(work.name())),
        (Work::Idle, None) => Ok(Pace::Idle),
        (_, None) => Ok(Pace::Closed),
    }
}

fn stalled(work: Work, stalled: u32) -> Result<u32, PlanError> {
    match (work, stalled) {
        (Work::Slow, 0) => Err(PlanError::StalledMissing),
        (Work::Slow, _) | (_, 0) => Ok(stalled),
        (_, _) => Err(PlanError::StalledUseless(work.name())),
    }
}

fn headers(given: &[String]) -> Result<String, PlanError> {
    let mut lines = String::new();
    for header in given {
        let name = header.split_once(':').map_or("", |(name, _)| name);
        if name.is_empty() || header.contains(['\r', '\n']) {
            return Err(PlanError::Header(header.clone()));
        }
        lines.push_str(header);
        lines.push_str("\r\n");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(work: Work) -> Options {
        Options {
            to: "127.0.0.1:80".parse().unwrap(),
            work,
            connections: 3,
            seconds: 1.0,
            warm: 0.0,
            rate: None,
            size: 70_000,
            stalled: 0,
            headers: Vec::new(),
            threads: 1,
            linger: false,
        }
    }

    fn text(script: &Script) -> &str {
        std::str::from_utf8(&script.request).unwrap()
    }

    #[test]
    fn conn_asks_for_the_end_of_the_connection() {
        let plan = Plan::new(&options(Work::Conn)).unwrap();

        let expected = "GET /small HTTP/1.1\r\nHost: peers\r\nConnection: close\r\n\r\n";
        assert_eq!(text(&plan.exchange), expected);
        assert_eq!(plan.exchange.lifetime, Lifetime::OneExchange);
        assert_eq!(plan.exchange, plan.probe);
    }

    #[test]
    fn both_sends_and_expects_the_size() {
        let plan = Plan::new(&options(Work::Both)).unwrap();

        let expected = "PUT /both/70000 HTTP/1.1\r\nHost: peers\r\nContent-Length: 70000\r\n\r\n";
        assert_eq!(text(&plan.exchange), expected);
        assert_eq!(plan.exchange.body, 70_000);
        assert_eq!(plan.exchange.reply, Some(70_000));
        assert_eq!(
            text(&plan.probe),
            "GET /small HTTP/1.1\r\nHost: peers\r\n\r\n"
        );
    }

    #[test]
    fn headers_go_with_every_request() {
        let mut options = options(Work::Keep);
        options.headers = vec!["Cookie: a=b".to_owned(), "User-Agent: x".to_owned()];

        let plan = Plan::new(&options).unwrap();

        assert!(text(&plan.exchange).contains("\r\nCookie: a=b\r\nUser-Agent: x\r\n\r\n"));
        assert!(text(&plan.probe).contains("\r\nCookie: a=b\r\n"));
    }

    #[test]
    fn header_without_a_colon_is_refused() {
        let mut options = options(Work::Keep);
        options.headers = vec!["Cookie".to_owned()];

        let error = Plan::new(&options).unwrap_err();

        assert_eq!(error, PlanError::Header("Cookie".to_owned()));
    }

    #[test]
    fn fixed_needs_a_rate_and_keep_takes_none() {
        let without = Plan::new(&options(Work::Fixed));
        let with = Plan::new(&Options {
            rate: Some(5.0),
            ..options(Work::Keep)
        });

        assert_eq!(without.unwrap_err(), PlanError::RateMissing("fixed"));
        assert_eq!(with.unwrap_err(), PlanError::RateUseless("keep"));
    }

    #[test]
    fn slow_alone_has_stalled_readers() {
        let none = Plan::new(&options(Work::Slow));
        let some = Plan::new(&Options {
            stalled: 1,
            ..options(Work::Bulk)
        });

        assert_eq!(none.unwrap_err(), PlanError::StalledMissing);
        assert_eq!(some.unwrap_err(), PlanError::StalledUseless("bulk"));
    }

    #[test]
    fn threads_share_all_connections() {
        let plan = Plan::new(&options(Work::Keep)).unwrap();

        let shares = [plan.share(0, 2).connections, plan.share(1, 2).connections];

        assert_eq!(shares, [2, 1]);
    }
}
