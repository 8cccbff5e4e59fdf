//! A bounded queue of lines that never makes its filler wait.
//!
//! What finds it full is dropped and counted; the next line that finds room
//! is preceded by one that says how many were lost. A line stays in the queue
//! until it was written, so the bound holds for the one under way as well.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::moment::Moment;
use crate::telemetry::level::Level;

/// How many lines wait for a writer that is slow or away.
///
/// Source: decided (13.3).
pub const CAPACITY: usize = 4096;

/// The greatest length of a text in bytes; the rest is cut off, so that a
/// line always fits into one datagram.
const LONGEST: usize = 8192;

/// One line on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// When it was said, in seconds since 1970.
    pub unix: u64,
    /// What it says: one line, without control characters.
    pub text: Arc<str>,
}

impl Line {
    /// A line said now. Control characters, which could forge further lines,
    /// are written as `?`.
    pub fn new(level: Level, mut text: String) -> Self {
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|&end| text.is_char_boundary(end));
            text.truncate(end.unwrap_or_default());
        }
        if text.contains(char::is_control) {
            text = text.replace(char::is_control, "?");
        }
        Self {
            level,
            unix: Moment::now().unix,
            text: Arc::from(text),
        }
    }

    fn lost(count: u64) -> Self {
        Self::new(Level::Warning, format!("{count} messages lost"))
    }
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    lost: u64,
    closed: bool,
    finished: bool,
}

impl State {
    /// Puts the word about lost lines into the queue if there is room.
    fn tell_loss(&mut self, capacity: usize) {
        if self.lost > 0 && self.lines.len() < capacity {
            self.lines.push_back(Line::lost(self.lost));
            self.lost = 0;
        }
    }
}

/// The queue between those who log and one thread that writes.
#[derive(Debug)]
pub struct Queue {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// An empty queue of `capacity` lines.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Every change of the state is whole before anything could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `line` at the end, or counts it as lost.
    pub fn push(&self, line: Line) {
        let mut state = self.lock();
        state.tell_loss(self.capacity);
        if state.lines.len() < self.capacity {
            state.lines.push_back(line);
        } else {
            state.lost += 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the first line and leaves it in its place; `None` once the
    /// queue is closed and empty.
    pub fn first(&self) -> Option<Line> {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.front() {
                return Some(line.clone());
            }
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the first line out: it was written, or never can be.
    pub fn written(&self) {
        let mut state = self.lock();
        state.lines.pop_front();
        if state.lines.is_empty() {
            state.tell_loss(self.capacity);
        }
    }

    /// Waits until `moment`, or until the queue is closed; gives whether it is.
    pub fn closed_before(&self, moment: Instant) -> bool {
        self.wait_until(moment, |state| state.closed)
    }

    /// Takes no leave of the lines: what is in the queue may still be written.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Says that the writer has ended.
    pub fn finish(&self) {
        self.lock().finished = true;
        self.changed.notify_all();
    }

    /// Waits at most `limit` for the writer to end; gives whether it has.
    pub fn finished_within(&self, limit: Duration) -> bool {
        self.wait_until(Instant::now() + limit, |state| state.finished)
    }

    fn wait_until(&self, moment: Instant, done: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        while !done(&state) {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, text: &str) {
        queue.push(Line::new(Level::Info, text.to_owned()));
    }

    fn drain(queue: &Queue) -> Vec<String> {
        queue.close();
        let mut texts = Vec::new();
        while let Some(line) = queue.first() {
            texts.push(line.text.to_string());
            queue.written();
        }
        texts
    }

    #[test]
    fn lines_come_out_in_order() {
        let queue = Queue::new(3);
        push(&queue, "a");
        push(&queue, "b");

        assert_eq!(drain(&queue), ["a", "b"]);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_before_the_next_line() {
        let queue = Queue::new(3);
        for text in ["a", "b", "c", "d", "e"] {
            push(&queue, text);
        }
        queue.written();
        queue.written();
        push(&queue, "f");

        assert_eq!(drain(&queue), ["c", "2 messages lost", "f"]);
    }

    #[test]
    fn loss_is_told_though_nothing_is_said_after_it() {
        let queue = Queue::new(1);
        for text in ["a", "b", "c"] {
            push(&queue, text);
        }

        assert_eq!(drain(&queue), ["a", "2 messages lost"]);
    }

    #[test]
    fn line_under_way_counts_as_one_in_the_queue() {
        let queue = Queue::new(1);
        push(&queue, "a");
        assert_eq!(&*queue.first().unwrap().text, "a");
        push(&queue, "b");

        assert_eq!(drain(&queue), ["a", "1 messages lost"]);
    }

    #[test]
    fn text_becomes_one_line_of_bounded_length() {
        assert_eq!(
            &*Line::new(Level::Info, "a\nb\u{1b}[0m".into()).text,
            "a?b?[0m"
        );
        let long = Line::new(Level::Info, format!("x{}", "é".repeat(LONGEST)));
        assert_eq!(long.text.len(), LONGEST - 1);
    }

    #[test]
    fn waiting_ends_at_its_moment_or_when_closed() {
        let queue = Queue::new(1);
        assert!(!queue.closed_before(Instant::now() + Duration::from_millis(5)));
        assert!(!queue.finished_within(Duration::from_millis(5)));
        queue.close();
        queue.finish();
        assert!(queue.closed_before(Instant::now() + Duration::from_secs(60)));
        assert!(queue.finished_within(Duration::from_secs(60)));
    }
}
