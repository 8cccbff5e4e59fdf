//! The thread that writes to syslog.
//!
//! A Unix datagram socket, one datagram a line, in the form of RFC 3164. A
//! socket that is lost is opened again, tried at most once a second; until
//! then lines wait in the queue. A receiver that is too slow makes this thread
//! wait, and nobody else.
//!
//! Lines are written by the `syslog` crate. The form is our own, since its
//! dates are GMT; so is the opening, since it never opens a lost socket again.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use syslog::{LogFormat, LoggerBackend, Severity};

use crate::base::clock::Clock;
use crate::telemetry::level::Facility;
use crate::telemetry::queue::{Line, Queue};

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

/// Writes lines to a syslog socket.
pub(crate) struct Writer {
    form: Form,
    path: PathBuf,
    socket: Option<LoggerBackend>,
    next_try: Instant,
}

/// The form of RFC 3164, 4.1, with the date in the time of the log's clock.
struct Form {
    facility: Facility,
    clock: Clock,
    pid: u32,
}

impl LogFormat<&Line> for Form {
    fn format<W: Write>(&self, w: &mut W, severity: Severity, line: &Line) -> syslog::Result<()> {
        let priority = self.facility.priority(severity);
        let stamp = self.clock.syslog(line.unix);
        write!(
            w,
            "<{priority}>{stamp} {IDENT}[{}]: {}",
            self.pid, line.text
        )
        .map_err(syslog::Error::Write)
    }
}

/// What became of a datagram.
#[derive(Debug)]
enum Sent {
    /// It is out, or can never be sent.
    Done,
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
        let mut given_up = false;
        while let Some(line) = queue.first() {
            if !given_up {
                given_up = !self.deliver(&line, queue);
            }
            queue.written();
        }
        queue.finish();
    }

    /// Sends one line; gives whether the next is worth a try.
    fn deliver(&mut self, line: &Line, queue: &Queue) -> bool {
        loop {
            match self.send(line) {
                Sent::Done => return true,
                Sent::NotBefore(moment) if queue.closed_before(moment) => return false,
                Sent::NotBefore(_) => {}
            }
        }
    }

    fn send(&mut self, line: &Line) -> Sent {
        let now = Instant::now();
        let mut socket = match self.socket.take() {
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
        let sent = self.form.format(&mut socket, line.level.into(), line);
        let outcome = match sent.map_err(|error| errno(&error)) {
            Ok(()) | Err(Some(Errno::MSGSIZE)) => Sent::Done,
            Err(Some(Errno::NOBUFS)) => Sent::NotBefore(now + MEMORY_PAUSE),
            // The send itself has waited its time, or was interrupted.
            Err(Some(Errno::AGAIN | Errno::INTR)) => Sent::NotBefore(now),
            // The receiver has gone; `socket` is closed with this return.
            Err(_) => return Sent::NotBefore(self.next_try),
        };
        self.socket = Some(socket);
        outcome
    }
}

fn open(path: &Path) -> io::Result<LoggerBackend> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(LoggerBackend::Unix(socket))
}

/// What the system says about a line that could not be written.
fn errno(error: &syslog::Error) -> Option<Errno> {
    match error {
        syslog::Error::Write(error) => Errno::from_io_error(error),
        _ => None,
    }
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
        queue.push(Line::new(Level::Notice, text.to_owned()));
    }

    #[test]
    fn line_has_priority_date_name_and_process() {
        let writer = Writer::new(Facility::DAEMON, Path::new("/"), Clock::gmt());
        let mut line = Line::new(Level::Notice, "www: a".into());
        line.unix = 1_772_528_700;

        let pid = std::process::id();
        let expected = format!("<29>Mar  3 09:05:00 crossroads[{pid}]: www: a");
        let mut datagram = Vec::new();
        writer
            .form
            .format(&mut datagram, line.level.into(), &line)
            .unwrap();
        assert_eq!(datagram, expected.as_bytes());
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
