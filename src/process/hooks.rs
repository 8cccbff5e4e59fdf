//! Runs hooks: those of one client connection in order, those of different
//! ones side by side, a bounded number at once and a bounded number waiting.
//!
//! ```text
//!  begin, push ──► chain of the connection ──► ready ──► running (at most 64)
//!  push_reserved ─►   (its second hook waits      ▲          │
//!                      for the end of the first)  └── next ──┘ ended
//! ```
//!
//! The place of an `onend` is reserved together with its `onstart`: whoever
//! was let in by [`HookQueue::begin`] may push one more, however full the
//! queue is by then. So the end alone is never dropped.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::base::limits::{HOOKS_RUNNING, HOOKS_WAITING};
use crate::process::account::Account;
use crate::process::spawn::{Program, Streams};

/// Which hook of a back end it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HookKind {
    /// A connection was made.
    OnStart,
    /// An established connection ended.
    OnEnd,
    /// The back end could not be reached.
    OnFail,
}

impl HookKind {
    /// The word of its directive.
    pub fn word(self) -> &'static str {
        match self {
            Self::OnStart => "onstart",
            Self::OnEnd => "onend",
            Self::OnFail => "onfail",
        }
    }
}

/// Who hears how hooks fared, and whose account they run as. Called from the
/// thread of programs.
pub trait HookOwner: Send + Sync {
    /// The account to run as, if not the daemon's own.
    fn account(&self) -> Option<&Account>;
    /// A hook could not be started; nothing was run.
    fn not_run(&self, hook: HookKind, error: &io::Error);
    /// A hook ran into the limit and was terminated.
    fn overdue(&self, hook: HookKind, limit: Duration);
    /// A hook ended with another exit status than 0.
    fn failed(&self, hook: HookKind, status: i32);
}

/// One hook to be run.
pub struct Hook {
    /// Which one.
    pub kind: HookKind,
    /// Its command line, expanded.
    pub line: Vec<u8>,
    /// Who hears how it fared.
    pub owner: Arc<dyn HookOwner>,
}

/// What hooks have in common that run one after another: a client connection.
pub type Chain = u32;

/// How many, and how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HookLimits {
    /// Hooks that run at once.
    pub running: usize,
    /// Hooks that wait, without those whose place was reserved.
    pub waiting: usize,
    /// How long one may run before SIGTERM.
    pub time: Duration,
    /// How long after that before SIGKILL.
    pub kill: Duration,
}

impl HookLimits {
    /// The numbers of the specification with these times.
    ///
    /// Source: decided (11.1, 11.2).
    pub fn new(time: Duration, kill: Duration) -> Self {
        Self {
            running: HOOKS_RUNNING,
            waiting: HOOKS_WAITING,
            time,
            kill,
        }
    }
}

/// The queue of all hooks of a daemon.
#[derive(Clone)]
pub struct HookQueue(Arc<Inner>);

struct Inner {
    runtime: Handle,
    limits: HookLimits,
    state: Mutex<State>,
    emptied: Notify,
}

#[derive(Default)]
struct State {
    running: usize,
    /// Those of them that were not begun yet.
    starting: usize,
    /// Those in `ready` and `chains`.
    waiting: usize,
    /// Whose turn it is in their chain.
    ready: VecDeque<(Chain, Hook)>,
    /// Chains with a hook that is ready or runs, and those that wait for it.
    chains: HashMap<Chain, VecDeque<Hook>>,
    /// Nothing is taken or begun any more.
    closed: bool,
}

impl State {
    fn all_begun(&self) -> bool {
        self.waiting == 0 && self.starting == 0
    }
}

/// The queue is full, or closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl HookQueue {
    /// A queue whose hooks run on `runtime`.
    pub fn new(runtime: Handle, limits: HookLimits) -> Self {
        Self(Arc::new(Inner {
            runtime,
            limits,
            state: Mutex::default(),
            emptied: Notify::new(),
        }))
    }

    /// Queues the first hook of a pair, if it has one, and reserves the place
    /// of the second.
    ///
    /// # Errors
    ///
    /// [`Full`]: then the whole pair is to be dropped.
    ///
    /// Source: decided (11.2).
    pub fn begin(&self, chain: Chain, first: Option<Hook>) -> Result<(), Full> {
        let mut state = self.0.lock();
        self.0.check_room(&state)?;
        if let Some(hook) = first {
            Inner::push(&self.0, &mut state, chain, hook);
        }
        Ok(())
    }

    /// Queues a hook without a pair.
    ///
    /// # Errors
    ///
    /// [`Full`]: it is to be dropped.
    pub fn push(&self, chain: Chain, hook: Hook) -> Result<(), Full> {
        self.begin(chain, Some(hook))
    }

    /// Queues the second hook of a pair that [`HookQueue::begin`] let in.
    pub fn push_reserved(&self, chain: Chain, hook: Hook) {
        let mut state = self.0.lock();
        if !state.closed {
            Inner::push(&self.0, &mut state, chain, hook);
        }
    }

    /// Waits until every hook was begun. Safe to cancel.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.0.lock().all_begun() {
                return;
            }
            emptied.await;
        }
    }

    /// Drops what still waits and takes nothing any more; how many those were.
    /// Hooks that run go on by themselves.
    pub fn abandon(&self) -> usize {
        let mut state = self.0.lock();
        state.closed = true;
        state.ready.clear();
        state.chains.clear();
        let dropped = std::mem::take(&mut state.waiting);
        self.0.emptied.notify_waiters();
        dropped
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_room(&self, state: &State) -> Result<(), Full> {
        match !state.closed && state.waiting < self.limits.waiting {
            true => Ok(()),
            false => Err(Full),
        }
    }

    fn push(this: &Arc<Self>, state: &mut State, chain: Chain, hook: Hook) {
        state.waiting += 1;
        match state.chains.get_mut(&chain) {
            Some(followers) => followers.push_back(hook),
            None => {
                state.chains.insert(chain, VecDeque::new());
                state.ready.push_back((chain, hook));
                Self::begin_ready(this, state);
            }
        }
    }

    /// Begins as many hooks as may run.
    fn begin_ready(this: &Arc<Self>, state: &mut State) {
        while state.running < this.limits.running {
            let Some((chain, hook)) = state.ready.pop_front() else {
                break;
            };
            state.waiting -= 1;
            state.running += 1;
            state.starting += 1;
            this.runtime.spawn(run(Arc::clone(this), chain, hook));
        }
    }

    /// A hook was begun, or can't be.
    fn begun(&self) {
        let mut state = self.lock();
        state.starting -= 1;
        if state.all_begun() {
            self.emptied.notify_waiters();
        }
    }

    /// A hook of `chain` has ended: its follower may run.
    fn ended(this: &Arc<Self>, chain: Chain) {
        let mut state = this.lock();
        state.running -= 1;
        match state.chains.get_mut(&chain).map(VecDeque::pop_front) {
            Some(Some(next)) => state.ready.push_back((chain, next)),
            Some(None) => {
                state.chains.remove(&chain);
            }
            None => {}
        }
        Self::begin_ready(this, &mut state);
    }
}

/// A hook's place among those that run; given back whatever happens once it
/// has begun. Not before: a runtime that is ending drops a hook where it is
/// handed over, under the lock that giving back needs.
struct Turn {
    queue: Arc<Inner>,
    chain: Chain,
}

impl Drop for Turn {
    fn drop(&mut self) {
        Inner::ended(&self.queue, self.chain);
    }
}

async fn run(queue: Arc<Inner>, chain: Chain, hook: Hook) {
    let turn = Turn { queue, chain };
    let Hook { kind, line, owner } = hook;
    let limits = turn.queue.limits;
    let started = Program::start(&line, owner.account(), Streams::Nothing);
    turn.queue.begun();
    let mut program = match started {
        Ok(program) => program,
        Err(error) => return owner.not_run(kind, &error),
    };
    let ended = match timeout(limits.time, program.ended()).await {
        Ok(ended) => ended,
        Err(_) => {
            owner.overdue(kind, limits.time);
            return program.terminate(limits.kill).await;
        }
    };
    match ended.map(|status| status.code().unwrap_or_else(|| by_signal(status))) {
        Ok(0) => {}
        Ok(status) => owner.failed(kind, status),
        Err(error) => owner.not_run(kind, &error),
    }
}

/// As shells count it.
fn by_signal(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.signal().map_or(-1, |number| 128 + number)
}

#[cfg(test)]
mod tests;
