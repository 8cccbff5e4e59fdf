//! Before the load: opens all connections, and sees that they work.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::event::epoll::EventFlags;

use super::ClientError;
use super::connection::Phase;
use super::engine::Engine;
use super::plan::Rehearsal as Kind;
use super::reply::Failure;
use crate::failure;

/// Connections that are opened at the same time, so that no queue of a
/// listener overflows.
const AT_ONCE: u32 = 64;
/// How long the rehearsal goes on although no connection comes up.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the engine is at.
#[derive(Debug)]
pub(super) enum Stage {
    Rehearsal(Rehearsal),
    Load,
}

impl Stage {
    /// The rehearsal of `count` connections, at its begin.
    pub(super) fn rehearsal(now: u64, count: u32) -> Self {
        Self::Rehearsal(Rehearsal {
            waiting: (0..count).collect(),
            running: 0,
            ready: 0,
            last_success: now,
            last_failure: None,
        })
    }
}

/// How far the rehearsal is.
#[derive(Debug)]
pub(super) struct Rehearsal {
    waiting: VecDeque<u32>,
    running: u32,
    ready: u32,
    last_success: u64,
    last_failure: Option<String>,
}

impl Rehearsal {
    /// A connection that had come up is about to fail.
    fn lose(&mut self) {
        self.ready -= 1;
        self.running += 1;
    }

    /// A connection did not come up; it is tried again.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.running = self.running.saturating_sub(1);
        self.last_failure = Some(failure::text(failure));
    }
}

impl Engine<'_> {
    /// Opens all connections of works which keep some, and has an exchange on
    /// each.
    ///
    /// # Errors
    ///
    /// [`ClientError::Rehearsal`] when no more connections come up.
    pub(super) fn rehearse(&mut self) -> Result<(), ClientError> {
        if self.plan.rehearsal == Kind::None {
            return Ok(());
        }
        let wanted = self.connections.len() as u32;
        let mut events = Vec::new();
        loop {
            self.fill();
            let Stage::Rehearsal(rehearsal) = &self.stage else {
                return Ok(());
            };
            if rehearsal.ready >= wanted {
                return Ok(());
            }
            let limit = rehearsal.last_success + PATIENCE.as_nanos() as u64;
            if self.now >= limit {
                return Err(ClientError::Rehearsal {
                    to: self.plan.to,
                    wanted,
                    ready: rehearsal.ready,
                    patience: PATIENCE,
                    failure: rehearsal
                        .last_failure
                        .clone()
                        .unwrap_or_else(|| "no reply".to_owned()),
                });
            }
            self.turn(&mut events, limit)?;
        }
    }

    /// Tries as many connections as may be tried at once.
    fn fill(&mut self) {
        while let Stage::Rehearsal(rehearsal) = &mut self.stage
            && rehearsal.running < AT_ONCE
            && let Some(index) = rehearsal.waiting.pop_front()
        {
            self.rehearse_one(index);
        }
    }

    /// Tries one connection.
    pub(super) fn rehearse_one(&mut self, index: u32) {
        if let Stage::Rehearsal(rehearsal) = &mut self.stage {
            rehearsal.running += 1;
        }
        let phase = if index < self.plan.connections {
            Phase::Probe
        } else {
            Phase::Stalled
        };
        self.begin(index, phase, self.now);
    }

    /// A connection came up.
    pub(super) fn rehearsed(&mut self) {
        let now = self.now;
        if let Stage::Rehearsal(rehearsal) = &mut self.stage {
            rehearsal.running -= 1;
            rehearsal.ready += 1;
            rehearsal.last_success = now;
        }
    }

    /// Something happens on a stalled reader: its reply begins, and it does
    /// not read, or it has come to its end.
    pub(super) fn held_up(&mut self, index: u32, flags: EventFlags) {
        let connection = &mut self.connections[index as usize];
        if flags.intersects(EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP) {
            if let Stage::Rehearsal(rehearsal) = &mut self.stage
                && connection.has_head()
            {
                rehearsal.lose();
            }
            self.fail(index, &Failure::Closed("while a reader did not read"));
        } else if connection.has_head() {
            // More of the reply.
        } else if flags.intersects(EventFlags::IN) {
            connection.note_reply();
            self.rehearsed();
        } else {
            self.advance(index);
        }
    }

    /// Something happens on a connection without an exchange: normally the
    /// peer closes it.
    pub(super) fn disturbed(&mut self, index: u32, flags: EventFlags) {
        let ends = EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP;
        if !flags.intersects(ends | EventFlags::IN) {
            return;
        }
        self.lost_at_rest(index);
    }
}
