//! Moves bytes from one socket to another and says how it ended.
//!
//! The room decides nothing: it asks and tells its [`host::Host`], in words of
//! `base` only. One [`Engine`] serves one worker thread: an edge-triggered
//! epoll set, a table in which one entry holds both sockets of a connection,
//! and a timer wheel. Nothing in it blocks, and nothing in it is shared with
//! another engine; other threads reach it through an [`EngineHandle`].
//!
//! ```text
//! driver ── turn ──► engine ──► accept ──► connect ──► pair (flow, splice)
//!                      ▲  │          │            ▲
//!        mailbox ──────┘  └──► host  └──► web ────┘ (http1)
//! ```
//!
//! What holds for every connection: bytes keep their order within a direction,
//! a direction is read only when what was read before is written, the end of
//! one direction is passed on and leaves the other open, and a reset is passed
//! on as a reset.

mod accept;
mod arena;
mod buffers;
mod choose;
mod connect;
mod connection;
pub mod driver;
pub mod engine;
mod flow;
pub mod host;
pub mod http1;
mod ledger;
pub mod mailbox;
mod pair;
mod poll;
mod rest;
mod side;
mod splice;
mod tap;
mod timer;
mod web;

#[cfg(test)]
mod tests;

pub use driver::drive;
pub use engine::{Engine, EngineSettings, Turn};
pub use mailbox::EngineHandle;
