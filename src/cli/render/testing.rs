//! What the tests of this room share: the example of 14.1 and a configuration.

use std::net::Ipv4Addr;

use crate::base::endpoint::Endpoint;
use crate::base::name::{BackendName, ServiceName};
use crate::base::quantity::{ConnectionLimit, Milliseconds, Percent, Seconds, Weight};
use crate::base::state::{Reason, ShownState};
use crate::config::model::{
    AccessLists, Backend, BindTo, CaptureRotation, Config, ErrorPage, Handler, HandlerKind,
    HeaderAction, HeaderDirective, HeaderInspection, HeaderSide, Reuse, Service, ServiceKind,
    WebSettings,
};
use crate::policy::dispatch::{DispatchMode, Over};
use crate::status::snapshot::{
    BackendFacts, BackendNumbers, Phase, Record, SegmentHeader, ServiceFacts, ServiceNumbers,
    ServiceSnapshot,
};

use super::{RunningService, ServiceStatus, StatusReport};

const NOW: u64 = 1_700_000_000;

/// The service of the example in 14.1.
pub(super) fn shop() -> RunningService {
    let facts = ServiceFacts {
        name: "shop".to_owned(),
        mode: "bysize over 4".to_owned(),
        port: 8443,
        bind: Ipv4Addr::UNSPECIFIED.into(),
        http: true,
        shallow: false,
        max_connections: 300,
    };
    let numbers = ServiceNumbers {
        active: 12,
        accepted: 40_211,
        refused_deny: 2,
        refused_allow: 1,
        no_backend: 1,
        ..ServiceNumbers::default()
    };
    let snapshot = ServiceSnapshot {
        header: header(),
        service: whole((facts, numbers)),
        backends: vec![whole(maple()), whole(birch())],
    };
    RunningService {
        snapshot,
        heartbeat_age: 1,
        heartbeat_limit: 10,
        in_file: true,
    }
}

/// A report of that service alone.
pub(super) fn example() -> StatusReport {
    report(shop())
}

/// A report of one running service.
pub(super) fn report(running: RunningService) -> StatusReport {
    let services = vec![ServiceStatus::Running(Box::new(running))];
    StatusReport { services, now: NOW }
}

fn whole<T>(value: T) -> Record<T> {
    Record { value, torn: false }
}

fn header() -> SegmentHeader {
    SegmentHeader {
        key: 0x5852_20fb,
        pid: 2817,
        started: NOW - 187_200,
        heartbeat: 1,
        fingerprint: 2,
        phase: Phase::Listening,
        socket: "/run/crossroads/2817.sock".to_owned(),
        process_start: 3,
    }
}

fn maple() -> (BackendFacts, BackendNumbers) {
    let facts = BackendFacts {
        name: "maple".to_owned(),
        server: "10.0.0.5:80".to_owned(),
        weight: 1,
        decay: 0,
        retries: 0,
        max_connections: 0,
    };
    let numbers = BackendNumbers {
        active: 7,
        total: 30_010,
        bytes_to_client: 81_474_355,
        bytes_to_backend: 10_066_330,
        microseconds: 8_130_813_000,
        usage: 3050.25,
        requests: 30_100,
        replies: [1, 30_000, 50, 40, 9],
        first_byte_microseconds: 120_500_000,
        aborted: 2,
        log_dropped: 0,
        ..BackendNumbers::at_start(NOW - 187_200)
    };
    (facts, numbers)
}

fn birch() -> (BackendFacts, BackendNumbers) {
    let facts = BackendFacts {
        name: "birch".to_owned(),
        server: "10.0.0.6:80".to_owned(),
        weight: 2,
        decay: 0,
        retries: 0,
        max_connections: 10,
    };
    let numbers = BackendNumbers {
        state: ShownState::Down,
        active: 5,
        total: 10_201,
        failures: 4,
        consecutive_failures: 1,
        bytes_to_client: 26_843_546,
        bytes_to_backend: 3_250_586,
        microseconds: 2_752_920_000,
        usage: 2952.0,
        reason: Reason::Told,
        requests: 10_300,
        replies: [0, 10_200, 0, 0, 1],
        first_byte_microseconds: 60_250_000,
        ..BackendNumbers::at_start(NOW - 192)
    };
    (facts, numbers)
}

/// Two services, three back ends, every kind of value.
pub(super) fn sample_config() -> Config {
    Config {
        path: "/etc/crossroads.conf".to_owned(),
        fingerprint: 1,
        services: vec![configured_shop(), configured_mail()],
    }
}

fn configured_shop() -> Service {
    let http = ServiceKind::Http(HeaderInspection::Shallow);
    let dispatch = DispatchMode::BySize(Over::new(4).unwrap());
    let header =
        |side, action, text: &str| HeaderDirective::new(side, action, text.into()).unwrap();
    let maple = Backend {
        connection_timeout: Some(Seconds::new(0).unwrap()),
        traffic_log: Some("/var/log/maple".into()),
        on_start: Some("echo 'a' | logger".into()),
        headers: vec![
            header(HeaderSide::Server, HeaderAction::Add, "X-Client: %r"),
            header(HeaderSide::Client, HeaderAction::Set, "Server: us"),
            header(HeaderSide::Server, HeaderAction::Add, "X-Via: %s"),
        ],
        ..backend("maple", "10.0.0.5:80")
    };
    Service {
        kind: http,
        connection_timeout: Seconds::new(60).unwrap(),
        max_connections: ConnectionLimit::new(300),
        allow_from: vec!["10/8".into(), "192.0.2.1".into()],
        traffic_log: Some("/var/log/shop".into()),
        web: WebSettings {
            reuse: Reuse::Safe,
            error_pages: vec![ErrorPage {
                code: 503,
                file: "/etc/so sorry.html".into(),
                content_type: "text/html",
                page: b"sorry"[..].into(),
            }],
            ..WebSettings::default()
        },
        backends: vec![maple, backend("birch", "[2001:db8::6]:80")],
        ..service("shop", 8443, dispatch)
    }
}

fn configured_mail() -> Service {
    Service {
        bind: BindTo::Address("192.0.2.1".parse().unwrap()),
        handler: Some(Handler {
            kind: HandlerKind::Classic,
            command: "/opt/pick\t%1b %1a".into(),
        }),
        shm_key_given: 77,
        backends: vec![backend("cedar", "mx.example:25")],
        ..service("mail", 25, DispatchMode::ExternalHandler)
    }
}

fn service(name: &str, port: u16, dispatch: DispatchMode) -> Service {
    Service {
        name: ServiceName::new(name).unwrap(),
        port,
        bind: BindTo::Any,
        kind: ServiceKind::Any,
        verbosity: false,
        dispatch,
        handler: None,
        reviving_interval: Seconds::default(),
        max_connections: ConnectionLimit::NONE,
        backlog: 0,
        shm_key_given: 0,
        connection_timeout: Seconds::default(),
        allow_from: Vec::new(),
        deny_from: Vec::new(),
        allow_file: None,
        deny_file: None,
        access: AccessLists::default(),
        user_account: None,
        traffic_log: None,
        throughput_log: None,
        handler_timeout: Milliseconds::default(),
        on_events: None,
        capture: None,
        capture_rotation: CaptureRotation::default(),
        web: WebSettings::default(),
        backends: Vec::new(),
    }
}

fn backend(name: &str, server: &str) -> Backend {
    Backend {
        name: BackendName::new(name).unwrap(),
        server: Endpoint::parse(server).unwrap(),
        verbosity: true,
        weight: Weight::new(2).unwrap(),
        decay: Percent::new(5).unwrap(),
        retries: 3,
        max_connections: ConnectionLimit::NONE,
        connection_timeout: None,
        on_start: None,
        on_end: None,
        on_fail: None,
        traffic_log: None,
        throughput_log: None,
        capture: None,
        sticky_cookie: None,
        headers: Vec::new(),
    }
}
