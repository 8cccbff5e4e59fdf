//! Counters of what passes for one back end, of connections that are still
//! running as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::time::Duration;

use crate::base::change::Touched;
use crate::base::id::BackendId;

/// What one worker has moved for one back end. Only that worker adds, so an
/// addition is a load and a store; anyone may read.
///
/// Each stands on cache lines of its own, so that workers do not slow each
/// other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Traffic {
    to_client: AtomicU64,
    to_backend: AtomicU64,
    requests: AtomicU64,
    replies: [AtomicU64; 5],
    first_byte_microseconds: AtomicU64,
    reused: AtomicU64,
    touched: Option<(Arc<Touched>, BackendId)>,
}

/// All adding is only for the worker that owns this.
impl Traffic {
    /// Counters of nothing yet for `backend`, one for each worker; what is added
    /// touches the back end.
    pub fn of_workers(
        workers: usize,
        touched: &Arc<Touched>,
        backend: BackendId,
    ) -> Vec<Arc<Self>> {
        let of_worker = |_| {
            Arc::new(Self {
                touched: Some((Arc::clone(touched), backend)),
                ..Self::default()
            })
        };
        (0..workers).map(of_worker).collect()
    }

    fn add(&self, counter: &AtomicU64, amount: u64) {
        let sum = counter.load(Ordering::Relaxed).wrapping_add(amount);
        counter.store(sum, Ordering::Relaxed);
        // The processor stores it soon; the compiler could leave it for later than
        // the look at the bit, where the worker may lose the processor for long.
        compiler_fence(Ordering::SeqCst);
        if let Some((touched, backend)) = &self.touched {
            touched.touch(*backend);
        }
    }

    /// Adds bytes written to a client.
    pub fn add_to_client(&self, bytes: u64) {
        self.add(&self.to_client, bytes);
    }

    /// Adds bytes written to a back end.
    pub fn add_to_backend(&self, bytes: u64) {
        self.add(&self.to_backend, bytes);
    }

    /// Counts a request that is sent to the back end; one that is sent again
    /// counts again.
    pub fn count_request(&self) {
        self.add(&self.requests, 1);
    }

    /// Counts a reply of the back end by the class of its code. A code outside
    /// 100 to 599 counts as 5xx: nobody can have asked for it.
    pub fn count_reply(&self, code: u16) {
        let [informational, success, redirection, client, server] = &self.replies;
        let class = match code {
            100..=199 => informational,
            200..=299 => success,
            300..=399 => redirection,
            400..=499 => client,
            _ => server,
        };
        self.add(class, 1);
    }

    /// Adds the time from a request to the first byte of its reply.
    pub fn add_first_byte(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.add(&self.first_byte_microseconds, microseconds);
    }

    /// Counts an idle connection that was taken for another request.
    pub fn count_reused(&self) {
        self.add(&self.reused, 1);
    }

    /// Bytes written to clients so far.
    pub fn to_client(&self) -> u64 {
        self.to_client.load(Ordering::Relaxed)
    }

    /// Bytes written to the back end so far.
    pub fn to_backend(&self) -> u64 {
        self.to_backend.load(Ordering::Relaxed)
    }

    /// Requests sent to the back end so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Replies of the back end so far, by class, 1xx to 5xx.
    pub fn replies(&self) -> [u64; 5] {
        let [informational, success, redirection, client, server] = &self.replies;
        [informational, success, redirection, client, server]
            .map(|class| class.load(Ordering::Relaxed))
    }

    /// Times from a request to the first byte of its reply, summed, in
    /// microseconds.
    pub fn first_byte_microseconds(&self) -> u64 {
        self.first_byte_microseconds.load(Ordering::Relaxed)
    }

    /// Idle connections that were taken for another request so far.
    pub fn reused(&self) -> u64 {
        self.reused.load(Ordering::Relaxed)
    }
}

/// What all workers together have moved for one back end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Moved {
    /// Bytes written to clients.
    pub to_client: u64,
    /// Bytes written to the back end.
    pub to_backend: u64,
    /// Requests sent to the back end.
    pub requests: u64,
    /// Replies of the back end by class, 1xx to 5xx.
    pub replies: [u64; 5],
    /// Times from a request to the first byte of its reply, in microseconds.
    pub first_byte_microseconds: u64,
}

impl<'a> FromIterator<&'a Traffic> for Moved {
    fn from_iter<T: IntoIterator<Item = &'a Traffic>>(workers: T) -> Self {
        let mut sums = Self::default();
        for worker in workers {
            sums.to_client += worker.to_client();
            sums.to_backend += worker.to_backend();
            sums.requests += worker.requests();
            for (sum, replies) in sums.replies.iter_mut().zip(worker.replies()) {
                *sum += replies;
            }
            sums.first_byte_microseconds += worker.first_byte_microseconds();
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_the_class_of_their_code() {
        let traffic = Traffic::default();

        for code in [100, 103, 199, 200, 204, 302, 399, 404, 499, 500, 599] {
            traffic.count_reply(code);
        }

        assert_eq!(traffic.replies(), [3, 2, 2, 2, 2]);
    }

    #[test]
    fn reply_of_no_class_counts_as_a_fault_of_the_server() {
        let traffic = Traffic::default();

        for code in [0, 99, 600, 999, u16::MAX] {
            traffic.count_reply(code);
        }

        assert_eq!(traffic.replies(), [0, 0, 0, 0, 5]);
    }

    #[test]
    fn times_to_the_first_byte_are_summed_in_microseconds() {
        let traffic = Traffic::default();

        traffic.add_first_byte(Duration::from_nanos(1_999));
        traffic.add_first_byte(Duration::from_millis(2));

        assert_eq!(traffic.first_byte_microseconds(), 2_001);
    }
}
