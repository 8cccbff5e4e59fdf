//! A program that lives as long as its service and talks in lines.
//!
//! It is told things ([`Resident::tell`]) and asked things ([`Resident::ask`]),
//! one line each on its standard input; an answer is a line `ID ANSWER` on its
//! standard output, in any order. It is never waited for: what it does not
//! read is kept up to a limit and then dropped and counted, what it says
//! beside answers is thrown away. When it ends it is started again, after a
//! pause that doubles each time.
//!
//! ```text
//!            started            ended, flooded
//!  away ───────────────► running ───────────► away (0.1 s, 0.2 s … 30 s)
//!    ▲                                          │
//!    └────────────── pause over ────────────────┘
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::base::change::{ChangeMark, Losses};
use crate::process::account::Account;
use crate::process::question::{Fault, Question, Reply, Wake, question};

mod life;
mod lines;

use life::supervise;

/// Bytes that wait for a program that does not read.
const LONGEST_QUEUE: usize = 1 << 20;

/// The most that is written at once.
const LONGEST_WRITE: usize = 64 * 1024;

/// How long a program is left alone after it was told something, so that many
/// lines are one write and one wake-up; questions do not wait for that.
const REST: Duration = Duration::from_millis(10);

/// Descriptors of one program: both pipes and the handle of the process.
pub const DESCRIPTORS: usize = 3;

/// Whose program it is. Called from the thread of programs, [`behind`] from any.
///
/// [`behind`]: ResidentOwner::behind
pub trait ResidentOwner: Send + Sync {
    /// Its command line.
    fn command_line(&self) -> Vec<u8>;
    /// The account to run as, if not the daemon's own.
    fn account(&self) -> Option<&Account>;
    /// The first line that it is told, without its end.
    fn greeting(&self) -> Vec<u8>;
    /// It ended, for a reason in words, and is started again after `pause`.
    fn ended(&self, reason: &str, pause: Duration);
    /// It does not read; a line was dropped.
    fn behind(&self);
}

/// A resident program. Dropping it (all copies) ends the program.
#[derive(Clone)]
pub struct Resident(Arc<Handset>);

/// What is kept outside of the thread of programs.
struct Handset {
    shared: Arc<Shared>,
    /// `true`, or the end of it, dismisses the program.
    living: watch::Sender<bool>,
}

struct Shared {
    owner: Box<dyn ResidentOwner>,
    state: Mutex<State>,
    more: Notify,
    dropped: Losses,
    /// Never begins anew: late answers must not meet the questions of another
    /// life of the program.
    last_id: AtomicU64,
}

#[derive(Default)]
struct State {
    running: bool,
    /// Lines will be looked for without being told of them.
    resting: bool,
    queue: VecDeque<Vec<u8>>,
    /// Bytes in `queue`.
    queued: usize,
    open: HashMap<u64, Reply>,
}

impl Resident {
    /// Starts the program on `runtime` and keeps it alive; at the end it gets
    /// `patience` twice: to end by itself, and after SIGTERM.
    pub fn start(runtime: &Handle, owner: Box<dyn ResidentOwner>, patience: Duration) -> Self {
        let (living, end) = watch::channel(false);
        let shared = Arc::new(Shared {
            owner,
            // What it is told before it was started reaches it all the same.
            state: Mutex::new(State {
                running: true,
                ..State::default()
            }),
            more: Notify::new(),
            dropped: Losses::default(),
            last_id: AtomicU64::new(0),
        });
        let supervised = Arc::clone(&shared);
        runtime.spawn(supervise(supervised, end, patience));
        Self(Arc::new(Handset { shared, living }))
    }

    /// Tells it a line, without its end. Never waits; the line is dropped and
    /// counted when too much waits already, or nobody is there to read it.
    pub fn tell(&self, line: Vec<u8>) {
        let shared = &self.0.shared;
        let mut state = shared.lock();
        let result = state.push(line);
        let gathers = state.gathers();
        drop(state);
        match result {
            Ok(()) if gathers => {}
            Ok(()) => shared.more.notify_one(),
            Err(fault) => shared.lost(fault),
        }
    }

    /// Asks it: `line` makes the line for the number of the question. `wake` is
    /// called when the answer is there, which may be at once.
    pub fn ask(&self, line: impl FnOnce(u64) -> Vec<u8>, wake: Wake) -> Question {
        let shared = &self.0.shared;
        let (question, reply) = question(wake);
        let id = shared.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        // Before the lock: who makes the line may wait for somebody who is
        // about to tell something.
        let line = line(id);
        let mut state = shared.lock();
        match state.push(line) {
            Ok(()) => {
                state.forget_withdrawn();
                state.open.insert(id, reply);
                drop(state);
                shared.more.notify_one();
            }
            Err(fault) => {
                drop(state);
                shared.lost(fault);
                reply.answer(Err(fault));
            }
        }
        question
    }

    /// Ends the program, after it was told what waits, and waits until it has
    /// gone. It is not started again.
    pub async fn dismiss(&self) {
        self.0.living.send_replace(true);
        self.0.living.closed().await;
    }

    /// Has `mark` set whenever a line is dropped.
    pub fn mark_dropped(&self, mark: &Arc<ChangeMark>) {
        self.0.shared.dropped.mark_by(mark);
    }

    /// How many lines were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.shared.dropped.count()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, fault: Fault) {
        self.dropped.add(1);
        if fault == Fault::Behind {
            self.owner.behind();
        }
    }

    /// Empties everything that concerned the program that has gone.
    fn away(&self) {
        let state = std::mem::take(&mut *self.lock());
        let lost = state.queue.len() as u64;
        self.dropped.add(lost);
        // Dropping the open questions answers them.
    }
}

impl State {
    fn push(&mut self, mut line: Vec<u8>) -> Result<(), Fault> {
        if !self.running {
            return Err(Fault::NotRunning);
        }
        if self.queued + line.len() >= LONGEST_QUEUE {
            return Err(Fault::Behind);
        }
        line.push(b'\n');
        self.queued += line.len();
        self.queue.push_back(line);
        Ok(())
    }

    /// Whether lines may wait until the program was left alone for a while.
    fn gathers(&self) -> bool {
        self.resting && self.queued < LONGEST_QUEUE / 4
    }

    /// Puts a line before all others.
    fn greet(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.queued += line.len();
        self.queue.push_front(line);
    }

    /// Moves lines into `buffer`, as many as one write is to take. If those
    /// were all, more may gather while the program is left alone.
    fn take_lines(&mut self, buffer: &mut Vec<u8>) {
        let some = !self.queue.is_empty();
        while buffer.len() < LONGEST_WRITE
            && let Some(line) = self.queue.pop_front()
        {
            self.queued -= line.len();
            buffer.extend_from_slice(&line);
        }
        self.resting = some && self.queue.is_empty();
    }

    /// Questions that nobody waits for any more are forgotten from time to
    /// time, or a program that never answers would fill the table.
    fn forget_withdrawn(&mut self) {
        if self.open.len() == self.open.capacity() {
            self.open.retain(|_, reply| !reply.is_withdrawn());
        }
    }
}
#[cfg(test)]
mod tests;
