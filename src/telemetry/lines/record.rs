//! One line of JSON for each client connection (`-A json`). Fields may be added
//! at the end, never renamed.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::base::event::InService;
use crate::base::record::{self, ChosenBy, ConnectionRecord, Fate};
use crate::telemetry::shown::Shown;

/// The fields, in their order; times are in seconds.
#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    service: &'a str,
    connection: u32,
    client: IpAddr,
    client_port: u16,
    backend: Option<&'a str>,
    server: Option<Shown<SocketAddr>>,
    mode: &'a str,
    chosen_by: Option<&'static str>,
    score: Option<f64>,
    #[serde(serialize_with = "passed_over")]
    passed_over: &'a [record::PassedOver],
    #[serde(serialize_with = "tries")]
    tries: &'a [record::Try],
    bytes_to_client: u64,
    bytes_to_backend: u64,
    wait: Option<f64>,
    connect: Option<f64>,
    first_byte: Option<f64>,
    seconds: f64,
    ended_by: &'static str,
    how: &'static str,
}

#[derive(Serialize)]
struct PassedOver<'a> {
    backend: &'a str,
    why: &'a str,
    score: Option<f64>,
}

#[derive(Serialize)]
struct Try<'a> {
    backend: &'a str,
    reason: &'a str,
}

fn passed_over<S: Serializer>(list: &&[record::PassedOver], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(list.iter().map(|other| PassedOver {
        backend: other.backend.as_str(),
        why: other.why,
        score: other.score,
    }))
}

fn tries<S: Serializer>(list: &&[record::Try], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(list.iter().map(|one| Try {
        backend: one.backend.as_str(),
        reason: one.reason,
    }))
}

/// The line for a record; written where it is to stand, without a copy.
pub(super) struct Json<'a> {
    pub(super) service: &'a InService<'a>,
    pub(super) mode: &'a str,
    pub(super) record: &'a ConnectionRecord,
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names, numbers, addresses and fixed words can always be written.
        serde_json::to_writer(Letters(f), &self.fields()).map_err(|_| fmt::Error)
    }
}

impl<'a> Json<'a> {
    fn fields(&self) -> Line<'a> {
        let record = self.record;
        let transfer = match record.fate {
            Fate::Served(transfer) => Some(transfer),
            _ => None,
        };
        let (ended_by, how) = end(record.fate);
        let choice = record.choice.as_ref();
        let chosen = choice.is_some() || !record.tries.is_empty();
        Line {
            time: record.accepted,
            service: self.service.name.as_str(),
            connection: record.connection.get(),
            client: record.client.ip(),
            client_port: record.client.socket().port(),
            backend: choice.map(|choice| choice.backend.as_str()),
            server: record.server.map(|server| Shown(server.0)),
            mode: self.mode,
            chosen_by: choice.map(|choice| by(choice.by)),
            score: choice.and_then(|choice| choice.score),
            passed_over: choice.map_or(&[], |choice| &choice.passed_over),
            tries: &record.tries,
            bytes_to_client: transfer.map_or(0, |transfer| transfer.to_client),
            bytes_to_backend: transfer.map_or(0, |transfer| transfer.to_backend),
            wait: chosen.then(|| seconds(record.wait)),
            connect: record.server.map(|_| seconds(record.connect)),
            first_byte: transfer
                .and_then(|transfer| transfer.first_byte)
                .map(seconds),
            seconds: seconds(record.whole),
            ended_by,
            how,
        }
    }
}

/// Letters on their way from one library's kind of writer to the other's.
struct Letters<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl io::Write for Letters<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Strings are handed over whole, or in parts between ASCII letters.
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who ended it, and how.
fn end(fate: Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Served(transfer) => (transfer.ended.word(), transfer.manner.word()),
        Fate::NoBackend => ("error", "no back end"),
        Fate::Aborted => ("client", "reset"),
        Fate::Stopped => ("stopped", "cut"),
        Fate::Answered(400..=499 | 505) => ("client", "answered"),
        Fate::Answered(_) => ("error", "answered"),
        Fate::Open => ("error", "open"),
    }
}

fn by(chosen: ChosenBy) -> &'static str {
    match chosen {
        ChosenBy::Mode => "mode",
        ChosenBy::Handler => "handler",
        ChosenBy::FallBack => "roundrobin",
        ChosenBy::Cookie => "cookie",
        ChosenBy::Kept => "kept",
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::endpoint::{BackendAddr, ClientAddr};
    use crate::base::id::ConnectionCounter;
    use crate::base::name::{BackendName, ServiceName};
    use crate::base::outcome::{Ended, Manner, Transfer};

    #[test]
    fn served_connection_tells_everything() {
        let name = |name: &str| BackendName::new(name).unwrap();
        let service = ServiceName::new("shop").unwrap();
        let client = ClientAddr::new("192.0.2.7:5000".parse().unwrap());
        let connection = ConnectionCounter::default().next();
        let mut kept = ConnectionRecord::new(connection, client);
        kept.failed(name("cedar"), "refused");
        kept.chosen(record::Choice {
            backend: name("maple"),
            by: ChosenBy::Mode,
            score: Some(3.0),
            passed_over: vec![record::PassedOver {
                backend: name("birch"),
                why: "down",
                score: Some(1.0),
            }],
        });
        kept.connected(BackendAddr("10.0.0.5:80".parse().unwrap()));
        kept.ended(Fate::Served(Transfer {
            to_client: 7,
            to_backend: 5,
            duration: Duration::from_secs(2),
            first_byte: Some(Duration::from_millis(250)),
            ended: Ended::ByClient,
            manner: Manner::Reset,
        }));
        (kept.accepted, kept.wait) = (1_772_528_700.5, Duration::from_micros(20));
        (kept.connect, kept.whole) = (Duration::from_micros(300), Duration::from_millis(2_001));
        let service = InService {
            name: &service,
            verbose: false,
        };

        let json = Json {
            service: &service,
            mode: "byconnections",
            record: &kept,
        };

        assert_eq!(
            json.to_string(),
            "{\"time\":1772528700.5,\"service\":\"shop\",\"connection\":1,\
             \"client\":\"192.0.2.7\",\"client_port\":5000,\"backend\":\"maple\",\
             \"server\":\"10.0.0.5:80\",\"mode\":\"byconnections\",\"chosen_by\":\"mode\",\
             \"score\":3.0,\"passed_over\":[{\"backend\":\"birch\",\"why\":\"down\",\"score\":1.0}],\
             \"tries\":[{\"backend\":\"cedar\",\"reason\":\"refused\"}],\"bytes_to_client\":7,\
             \"bytes_to_backend\":5,\"wait\":0.00002,\"connect\":0.0003,\"first_byte\":0.25,\
             \"seconds\":2.001,\"ended_by\":\"client\",\"how\":\"reset\"}"
        );
    }
}
