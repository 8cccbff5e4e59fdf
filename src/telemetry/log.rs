//! The log of the daemon: takes events and free lines from every thread.

use std::cell::Cell;
use std::fmt::{Arguments, Display, Write};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::base::clock::Clock;
use crate::base::event::{Event, EventSink};
use crate::base::moment::Moment;
use crate::telemetry::batch::Batch;
use crate::telemetry::console::{self, Console};
use crate::telemetry::level::{Facility, Level};
use crate::telemetry::lines::{self, Wanted};
use crate::telemetry::queue::{CAPACITY, Queue};
use crate::telemetry::repeats::{Repeats, Subject};
use crate::telemetry::syslog::{DEFAULT_SOCKET, Writer};

/// How long the end of a log waits for its last lines to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// What a log needs to know.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `-l`.
    pub facility: Facility,
    /// What `CROSSROADS_SYSLOG` names; `None` = `/dev/log`.
    pub syslog: Option<PathBuf>,
    /// `-f`: the copy on stderr.
    pub console: Console,
    /// `-a`: start and end of every connection.
    pub activity: bool,
    /// `-v`: as if every block said `verbosity on`.
    pub verbose: bool,
    /// The interval in which a line that traffic can cause is written once
    /// (`log_repeat`).
    pub repeat: Duration,
    /// The zone of all dates.
    pub clock: Clock,
}

/// Where events and free lines become lines of syslog and stderr.
///
/// Taking one neither blocks nor fails: what the writers cannot keep up with
/// is dropped and counted. Dropping the log waits up to two seconds for what
/// is still in its queues.
#[derive(Debug)]
pub struct Log {
    wanted: Wanted,
    clock: Clock,
    repeats: Repeats,
    queues: Vec<Arc<Queue>>,
}

impl Log {
    /// Starts the threads that write. To be called after detaching: threads do
    /// not survive it, and lines carry the process id.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(settings: LogSettings) -> io::Result<Self> {
        let mut log = Self {
            wanted: Wanted {
                activity: settings.activity,
                verbose: settings.verbose,
            },
            clock: settings.clock.clone(),
            repeats: Repeats::new(settings.repeat),
            queues: Vec::new(),
        };
        let path = settings
            .syslog
            .as_deref()
            .unwrap_or(Path::new(DEFAULT_SOCKET));
        let writer = Writer::new(settings.facility, path, settings.clock.clone());
        log.add_writer("syslog", move |queue| writer.write_lines(queue))?;
        if settings.console != Console::Off {
            log.add_writer("console", move |queue| {
                let mut stderr = io::stderr();
                console::write_lines(queue, settings.console, &settings.clock, &mut stderr);
            })?;
        }
        Ok(log)
    }

    fn add_writer(
        &mut self,
        name: &str,
        write: impl FnOnce(&Queue) + Send + 'static,
    ) -> io::Result<()> {
        let queue = Arc::new(Queue::new(CAPACITY));
        let filled = Arc::clone(&queue);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || write(&filled))?;
        self.queues.push(queue);
        Ok(())
    }

    /// Writes a line that is no event. Never held back as a repetition, so not
    /// for what traffic can cause.
    pub fn note(&self, level: Level, text: impl Display) {
        let mut line = None;
        for queue in self.queues.iter().filter(|queue| !queue.refuses()) {
            let (unix, line) = line.get_or_insert_with(|| (Moment::now().unix, compose(&text)));
            queue.push(level, *unix, line);
        }
        if let Some((_, line)) = line {
            PAPER.set(line);
        }
    }

    /// Takes an event as if it were `now`.
    fn emit_at(&self, event: &Event<'_>, now: impl Fn() -> Instant) {
        lines::describe(
            event,
            self.wanted,
            &self.clock,
            &mut |level, subject, text| match subject {
                None => self.note(level, text),
                Some(subject) => self.note_once(level, &subject, text, now()),
            },
        );
    }

    fn note_once(&self, level: Level, subject: &Subject, text: Arguments<'_>, now: Instant) {
        match self.repeats.admit(subject, now) {
            Some(0) => self.note(level, text),
            Some(held_back) => self.note(level, format_args!("{text} ({held_back} more)")),
            None => {}
        }
    }
}

thread_local! {
    /// Where lines are written before they are put into queues, so that none
    /// takes memory of its own.
    static PAPER: Cell<String> = const { Cell::new(String::new()) };
}

fn compose(text: &impl Display) -> String {
    let mut line = PAPER.take();
    line.clear();
    // Infallible: a String takes everything.
    let _ = write!(line, "{text}");
    Batch::tidy(&mut line);
    line
}

impl EventSink for Log {
    fn emit(&self, event: &Event<'_>) {
        self.emit_at(event, Instant::now);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.close();
        }
        let deadline = Instant::now() + FLUSH_LIMIT;
        for queue in &self.queues {
            queue.finished_within(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests;
