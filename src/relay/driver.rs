//! Lets a worker's runtime turn an engine.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::relay::engine::{Engine, Turn};
use crate::relay::host::Host;

/// Turns in a row before other tasks of the worker get a chance.
const BUDGET: usize = 16;

/// Turns `engine` until all its listeners are closed and no connection is
/// left, then gives its host back. To be run as one task of a current-thread
/// runtime with time and I/O.
///
/// Dropping the future closes every connection without an account.
///
/// # Errors
///
/// When the engine's epoll set fails or the runtime cannot watch it.
pub async fn drive<H: Host>(mut engine: Engine<H>) -> io::Result<H> {
    let set = engine.poll_descriptor().try_clone()?;
    let ready = watch(set)?;
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut armed: Option<Instant> = None;
    loop {
        let turn = turns(&mut engine)?;
        if turn.finished {
            return Ok(engine.into_host());
        }
        if turn.again || turn.events > 0 {
            tokio::task::yield_now().await;
            continue;
        }
        // A timer that is armed too early costs one idle turn, moving it costs
        // more; so it is moved only when it would come too late.
        if let Some(at) = turn.next_timer
            && armed.is_none_or(|armed| at < armed)
        {
            timer.as_mut().reset(at.into());
            armed = Some(at);
        }
        tokio::select! {
            biased;
            // The set was found empty, and what comes after that is a new edge.
            guard = ready.readable() => guard?.clear_ready(),
            () = timer.as_mut(), if armed.is_some() => armed = None,
        }
    }
}

#[allow(
    deprecated,
    reason = "its only fault is that it takes values whose descriptor may change; \
              that of an OwnedFd does not, and the replacement is unsafe"
)]
fn watch(set: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(set, Interest::READABLE)
}

/// Repeats turns without waiting until there is nothing to do or the budget
/// is used; the last turn.
fn turns<H: Host>(engine: &mut Engine<H>) -> io::Result<Turn> {
    let mut turn = engine.turn(Some(Duration::ZERO))?;
    for _ in 1..BUDGET {
        if turn.finished || (turn.events == 0 && !turn.again) {
            break;
        }
        turn = engine.turn(Some(Duration::ZERO))?;
    }
    Ok(turn)
}
