//! End-to-end cases: the real binary between mock clients and mock back ends.
//!
//! `README.md` beside this file tells how to run them and how to write one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is a test; a broken expectation ends the case that made it"
)]

mod cases;
mod harness;
