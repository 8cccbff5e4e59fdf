use std::io;
use std::time::Duration;

use super::*;
use crate::base::endpoint::{BackendAddr, ClientAddr, Endpoint};
use crate::base::event::{AtBackend, InService, ListSide, Served};
use crate::base::id::{ConnectionCounter, ConnectionId};
use crate::base::moment::Moment;
use crate::base::name::{BackendName, ServiceName};
use crate::base::outcome::{Ended, Manner, Transfer};
use crate::base::quantity::ConnectionLimit;
use crate::base::state::ConnectFailure;

const QUIET: Wanted = Wanted {
    activity: false,
    verbose: false,
};

/// 2026-03-03 09:05:00 GMT.
const TUESDAY: u64 = 1_772_528_700;

struct Names {
    shop: ServiceName,
    maple: BackendName,
}

impl Names {
    fn new() -> Self {
        Self {
            shop: ServiceName::new("shop").unwrap(),
            maple: BackendName::new("maple").unwrap(),
        }
    }

    fn service(&self) -> InService<'_> {
        InService {
            name: &self.shop,
            verbose: false,
        }
    }

    fn backend(&self) -> AtBackend<'_> {
        AtBackend {
            service: &self.shop,
            name: &self.maple,
            verbose: false,
        }
    }

    fn served(&self) -> Served<'_> {
        Served {
            backend: self.backend(),
            connection: number(),
            client: client(),
            to: to(),
            at: at(),
        }
    }
}

fn number() -> ConnectionId {
    ConnectionCounter::default().next()
}

fn client() -> ClientAddr {
    ClientAddr::new("192.0.2.7:50000".parse().unwrap())
}

fn to() -> BackendAddr {
    BackendAddr("10.0.0.5:80".parse().unwrap())
}

fn at() -> Moment {
    Moment {
        unix: TUESDAY,
        ..Moment::now()
    }
}

fn transfer() -> Transfer {
    Transfer {
        to_client: 5000,
        to_backend: 312,
        duration: Duration::from_micros(2_118_403),
        first_byte: None,
        ended: Ended::ByClient,
        manner: Manner::Closed,
    }
}

fn changed(from: ShownState, to: ShownState, reason: Reason) -> StateChange {
    StateChange {
        from,
        to,
        reason,
        errno: 0,
        at: at(),
    }
}

/// What is said about `event`, each as `level text`, with `*` behind the level
/// of what is held back when it repeats.
fn said(event: &Event<'_>, wanted: Wanted) -> Vec<String> {
    let mut lines = Vec::new();
    describe(event, wanted, &Clock::gmt(), &mut |level, subject, text| {
        let mark = if subject.is_some() { "*" } else { "" };
        lines.push(format!("{level}{mark} {text}"));
    });
    lines
}

#[test]
fn changes_of_state_and_configuration_are_always_said() {
    let names = Names::new();
    let (service, backend) = (names.service(), names.backend());
    let old = Endpoint::parse("10.0.0.5:80").unwrap();
    let new = Endpoint::parse("web.example:81").unwrap();
    for (event, text) in [
        (
            Event::Listening {
                service,
                at: "[::]:80".parse().unwrap(),
                backends: 2,
            },
            "notice shop: listening on [::]:80, 2 back ends",
        ),
        (
            Event::Stopped { service, cut: 3 },
            "notice shop: stopped, 3 connections cut",
        ),
        (
            Event::ServerChanged {
                backend,
                old: &old,
                new: &new,
            },
            "notice shop maple: server 10.0.0.5:80 -> web.example:81 (told)",
        ),
        (
            Event::ListRead {
                service,
                list: ListSide::Allow,
                file: "/etc/a",
                filters: 4,
            },
            "notice shop: allow list read from /etc/a, 4 filters",
        ),
        (
            Event::ListRead {
                service,
                list: ListSide::Deny,
                file: "/etc/d",
                filters: 0,
            },
            "warning shop: deny list read from /etc/d is empty",
        ),
        (
            Event::ListNotRead {
                service,
                list: ListSide::Deny,
                file: "/etc/d",
                reason: "gone",
            },
            "error shop: deny list not read from /etc/d: gone, old list kept",
        ),
    ] {
        assert_eq!(said(&event, QUIET), [text]);
    }
}

#[test]
fn state_changes_are_graded_by_their_cause() {
    use ShownState::{Available, Down, Unavailable, Waking};
    let names = Names::new();
    let backend = names.backend();
    for (from, to, reason, text) in [
        (
            Available,
            Down,
            Reason::Told,
            "notice shop maple: available -> down (told)",
        ),
        (
            Waking,
            Available,
            Reason::Revived,
            "notice shop maple: waking -> available (revived)",
        ),
        (
            Available,
            Unavailable,
            Reason::TimedOut,
            "warning shop maple: available -> unavailable (timed out)",
        ),
    ] {
        let event = Event::StateChanged {
            backend,
            change: changed(from, to, reason),
        };
        assert_eq!(said(&event, QUIET), [text]);
    }
}

#[test]
fn probes_going_to_and_fro_are_no_news() {
    let names = Names::new();
    let backend = names.backend();
    for (from, to) in [
        (ShownState::Unavailable, ShownState::Waking),
        (ShownState::Waking, ShownState::Unavailable),
    ] {
        let event = Event::StateChanged {
            backend,
            change: changed(from, to, Reason::Refused),
        };
        assert!(
            said(
                &event,
                Wanted {
                    activity: true,
                    verbose: true
                }
            )
            .is_empty()
        );
    }
}

#[test]
fn trouble_that_traffic_causes_is_marked_as_repeating() {
    let names = Names::new();
    let (service, backend) = (names.service(), names.backend());
    let error = io::Error::from_raw_os_error(Errno::NOBUFS);
    let limit = ConnectionLimit::new(2);
    let over = Duration::from_secs(60);
    for (event, text) in [
        (
            Event::NoBackend {
                service,
                client: client(),
            },
            "warning* shop: no usable back end for 192.0.2.7",
        ),
        (
            Event::ServiceFull { service, limit },
            "warning* shop: maxconnections 2 reached, clients wait",
        ),
        (
            Event::OutOfDescriptors { service },
            "warning* shop: out of descriptors, clients wait",
        ),
        (
            Event::CannotAccept {
                service,
                error: &error,
            },
            "error* shop: cannot accept: no buffer space available",
        ),
        (
            Event::Answered {
                service: names.service(),
                by: Some(backend),
                connection: number(),
                client: client(),
                code: 502,
                why: "two Content-Length fields",
            },
            "warning* shop maple: connection 0000001 of 192.0.2.7 answered 502: \
             two Content-Length fields",
        ),
        (
            Event::CannotConnectFromHere {
                backend,
                to: Some(to()),
                error: &error,
            },
            "error* shop maple: cannot connect from here to 10.0.0.5:80: no buffer space available",
        ),
        (
            Event::HandlerFailed {
                service,
                reason: "empty answer",
            },
            "warning* shop: handler: empty answer, using roundrobin",
        ),
        (
            Event::HookOverdue {
                backend,
                hook: "onstart",
                limit: over,
            },
            "warning* shop maple: onstart over 60 s, terminated",
        ),
        (
            Event::HookDropped {
                backend,
                hook: "onstart and onend",
            },
            "warning* shop maple: hook queue full, onstart and onend dropped",
        ),
        (
            Event::HookNotRun {
                backend,
                hook: "onend",
                error: &error,
            },
            "error* shop maple: cannot run onend: no buffer space available",
        ),
        (
            Event::HelperEnded {
                service,
                role: "handler",
                reason: "exit status 1",
                pause: Duration::from_millis(100),
            },
            "warning* shop: handler: exit status 1, started again in 0.1 s",
        ),
        (
            Event::HelperBehind {
                service,
                role: "onevents",
            },
            "warning* shop: onevents does not read, lines dropped",
        ),
        (
            Event::LogNotOpened {
                backend,
                file: "/var/log/maple",
                error: &error,
            },
            "warning* shop maple: cannot open /var/log/maple: no buffer space available",
        ),
        (
            Event::LogDropped {
                backend,
                file: "/var/log/maple",
                reason: "queue full",
            },
            "warning* shop maple: blocks not logged in /var/log/maple: queue full",
        ),
        (Event::Fault { what: "x" }, "error* internal fault: x"),
    ] {
        assert_eq!(said(&event, QUIET), [text]);
    }
}

/// Numbers of errors, by the names of the kernel.
struct Errno;

impl Errno {
    const NOBUFS: i32 = rustix::io::Errno::NOBUFS.raw_os_error();
}

#[test]
fn lines_about_one_connection_are_said_when_their_block_or_the_run_is_verbose() {
    let names = Names::new();
    let service = InService {
        verbose: true,
        ..names.service()
    };
    let backend = AtBackend {
        verbose: true,
        ..names.backend()
    };
    let failure = ConnectFailure {
        reason: Reason::Refused,
        errno: 111,
    };
    let served = Served {
        backend,
        ..names.served()
    };
    let connection = number();
    let client = client();
    for (event, text) in [
        (
            Event::Accepted {
                service,
                connection,
                client,
            },
            "info shop: connection 0000001 from 192.0.2.7",
        ),
        (
            Event::Answered {
                service,
                by: None,
                connection,
                client,
                code: 400,
                why: "two Host fields",
            },
            "info shop: connection 0000001 of 192.0.2.7 answered 400: two Host fields",
        ),
        (
            Event::Aborted {
                service,
                connection,
                client,
            },
            "info shop: connection 0000001 aborted by 192.0.2.7",
        ),
        (
            Event::Refused {
                service,
                client,
                by: ListSide::Deny,
            },
            "info shop: 192.0.2.7 refused by the deny list",
        ),
        (
            Event::Refused {
                service,
                client,
                by: ListSide::Allow,
            },
            "info shop: 192.0.2.7 not on the allow list",
        ),
        (
            Event::ConnectFailed {
                backend,
                connection,
                client,
                failure,
            },
            "info shop maple: connection 0000001 connect failed: refused",
        ),
        (
            Event::Started(served),
            "info shop maple: connection 0000001 to 10.0.0.5:80",
        ),
        (
            Event::Ended {
                served,
                transfer: transfer(),
            },
            "info shop maple: connection 0000001 ended: 5312 bytes, 2.118403 s, client",
        ),
        (
            Event::Probed {
                backend,
                result: Ok(()),
            },
            "info shop maple: probe: ok",
        ),
        (
            Event::Probed {
                backend,
                result: Err(failure),
            },
            "info shop maple: probe: refused",
        ),
        (
            Event::HookFailed {
                backend,
                hook: "onend",
                status: 3,
            },
            "info shop maple: onend exit status 3",
        ),
    ] {
        assert_eq!(said(&event, QUIET), [text]);
    }
}

#[test]
fn lines_about_one_connection_are_off_unless_wanted() {
    let names = Names::new();
    let event = Event::Started(names.served());
    let accepted = Event::Accepted {
        service: names.service(),
        connection: number(),
        client: client(),
    };

    assert!(said(&event, QUIET).is_empty());
    assert!(said(&accepted, QUIET).is_empty());
    assert_eq!(
        said(
            &accepted,
            Wanted {
                verbose: true,
                ..QUIET
            }
        )
        .len(),
        1
    );
    assert_eq!(
        said(
            &event,
            Wanted {
                verbose: true,
                ..QUIET
            }
        )
        .len(),
        1
    );
}

#[test]
fn activity_tells_start_and_end_with_the_time() {
    let names = Names::new();
    let served = names.served();
    let later = Served {
        at: Moment {
            unix: TUESDAY + 2,
            ..at()
        },
        ..served
    };
    let wanted = Wanted {
        activity: true,
        ..QUIET
    };

    assert_eq!(
        said(&Event::Started(served), wanted),
        [
            "notice starting shop from 192.0.2.7 to 10.0.0.5:80 at 2026-03-03/09:05:00, \
          back end maple, connection 0000001"
        ]
    );
    assert_eq!(
        said(
            &Event::Ended {
                served: later,
                transfer: transfer()
            },
            wanted
        ),
        [
            "notice ending shop from 192.0.2.7 to 10.0.0.5:80 at 2026-03-03/09:05:02, \
          back end maple, connection 0000001, 5312 bytes, 2.118403 s, client"
        ]
    );
}

#[test]
fn errors_of_the_system_are_told_in_words() {
    let refused = io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error());
    let own = io::Error::other("RPC is off");

    assert_eq!(Plain(&refused).to_string(), "connection refused");
    assert_eq!(Plain(&own).to_string(), "RPC is off");
}
