//! A syslog of our own, which the program finds by `CROSSROADS_SYSLOG`.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::eventually;

/// Severity of a line, the lower three bits of its priority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Level {
    Error,
    Warning,
    Notice,
    Info,
    /// None of those that the specification names, or a line of another shape.
    Other,
}

/// One line as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Severity.
    pub(crate) level: Level,
    /// Facility number.
    pub(crate) facility: u8,
    /// Process id between the brackets.
    pub(crate) pid: u32,
    /// What follows `crossroads[PID]: `.
    pub(crate) text: String,
}

impl Line {
    fn malformed(raw: &str) -> Self {
        Self {
            level: Level::Other,
            facility: 0,
            pid: 0,
            text: raw.to_owned(),
        }
    }

    fn parse(raw: &str) -> Option<Self> {
        let (priority, rest) = raw.strip_prefix('<')?.split_once('>')?;
        let priority: u8 = priority.parse().ok()?;
        let (_, rest) = rest.split_once("crossroads[")?;
        let (pid, text) = rest.split_once("]: ")?;
        Some(Self {
            level: match priority & 7 {
                3 => Level::Error,
                4 => Level::Warning,
                5 => Level::Notice,
                6 => Level::Info,
                _ => Level::Other,
            },
            facility: priority >> 3,
            pid: pid.parse().ok()?,
            text: text.trim_end().to_owned(),
        })
    }
}

/// A datagram socket that collects what the program logs.
pub(crate) struct Syslog {
    path: PathBuf,
    lines: Arc<Mutex<Vec<Line>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Syslog {
    /// Listens at `path`.
    pub(crate) fn at(path: PathBuf) -> Self {
        let mut syslog = Self {
            path,
            lines: Arc::default(),
            ended: Arc::default(),
            thread: None,
        };
        syslog.restore();
        syslog
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the socket: whoever sends now finds nobody.
    pub(crate) fn remove(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the collecting thread");
        }
        let _ = std::fs::remove_file(&self.path);
    }

    /// Makes the socket again, at the same place.
    pub(crate) fn restore(&mut self) {
        self.remove();
        let socket = UnixDatagram::bind(&self.path).expect("a syslog socket");
        open_to_all(&self.path);
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        self.ended = Arc::default();
        let (ended, lines) = (Arc::clone(&self.ended), Arc::clone(&self.lines));
        self.thread = Some(std::thread::spawn(move || collect(&socket, &ended, &lines)));
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("lines").clone()
    }

    /// The lines so far whose text contains `part`.
    pub(crate) fn matching(&self, part: &str) -> Vec<Line> {
        let mut lines = self.lines();
        lines.retain(|line| line.text.contains(part));
        lines
    }

    /// Waits for a line whose text contains `part`; gives the first.
    #[track_caller]
    pub(crate) fn await_line(&self, part: &str) -> Line {
        self.await_lines(part, 1).swap_remove(0)
    }

    /// Waits until `count` lines contain `part`; gives them.
    #[track_caller]
    pub(crate) fn await_lines(&self, part: &str, count: usize) -> Vec<Line> {
        eventually(&format!("{count} log lines with {part:?}"), || {
            let lines = self.matching(part);
            (lines.len() >= count).then_some(lines)
        })
    }

    /// Waits for the line `text`, and asserts its level.
    #[track_caller]
    pub(crate) fn await_exactly(&self, level: Level, text: &str) {
        let line = eventually(&format!("the log line {text:?}"), || {
            self.lines().into_iter().find(|line| line.text == text)
        });
        assert_eq!(line.level, level, "{line:?}");
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn collect(socket: &UnixDatagram, ended: &AtomicBool, lines: &Mutex<Vec<Line>>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&buffer[..length]);
                let line = Line::parse(&text).unwrap_or_else(|| Line::malformed(&text));
                lines.lock().expect("lines").push(line);
            }
            Err(_) if ended.load(Ordering::SeqCst) => return,
            Err(_) => {}
        }
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).expect("mode");
}
