//! One line of JSON for each client connection (`-A json`). Fields may be added
//! at the end, never renamed.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::base::event::InService;
use crate::base::record::{ChosenBy, ConnectionRecord, Fate};

/// The fields, in their order; times are in seconds.
#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    service: &'a str,
    connection: u32,
    client: IpAddr,
    client_port: u16,
    backend: Option<&'a str>,
    server: Option<String>,
    mode: &'a str,
    chosen_by: Option<&'static str>,
    score: Option<f64>,
    passed_over: Vec<PassedOver<'a>>,
    tries: Vec<Try<'a>>,
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

/// The line for a record.
pub(super) fn line(service: &InService<'_>, mode: &str, record: &ConnectionRecord) -> String {
    let transfer = match record.fate {
        Fate::Served(transfer) => Some(transfer),
        _ => None,
    };
    let (ended_by, how) = end(record.fate);
    let choice = record.choice.as_ref();
    let chosen = choice.is_some() || !record.tries.is_empty();
    let passed_over = choice.map_or(&[][..], |choice| &choice.passed_over);
    let line = Line {
        time: record.accepted,
        service: service.name.as_str(),
        connection: record.connection.get(),
        client: record.client.ip(),
        client_port: record.client.socket().port(),
        backend: choice.map(|choice| choice.backend.as_str()),
        server: record.server.map(|server| server.to_string()),
        mode,
        chosen_by: choice.map(|choice| by(choice.by)),
        score: choice.and_then(|choice| choice.score),
        passed_over: passed_over
            .iter()
            .map(|other| PassedOver {
                backend: other.backend.as_str(),
                why: other.why,
                score: other.score,
            })
            .collect(),
        tries: record
            .tries
            .iter()
            .map(|one| Try {
                backend: one.backend.as_str(),
                reason: one.reason,
            })
            .collect(),
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
    };
    // Names, numbers, addresses and fixed words can always be written.
    serde_json::to_string(&line).unwrap_or_default()
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
    use crate::base::record;

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

        assert_eq!(
            line(&service, "byconnections", &kept),
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
