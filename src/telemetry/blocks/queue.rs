//! What waits to be written, bounded in bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::tap::Origin;

use super::tap::Facts;

/// What a connection costs in the queue besides its blocks.
const BEGIN_COST: usize = 512;

/// What a block costs besides its bytes.
const BLOCK_COST: usize = 128;

/// A word to the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// A connection was made.
    Begin(Arc<Facts>),
    /// A block of it was read.
    Block(Block),
    /// It has ended. Costs nothing: there is one at most for each `Begin`.
    End(End),
}

/// The end of a connection.
#[derive(Debug)]
pub(super) struct End {
    /// The number of the tap that saw it.
    pub(super) tap: u64,
    pub(super) at: Instant,
    /// Bytes of the client and of the back end that were dropped before it.
    pub(super) skipped: [u64; 2],
}

/// One block of a connection.
#[derive(Debug)]
pub(super) struct Block {
    /// The number of the tap that saw it.
    pub(super) tap: u64,
    pub(super) from: Origin,
    /// When it was read.
    pub(super) at: Instant,
    pub(super) bytes: Box<[u8]>,
    /// Bytes of the client and of the back end that were dropped before it.
    pub(super) skipped: [u64; 2],
}

impl Message {
    /// The cost of a block of `length` bytes.
    pub(super) fn block_cost(length: usize) -> usize {
        length + BLOCK_COST
    }

    /// The cost of a connection.
    pub(super) fn begin_cost() -> usize {
        BEGIN_COST
    }

    fn cost(&self) -> usize {
        match self {
            Self::Begin(_) => BEGIN_COST,
            Self::Block(block) => Self::block_cost(block.bytes.len()),
            Self::End(_) => 0,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    closed: bool,
    finished: bool,
}

/// The queue between all taps and the one writer.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    /// What was reserved and is not written yet.
    used: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    /// An empty queue of `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            used: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Every change of the state is whole before anything could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for `cost`, which then belongs to the caller. An
    /// empty queue takes anything, or a block larger than it would never pass.
    pub(super) fn reserve(&self, cost: usize) -> bool {
        let fits = |used: usize| used == 0 || used.saturating_add(cost) <= self.capacity;
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                fits(used).then(|| used.saturating_add(cost))
            })
            .is_ok()
    }

    /// Puts a message at the end, for which room was reserved.
    pub(super) fn put(&self, message: Message) {
        let mut state = self.lock();
        if state.finished {
            return;
        }
        // A writer that is busy looks again by itself.
        let wakes = state.messages.is_empty();
        state.messages.push_back(message);
        drop(state);
        if wakes {
            self.changed.notify_all();
        }
    }

    /// Waits for messages and takes all; `None` once closed and empty.
    pub(super) fn take(&self) -> Option<VecDeque<Message>> {
        let mut state = self.lock();
        loop {
            if !state.messages.is_empty() {
                return Some(std::mem::take(&mut state.messages));
            }
            if state.closed {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that `message` is being forgotten: its room is free.
    pub(super) fn release(&self, message: &Message) {
        self.used.fetch_sub(message.cost(), Ordering::Relaxed);
    }

    /// What is in the queue is still written, and then the writer ends.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Says that the writer has ended.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.finished = true;
        state.messages.clear();
        drop(state);
        // Nobody would write what is put in now: there is no room any more.
        self.used.store(usize::MAX, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Waits at most `limit` for the writer to end; whether it has.
    pub(super) fn finished_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !state.finished {
            let left = deadline.saturating_duration_since(Instant::now());
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

    fn block(length: usize) -> Message {
        Message::Block(Block {
            tap: 1,
            from: Origin::Client,
            at: Instant::now(),
            bytes: vec![0; length].into(),
            skipped: [0, 0],
        })
    }

    #[test]
    fn room_is_bounded_in_bytes_until_what_was_taken_is_written() {
        let queue = Queue::new(1_000);
        let cost = Message::block_cost(400);
        assert!(queue.reserve(cost));
        queue.put(block(400));
        assert!(!queue.reserve(cost), "two of them do not fit");

        let taken = queue.take().unwrap();
        assert!(!queue.reserve(cost), "under way counts as in the queue");
        queue.release(&taken[0]);

        assert!(queue.reserve(cost));
    }

    #[test]
    fn empty_queue_takes_a_block_that_is_larger_than_it() {
        let queue = Queue::new(1_000);
        assert!(queue.reserve(Message::block_cost(50_000)));
        assert!(!queue.reserve(Message::block_cost(1)));
    }

    #[test]
    fn what_was_put_before_the_close_is_taken_after_it() {
        let queue = Queue::new(1_000);
        queue.put(block(1));
        queue.close();

        assert_eq!(queue.take().unwrap().len(), 1);
        assert!(queue.take().is_none());
        assert!(!queue.finished_within(Duration::from_millis(1)));
        queue.finish();
        assert!(queue.finished_within(Duration::from_secs(60)));
        queue.put(block(1));
        assert!(queue.take().is_none(), "nobody would write it");
        assert!(!queue.reserve(Message::block_cost(1)));
    }
}
