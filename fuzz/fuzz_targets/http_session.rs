//! One client connection with bytes of both ends in any order and in any pieces:
//! what is passed on is, for another reader, what was meant.
//!
//! The first byte says how the connection is treated; then come records, each a
//! byte 0x1e, a letter that says what happens, and bytes:
//!
//! | letter | what happens |
//! |---|---|
//! | `c`, `C` | the client sends the bytes, at once or one by one |
//! | `b`, `B` | so does the back end |
//! | `e` | the back end ends |
//! | `o` | the next request needs another back end |
//! | `l` | the service stops |

#![no_main]

use crossroads::relay::http1;
use crossroads::relay::http1::head::HeadLimits;
use crossroads::relay::http1::session::Manner;
use libfuzzer_sys::fuzz_target;
use ways::{Action, Directive, Ways};
use wire::{Over, Wire};

#[path = "../../src/relay/http1/session/differential/stream.rs"]
mod stream;
#[path = "../../src/relay/http1/session/differential/strict.rs"]
mod strict;
#[allow(dead_code, reason = "tests of the library need more of it")]
#[path = "../../src/relay/http1/session/differential/ways.rs"]
mod ways;
#[allow(dead_code, reason = "tests of the library need more of it")]
#[path = "../../src/relay/http1/session/differential/wire.rs"]
mod wire;

/// What begins a record.
const MARK: u8 = 0x1e;

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, bytes)) = bytes.split_first() else {
        return;
    };
    let mut wire = Wire::new(ways(*flags));
    for record in bytes.split(|byte| *byte == MARK) {
        let Some((letter, bytes)) = record.split_first() else {
            continue;
        };
        match letter {
            b'c' => wire.client(bytes),
            b'C' => bytes.chunks(1).for_each(|byte| wire.client(byte)),
            b'b' => wire.backend(bytes),
            b'B' => bytes.chunks(1).for_each(|byte| wire.backend(byte)),
            b'e' => wire.backend_end(),
            b'o' => wire.elsewhere = true,
            b'l' => wire.session.make_last(),
            _ => {}
        }
    }
    if let Err(why) = wire.check() {
        panic!("{why}");
    }
    if let Some(Over::Answered(code)) = wire.over {
        assert!([400, 431, 502, 505].contains(&code));
    }
});

fn ways(flags: u8) -> Ways {
    let has = |bit: u8| flags & 1 << bit != 0;
    let (bytes, fields) = if has(4) { (200, 4) } else { (65_536, 200) };
    let directives = |yes: bool, all: &[Directive]| match yes {
        true => all.to_vec(),
        false => Vec::new(),
    };
    Ways {
        manner: Manner {
            limits: HeadLimits { bytes, fields },
            shallow: has(0),
            managed: has(1),
        },
        server: directives(
            has(2),
            &[
                directive(Action::Add, "X-Client", "192.0.2.7"),
                directive(Action::Append, "Via", "1.1 shop"),
                directive(Action::Set, "Host", "inside.test"),
            ],
        ),
        client: directives(
            has(3),
            &[
                directive(Action::Add, "Set-Cookie", "a=b"),
                directive(Action::Set, "Server", ""),
                directive(Action::Append, "Connection", "x"),
            ],
        ),
        unread: has(5),
        leases: has(6),
        hurries: false,
    }
}

fn directive(action: Action, name: &str, value: &str) -> Directive {
    Directive {
        action,
        name: name.into(),
        value: value.into(),
    }
}
