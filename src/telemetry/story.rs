//! Events as lines of JSON, for programs that are told of every connection.
//! Pure.
//!
//! Version 1; crossroads.conf(7) describes each line. Fields and types of lines
//! may be added, so readers pass over what they do not know.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::base::event::{AtBackend, Event, Served};
use crate::base::name::ServiceName;
use crate::telemetry::shown::Shown;

/// The version of the lines.
const VERSION: u32 = 1;

/// What all lines begin with.
#[derive(Serialize)]
struct Line<'a, T> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    time: f64,
    service: &'a str,
    backend: &'a str,
    #[serde(flatten)]
    rest: T,
}

/// A connection was made.
#[derive(Serialize)]
struct Start {
    server: Shown<SocketAddr>,
    connection: u32,
    client: IpAddr,
}

/// It ended.
#[derive(Serialize)]
struct End {
    #[serde(flatten)]
    start: Start,
    bytes_to_client: u64,
    bytes_to_backend: u64,
    seconds: f64,
    ended: &'static str,
}

/// The back end could not be reached for a client.
#[derive(Serialize)]
struct Fail {
    connection: u32,
    client: IpAddr,
    reason: &'static str,
}

/// The state of the back end changed.
#[derive(Serialize)]
struct State {
    from: &'static str,
    to: &'static str,
    reason: &'static str,
}

/// The service whose program is told of `event`, if it is one of those.
pub fn service_of<'a>(event: &Event<'a>) -> Option<&'a ServiceName> {
    match event {
        Event::Started(served) | Event::Ended { served, .. } => Some(served.backend.service),
        Event::ConnectFailed { backend, .. } | Event::StateChanged { backend, .. } => {
            Some(backend.service)
        }
        _ => None,
    }
}

/// The line for `event`, which happened at `time` in seconds since 1970;
/// `None` if nobody is told of it.
pub fn line_of(event: &Event<'_>, time: f64) -> Option<Vec<u8>> {
    let line = match event {
        Event::Started(served) => write("start", &served.backend, time, start(served)),
        Event::Ended { served, transfer } => {
            let end = End {
                start: start(served),
                bytes_to_client: transfer.to_client,
                bytes_to_backend: transfer.to_backend,
                seconds: transfer.duration.as_micros() as f64 / 1e6,
                ended: transfer.ended.word(),
            };
            write("end", &served.backend, time, end)
        }
        Event::ConnectFailed {
            backend,
            connection,
            client,
            failure,
        } => {
            let fail = Fail {
                connection: connection.get(),
                client: client.ip(),
                reason: failure.reason.name(),
            };
            write("fail", backend, time, fail)
        }
        Event::StateChanged { backend, change } => {
            let state = State {
                from: change.from.word(),
                to: change.to.word(),
                reason: change.reason.name(),
            };
            write("state", backend, time, state)
        }
        _ => return None,
    };
    Some(line)
}

fn start(served: &Served<'_>) -> Start {
    Start {
        server: Shown(served.to.0),
        connection: served.connection.get(),
        client: served.client.ip(),
    }
}

fn write(kind: &'static str, at: &AtBackend<'_>, time: f64, rest: impl Serialize) -> Vec<u8> {
    let line = Line {
        v: VERSION,
        kind,
        time,
        service: at.service.as_str(),
        backend: at.name.as_str(),
        rest,
    };
    // Names, numbers, addresses and fixed words can always be written.
    serde_json::to_vec(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::endpoint::{BackendAddr, ClientAddr};
    use crate::base::id::ConnectionCounter;
    use crate::base::moment::Moment;
    use crate::base::name::BackendName;
    use crate::base::outcome::{Ended, Manner, Transfer};
    use crate::base::state::{ConnectFailure, Reason, ShownState, StateChange};

    fn line(event: &Event<'_>) -> String {
        String::from_utf8(line_of(event, 1_772_528_700.25).unwrap()).unwrap()
    }

    #[test]
    fn each_event_has_its_line() {
        let (service, name) = (
            ServiceName::new("desk").unwrap(),
            BackendName::new("large").unwrap(),
        );
        let backend = AtBackend {
            service: &service,
            name: &name,
            verbose: false,
        };
        let connection = ConnectionCounter::default().next();
        let client = ClientAddr::new("[2001:db8::7]:5000".parse().unwrap());
        let served = Served {
            backend,
            connection,
            client,
            to: BackendAddr("10.4.1.1:5901".parse().unwrap()),
            at: Moment::now(),
        };
        let transfer = Transfer {
            to_client: 5,
            to_backend: 3,
            duration: Duration::from_micros(2_500_000),
            first_byte: None,
            ended: Ended::Idle,
            manner: Manner::Closed,
        };
        let failure = ConnectFailure {
            reason: Reason::TimedOut,
            errno: 0,
        };
        let change = StateChange {
            from: ShownState::Available,
            to: ShownState::Unavailable,
            reason: Reason::Refused,
            errno: 111,
            at: Moment::now(),
        };
        let begin = |kind| {
            format!(
                "{{\"v\":1,\"type\":\"{kind}\",\"time\":1772528700.25,\"service\":\"desk\",\
                 \"backend\":\"large\","
            )
        };

        for (event, kind, rest) in [
            (
                Event::Started(served),
                "start",
                r#""server":"10.4.1.1:5901","connection":1,"client":"2001:db8::7"}"#,
            ),
            (
                Event::Ended { served, transfer },
                "end",
                r#""server":"10.4.1.1:5901","connection":1,"client":"2001:db8::7","bytes_to_client":5,"bytes_to_backend":3,"seconds":2.5,"ended":"idle"}"#,
            ),
            (
                Event::ConnectFailed {
                    backend,
                    connection,
                    client,
                    failure,
                },
                "fail",
                r#""connection":1,"client":"2001:db8::7","reason":"timed out"}"#,
            ),
            (
                Event::StateChanged { backend, change },
                "state",
                r#""from":"available","to":"unavailable","reason":"refused"}"#,
            ),
        ] {
            assert_eq!(line(&event), begin(kind) + rest);
            assert_eq!(service_of(&event), Some(&service));
        }
    }

    #[test]
    fn other_events_are_not_told() {
        let event = Event::Fault { what: "x" };

        assert_eq!(line_of(&event, 0.0), None);
        assert_eq!(service_of(&event), None);
    }
}
