//! The thread that writes to syslog.
//!
//! A Unix datagram socket, one datagram a line, in the form of RFC 3164; many
//! lines go in one call. A socket that is lost is opened again, tried at most
//! once a second; until then lines wait in the queue. A receiver that is too
//! slow makes this thread wait, and nobody else.
//!
//! Facilities and severities are those of the `syslog` crate. The form is our
//! own, since its dates are GMT; so is the sending, since it never opens a lost
//! socket again and makes a call for each line.

use std::array;
use std::io::{self, IoSlice, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{self, MMsgHdr, SendAncillaryBuffer, SendFlags};
use syslog::{LogFormat, Severity};

use crate::base::clock::Clock;
use crate::telemetry::batch::{Batch, Line};
use crate::telemetry::level::Facility;
use crate::telemetry::queue::Queue;

/// The socket of the system's syslog.
pub const DEFAULT_SOCKET: &str = "/dev/log";

/// The name under which the daemon appears.
///
/// Source: decided (13.3).
const IDENT: &str = "crossroads";

/// How long a lost socket is left alone between two tries, and how long one
/// line waits for a receiver that takes nothing before the queue is looked at
/// again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause when the kernel has no memory for a datagram.
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// How many lines one call sends.
const TOGETHER: usize = 32;

/// How long a receiver that is full is given to read some: the ten datagrams
/// that the kernel holds for it by default make 30,000 lines a second.
const NAP: Duration = Duration::from_micros(250);

/// Writes lines to a syslog socket.
pub(crate) struct Writer {
    form: Form,
    path: PathBuf,
    socket: Option<UnixDatagram>,
    next_try: Instant,
}

/// The form of RFC 3164, 4.1, with the date in the time of the log's clock.
struct Form {
    facility: Facility,
    clock: Clock,
    pid: u32,
}

impl LogFormat<Line<'_>> for Form {
    fn format<W: Write>(
        &self,
        w: &mut W,
        severity: Severity,
        line: Line<'_>,
    ) -> syslog::Result<()> {
        let priority = self.facility.priority(severity);
        let stamp = self.clock.calendar(line.unix).syslog();
        write!(
            w,
            "<{priority}>{stamp} {IDENT}[{}]: {}",
            self.pid, line.text
        )
        .map_err(syslog::Error::Write)
    }
}

/// What became of lines.
#[derive(Debug)]
enum Sent {
    /// So many are out, or can never be sent.
    Done(usize),
    /// Worth another try at this moment.
    NotBefore(Instant),
}

impl Writer {
    /// A writer that opens `path` with the first line. Made by the process
    /// that logs, after it has detached: lines carry its process id.
    pub(crate) fn new(facility: Facility, path: &Path, clock: Clock) -> Self {
        Self {
            form: Form {
                facility,
                clock,
                pid: std::process::id(),
            },
            path: path.to_owned(),
            socket: None,
            next_try: Instant::now(),
        }
    }

    /// Writes what comes out of `queue` until it is closed and empty. Once it
    /// is closed nothing is waited for any more: what cannot be sent at once
    /// is given up.
    pub(crate) fn write_lines(mut self, queue: &Queue) {
        let (mut batch, mut datagrams) = (Batch::default(), Datagrams::default());
        let mut given_up = false;
        while queue.take(&mut batch) {
            let mut lines = batch.lines().peekable();
            while lines.peek().is_some() {
                datagrams.compose(&self.form, lines.by_ref().take(TOGETHER));
                if !given_up {
                    given_up = !self.deliver(&mut datagrams, queue);
                }
                queue.written(datagrams.left());
            }
        }
        queue.finish();
    }

    /// Sends lines; gives whether the next are worth a try.
    fn deliver(&mut self, datagrams: &mut Datagrams, queue: &Queue) -> bool {
        while datagrams.left() > 0 {
            match self.send(datagrams, queue) {
                Sent::Done(count) => {
                    datagrams.sent += count;
                    queue.written(count);
                }
                Sent::NotBefore(moment) if queue.closed_before(moment) => return false,
                Sent::NotBefore(_) => {}
            }
        }
        true
    }

    fn send(&mut self, datagrams: &Datagrams, queue: &Queue) -> Sent {
        let now = Instant::now();
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None if now < self.next_try => return Sent::NotBefore(self.next_try),
            None => {
                self.next_try = now + PATIENCE;
                match open(&self.path) {
                    Ok(socket) => socket,
                    Err(_) => return Sent::NotBefore(self.next_try),
                }
            }
        };
        let outcome = match push_out(&socket, datagrams, queue) {
            Ok(count) => Sent::Done(count),
            Err(Errno::MSGSIZE) => Sent::Done(1),
            Err(Errno::NOBUFS) => Sent::NotBefore(now + MEMORY_PAUSE),
            // The send itself has waited its time, or was interrupted.
            Err(Errno::AGAIN | Errno::INTR) => Sent::NotBefore(now),
            // The receiver has gone; `socket` is closed with this return.
            Err(_) => return Sent::NotBefore(self.next_try),
        };
        self.socket = Some(socket);
        outcome
    }
}

/// Lines in their form, some of which may be out.
#[derive(Default)]
struct Datagrams {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    sent: usize,
}

impl Datagrams {
    fn compose<'a>(&mut self, form: &Form, lines: impl Iterator<Item = Line<'a>>) {
        self.bytes.clear();
        self.ends.clear();
        self.sent = 0;
        for line in lines {
            // Infallible: a Vec takes everything.
            let _ = form.format(&mut self.bytes, line.level.into(), line);
            self.ends.push(self.bytes.len());
        }
    }

    /// How many are not yet sent.
    fn left(&self) -> usize {
        self.ends.len() - self.sent
    }

    /// Those that are not yet sent.
    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let places = begins.zip(&self.ends).skip(self.sent);
        places.map(|(begin, &end)| self.bytes.get(begin..end).unwrap_or_default())
    }
}

/// Sends as many as the receiver takes, and waits for it where it takes none;
/// gives how many are out.
///
/// A receiver that is full takes one more as soon as it has read one. Waiting
/// for that in the kernel would be a wake-up for each line, so first it is
/// given time to read several, unless lines are about to be lost.
fn push_out(socket: &UnixDatagram, datagrams: &Datagrams, queue: &Queue) -> Result<usize, Errno> {
    match send_together(socket, datagrams) {
        Err(Errno::AGAIN) => {}
        sent => return sent,
    }
    if !queue.is_pressed() {
        queue.closed_before(Instant::now() + NAP);
        match send_together(socket, datagrams) {
            Err(Errno::AGAIN) => {}
            sent => return sent,
        }
    }
    let first = datagrams.rest().next().unwrap_or_default();
    net::send(socket, first, SendFlags::NOSIGNAL).map(|_| 1)
}

/// Sends as many as go without waiting.
fn send_together(socket: &UnixDatagram, datagrams: &Datagrams) -> Result<usize, Errno> {
    let mut rest = datagrams.rest();
    let parts: [_; TOGETHER] = array::from_fn(|_| [IoSlice::new(rest.next().unwrap_or_default())]);
    let mut parts = parts.iter();
    let mut nothing: [_; TOGETHER] = array::from_fn(|_| SendAncillaryBuffer::default());
    let mut messages = nothing
        .each_mut()
        .map(|nothing| MMsgHdr::new(parts.next().map_or(&[], |part| part), nothing));
    let messages = messages.get_mut(..datagrams.left()).unwrap_or_default();
    net::sendmmsg(socket, messages, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
}

fn open(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::telemetry::level::Level;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn receiver(path: &Path) -> UnixDatagram {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 16_384];
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    fn writing(path: &Path, queue: &Arc<Queue>) -> JoinHandle<()> {
        let writer = Writer::new(Facility::DAEMON, path, Clock::gmt());
        let queue = Arc::clone(queue);
        thread::spawn(move || writer.write_lines(&queue))
    }

    fn say(queue: &Queue, text: &str) {
        queue.push(Level::Notice, 0, text);
    }

    #[test]
    fn line_has_priority_date_name_and_process() {
        let writer = Writer::new(Facility::DAEMON, Path::new("/"), Clock::gmt());
        let line = Line {
            level: Level::Notice,
            unix: 1_772_528_700,
            text: "www: a",
        };

        let pid = std::process::id();
        let expected = format!("<29>Mar  3 09:05:00 crossroads[{pid}]: www: a");
        let mut datagrams = Datagrams::default();
        datagrams.compose(&writer.form, [line, line].into_iter());
        assert!(datagrams.rest().eq([expected.as_bytes(); 2]));
        datagrams.sent += 1;
        assert!(datagrams.rest().eq([expected.as_bytes()]));
    }

    #[test]
    fn lines_arrive_in_order_and_the_end_is_reached() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("log");
        let socket = receiver(&path);
        let queue = Arc::new(Queue::new(10));
        let thread = writing(&path, &queue);

        say(&queue, "first");
        say(&queue, "second");
        queue.close();

        assert!(received(&socket).ends_with(": first"));
        assert!(received(&socket).ends_with(": second"));
        assert!(queue.finished_within(DEADLINE));
        thread.join().unwrap();
    }

    #[test]
    fn lines_wait_for_a_socket_that_is_made_again_and_none_is_lost() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("log");
        let first = receiver(&path);
        let queue = Arc::new(Queue::new(100));
        let thread = writing(&path, &queue);
        say(&queue, "before");
        assert!(received(&first).ends_with(": before"));

        drop(first);
        fs::remove_file(&path).unwrap();
        for number in 0..50 {
            say(&queue, &format!("meanwhile {number}"));
        }
        let second = receiver(&path);

        for number in 0..50 {
            let line = received(&second);
            assert!(line.ends_with(&format!(": meanwhile {number}")), "{line}");
        }
        queue.close();
        thread.join().unwrap();
    }

    #[test]
    fn more_lines_than_the_receiver_holds_arrive_in_order() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("log");
        let socket = receiver(&path);
        let queue = Arc::new(Queue::new(4096));
        for number in 0..4096 {
            say(&queue, &number.to_string());
        }
        let thread = writing(&path, &queue);

        for number in 0..4096 {
            let line = received(&socket);
            assert!(line.ends_with(&format!("]: {number}")), "{line}");
        }
        queue.close();
        thread.join().unwrap();
    }

    #[test]
    fn closed_queue_is_given_up_where_no_syslog_is() {
        let around = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::new(10));
        let thread = writing(&around.path().join("missing"), &queue);
        say(&queue, "unheard");

        let start = Instant::now();
        queue.close();

        assert!(queue.finished_within(DEADLINE));
        assert!(
            start.elapsed() < PATIENCE,
            "waited for a socket although it was to end"
        );
        thread.join().unwrap();
    }

    #[test]
    fn receiver_that_takes_nothing_ends_the_writer_soon_after_closing() {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("log");
        let _deaf = receiver(&path);
        let queue = Arc::new(Queue::new(4096));
        for number in 0..4096 {
            say(&queue, &number.to_string());
        }
        let thread = writing(&path, &queue);

        queue.close();

        assert!(queue.finished_within(DEADLINE));
        thread.join().unwrap();
    }
}
