//! Crossroads: a TCP and HTTP load balancer and fail-over daemon.
//!
//! The crate is a library and one thin binary. Its rooms, and what each may
//! name (a test in `compat-tests/architecture.rs` holds the arrows):
//!
//! | room | what it does | may name |
//! |---|---|---|
//! | [`base`] | words everybody uses, no decisions | nothing |
//! | [`policy`] | says what should happen, never does it; pure | base |
//! | [`config`] | text in, a configuration or diagnostics out | policy, base |
//! | [`relay`] | moves bytes from one socket to another | base |
//! | [`process`] | the border to operating-system processes | base |
//! | [`status`] | the state of a service in shared memory | policy, base |
//! | [`telemetry`] | events and numbers turned into text | status, policy, base |
//! | [`service`] | a running service: accept to account, and revival | config, policy, relay, process, status, base |
//! | [`control`] | the operators' door into a running daemon | service, telemetry, status, policy, base |
//! | [`cli`] | commands and their output | all of these |
//!
//! `daemon` builds the rooms and joins them. One connection passes through
//! `service` in ten steps; `service::connection` lists them.

pub mod base;
pub mod cli;
pub mod config;
pub mod control;
mod daemon;
pub mod policy;
pub mod process;
pub mod relay;
pub mod service;
pub mod status;
pub mod telemetry;

/// The version that `crossroads -V` and the specifier `%v` give.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
