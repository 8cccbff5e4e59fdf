//! The end of a daemon: listeners closed, connections drained, traces removed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout};

use super::orders::Stop;
use super::{Daemon, remove_segments};
use crate::process::signals::{Signal, Signals};
use crate::relay::host::Order;
use crate::service::running::RunningService;
use crate::service::worker::Report;
use crate::status::snapshot::Phase;

/// How long workers may take to close what they were told to cut.
const CUT_LIMIT: Duration = Duration::from_secs(5);

/// How long the queues may take to run empty when there is less grace; under a
/// flood of clients they never do.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Where a stop stands.
#[derive(Default)]
struct Progress {
    listeners_closed: usize,
    ended: usize,
    /// Who waits to hear that the listeners are closed.
    waiting: Vec<Stop>,
}

impl Daemon {
    /// Serves until an order or a signal says stop, then drains.
    pub(super) async fn serve(mut self) {
        let mut progress = Progress::default();
        let grace = self.wait_for_stop(&mut progress).await;
        let until = Instant::now() + grace;
        self.services
            .iter()
            .for_each(|service| service.table().set_phase(Phase::Stopping));
        self.order_all(Order::StopAccepting);
        // Who waits in the kernel's queues is taken in whatever the grace is.
        let _ = timeout(CLOSE_LIMIT, self.listeners_closed(&mut progress)).await;
        if !self.drain(&mut progress, until).await {
            self.order_all(Order::CutAll);
            // A worker that does not end in time ends with the process.
            let _ = timeout(CUT_LIMIT, self.wait_for_workers(&mut progress)).await;
        }
        self.finish(&progress).await;
    }

    /// Waits for the first order to stop; gives its grace.
    async fn wait_for_stop(&mut self, progress: &mut Progress) -> Duration {
        loop {
            tokio::select! {
                Some(stop) = self.orders.recv() => {
                    let grace = stop.grace;
                    progress.waiting.push(stop);
                    return grace;
                }
                Some(report) = self.reports.recv() => {
                    self.note(progress, report);
                    if progress.ended == self.workers.len() {
                        return Duration::ZERO;
                    }
                }
                signal = self.signals.next() => if self.is_told_to_stop(signal) {
                    return self.grace;
                }
            }
        }
    }

    /// Lets connections run on until none is left (`true`), or the time is over
    /// or another order cuts it short (`false`).
    async fn drain(&mut self, progress: &mut Progress, until: Instant) -> bool {
        while progress.ended < self.workers.len() {
            tokio::select! {
                Some(report) = self.reports.recv() => self.note(progress, report),
                Some(stop) = self.orders.recv() => {
                    progress.waiting.push(stop);
                    self.answer(progress);
                    return false;
                }
                signal = self.signals.next() => if self.is_told_to_stop(signal) {
                    return false;
                },
                () = sleep_until(until) => return false,
            }
        }
        true
    }

    /// Acts on a signal that wants no end; whether it does want one. Lists are
    /// read while connections drain, too: the queues may still hold clients.
    fn is_told_to_stop(&self, signal: Signal) -> bool {
        match signal {
            Signal::Terminate | Signal::Interrupt => true,
            Signal::Hangup => {
                self.reload.ask();
                false
            }
        }
    }

    async fn listeners_closed(&mut self, progress: &mut Progress) {
        while progress.listeners_closed < self.workers.len() {
            let Some(report) = self.reports.recv().await else {
                return;
            };
            self.note(progress, report);
        }
    }

    async fn wait_for_workers(&mut self, progress: &mut Progress) {
        while progress.ended < self.workers.len() {
            let Some(report) = self.reports.recv().await else {
                return;
            };
            self.note(progress, report);
        }
    }

    fn note(&self, progress: &mut Progress, report: Report) {
        match report {
            Report::ListenersClosed => progress.listeners_closed += 1,
            Report::Ended => progress.ended += 1,
        }
        self.answer(progress);
    }

    /// Answers who waits for the listeners, once they are all closed.
    fn answer(&self, progress: &mut Progress) {
        if progress.listeners_closed < self.workers.len() {
            return;
        }
        for stop in progress.waiting.drain(..) {
            if stop.release {
                remove_segments(&self.services);
            }
            // Who asked may be gone; the stop goes on all the same.
            let _ = stop.listeners_closed.send(());
        }
    }

    fn order_all(&self, order: Order) {
        self.workers
            .iter()
            .for_each(|worker| worker.engine.send(order));
    }

    /// Removes every trace: segments and control socket.
    async fn finish(mut self, progress: &Progress) {
        let hurry = hurry(self.orders, &mut self.signals, &self.services);
        self.outside.end(&*self.sink, hurry).await;
        for service in &self.services {
            service.table().remove_segment();
            service.announce_stopped(&*self.sink);
        }
        self.control.end().await;
        if progress.ended == self.workers.len() {
            self.workers
                .into_iter()
                .for_each(crate::service::worker::Worker::join);
        }
        if let Some(logs) = self.logs {
            // What is not written by then is not waited for.
            logs.finish();
        }
    }
}

/// Waits for one more order to stop, which finds everything closed. Once this
/// is over or dropped, those that still come are answered at once.
async fn hurry(
    mut orders: UnboundedReceiver<Stop>,
    signals: &mut Signals,
    services: &[Arc<RunningService>],
) {
    loop {
        tokio::select! {
            order = orders.recv() => {
                if order.is_some_and(|stop| stop.release) {
                    remove_segments(services);
                }
                return;
            }
            signal = signals.next() => match signal {
                Signal::Terminate | Signal::Interrupt => return,
                Signal::Hangup => {}
            }
        }
    }
}
