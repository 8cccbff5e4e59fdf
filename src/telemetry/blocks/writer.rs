//! The thread that writes all logs of traffic.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::telemetry::layout;
use crate::telemetry::lines::Plain;

use super::capture::{CaptureFile, Packet};
use super::file::{AppendFile, Mend};
use super::files::{AtPath, Files, Shared};
use super::packets::{LARGEST, Stream};
use super::queue::{Block, End, Message, Queue};
use super::settings::CaptureSettings;
use super::tap::{Facts, Hub};
use super::throughput;

/// How much the thread stands back behind the workers when all processors are
/// busy: traffic comes before its log.
const NICENESS: i32 = 5;

/// A log of a connection: `None` if there is none, or if it could not be opened.
enum Log<T> {
    None,
    NotOpened,
    Open(T),
}

/// A connection that is logged.
struct Connection {
    facts: Arc<Facts>,
    /// When its first block was read.
    first: Option<Instant>,
    traffic: Log<Rc<Shared<AppendFile>>>,
    throughput: Log<Rc<Shared<AppendFile>>>,
    capture: Log<(Rc<Shared<CaptureFile>>, Stream)>,
}

/// Says that the writer has ended, whatever ended it.
struct Finished(Arc<Queue>);

impl Drop for Finished {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Writes what stands in the queue of `hub` until that is closed and empty.
pub(super) fn write(hub: Arc<Hub>) {
    // Dropped last: who waits for the end may count on the hub being let go.
    let finished = Finished(Arc::clone(&hub.queue));
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    let mut desk = Desk {
        hub,
        texts: Files::default(),
        captures: Files::default(),
        connections: HashMap::new(),
        lines: Vec::new(),
    };
    while let Some(messages) = finished.0.take() {
        for message in messages {
            // A fault costs one block, not the logs of everybody.
            if catch_unwind(AssertUnwindSafe(|| desk.handle(&message))).is_err() {
                desk.hub.fault();
            }
            finished.0.release(&message);
        }
    }
    drop(desk);
    drop(finished);
}

/// What the thread works with.
struct Desk {
    hub: Arc<Hub>,
    texts: Files<AppendFile>,
    captures: Files<CaptureFile>,
    connections: HashMap<u64, Connection>,
    /// Where lines are put together.
    lines: Vec<u8>,
}

impl AtPath for AppendFile {
    fn is_at(&self, path: &Path) -> bool {
        Self::is_at(self, path)
    }
}

impl Desk {
    fn handle(&mut self, message: &Message) {
        match message {
            Message::Begin(facts) => self.begin(facts),
            Message::Block(block) => {
                let Some(connection) = self.connections.get_mut(&block.tap) else {
                    return;
                };
                connection.write_text(block, &self.hub, &mut self.lines);
                connection.write_packets(block, &self.hub);
            }
            Message::End(end) => {
                // Dropping it closes the files that nobody else uses.
                if let Some(mut connection) = self.connections.remove(&end.tap) {
                    connection.end(end, &self.hub);
                }
            }
        }
    }

    fn begin(&mut self, facts: &Arc<Facts>) {
        let settings = &facts.logged.settings;
        let capture = settings.capture.as_ref();
        let capture = capture.filter(|capture| capture.includes(facts.client.ip()));
        let (traffic, throughput) = (settings.traffic.as_deref(), settings.throughput.as_deref());
        let mut connection = Connection {
            facts: Arc::clone(facts),
            first: None,
            traffic: self.open_text(facts, traffic),
            throughput: self.open_text(facts, throughput),
            capture: self.open_capture(facts, capture),
        };
        connection.write_handshake(&self.hub);
        self.connections.insert(facts.tap, connection);
    }

    fn open_text(&mut self, facts: &Facts, path: Option<&Path>) -> Log<Rc<Shared<AppendFile>>> {
        let Some(path) = path else { return Log::None };
        let opened = self
            .texts
            .at(path, || AppendFile::open(path, Mend::NewLine));
        self.opened(facts, path, opened)
    }

    fn open_capture(
        &mut self,
        facts: &Facts,
        settings: Option<&CaptureSettings>,
    ) -> Log<(Rc<Shared<CaptureFile>>, Stream)> {
        let Some(settings) = settings else {
            return Log::None;
        };
        let path = &settings.file;
        let opened = self.captures.at(path, || CaptureFile::open(settings));
        // Grows by one each 64 ns, as RFC 9293 wants it for first numbers, if
        // faster than there: only the low bits count.
        let start = (facts.begin().as_nanos() >> 6) as u32;
        let stream = Stream::new(facts.client, facts.backend, start);
        match self.opened(facts, path, opened) {
            Log::Open(file) => Log::Open((file, stream)),
            Log::NotOpened | Log::None => Log::NotOpened,
        }
    }

    fn opened<T>(&self, facts: &Facts, path: &Path, opened: io::Result<T>) -> Log<T> {
        match opened {
            Ok(file) => Log::Open(file),
            Err(error) => {
                self.hub.not_opened(&facts.logged, path, &error);
                Log::NotOpened
            }
        }
    }
}

impl Connection {
    /// Writes the lines of a block to both text logs.
    fn write_text(&mut self, block: &Block, hub: &Hub, lines: &mut Vec<u8>) {
        let settings = &self.facts.logged.settings;
        let first = *self.first.get_or_insert(block.at);
        let after = block.at.saturating_duration_since(first);
        let when = (self.facts.connection, after);
        lines.clear();
        if matches!(self.traffic, Log::Open(_)) {
            layout::append(lines, block.from, 0, &block.bytes);
        }
        self.append_text(&self.traffic, settings.traffic.as_deref(), hub, lines);
        lines.clear();
        throughput::format(&block.bytes, block.from, when, lines);
        let path = settings.throughput.as_deref();
        self.append_text(&self.throughput, path, hub, lines);
    }

    fn append_text(
        &self,
        log: &Log<Rc<Shared<AppendFile>>>,
        path: Option<&Path>,
        hub: &Hub,
        lines: &[u8],
    ) {
        match log {
            Log::None => {}
            Log::NotOpened => self.facts.logged.count_lost(),
            Log::Open(file) => {
                let written = file.with(|file| file.append(lines));
                self.judge(written, path, hub);
            }
        }
    }

    /// Warns of a block that was not written.
    fn judge(&self, written: io::Result<()>, path: Option<&Path>, hub: &Hub) {
        if let (Err(error), Some(path)) = (written, path) {
            let reason = Plain(&error).to_string();
            hub.lost(&self.facts.logged, path, &reason);
        }
    }

    fn write_handshake(&mut self, hub: &Hub) {
        let at = self.facts.begin();
        let (logged, connection) = (&self.facts.logged, self.facts.connection);
        let comment = format!(
            "crossroads connection={connection} service={} backend={}",
            logged.service(),
            logged.settings.name
        );
        let written = match &mut self.capture {
            Log::Open((file, stream)) => {
                let packets = stream.open();
                append(&self.facts, file, &packets, (at, Some(comment)))
            }
            Log::None | Log::NotOpened => return,
        };
        self.judge(written, self.capture_path(), hub);
    }

    fn write_packets(&mut self, block: &Block, hub: &Hub) {
        let (file, stream) = match &mut self.capture {
            Log::None => return,
            Log::NotOpened => return self.facts.logged.count_lost(),
            Log::Open((file, stream)) => (file, stream),
        };
        stream.skip(block.skipped);
        let at = self.facts.since_epoch(block.at);
        let mut written = Ok(());
        for bytes in block.bytes.chunks(LARGEST) {
            let packet = stream.data(block.from, bytes);
            // Where one fails, the others are tried all the same: numbers tell
            // what is missing.
            written = written.and(append(&self.facts, file, &[packet], (at, None)));
        }
        self.judge(written, self.capture_path(), hub);
    }

    fn end(&mut self, end: &End, hub: &Hub) {
        let at = self.facts.since_epoch(end.at);
        let written = match &mut self.capture {
            Log::Open((file, stream)) => {
                stream.skip(end.skipped);
                append(&self.facts, file, &stream.close(), (at, None))
            }
            Log::None | Log::NotOpened => return,
        };
        self.judge(written, self.capture_path(), hub);
    }

    fn capture_path(&self) -> Option<&Path> {
        let capture = self.facts.logged.settings.capture.as_ref();
        capture.map(|capture| capture.file.as_path())
    }
}

/// Appends packets of one moment to a capture; the first has the comment.
fn append(
    facts: &Facts,
    file: &Shared<CaptureFile>,
    packets: &[Vec<u8>],
    (at, mut comment): (Duration, Option<String>),
) -> io::Result<()> {
    let settings = facts.logged.settings.capture.as_ref();
    let kept = settings.and_then(|settings| settings.snap_length);
    let packets: Vec<Packet<'_>> = packets
        .iter()
        .map(|bytes| Packet {
            bytes,
            at,
            kept,
            comment: comment.take(),
        })
        .collect();
    file.with(|file| file.append(&packets))
}
