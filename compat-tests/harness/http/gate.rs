//! A gate at which a back end waits until the case lets it through.

use std::sync::{Arc, Condvar, Mutex};

use crate::harness::{Deadline, until};

/// Copies are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<Places>, Condvar)>);

#[derive(Default)]
struct Places {
    arrived: usize,
    passes: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Waits until the gate is open, or one may pass.
    pub(crate) fn wait(&self) {
        let deadline = Deadline::usual();
        let (places, changed) = &*self.0;
        let mut places = places.lock().expect("the gate");
        places.arrived += 1;
        while !places.open && places.passes == 0 && !deadline.passed() {
            (places, _) = changed
                .wait_timeout(places, deadline.left())
                .expect("the gate");
        }
        places.passes = places.passes.saturating_sub(1);
    }

    /// Opens it for good.
    pub(crate) fn open(&self) {
        self.0.0.lock().expect("the gate").open = true;
        self.0.1.notify_all();
    }

    /// Lets one through, now or later.
    pub(crate) fn pass(&self) {
        self.0.0.lock().expect("the gate").passes += 1;
        self.0.1.notify_all();
    }

    /// How many have come to the gate so far.
    pub(crate) fn arrived(&self) -> usize {
        self.0.0.lock().expect("the gate").arrived
    }

    /// Waits until `count` have come to the gate.
    #[track_caller]
    pub(crate) fn await_arrived(&self, count: usize) {
        until(&format!("{count} are at the gate"), || {
            self.arrived() >= count
        });
    }
}
