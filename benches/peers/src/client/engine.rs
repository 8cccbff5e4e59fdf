//! One thread of the client: its connections, and the loop that moves them.
//!
//! `rehearsal` opens the connections before the load; `load` puts it on and
//! counts.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::event::epoll::EventFlags;

use super::ClientError;
use super::connection::{Buffers, Connection, Phase, Progress};
use super::opener::Opener;
use super::plan::{Plan, Unit};
use super::rehearsal::Stage;
use super::reply::Failure;
use super::schedule::Schedule;
use super::shared::Shared;
use super::tally::{Tally, Window};
use crate::poll::{Key, Poll};
use crate::stream::Stream;

const BELL: Key = Key::fixture(u32::MAX);

/// How long a connection which failed is left alone, in nanoseconds.
const RETRY: u64 = 5_000_000;
/// How long an exchange may stand still.
const SILENCE: Duration = Duration::from_secs(5);
/// How often that is looked after, in nanoseconds.
const SWEEP: u64 = 500_000_000;

/// One thread's connections.
#[derive(Debug)]
pub(super) struct Engine<'a> {
    pub(super) plan: Plan,
    pub(super) shared: &'a Shared,
    poll: Poll,
    opener: Opener,
    pub(super) connections: Vec<Connection>,
    pub(super) stage: Stage,
    pub(super) window: Window,
    pub(super) schedule: Option<Schedule>,
    /// Connections which wait for a request to be due.
    pub(super) free: VecDeque<u32>,
    /// Connections which stopped although they could have gone on.
    again: Vec<Key>,
    /// Connections which failed, and when they are tried again.
    pub(super) retries: VecDeque<(u64, u32)>,
    buffers: Buffers,
    pub(super) tally: Tally,
    /// The time of the last look at the clock.
    pub(super) now: u64,
    next_sweep: u64,
}

impl<'a> Engine<'a> {
    /// The engine of one thread, with its share of the work.
    ///
    /// # Errors
    ///
    /// [`ClientError::Watch`] if the system makes no epoll set.
    pub(super) fn new(plan: Plan, shared: &'a Shared) -> Result<Self, ClientError> {
        let poll = Poll::new().map_err(ClientError::Watch)?;
        poll.add(shared.bell(), BELL, EventFlags::IN | EventFlags::ET)
            .map_err(ClientError::Watch)?;
        let count = plan.connections + plan.stalled;
        let now = shared.now();
        Ok(Self {
            opener: Opener::new(plan.to, plan.exchange.lifetime),
            connections: (0..count).map(Connection::new).collect(),
            stage: Stage::rehearsal(now, count),
            window: Window {
                begin: u64::MAX,
                end: u64::MAX,
            },
            schedule: None,
            free: VecDeque::new(),
            again: Vec::new(),
            retries: VecDeque::new(),
            buffers: Buffers::new(),
            tally: Tally::new()?,
            now,
            next_sweep: now + SWEEP,
            plan,
            shared,
            poll,
        })
    }

    /// Waits for events until `limit`, and moves all connections that have
    /// one.
    pub(super) fn turn(
        &mut self,
        events: &mut Vec<(Key, EventFlags)>,
        limit: u64,
    ) -> Result<(), ClientError> {
        let wait = self.wake_up(limit).saturating_sub(self.now);
        self.poll
            .wait(events, Some(Duration::from_nanos(wait)))
            .map_err(ClientError::Watch)?;
        self.now = self.shared.now();
        for key in std::mem::take(&mut self.again) {
            self.event(key, EventFlags::empty());
        }
        for &(key, flags) in &*events {
            if key != BELL {
                self.event(key, flags);
            }
        }
        self.retry();
        self.sweep();
        Ok(())
    }

    /// When the next thing is to be done without an event.
    fn wake_up(&self, limit: u64) -> u64 {
        if !self.again.is_empty() {
            return self.now;
        }
        let mut time = limit;
        if let Some(&(retry, _)) = self.retries.front() {
            time = time.min(retry);
        }
        if let Some(schedule) = &self.schedule
            && !self.free.is_empty()
        {
            time = time.min(schedule.due());
        }
        // Nothing is swept while nothing is to happen.
        let rests = self.plan.unit == Unit::Open && matches!(self.stage, Stage::Load);
        if rests {
            time
        } else {
            time.min(self.next_sweep)
        }
    }

    fn event(&mut self, key: Key, flags: EventFlags) {
        let connection = &mut self.connections[key.index as usize];
        if connection.key != key {
            return;
        }
        let Some(stream) = &mut connection.stream else {
            return;
        };
        stream.note(flags);
        connection.touched = self.now;
        match connection.phase {
            Phase::Free => self.disturbed(key.index, flags),
            Phase::Stalled => self.held_up(key.index, flags),
            Phase::Probe | Phase::Main => self.advance(key.index),
        }
    }

    /// Begins an exchange; opens the connection before, if need be.
    pub(super) fn begin(&mut self, index: u32, phase: Phase, started: u64) {
        let connection = &mut self.connections[index as usize];
        connection.touched = self.now;
        let script = match phase {
            Phase::Main => &self.plan.exchange,
            Phase::Stalled => &self.plan.stall,
            Phase::Free | Phase::Probe => &self.plan.probe,
        };
        if connection.stream.is_none() {
            match self.opener.open() {
                Ok(stream) => connection.open(stream),
                Err(source) => {
                    connection.phase = phase;
                    return self.fail(index, &Failure::Open(source));
                }
            }
        }
        connection.start(phase, script, started);
        self.advance(index);
    }

    pub(super) fn advance(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let script = match connection.phase {
            Phase::Main => &self.plan.exchange,
            Phase::Stalled => &self.plan.stall,
            Phase::Free | Phase::Probe => &self.plan.probe,
        };
        let had_head = connection.has_head();
        let progress = connection.advance(script, &mut self.buffers);
        let began = connection.has_head() && !had_head;
        self.count_bytes();
        if began && self.plan.unit == Unit::Received {
            self.count_first_byte(index);
        }
        match progress {
            Ok(Progress::Finished) => self.finished(index),
            Ok(Progress::Waiting) => self.watch(index),
            Ok(Progress::Again) => self.again.push(self.connections[index as usize].key),
            Err(failure) => self.fail(index, &failure),
        }
    }

    fn watch(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let key = connection.key;
        if let Some(stream) = &mut connection.stream
            && let Err(source) = stream.watch(&self.poll, key)
        {
            self.fail(index, &Failure::Open(source));
        }
    }

    fn count_bytes(&mut self) {
        if self.window.contains(self.now) {
            self.tally.received += self.buffers.received;
            self.tally.sent += self.buffers.sent;
        }
        self.buffers.received = 0;
        self.buffers.sent = 0;
    }

    /// An exchange is over, well.
    fn finished(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        let phase = connection.phase;
        connection.phase = Phase::Free;
        if connection.closes || connection.stream.as_ref().is_some_and(Stream::ends) {
            connection.close();
        }
        match phase {
            Phase::Main => self.count_exchange(index),
            _ => self.rehearsed(),
        }
    }

    /// An exchange came to nothing: the connection is given up and replaced
    /// after a while.
    pub(super) fn fail(&mut self, index: u32, failure: &Failure) {
        let connection = &mut self.connections[index as usize];
        let phase = connection.phase;
        connection.close();
        match (&mut self.stage, phase) {
            (Stage::Rehearsal(rehearsal), _) => rehearsal.fail(failure),
            (Stage::Load, Phase::Main) => self.tally.fail(failure),
            // Not replaced: stalled readers and connections at rest are only
            // opened before the load.
            (Stage::Load, _) => return self.tally.fail(failure),
        }
        self.retries.push_back((self.now + RETRY, index));
    }

    fn retry(&mut self) {
        while let Some(&(time, index)) = self.retries.front()
            && time <= self.now
        {
            self.retries.pop_front();
            match self.stage {
                Stage::Rehearsal(_) => self.rehearse_one(index),
                Stage::Load => self.next(index),
            }
        }
    }

    /// Gives up exchanges that stand still.
    fn sweep(&mut self) {
        if self.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.now + SWEEP;
        let Some(latest) = self.now.checked_sub(SILENCE.as_nanos() as u64) else {
            return;
        };
        self.give_up_silent(latest);
    }

    /// Gives up exchanges in which nothing moved since `latest`.
    pub(super) fn give_up_silent(&mut self, latest: u64) {
        for index in 0..self.connections.len() as u32 {
            let connection = &self.connections[index as usize];
            let busy = matches!(connection.phase, Phase::Probe | Phase::Main);
            if busy && connection.touched < latest {
                let silence = Duration::from_nanos(self.now - connection.touched);
                self.fail(index, &Failure::Silence(silence));
            }
        }
    }
}
