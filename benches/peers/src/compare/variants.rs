//! What crossroads is told besides, to see what that costs.

use super::works::Variant;
use crate::peer::{Extras, Host};

/// Programs run for each connection.
pub(super) const HOOKS: &[Variant] = &[variant(
    "onstart, onend",
    Extras {
        backend: "onstart true; onend true;",
        ..Extras::NONE
    },
)];

/// Directives and flags that may cost something.
pub(super) const PATHS: &[Variant] = &[
    variant(
        "host name",
        Extras {
            host: Host::Name,
            ..Extras::NONE
        },
    ),
    variant(
        "access list of 1000",
        Extras {
            service: "allowfile %DIRECTORY%/networks.txt;",
            networks: 1000,
            ..Extras::NONE
        },
    ),
    variant(
        "all limits",
        Extras {
            service: "maxconnections 100000; connectiontimeout 600; backlog 1000;",
            backend: "maxconnections 100000; connectiontimeout 300; retries 3;",
            ..Extras::NONE
        },
    ),
    // The same as plain: shows how far equal things differ.
    variant(
        "verbosity off",
        Extras {
            service: "verbosity off;",
            backend: "verbosity off;",
            ..Extras::NONE
        },
    ),
    variant(
        "verbosity on",
        Extras {
            service: "verbosity on;",
            backend: "verbosity on;",
            ..Extras::NONE
        },
    ),
    Variant {
        name: "log of a neighbour",
        mode: "byorder",
        extras: Extras {
            neighbour: "    backend idle { server 127.0.0.1:9; trafficlog %DIRECTORY%/traffic.log; }",
            ..Extras::NONE
        },
    },
    variant(
        "trafficlog",
        Extras {
            backend: "trafficlog %DIRECTORY%/own.log;",
            ..Extras::NONE
        },
    ),
    variant(
        "-a",
        Extras {
            flags: &["-a"],
            ..Extras::NONE
        },
    ),
    variant(
        "-A json",
        Extras {
            flags: &["-A", "json"],
            ..Extras::NONE
        },
    ),
];

const fn variant(name: &'static str, extras: Extras) -> Variant {
    Variant {
        name,
        mode: "roundrobin",
        extras,
    }
}
