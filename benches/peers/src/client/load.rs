//! The load itself: what follows upon what, and what counts.

use super::ClientError;
use super::connection::Phase;
use super::engine::Engine;
use super::plan::{Pace, Unit};
use super::rehearsal::Stage;
use super::reply::{DRAIN, Failure};
use super::schedule::Schedule;
use super::tally::Window;

/// Silence at the end of the measured time which is an error, in
/// nanoseconds, if it also lasted for all of that time.
const DEAD: u64 = 1_000_000_000;

/// Which of the threads this is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) thread: u32,
    pub(super) threads: u32,
}

impl Engine<'_> {
    /// Puts the load on until the end of `window` and counts what happens
    /// within.
    ///
    /// # Errors
    ///
    /// [`ClientError::Watch`] if the system gives no events.
    pub(super) fn load(&mut self, window: Window, part: Part) -> Result<(), ClientError> {
        self.now = self.shared.now();
        self.window = window;
        self.stage = Stage::Load;
        self.retries.clear();
        self.start(part);
        let mut events = Vec::new();
        while self.now < self.shared.end() {
            self.turn(&mut events, self.shared.end())?;
            self.send_due(self.shared.end());
        }
        self.window.end = self.shared.end();
        match self.plan.pace {
            Pace::Fixed(_) => self.drain()?,
            Pace::Closed => self.give_up_dead(),
            Pace::Idle => self.turn(&mut events, self.now)?,
        }
        self.tally.open = self.open();
        Ok(())
    }

    fn start(&mut self, part: Part) {
        if let Pace::Fixed(rate) = self.plan.pace {
            let Part { thread, threads } = part;
            self.schedule = Some(Schedule::new(self.now, rate, thread, threads));
        }
        for index in 0..self.plan.connections {
            self.next(index);
        }
    }

    /// What a connection does next.
    pub(super) fn next(&mut self, index: u32) {
        match self.plan.pace {
            Pace::Closed => self.begin(index, Phase::Main, self.now),
            Pace::Fixed(_) => self.free.push_back(index),
            Pace::Idle if self.connections[index as usize].stream.is_none() => {
                // It was closed since its exchange.
                self.lost_at_rest(index);
            }
            Pace::Idle => {}
        }
    }

    /// Sends the requests that are due, as long as connections are free. The
    /// one that has been free for longest comes first, which spreads them.
    fn send_due(&mut self, end: u64) {
        while !self.free.is_empty()
            && let Some(schedule) = &mut self.schedule
            && schedule.due() < end
            && let Some(due) = schedule.take(self.now)
            && let Some(index) = self.free.pop_front()
        {
            self.begin(index, Phase::Main, due);
        }
    }

    /// Counts an exchange that is over; the next one follows.
    pub(super) fn count_exchange(&mut self, index: u32) {
        let now = self.shared.now();
        self.now = now;
        let started = self.connections[index as usize].started;
        let within = self.window.contains(now);
        self.tally.exchanges += u64::from(within);
        let measured = match self.plan.pace {
            // By the time when it was due: late replies must not get lost.
            Pace::Fixed(_) => self.window.contains(started),
            _ => within && self.plan.unit != Unit::Received,
        };
        if measured {
            self.tally.record(now.saturating_sub(started));
        }
        self.next(index);
    }

    /// Counts the time to the first byte of a large reply.
    pub(super) fn count_first_byte(&mut self, index: u32) {
        let connection = &self.connections[index as usize];
        if connection.phase == Phase::Main && self.window.contains(self.now) {
            let latency = self.now.saturating_sub(connection.started);
            self.tally.record(latency);
        }
    }

    /// The peer closed a connection without an exchange.
    pub(super) fn lost_at_rest(&mut self, index: u32) {
        self.connections[index as usize].close();
        if self.plan.pace == Pace::Idle && matches!(self.stage, Stage::Load) {
            self.tally.fail(&Failure::Closed("while nothing was asked"));
        }
    }

    /// Waits for the replies to what was due in the measured time.
    fn drain(&mut self) -> Result<(), ClientError> {
        let end = self.window.end;
        let limit = end + DRAIN.as_nanos() as u64;
        let mut events = Vec::new();
        self.send_due(end);
        while self.now < limit && self.owes(end) {
            self.turn(&mut events, limit)?;
            self.send_due(end);
        }
        self.count_overdue(end);
        Ok(())
    }

    fn owes(&self, end: u64) -> bool {
        let unsent = self.schedule.as_ref().is_some_and(|s| s.due() < end);
        unsent || self.connections.iter().any(|c| c.phase == Phase::Main)
    }

    /// What has no reply by now is an error, and at least as late as this.
    fn count_overdue(&mut self, end: u64) {
        let busy = self.connections.iter().filter(|c| c.phase == Phase::Main);
        let mut overdue: Vec<u64> = busy.map(|connection| connection.started).collect();
        if let Some(schedule) = &mut self.schedule {
            overdue.extend(std::iter::from_fn(|| schedule.take(end.saturating_sub(1))));
        }
        overdue.retain(|&due| self.window.contains(due));
        for &due in &overdue {
            self.tally.record(self.now.saturating_sub(due));
        }
        if !overdue.is_empty() {
            self.tally.fail(&Failure::Overdue(overdue.len() as u64));
        }
    }

    fn give_up_dead(&mut self) {
        let latest = self.now.saturating_sub(DEAD).min(self.window.begin);
        self.give_up_silent(latest);
    }

    fn open(&self) -> u64 {
        let open = self.connections.iter().filter(|c| c.stream.is_some());
        open.count() as u64
    }
}
