//! What is written down of a client connection, where that is asked for (`-A`).

use crate::base::endpoint::BackendAddr;
use crate::base::event::Event;
use crate::base::id::BackendId;
use crate::base::record::{Choice, ChosenBy, ConnectionRecord, Fate, PassedOver};
use crate::policy::dispatch::Explanation;
use crate::service::connection::WorkerHost;
use crate::service::connection::session::Session;
use crate::service::running::Records;

/// The most back ends that one record tells of, beside the chosen one.
const MOST_PASSED_OVER: usize = 32;

impl WorkerHost {
    /// An empty record, if records are kept.
    pub(super) fn new_record(&self, session: &Session) -> Option<Box<ConnectionRecord>> {
        match self.shared.records {
            Records::None => None,
            Records::Kept => {
                let record = ConnectionRecord::new(session.connection, session.client);
                Some(Box::new(record))
            }
        }
    }

    /// The client connection is over.
    pub(super) fn close_record(&self, session: &mut Session, fate: Fate) {
        let Some(mut record) = session.record.take() else {
            return;
        };
        record.ended(fate);
        let running = &session.service().running;
        self.shared.sink.emit(&Event::Recorded {
            service: running.named(),
            mode: running.mode(),
            record: &record,
        });
    }
}

impl Session {
    /// How the back ends stand before a choice, if that is to be written down.
    pub(super) fn explanation(&self) -> Option<Explanation> {
        self.record.as_ref()?;
        Some(self.service().running.table().explain(&self.tried))
    }

    /// A back end was chosen.
    pub(super) fn note_choice(
        &mut self,
        backend: BackendId,
        by: ChosenBy,
        explanation: Option<&Explanation>,
    ) {
        let Some(explanation) = explanation else {
            return;
        };
        let table = self.service().running.table();
        let others = (0u32..).take(table.len()).map(BackendId);
        let others = others.filter(|&other| other != backend);
        let passed_over = |other| PassedOver {
            backend: table.name(other).clone(),
            why: match by {
                ChosenBy::Handler if explanation.why_not(other) == explanation.outdone => {
                    "not named"
                }
                _ => explanation.why_not(other),
            },
            score: explanation.score(other),
        };
        let choice = Choice {
            backend: table.name(backend).clone(),
            by,
            score: explanation.score(backend),
            passed_over: others.take(MOST_PASSED_OVER).map(passed_over).collect(),
        };
        if let Some(record) = &mut self.record {
            record.chosen(choice);
        }
    }

    /// The chosen back end could not be reached.
    pub(super) fn note_failure(&mut self, backend: BackendId, reason: &'static str) {
        if self.record.is_none() {
            return;
        }
        let name = self.service().running.table().name(backend).clone();
        if let Some(record) = &mut self.record {
            record.failed(name, reason);
        }
    }

    /// The chosen back end was connected.
    pub(super) fn note_connected(&mut self, to: BackendAddr) {
        if let Some(record) = &mut self.record {
            record.connected(to);
        }
    }
}
