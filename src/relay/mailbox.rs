//! The way into an engine from elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::relay::host::Order;

/// Sends orders to one engine, from any thread.
///
/// Orders are carried out in the order in which they were sent, within one of
/// the next turns. Those sent after the engine's end are lost.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    mailbox: Arc<Mailbox>,
}

impl EngineHandle {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// Queues `order` and wakes the engine. Never blocks for long.
    pub fn send(&self, order: Order) {
        let first = {
            let mut queue = self.mailbox.queue();
            queue.push(order);
            queue.len() == 1
        };
        if first {
            // Fails only when the counter is full; then a wake-up is pending.
            let _ = rustix::io::write(&self.mailbox.wake, &1u64.to_ne_bytes());
        }
    }
}

#[cfg(test)]
impl EngineHandle {
    /// The way into a mailbox that no engine reads.
    pub(crate) fn alone() -> Self {
        Self::new(Arc::new(Mailbox::new().unwrap()))
    }

    /// Takes out what was sent so far.
    pub(crate) fn taken(&self) -> Vec<Order> {
        std::mem::take(&mut *self.mailbox.queue())
    }
}

/// Orders that wait, and the eventfd that wakes the engine.
#[derive(Debug)]
pub(super) struct Mailbox {
    queue: Mutex<Vec<Order>>,
    wake: OwnedFd,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self {
            queue: Mutex::new(Vec::new()),
            wake: eventfd(0, flags)?,
        })
    }

    /// Swaps what waits with `orders`, which the engine has emptied.
    pub(super) fn take(&self, orders: &mut Vec<Order>) {
        std::mem::swap(&mut *self.queue(), orders);
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Order>> {
        // A vector of orders is whole whatever its users did.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watched edge-triggered: each write is an edge, so it is never read.
impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::host::ListenerId;

    #[test]
    fn orders_keep_their_order_and_are_taken_once() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        let handle = EngineHandle::new(Arc::clone(&mailbox));
        handle.send(Order::Resume(ListenerId(1)));
        handle.send(Order::CutAll);

        let mut orders = Vec::new();
        mailbox.take(&mut orders);
        assert_eq!(orders, [Order::Resume(ListenerId(1)), Order::CutAll]);

        orders.clear();
        mailbox.take(&mut orders);
        assert_eq!(orders, []);
    }
}
