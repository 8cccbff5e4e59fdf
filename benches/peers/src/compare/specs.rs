//! The works, as data. A new one is an entry of [`SPECS`].

use super::variants::{HOOKS, PATHS};
use super::works::{Backends, Field, Load, Spec, Unit};
use crate::peer::{Protocol, Reuse};

const MIB: u64 = 1 << 20;

const NO_LOAD: Load = Load {
    kind: "keep",
    connections: 64,
    rate: None,
    size: None,
    stalled: None,
    headers: &[],
};

const CONN: Load = Load {
    kind: "conn",
    connections: 32,
    ..NO_LOAD
};
const KEEP: Load = NO_LOAD;
const BULK: Load = Load {
    kind: "bulk",
    connections: 8,
    size: Some(64 * MIB),
    ..NO_LOAD
};

/// What a browser sends; the cookies are none of the balancer.
const BROWSER: &[&str] = &[
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.5",
    "Cookie: theme=dark; session=0f7c2a9e41",
];

const TCP: Field = Field::Each(Protocol::Tcp);
const HTTP: Field = Field::Each(Protocol::Http(Reuse::Safe));
const LARGE: Field = Field::Bodies(Protocol::Tcp);
const HTTP_LARGE: Field = Field::Bodies(Protocol::Http(Reuse::Safe));
const HTTP_NEVER: Field = Field::Each(Protocol::Http(Reuse::Never));

/// A work of the first group, to be completed.
const BASE: Spec = Spec {
    name: "",
    group: "base",
    about: "",
    unit: Unit::Request,
    load: NO_LOAD,
    backends: Backends::Steady(1),
    field: TCP,
    quick: true,
};

/// All works, in the order in which they are measured and reported.
pub(crate) const SPECS: &[Spec] = &[
    Spec {
        name: "conn",
        about: "32 clients, a new connection for each request",
        unit: Unit::Connection,
        load: CONN,
        ..BASE
    },
    Spec {
        name: "keep",
        about: "64 kept connections, small requests",
        load: KEEP,
        ..BASE
    },
    Spec {
        name: "one",
        about: "a single kept connection, small requests",
        load: Load {
            connections: 1,
            ..KEEP
        },
        ..BASE
    },
    Spec {
        name: "bulk",
        about: "8 connections, replies of 64 MiB",
        unit: Unit::MiB,
        load: BULK,
        field: LARGE,
        ..BASE
    },
    Spec {
        name: "upload",
        about: "8 connections, requests of 64 MiB",
        unit: Unit::MiB,
        load: Load {
            kind: "upload",
            ..BULK
        },
        field: LARGE,
        ..BASE
    },
    Spec {
        name: "both",
        about: "8 connections, 64 MiB in both directions at once",
        unit: Unit::MiB,
        load: Load {
            kind: "both",
            ..BULK
        },
        field: LARGE,
        ..BASE
    },
    Spec {
        name: "fixed",
        about: "64 kept connections, 5000 requests per second whatever happens",
        load: Load {
            kind: "fixed",
            rate: Some(5000),
            ..KEEP
        },
        ..BASE
    },
    Spec {
        name: "fixed-conn",
        about: "2000 new connections per second whatever happens",
        unit: Unit::Connection,
        load: Load {
            kind: "fixed-conn",
            rate: Some(2000),
            ..CONN
        },
        ..BASE
    },
    Spec {
        name: "idle",
        about: "3000 connections that do nothing after one exchange",
        unit: Unit::Idle,
        load: Load {
            kind: "idle",
            connections: 3000,
            ..NO_LOAD
        },
        ..BASE
    },
    Spec {
        name: "slow",
        about: "32 kept connections beside 3 clients that do not read their 256 MiB",
        load: Load {
            kind: "slow",
            connections: 32,
            size: Some(256 * MIB),
            stalled: Some(3),
            ..KEEP
        },
        ..BASE
    },
    Spec {
        name: "churn",
        about: "a new connection for each request, 3 servers of which one is killed every 800 ms",
        unit: Unit::Connection,
        load: Load {
            kind: "churn",
            ..CONN
        },
        backends: Backends::Failing(3),
        ..BASE
    },
    Spec {
        name: "http-keep",
        group: "http",
        about: "64 kept connections, small HTTP requests, connections to servers shared",
        load: Load {
            headers: BROWSER,
            ..KEEP
        },
        field: HTTP,
        ..BASE
    },
    Spec {
        name: "http-keep-never",
        group: "http",
        about: "the same, a connection to a server for each client",
        load: Load {
            headers: BROWSER,
            ..KEEP
        },
        field: HTTP_NEVER,
        ..BASE
    },
    Spec {
        name: "http-conn",
        group: "http",
        about: "32 clients, a new connection for each HTTP request",
        unit: Unit::Connection,
        load: Load {
            headers: BROWSER,
            ..CONN
        },
        field: HTTP,
        ..BASE
    },
    Spec {
        name: "http-bulk",
        group: "http",
        about: "8 connections, HTTP replies of 64 MiB",
        unit: Unit::MiB,
        load: Load {
            headers: BROWSER,
            ..BULK
        },
        field: HTTP_LARGE,
        ..BASE
    },
    dispatch(
        "dispatch-2",
        "a new connection for each request, 2 servers",
        2,
    ),
    Spec {
        quick: false,
        ..dispatch("dispatch-10", "the same, 10 servers", 10)
    },
    Spec {
        quick: false,
        ..dispatch("dispatch-100", "the same, 100 servers", 100)
    },
    dispatch("dispatch-1000", "the same, 1000 servers", 1000),
    Spec {
        quick: false,
        ..growth("growth-1", "a single kept connection", 1)
    },
    growth("growth-10", "10 kept connections", 10),
    Spec {
        quick: false,
        ..growth("growth-100", "100 kept connections", 100)
    },
    growth("growth-1000", "1000 kept connections", 1000),
    Spec {
        quick: false,
        ..growth("growth-9000", "9000 kept connections", 9000)
    },
    Spec {
        name: "hooks",
        group: "hooks",
        about: "200 new connections per second, with two programs run for each",
        unit: Unit::Connection,
        // Not more than there can be programs, or some would not be run.
        load: Load {
            kind: "fixed-conn",
            rate: Some(200),
            ..CONN
        },
        field: Field::Ours(HOOKS),
        ..BASE
    },
    Spec {
        name: "paths-conn",
        group: "paths",
        about: "a new connection for each request, with directives that cost something",
        unit: Unit::Connection,
        load: CONN,
        field: Field::Ours(PATHS),
        ..BASE
    },
    Spec {
        name: "paths-keep",
        group: "paths",
        about: "64 kept connections, with directives that cost something",
        load: KEEP,
        field: Field::Ours(PATHS),
        quick: false,
        ..BASE
    },
];

const fn dispatch(name: &'static str, about: &'static str, servers: usize) -> Spec {
    Spec {
        name,
        group: "dispatch",
        about,
        unit: Unit::Connection,
        load: CONN,
        backends: Backends::Steady(servers),
        field: Field::Modes,
        ..BASE
    }
}

const fn growth(name: &'static str, about: &'static str, connections: u32) -> Spec {
    Spec {
        name,
        group: "growth",
        about,
        load: Load {
            connections,
            ..KEEP
        },
        field: Field::Workers,
        ..BASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_for_files() {
        for (index, spec) in SPECS.iter().enumerate() {
            assert!(
                spec.name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{}",
                spec.name
            );
            assert!(
                SPECS[..index].iter().all(|other| other.name != spec.name),
                "{}",
                spec.name
            );
        }
    }
}
