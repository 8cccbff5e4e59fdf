//! The places of a service: how many client connections it has, and whether
//! one more fits.
//!
//! A place is taken before the client is accepted, so that the surplus waits in
//! the kernel's queue and nobody is accepted only to be turned away. All workers
//! share one [`Admission`]; it is exact whatever they do at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::quantity::ConnectionLimit;

/// The places of one service, shared by all workers.
///
/// Source: documented (`maxconnections` of a service); waiting decided (8.1).
#[derive(Debug)]
pub struct Admission {
    limit: ConnectionLimit,
    // SeqCst throughout: a worker that found no place notes that it waits and
    // asks again, another gives a place back and looks who waits. With a weaker
    // order each could miss what the other did, and a client would be stranded.
    active: AtomicU64,
}

impl Admission {
    /// No client yet, and room for `limit` of them.
    pub fn new(limit: ConnectionLimit) -> Self {
        Self {
            limit,
            active: AtomicU64::new(0),
        }
    }

    /// Takes one place; `false` when all are taken. Whoever took one owes one
    /// [`Admission::give_back`].
    pub fn try_take(&self) -> bool {
        let one_more = |active| self.limit.admits(active).then_some(active + 1);
        self.active
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
    }

    /// Gives back one place that was taken. What comes back is how many were
    /// taken until then, this one included.
    pub fn give_back(&self) -> u64 {
        let before = self.active.fetch_sub(1, Ordering::SeqCst);
        debug_assert!(before > 0, "a place was given back that nobody took");
        before
    }

    /// How many places are taken now.
    pub fn active(&self) -> u64 {
        self.active.load(Ordering::SeqCst)
    }

    /// The limit that it was made with.
    pub fn limit(&self) -> ConnectionLimit {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn places_end_at_the_limit_and_come_back() {
        let places = Admission::new(ConnectionLimit::new(2));

        assert!(places.try_take());
        assert!(places.try_take());
        assert!(!places.try_take());
        assert_eq!(places.active(), 2);

        places.give_back();
        assert!(places.try_take());
        assert!(!places.try_take());
    }

    #[test]
    fn without_a_limit_there_is_always_a_place() {
        let places = Admission::new(ConnectionLimit::NONE);

        assert!((0..10_000).all(|_| places.try_take()));
        assert_eq!(places.active(), 10_000);
    }

    #[test]
    fn racing_workers_get_exactly_the_places_there_are() {
        const WORKERS: u64 = 8;
        const LIMIT: u32 = 1_000;
        let places = Admission::new(ConnectionLimit::new(LIMIT));
        let start = Barrier::new(WORKERS as usize);
        let race = || {
            start.wait();
            (0..LIMIT).filter(|_| places.try_take()).count() as u64
        };

        let taken: u64 = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(race)).collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });

        assert_eq!(taken, u64::from(LIMIT));
        assert_eq!(places.active(), u64::from(LIMIT));
    }

    #[test]
    fn limit_holds_at_every_moment_while_places_come_and_go() {
        const WORKERS: usize = 4;
        const LIMIT: u64 = 3;
        let places = Admission::new(ConnectionLimit::new(LIMIT as u32));
        let inside = AtomicU64::new(0);
        let start = Barrier::new(WORKERS);
        let work = || {
            start.wait();
            let mut most = 0;
            for _ in 0..5_000 {
                if places.try_take() {
                    most = most.max(inside.fetch_add(1, Ordering::SeqCst) + 1);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    places.give_back();
                }
            }
            most
        };

        let most = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|w| w.join().unwrap()).max()
        });

        assert!(most.unwrap() <= LIMIT);
        assert_eq!(places.active(), 0);
    }
}
