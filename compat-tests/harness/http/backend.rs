//! A back end that answers request by request as its case tells it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use super::message::Head;
use super::reply;
use super::turn::{After, Link, Turn, serve};
use crate::harness::{Backend, Ending, eventually};

/// What is known of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) received: Vec<u8>,
    pub(super) heads: Vec<Head>,
    pub(super) ending: Option<Ending>,
}

/// What the connections of a back end report.
#[derive(Default)]
pub(super) struct Log {
    pub(super) connections: Mutex<Vec<Record>>,
    pub(super) faults: Mutex<Vec<String>>,
}

/// A back end that speaks HTTP.
///
/// When it is dropped, it asserts that every request that reached it was beyond
/// doubt.
pub(crate) struct HttpBackend {
    backend: Backend,
    log: Arc<Log>,
}

impl HttpBackend {
    /// A back end whose requests are answered by `answer`, which is called as
    /// soon as a head has been read.
    pub(crate) fn new(answer: impl Fn(&mut Turn<'_>) -> After + Send + Sync + 'static) -> Self {
        let log = Arc::<Log>::default();
        let noted = Arc::clone(&log);
        let backend = Backend::serving(move |peer| {
            let mut link = Link::new(peer, Arc::clone(&noted));
            if serve(&mut link, &answer) == After::Reset {
                link.reset();
            }
        });
        Self { backend, log }
    }

    /// A back end that answers every request with 200 and a line: its name, the
    /// method and the target. It keeps connections where the request allows it.
    pub(crate) fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self::new(move |turn| {
            let (method, target) = (turn.head.method(), turn.head.target());
            let fields = format!("X-Backend: {name}\r\n");
            let body = format!("{name} {method} {target}\n");
            turn.answer(&reply("200 OK", &fields, body))
        })
    }

    /// A back end that answers every request with the same bytes, and keeps
    /// connections where the request allows it.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |turn| turn.answer(&bytes))
    }

    /// A back end that sends back the bytes of each request as the body.
    pub(crate) fn mirror() -> Self {
        Self::new(|turn| match turn.message() {
            Some(message) => turn.answer(&reply("200 OK", "", message.wire)),
            None => After::Close,
        })
    }

    /// The bytes that connection `number` received, in the order of their first
    /// request or byte, from 0; the first MiB of them.
    #[track_caller]
    pub(crate) fn received_on(&self, number: usize) -> Vec<u8> {
        self.record(number).received
    }

    /// What connection `number` received, as text.
    #[track_caller]
    pub(crate) fn text_on(&self, number: usize) -> String {
        let bytes = self.received_on(number);
        bytes.iter().map(|byte| char::from(*byte)).collect()
    }

    /// Whether what connection `number` received ends in `text`.
    pub(crate) fn has_received(&self, number: usize, text: &str) -> bool {
        let records = self.log.connections.lock().expect("records");
        let record = records.get(number);
        record.is_some_and(|record| record.received.ends_with(text.as_bytes()))
    }

    /// The heads of all requests so far, connection by connection.
    pub(crate) fn heads(&self) -> Vec<Head> {
        let records = self.log.connections.lock().expect("records");
        let heads = records.iter().flat_map(|record| record.heads.iter());
        heads.cloned().collect()
    }

    /// The targets of all requests so far, connection by connection.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.heads().iter().map(Head::target).collect()
    }

    /// How often the requests came in connections: the number of requests of
    /// each.
    pub(crate) fn counts(&self) -> Vec<usize> {
        let records = self.log.connections.lock().expect("records");
        records.iter().map(|record| record.heads.len()).collect()
    }

    /// Waits until the other side has ended connection `number`; says how.
    #[track_caller]
    pub(crate) fn await_ending(&self, number: usize) -> Ending {
        eventually(&format!("the end of connection {number}"), || {
            let records = self.log.connections.lock().expect("records");
            records.get(number)?.ending
        })
    }

    #[track_caller]
    fn record(&self, number: usize) -> Record {
        let records = self.log.connections.lock().expect("records");
        records
            .get(number)
            .cloned()
            .unwrap_or_else(|| panic!("no connection {number} of {}", records.len()))
    }
}

impl Deref for HttpBackend {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}

impl DerefMut for HttpBackend {
    fn deref_mut(&mut self) -> &mut Backend {
        &mut self.backend
    }
}

impl Drop for HttpBackend {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let faults = self.log.faults.lock().expect("faults");
            assert!(faults.is_empty(), "faulty requests came: {faults:#?}");
        }
    }
}
