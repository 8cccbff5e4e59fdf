//! Turns an engine on the thread that calls.
//!
//! The engine's own epoll set is what the thread sleeps on. Watched from
//! within a runtime's set it would cost two more system calls for each
//! wake-up, which a single connection feels most.

use std::io;

use crate::relay::engine::Engine;
use crate::relay::host::Host;

/// Turns `engine` until all its listeners are closed and no connection is
/// left, then gives its host back. Blocks the thread all that time; orders
/// reach the engine through its [`EngineHandle`](crate::relay::EngineHandle).
///
/// # Errors
///
/// When the engine's epoll set fails.
pub fn drive<H: Host>(mut engine: Engine<H>) -> io::Result<H> {
    while !engine.turn(None)?.finished {}
    Ok(engine.into_host())
}
