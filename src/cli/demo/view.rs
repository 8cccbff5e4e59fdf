//! What the demo shows while it runs: the lines of its daemon's log, and at a
//! terminal the table of `status`, redrawn in place.
//!
//! The daemon logs to a socket of the demo instead of the system's, so every
//! event is seen as an operator would see it, and nobody else's log is filled.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::clock::Clock;
use crate::base::moment::Moment;
use crate::cli::console::Console;

/// How often the table is redrawn.
const REDRAW: Duration = Duration::from_secs(1);
/// How often the end of the demo is looked for.
const TICK: Duration = Duration::from_millis(100);
/// How many events stay below the table.
const REMEMBERED: usize = 8;
/// The longest line of a log; the rest is cut.
const LINE: usize = 4_096;

/// How the demo shows what happens.
pub(super) enum Manner {
    /// One line an event, as files and pipes like it.
    Lines,
    /// A table that stays in its place, made by this function, and the last
    /// events below it.
    Table(Box<dyn Fn() -> String + Send>),
}

/// The thread that shows what happens; it ends when this is dropped, after the
/// last lines that were logged.
pub(super) struct View {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Listens at `socket` and shows what comes.
    ///
    /// # Errors
    ///
    /// The system's, when there is no socket or no thread.
    pub(super) fn open(socket: &Path, console: Console, manner: Manner) -> io::Result<Self> {
        let log = UnixDatagram::bind(socket)?;
        log.set_read_timeout(Some(TICK))?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("view".to_owned())
            .spawn(move || Screen::new(console, manner).show(&log, &seen))?;
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What stands on the terminal.
struct Screen {
    console: Console,
    manner: Manner,
    clock: Clock,
    table: String,
    events: VecDeque<String>,
    /// Lines that the next drawing replaces.
    drawn: usize,
    redraw_at: Instant,
}

impl Screen {
    fn new(console: Console, manner: Manner) -> Self {
        Self {
            console,
            manner,
            clock: Clock::local(),
            table: String::new(),
            events: VecDeque::new(),
            drawn: 0,
            redraw_at: Instant::now(),
        }
    }

    /// Shows everything until the demo is over and no line is left.
    fn show(&mut self, log: &UnixDatagram, over: &AtomicBool) {
        let mut line = [0; LINE];
        loop {
            // Asked before the socket, so that no line logged before the end
            // is missed.
            let last_look = over.load(Ordering::Acquire);
            match log.recv(&mut line) {
                Ok(length) => self.event(&line[..length]),
                Err(error) if is_only_silence(&error) && !last_look => {}
                Err(_) => break,
            }
            self.refresh();
        }
        // The segments are gone; the last table stays, with the last events.
        if matches!(self.manner, Manner::Table(_)) {
            self.draw();
        }
    }

    fn event(&mut self, line: &[u8]) {
        let now = self.clock.date(Moment::now().unix);
        let event = format!("{now} {}", message(line));
        match self.manner {
            // A reader that went away ends nothing; Ctrl-C does.
            Manner::Lines => drop(self.console.print(event + "\n")),
            Manner::Table(_) => {
                self.events.push_back(event);
                if self.events.len() > REMEMBERED {
                    self.events.pop_front();
                }
                // Soon, but not for every line of a busy log.
                self.redraw_at = self.redraw_at.min(Instant::now() + TICK);
            }
        }
    }

    fn refresh(&mut self) {
        if let Manner::Table(table) = &self.manner
            && Instant::now() >= self.redraw_at
        {
            self.table = table();
            self.draw();
        }
    }

    fn draw(&mut self) {
        let text = drawing(&self.table, &self.events);
        let _ = self.console.print(in_place(&text, self.drawn));
        self.drawn = text.lines().count();
        self.redraw_at = Instant::now() + REDRAW;
    }
}

/// The table, and below it the last events.
fn drawing(table: &str, events: &VecDeque<String>) -> String {
    let mut text = table.to_owned();
    if !events.is_empty() {
        text.push('\n');
    }
    for event in events {
        let _ = writeln!(text, "{event}");
    }
    text
}

/// Writes `text` over the last `drawn` lines: cursor up, clear to the end. Long
/// lines are cut by the terminal, since wrapped ones could not be counted.
fn in_place(text: &str, drawn: usize) -> String {
    const NO_WRAP: &str = "\x1b[?7l";
    const WRAP: &str = "\x1b[?7h";
    match drawn {
        0 => format!("{NO_WRAP}{text}{WRAP}"),
        lines => format!("{NO_WRAP}\x1b[{lines}A\x1b[J{text}{WRAP}"),
    }
}

/// Whether a look at the socket found nothing, as opposed to a fault.
fn is_only_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// The message of a syslog line: what follows `crossroads[PID]: `.
fn message(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end();
    let text = line.split_once("]: ").map_or(line, |(_, text)| text);
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_what_follows_the_head_of_a_syslog_line() {
        let line = b"<29>Mar  3 09:05:00 crossroads[17]: demo two: available -> down (told)\n";

        assert_eq!(message(line), "demo two: available -> down (told)");
        assert_eq!(message(b"bare \xff"), "bare \u{fffd}");
    }

    #[test]
    fn table_is_drawn_over_the_one_before() {
        assert_eq!(in_place("a\n", 0), "\x1b[?7la\n\x1b[?7h");
        assert_eq!(in_place("a\n", 3), "\x1b[?7l\x1b[3A\x1b[Ja\n\x1b[?7h");
    }

    #[test]
    fn last_events_stand_below_the_table() {
        let events = VecDeque::from(["one".to_owned(), "two".to_owned()]);

        assert_eq!(drawing("table\n", &events), "table\n\none\ntwo\n");
        assert_eq!(drawing("table\n", &VecDeque::new()), "table\n");
    }

    #[test]
    fn view_shows_what_was_logged_before_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("log");
        let log = UnixDatagram::bind(&socket).unwrap();
        log.set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        let table = Manner::Table(Box::new(String::new));
        let mut screen = Screen::new(Console::of_process(None), table);
        let operator = UnixDatagram::unbound().unwrap();
        for number in 0..=REMEMBERED {
            let line = format!("<29>x crossroads[1]: line {number}");
            operator.send_to(line.as_bytes(), &socket).unwrap();
        }

        screen.show(&log, &AtomicBool::new(true));

        let shown: Vec<_> = screen.events.iter().map(|line| &line[20..]).collect();
        assert_eq!(shown.len(), REMEMBERED);
        assert_eq!((shown[0], shown[REMEMBERED - 1]), ("line 1", "line 8"));
        assert_eq!(screen.drawn, REMEMBERED + 1);
    }

    #[test]
    fn nobody_listens_when_the_view_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("log");
        let view = View::open(&socket, Console::of_process(None), Manner::Lines).unwrap();
        let log = UnixDatagram::unbound().unwrap();
        log.connect(&socket).unwrap();
        log.set_nonblocking(true).unwrap();

        drop(view);

        // A process that another test starts just now holds a copy of every
        // descriptor until it runs its program.
        let deadline = Instant::now() + Duration::from_secs(20);
        while log.send(b"nobody reads").is_ok() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
