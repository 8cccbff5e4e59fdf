//! A bounded queue of lines that never makes its filler wait.
//!
//! What finds it full is dropped and counted; the next line that finds room
//! is preceded by one that says how many were lost. A line has its place until
//! it was written, so the bound holds for those under way as well.
//!
//! Lines are taken out by the batch. To wake a thread costs more than to write
//! a line, so a writer that has just written rests before it looks again; the
//! first line after a pause wakes it at once. The text of all lines lies in
//! one buffer, which the writer changes for its own empty one: a line takes no
//! memory of its own.
//!
//! ```text
//!            nothing there            a line
//!   Busy ─────────────────► Asleep ──────────────► Busy
//!    │ batch written                                ▲
//!    └──────────────► Resting ──────────────────────┘
//!                      REST over, a quarter full, or closed
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::moment::Moment;
use crate::telemetry::batch::Batch;
use crate::telemetry::level::Level;

/// How many lines wait for a writer that is slow or away.
///
/// Source: decided (13.3).
pub const CAPACITY: usize = 4096;

/// How long a writer lets lines gather, counted from its last batch: what a
/// line may be late, short enough for who watches them.
const REST: Duration = Duration::from_millis(10);

/// What the writer of a queue does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Doing {
    /// It writes, or will look for lines without being woken.
    #[default]
    Busy,
    /// It lets lines gather; woken when they get many.
    Resting,
    /// It waits for the first line.
    Asleep,
}

#[derive(Debug, Default)]
struct State {
    lines: Batch,
    lost: u64,
    writer: Doing,
    closed: bool,
    finished: bool,
}

/// The queue between those who log and one thread that writes.
#[derive(Debug)]
pub struct Queue {
    capacity: usize,
    rest: Duration,
    state: Mutex<State>,
    /// Lines that were taken out and are not yet written.
    under_way: AtomicUsize,
    changed: Condvar,
}

impl Queue {
    /// An empty queue of `capacity` lines.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            rest: REST,
            state: Mutex::default(),
            under_way: AtomicUsize::new(0),
            changed: Condvar::new(),
        }
    }

    /// Every change of the state is whole before anything could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &State) -> bool {
        state.lines.len() + self.under_way.load(Ordering::Relaxed) < self.capacity
    }

    /// Puts the word about lost lines into the queue if there is room.
    fn tell_loss(&self, state: &mut State) {
        if state.lost > 0 && self.has_room(state) {
            let text = format!("{} messages lost", state.lost);
            state.lines.push(Level::Warning, Moment::now().unix, &text);
            state.lost = 0;
        }
    }

    /// Counts a line as lost if there is no room for it; gives whether that is
    /// so. Spares the making of a line that would be dropped.
    pub fn refuses(&self) -> bool {
        let mut state = self.lock();
        let full = !self.has_room(&state);
        state.lost += u64::from(full);
        full
    }

    /// Puts a line at the end, said at `unix` in seconds since 1970, or counts
    /// it as lost. Its text is a single one, see [`Batch::tidy`].
    pub fn push(&self, level: Level, unix: u64, text: &str) {
        let mut state = self.lock();
        self.tell_loss(&mut state);
        match self.has_room(&state) {
            true => state.lines.push(level, unix, text),
            false => state.lost += 1,
        }
        let wakes = match state.writer {
            Doing::Busy => false,
            Doing::Resting => self.presses(&state),
            Doing::Asleep => true,
        };
        if wakes {
            // Not again for the lines that come before it is up.
            state.writer = Doing::Busy;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Whether so much waits that the writer must not rest.
    fn presses(&self, state: &State) -> bool {
        state.closed || state.lines.len() >= self.capacity / 4
    }

    /// Whether a writer that is under way has so much before it that it must
    /// not pause.
    pub fn is_pressed(&self) -> bool {
        self.presses(&self.lock())
    }

    /// Waits for lines and changes them for those of `batch`, all of which were
    /// written; `false` once the queue is closed and empty.
    pub fn take(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        if let Some(last) = batch.taken() {
            state = self.rest(state, last + self.rest);
        }
        batch.clear();
        loop {
            if state.lines.len() == 0 {
                self.tell_loss(&mut state);
            }
            if state.lines.len() > 0 {
                self.under_way.store(state.lines.len(), Ordering::Relaxed);
                std::mem::swap(&mut state.lines, batch);
                batch.begin(Instant::now());
                return true;
            }
            if state.closed {
                return false;
            }
            state.writer = Doing::Asleep;
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            state.writer = Doing::Busy;
        }
    }

    fn rest<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        until: Instant,
    ) -> MutexGuard<'a, State> {
        while !self.presses(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.writer = Doing::Resting;
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.writer = Doing::Busy;
        state
    }

    /// Gives the places of so many lines free: they were written, or never can
    /// be.
    pub fn written(&self, lines: usize) {
        self.under_way.fetch_sub(lines, Ordering::Relaxed);
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

/// Takes and "writes" everything that is in a queue, and closes it.
#[cfg(test)]
pub(crate) fn drain(queue: &Queue) -> Vec<String> {
    queue.close();
    let (mut texts, mut batch) = (Vec::new(), Batch::default());
    while queue.take(&mut batch) {
        for line in batch.lines() {
            texts.push(line.text.to_owned());
            queue.written(1);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn push(queue: &Queue, text: &str) {
        queue.push(Level::Info, 0, text);
    }

    fn until(condition: impl Fn() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < DEADLINE, "waited in vain");
            thread::yield_now();
        }
    }

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.lines().map(|line| line.text).collect()
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
        let (queue, mut batch) = (Queue::new(3), Batch::default());
        for text in ["a", "b", "c", "d"] {
            push(&queue, text);
        }
        assert!(queue.take(&mut batch));
        assert_eq!(texts(&batch), ["a", "b", "c"]);
        assert!(queue.refuses());
        queue.written(2);
        assert!(!queue.refuses());
        push(&queue, "f");
        queue.written(1);

        assert_eq!(drain(&queue), ["2 messages lost", "f"]);
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
        let (queue, mut batch) = (Queue::new(1), Batch::default());
        push(&queue, "a");
        assert!(queue.take(&mut batch));
        push(&queue, "b");
        queue.written(1);

        assert_eq!(drain(&queue), ["1 messages lost"]);
    }

    #[test]
    fn lines_said_while_the_writer_rests_are_one_batch() {
        // Longer than the test may take: only many lines can end it.
        let queue = Arc::new(Queue {
            rest: 10 * DEADLINE,
            ..Queue::new(100)
        });
        push(&queue, "first");
        let mut batch = Batch::default();
        assert!(queue.take(&mut batch));
        queue.written(1);

        let writing = Arc::clone(&queue);
        let writer = thread::spawn(move || {
            writing.take(&mut batch);
            batch.len()
        });
        until(|| queue.lock().writer == Doing::Resting);
        (0..24).for_each(|_| push(&queue, "x"));
        assert_eq!(queue.lock().writer, Doing::Resting);
        push(&queue, "last");

        assert_eq!(writer.join().unwrap(), 25);
    }

    #[test]
    fn writer_that_sleeps_is_woken_by_the_first_line() {
        let queue = Arc::new(Queue::new(100));
        let writing = Arc::clone(&queue);
        let writer = thread::spawn(move || {
            let mut batch = Batch::default();
            writing.take(&mut batch) && texts(&batch) == ["a"]
        });
        until(|| queue.lock().writer == Doing::Asleep);

        push(&queue, "a");

        assert!(writer.join().unwrap());
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
