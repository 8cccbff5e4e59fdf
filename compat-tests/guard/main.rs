//! What a connection, a request and an idle client cost, counted.
//!
//! Nothing here is timed, so it holds on a busy machine as well: system calls
//! by ptrace, memory and descriptors by `/proc`. `compat-tests/README.md` tells
//! how to read a failure and when to bless.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is a test; a broken expectation ends the case that made it"
)]

mod ends;
#[allow(
    dead_code,
    unused_imports,
    reason = "the harness of all end-to-end cases, of which these need a part"
)]
#[path = "../harness/mod.rs"]
mod harness;
mod memory;
mod sizes;
mod system_calls;
mod table;
mod trace;

/// Whether the program under test was built with this suite, for debugging.
fn is_unoptimised() -> bool {
    cfg!(debug_assertions) && std::env::var_os("CROSSROADS_UNDER_TEST").is_none()
}
