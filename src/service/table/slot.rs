//! The place of one client at a back end.

use std::sync::Arc;
use std::time::Duration;

use crate::base::id::BackendId;
use crate::base::state::ConnectFailure;
use crate::policy::pool::{Released, Sample, Ticket};
use crate::service::table::BackendTable;

/// A client's place at a back end, from the choice to the end. What was not
/// accounted for when it is dropped (a fault) is given back without a failure.
pub struct BackendSlot {
    table: Arc<BackendTable>,
    backend: BackendId,
    step: SlotStep,
}

enum SlotStep {
    Reserved(Ticket),
    Connected(Ticket),
    Accounted,
}

impl BackendSlot {
    /// The place that `ticket` stands for.
    pub(super) fn reserved(table: Arc<BackendTable>, ticket: Ticket) -> Self {
        Self {
            table,
            backend: ticket.backend(),
            step: SlotStep::Reserved(ticket),
        }
    }

    /// The back end that was chosen.
    pub fn backend(&self) -> BackendId {
        self.backend
    }

    /// The connect succeeded: service begins.
    pub fn connected(&mut self) {
        self.step = match std::mem::replace(&mut self.step, SlotStep::Accounted) {
            SlotStep::Reserved(ticket) => {
                self.table.change().pool.connected(&ticket);
                SlotStep::Connected(ticket)
            }
            other => other,
        };
    }

    /// The connect failed through the back end's fault.
    pub fn failed(mut self, failure: ConnectFailure) {
        match std::mem::replace(&mut self.step, SlotStep::Accounted) {
            SlotStep::Reserved(ticket) => self.table.connect_failed(ticket, failure),
            other => self.step = other,
        }
    }

    /// The attempt was given up without being held against the back end.
    pub fn released(mut self, why: Released) {
        match std::mem::replace(&mut self.step, SlotStep::Accounted) {
            SlotStep::Reserved(ticket) => self.table.change().pool.release(ticket, why),
            other => self.step = other,
        }
    }

    /// The connection ended and is accounted for.
    pub fn finished(mut self, sample: Sample) {
        match std::mem::replace(&mut self.step, SlotStep::Accounted) {
            SlotStep::Connected(ticket) => self.table.change().pool.finish(ticket, sample),
            other => self.step = other,
        }
    }
}

/// The sample of a connection whose account was lost to a fault.
pub(super) const NOTHING_MOVED: Sample = Sample {
    bytes: 0,
    duration: Duration::ZERO,
    first_byte: None,
};

impl Drop for BackendSlot {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.step, SlotStep::Accounted) {
            SlotStep::Reserved(ticket) => {
                self.table
                    .change()
                    .pool
                    .release(ticket, Released::NotHeldAgainst);
            }
            SlotStep::Connected(ticket) => {
                self.table.change().pool.finish(ticket, NOTHING_MOVED);
            }
            SlotStep::Accounted => {}
        }
    }
}
