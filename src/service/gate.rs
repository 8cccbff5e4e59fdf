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
    free: AtomicI64,
    waiters: WaitList,
}

impl Descriptors {
    /// What is kept back for look-ups, control connections and the like.
    pub const RESERVE: u64 = 12;

    /// A budget of what `limit` leaves beside `open` ones and the reserve.
    pub fn new(limit: u64, open: u64) -> Self {
        let free = limit.saturating_sub(open).saturating_sub(Self::RESERVE);
        Self {
            free: AtomicI64::new(i64::try_from(free).unwrap_or(i64::MAX)),
            waiters: WaitList::default(),
        }
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

    /// Takes what a pipe needs, if it leaves enough for another client.
    pub fn try_take_pipe(&self) -> bool {
        // A pipe only makes a connection cheaper; a client needs its place.
        if self.free.load(Ordering::Relaxed) < DESCRIPTORS_PER_PIPE + DESCRIPTORS_PER_CLIENT {
            return false;
        }
        self.try_take(DESCRIPTORS_PER_PIPE)
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

    /// Takes a place, or notes that `waiter` wants one.
    ///
    /// # Errors
    ///
    /// [`NoPlace`] says what is lacking; the waiter is resumed when that changes.
    pub fn take(&self, waiter: &Waiter) -> Result<(), NoPlace> {
        let Err(lacking) = self.try_take() else {
            return Ok(());
        };
        match lacking {
            NoPlace::ServiceFull => self.waiters.add(waiter.clone()),
            NoPlace::OutOfDescriptors => self.descriptors.waiters.add(waiter.clone()),
        }
        self.try_take()
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
        let was_full = !self.limit.admits(self.admission.active());
        self.admission.give_back();
        if was_full {
            self.full.still_there();
        }
        self.waiters.wake();
        self.descriptors.give_back(DESCRIPTORS_PER_CLIENT);
    }

    /// Whether the warning for `lacking` is to be written now: once an episode.
    pub fn begins_episode(&self, lacking: NoPlace) -> bool {
        match lacking {
            NoPlace::ServiceFull => self.full.begins(),
            NoPlace::OutOfDescriptors => self.out_of_descriptors.begins(),
        }
    }
}

/// A condition that is reported when it begins, and again only after it has
/// been away for a while.
struct Episode {
    quiet: Duration,
    last: Mutex<Option<Instant>>,
}

impl Episode {
    fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            last: Mutex::new(None),
        }
    }

    fn begins(&self) -> bool {
        let now = Instant::now();
        let before = lock(&self.last).replace(now);
        before.is_none_or(|last| now.duration_since(last) >= self.quiet)
    }

    fn still_there(&self) {
        *lock(&self.last) = Some(Instant::now());
    }
}

/// The place of one client in its service; given back when dropped.
pub struct ServicePermit(Rc<ServiceAtWorker>);

impl ServicePermit {
    /// Takes over a place that [`Gate::take`] has given.
    pub fn of_taken(service: Rc<ServiceAtWorker>) -> Self {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limit: u32, descriptors: u64) -> Gate {
        let budget = Descriptors::new(descriptors + Descriptors::RESERVE, 0);
        Gate::new(
            ConnectionLimit::new(limit),
            Arc::new(budget),
            Duration::from_secs(60),
        )
    }

    #[test]
    fn what_is_lacking_is_said_and_nothing_is_kept() {
        let full = gate(1, 100);
        assert_eq!(full.try_take(), Ok(()));
        assert_eq!(full.try_take(), Err(NoPlace::ServiceFull));
        assert_eq!(full.descriptors.free.load(Ordering::SeqCst), 98);

        let bare = gate(0, 3);
        assert_eq!(bare.try_take(), Ok(()));
        assert_eq!(bare.try_take(), Err(NoPlace::OutOfDescriptors));
        assert_eq!(bare.active(), 1);
        assert_eq!(bare.descriptors.free.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn pipe_leaves_room_for_a_client() {
        let gate = gate(0, 5);

        assert!(gate.descriptors.try_take_pipe());
        assert!(!gate.descriptors.try_take_pipe());

        gate.descriptors.give_back_pipe();
        assert!(gate.descriptors.try_take_pipe());
    }

    #[test]
    fn warning_is_due_once_an_episode() {
        let episode = Episode::new(Duration::from_secs(60));
        assert!(episode.begins());
        assert!(!episode.begins());

        let short = Episode::new(Duration::ZERO);
        assert!(short.begins());
        assert!(short.begins());
    }
}
