//! The places of clients: of one service, and of descriptors for the daemon.
//!
//! A place is taken before the accept, so that no client is accepted who can't
//! be served. Whoever finds no place notes that it waits *before* it looks a
//! second time, and whoever gives a place back looks for waiters *after* that:
//! so a place that becomes free is never missed.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::quantity::ConnectionLimit;
use crate::policy::admission::Admission;
use crate::relay::host::{ListenerId, Order};
use crate::relay::mailbox::EngineHandle;
use crate::service::connection::ServiceAtWorker;

/// What one client needs: its own socket and one to a back end.
const DESCRIPTORS_PER_CLIENT: i64 = 2;

/// What one pipe needs.
const DESCRIPTORS_PER_PIPE: i64 = 2;

/// What a connection to a back end needs that no client has at the moment.
const DESCRIPTORS_PER_IDLE: i64 = 1;

/// A listener of a worker that paused for want of a place.
type Waiter = (EngineHandle, ListenerId);

/// Listeners that wait for something to become free.
#[derive(Default)]
struct WaitList {
    anybody: AtomicBool,
    waiting: Mutex<Vec<Waiter>>,
}

impl WaitList {
    fn add(&self, waiter: Waiter) {
        lock(&self.waiting).push(waiter);
        self.anybody.store(true, Ordering::SeqCst);
    }

    fn wake(&self) {
        if !self.anybody.load(Ordering::SeqCst) {
            return;
        }
        let woken = {
            let mut waiting = lock(&self.waiting);
            self.anybody.store(false, Ordering::SeqCst);
            std::mem::take(&mut *waiting)
        };
        for (engine, listener) in woken {
            engine.send(Order::Resume(listener));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Descriptors of the process that connections may still use.
pub struct Descriptors {
    total: i64,
    free: AtomicI64,
    waiters: WaitList,
}

impl Descriptors {
    /// What is kept back for look-ups, control connections and the like.
    pub const RESERVE: u64 = 12;

    /// A budget of what `limit` leaves beside `open` ones and the reserve.
    pub fn new(limit: u64, open: u64) -> Self {
        let free = limit.saturating_sub(open).saturating_sub(Self::RESERVE);
        let total = i64::try_from(free).unwrap_or(i64::MAX);
        Self {
            total,
            free: AtomicI64::new(total),
            waiters: WaitList::default(),
        }
    }

    /// How many descriptors a daemon with `open` ones needs to serve a client.
    pub fn needed(open: u64) -> u64 {
        open + Self::RESERVE + DESCRIPTORS_PER_CLIENT.unsigned_abs()
    }

    fn try_take(&self, wanted: i64) -> bool {
        self.free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| {
                (free >= wanted).then_some(free - wanted)
            })
            .is_ok()
    }

    fn give_back(&self, taken: i64) {
        self.free.fetch_add(taken, Ordering::SeqCst);
        self.waiters.wake();
    }

    /// Takes what a pipe needs, while it leaves half of all to clients.
    pub fn try_take_pipe(&self) -> bool {
        self.try_take_spare(DESCRIPTORS_PER_PIPE)
    }

    /// Takes what only makes a connection cheaper: a client needs its place, and
    /// this is kept open for the next user.
    fn try_take_spare(&self, wanted: i64) -> bool {
        let left = self.free.load(Ordering::Relaxed) - wanted;
        left >= DESCRIPTORS_PER_CLIENT.max(self.total / 2) && self.try_take(wanted)
    }

    /// Takes what an idle connection to a back end needs, while it leaves half
    /// of all to clients.
    pub fn try_take_idle(&self) -> bool {
        self.try_take_spare(DESCRIPTORS_PER_IDLE)
    }

    /// Gives back what an idle connection needed.
    pub fn give_back_idle(&self) {
        self.give_back(DESCRIPTORS_PER_IDLE);
    }

    /// Gives back what a pipe needed.
    pub fn give_back_pipe(&self) {
        self.give_back(DESCRIPTORS_PER_PIPE);
    }
}

/// Why there is no place for a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoPlace {
    /// The service has its `maxconnections`.
    ServiceFull,
    /// The process has no two descriptors left.
    OutOfDescriptors,
}

/// The way into one service, shared by all workers.
pub struct Gate {
    admission: Admission,
    limit: ConnectionLimit,
    descriptors: Arc<Descriptors>,
    waiters: WaitList,
    full: Episode,
    out_of_descriptors: Episode,
}

impl Gate {
    /// The way into a service with `limit` places; a warning is said again when
    /// its cause has been away for `quiet`.
    pub fn new(limit: ConnectionLimit, descriptors: Arc<Descriptors>, quiet: Duration) -> Self {
        Self {
            admission: Admission::new(limit),
            limit,
            descriptors,
            waiters: WaitList::default(),
            full: Episode::new(quiet),
            out_of_descriptors: Episode::new(quiet),
        }
    }

    /// How many clients have a place now.
    pub fn active(&self) -> u64 {
        self.admission.active()
    }

    /// The limit of clients.
    pub fn limit(&self) -> ConnectionLimit {
        self.limit
    }

    /// Whether the service has its `maxconnections` now.
    pub fn is_full(&self) -> bool {
        !self.limit.admits(self.admission.active())
    }

    /// Takes a place, or notes that `waiter` wants one.
    ///
    /// # Errors
    ///
    /// [`NoPlace`] says what is lacking; the waiter is resumed when that changes.
    pub fn take(&self, waiter: &Waiter) -> Result<(), NoPlace> {
        self.take_while(waiter, || {})
    }

    /// `meanwhile` stands for what others do between a look that found no place
    /// and the note of it.
    fn take_while(&self, waiter: &Waiter, meanwhile: impl Fn()) -> Result<(), NoPlace> {
        let Err(mut lacking) = self.try_take() else {
            return Ok(());
        };
        loop {
            meanwhile();
            match lacking {
                NoPlace::ServiceFull => self.waiters.add(waiter.clone()),
                NoPlace::OutOfDescriptors => self.descriptors.waiters.add(waiter.clone()),
            }
            match self.try_take() {
                Ok(()) => return Ok(()),
                Err(still) if still == lacking => return Err(still),
                // What was lacking has come, and something else has gone: who
                // waits on the wrong list alone may never be woken.
                Err(other) => lacking = other,
            }
        }
    }

    fn try_take(&self) -> Result<(), NoPlace> {
        if !self.descriptors.try_take(DESCRIPTORS_PER_CLIENT) {
            return Err(NoPlace::OutOfDescriptors);
        }
        if self.admission.try_take() {
            return Ok(());
        }
        self.descriptors.give_back(DESCRIPTORS_PER_CLIENT);
        Err(NoPlace::ServiceFull)
    }

    /// Gives a place back and wakes who waits for one.
    pub fn give_back(&self) {
        // Both parts of the place are free before anybody is woken, or who is
        // woken by the one would find the other lacking.
        self.descriptors
            .free
            .fetch_add(DESCRIPTORS_PER_CLIENT, Ordering::SeqCst);
        if !self.limit.admits(self.admission.give_back()) {
            self.full.ends();
        }
        self.waiters.wake();
        self.descriptors.waiters.wake();
    }

    /// Whether the warning for `lacking` is to be written now: once an episode.
    pub fn begins_episode(&self, lacking: NoPlace) -> bool {
        match lacking {
            NoPlace::ServiceFull => self.full.begins(|| self.is_full()),
            // Other services give descriptors back as well, so nobody here
            // sees the end: an episode is over when nothing is lacking for long.
            NoPlace::OutOfDescriptors => self.out_of_descriptors.begins(|| false),
        }
    }
}

/// A condition that is reported when it begins, and again only after it has
/// been away for a while.
struct Episode {
    quiet: Duration,
    seen: Mutex<Seen>,
}

/// When a condition was there last, as far as it was reported.
#[derive(Clone, Copy)]
enum Seen {
    Never,
    Still,
    Until(Instant),
}

impl Episode {
    fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            seen: Mutex::new(Seen::Never),
        }
    }

    /// The condition was met; whether that has to be reported. `lasts` says
    /// whether it is there still: its end may have come first.
    fn begins(&self, lasts: impl FnOnce() -> bool) -> bool {
        let mut seen = lock(&self.seen);
        let due = match *seen {
            Seen::Never => true,
            Seen::Still => false,
            Seen::Until(last) => last.elapsed() >= self.quiet,
        };
        *seen = if lasts() {
            Seen::Still
        } else {
            Seen::Until(Instant::now())
        };
        due
    }

    /// The condition was there until now. One that nobody met, and so was not
    /// reported, is no reason to keep silent about the next.
    fn ends(&self) {
        let mut seen = lock(&self.seen);
        *seen = match *seen {
            Seen::Never => Seen::Never,
            Seen::Until(last) if last.elapsed() >= self.quiet => Seen::Never,
            Seen::Until(_) | Seen::Still => Seen::Until(Instant::now()),
        };
    }
}

/// The place of one client in its service; given back when dropped.
pub struct ServicePermit(Rc<ServiceAtWorker>);

impl ServicePermit {
    /// Takes over a place that [`Gate::take`] has given.
    pub fn of_taken(service: Rc<ServiceAtWorker>) -> Self {
        service.running.mark();
        Self(service)
    }

    /// The service that the place is in.
    pub fn service(&self) -> &Rc<ServiceAtWorker> {
        &self.0
    }
}

impl Drop for ServicePermit {
    fn drop(&mut self) {
        self.0.running.gate().give_back();
        self.0.running.mark();
    }
}

#[cfg(test)]
mod tests;
