//! Marks that say which services have something new to publish, so that the
//! others cost nothing and a daemon at rest sleeps.
//!
//! Whoever changes a number of a service marks it; the one publisher takes the
//! marks. While the publisher sleeps the first mark wakes it, later ones are a
//! load each:
//!
//! ```text
//!   worker                              publisher
//!   number := new        (relaxed)      asleep := true       (seq-cst)
//!   mark set?            (relaxed)      any mark set?        (seq-cst)
//!     no: mark := set    (seq-cst)        no: sleep until woken
//!         asleep? wake   (seq-cst)        yes: asleep := false, publish
//! ```
//!
//! Either the worker sees the sleeper or the sleeper sees the mark. A number
//! may still be on its way when its mark is found to be set already, so a
//! service is published once more a round after its last mark.

use std::array;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};

use crate::base::bits::{WORD, bit, positions};
use crate::base::id::BackendId;

/// Whether the publisher sleeps, and what wakes it.
#[derive(Default)]
pub struct Sleeper {
    asleep: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Sleeper {
    /// Says how the publisher is woken, from any thread: without blocking, and
    /// so that it is remembered when it comes before the publisher waits. Only
    /// what is said first counts.
    pub fn wakes_by(&self, wake: impl Fn() + Send + Sync + 'static) {
        // There is one publisher, so nobody loses by this.
        let _ = self.wake.set(Box::new(wake));
    }

    /// The next mark is to wake the publisher. Look at the marks afterwards and
    /// sleep only if none is set.
    pub fn lies_down(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The publisher looks at the marks by itself again.
    pub fn gets_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Wakes the publisher once for each time that it lay down.
    fn rouse(&self) {
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }
}

impl fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleeper")
            .field("asleep", &self.asleep)
            .finish_non_exhaustive()
    }
}

/// Whether something about one service has changed since it was published.
///
/// It stands on cache lines of its own: all workers read it for nearly
/// everything they do, so nothing that is written often may lie beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ChangeMark {
    set: AtomicBool,
    sleeper: Arc<Sleeper>,
}

impl ChangeMark {
    /// The mark of a service that `sleeper` publishes.
    pub fn new(sleeper: Arc<Sleeper>) -> Self {
        Self {
            set: AtomicBool::new(false),
            sleeper,
        }
    }

    /// Something changed. Nearly always this is a load: the mark stays set
    /// until the next round.
    pub fn set(&self) {
        if !self.set.load(Ordering::Relaxed) {
            self.set.store(true, Ordering::SeqCst);
            self.sleeper.rouse();
        }
    }

    /// Whether something changed that was not taken yet.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    /// Whether something changed since the last call. For the publisher only.
    pub fn take(&self) -> bool {
        self.is_set() && self.set.swap(false, Ordering::SeqCst)
    }
}

/// For which back ends of a service something was moved since the publisher
/// looked last. The counters of the workers lie far apart in memory, so most of
/// what it costs to publish a back end is to read those.
#[derive(Debug, Default)]
pub struct Touched {
    groups: Box<[Group]>,
    mark: Arc<ChangeMark>,
}

/// The bits of 1,024 back ends. As with [`ChangeMark`], all workers read them
/// for nearly everything they do.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Group([AtomicU64; WORDS]);

const WORDS: usize = 16;

impl Touched {
    /// None of so many back ends of the service with this mark.
    pub fn new(backends: usize, mark: Arc<ChangeMark>) -> Self {
        let groups = backends.div_ceil(WORD * WORDS);
        let groups = (0..groups).map(|_| Group::default()).collect();
        Self { groups, mark }
    }

    /// The mark of the service.
    pub fn mark(&self) -> &Arc<ChangeMark> {
        &self.mark
    }

    /// Something was moved for `backend`. Nearly always these are two loads.
    pub fn touch(&self, backend: BackendId) {
        let at = backend.index();
        let group = self.groups.get(at / WORD / WORDS);
        let Some(word) = group.map(|group| &group.0[at / WORD % WORDS]) else {
            return;
        };
        if word.load(Ordering::Relaxed) & bit(at) == 0 {
            word.fetch_or(bit(at), Ordering::SeqCst);
            // With the one in `take`: the publisher finds the bit, or the mark is
            // found to be taken.
            fence(Ordering::SeqCst);
        }
        // Also when the bit is set: who set it may not have come to this.
        self.mark.set();
    }

    /// Forgets the back ends that were touched and calls `each` with them, after
    /// the mark was taken. A number may still be on its way when the bit of its
    /// back end is found to be set already, so `settling` keeps what was called
    /// for, and it is called for once more the next time.
    pub fn take(&self, settling: &mut Settling, mut each: impl FnMut(BackendId)) {
        fence(Ordering::SeqCst);
        settling.0.resize_with(self.groups.len(), Default::default);
        for (at, (group, before)) in self.groups.iter().zip(&mut settling.0).enumerate() {
            let now = array::from_fn(|word| taken(&group.0[word]));
            let before = std::mem::replace(before, now);
            for word in 0..WORDS {
                let number = at * WORDS + word;
                positions(number, now[word] | before[word])
                    .for_each(|index| each(BackendId(index as u32)));
            }
        }
    }
}

/// For which back ends [`Touched::take`] was called for the last time.
#[derive(Debug, Default)]
pub struct Settling(Vec<[u64; WORDS]>);

fn taken(word: &AtomicU64) -> u64 {
    match word.load(Ordering::Relaxed) {
        0 => 0,
        _ => word.swap(0, Ordering::SeqCst),
    }
}

/// How many of some things were lost since the start, by whatever thread at
/// whatever moment.
#[derive(Debug, Default)]
pub struct Losses {
    count: AtomicU64,
    mark: OnceLock<Arc<ChangeMark>>,
}

impl Losses {
    /// Has each further loss set the mark of the service it is published with.
    /// Only what is said first counts.
    pub fn mark_by(&self, mark: &Arc<ChangeMark>) {
        // A service is made once with what belongs to it.
        let _ = self.mark.set(Arc::clone(mark));
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        if more == 0 {
            return;
        }
        // Before the mark is looked at, also in the eyes of the compiler.
        self.count.fetch_add(more, Ordering::SeqCst);
        if let Some(mark) = self.mark.get() {
            mark.set();
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn counted() -> (Arc<Sleeper>, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let sleeper = Sleeper::default();
        sleeper.wakes_by(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        (Arc::new(sleeper), woken)
    }

    #[test]
    fn mark_is_taken_once() {
        let mark = ChangeMark::default();
        mark.set();
        mark.set();

        assert!(mark.take());
        assert!(!mark.take());
    }

    #[test]
    fn first_mark_of_any_service_wakes_who_lies_down_and_later_ones_do_not() {
        let (sleeper, woken) = counted();
        let marks = [(); 2].map(|()| ChangeMark::new(Arc::clone(&sleeper)));
        sleeper.lies_down();

        marks[1].set();
        marks[0].set();
        marks[1].set();

        assert_eq!(woken.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn losses_set_the_mark_and_none_does_not() {
        let mark = Arc::new(ChangeMark::default());
        let losses = Losses::default();
        losses.add(1);
        losses.mark_by(&mark);

        losses.add(0);
        assert!(!mark.is_set());
        losses.add(2);

        assert!(mark.is_set());
        assert_eq!(losses.count(), 3);
    }

    #[test]
    fn who_was_touched_is_taken_twice_and_marks_the_service() {
        let mark = Arc::new(ChangeMark::default());
        let touched = Touched::new(2_000, Arc::clone(&mark));
        let mut settling = Settling::default();
        let mut taken = || {
            let mut all = Vec::new();
            touched.take(&mut settling, |backend| all.push(backend.index()));
            all
        };
        assert_eq!(taken(), [0; 0]);

        for index in [1_999, 0, 64, 0] {
            touched.touch(BackendId(index));
        }

        assert!(mark.take());
        assert_eq!(taken(), [0, 64, 1_999]);
        touched.touch(BackendId(63));
        assert!(mark.take());
        assert_eq!(taken(), [0, 63, 64, 1_999]);
        assert_eq!(taken(), [63]);
        assert_eq!(taken(), [0; 0]);
        assert!(!mark.is_set());
    }

    #[test]
    fn nobody_is_woken_who_is_up() {
        let (sleeper, woken) = counted();
        let mark = ChangeMark::new(Arc::clone(&sleeper));

        mark.set();
        sleeper.lies_down();
        sleeper.gets_up();
        mark.take();
        mark.set();

        assert_eq!(woken.load(Ordering::SeqCst), 0);
    }
}
