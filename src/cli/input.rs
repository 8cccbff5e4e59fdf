//! The log files that a command reads, and what in them cannot be understood.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::cli::console::Console;
use crate::cli::exit::Failure;
use crate::telemetry::read::{Fault, Place};

/// How many faults of a file are shown; the rest is only counted.
const SHOWN: u64 = 10;

/// A log file, or stdin.
#[derive(Debug)]
pub(super) struct Input {
    name: String,
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(File),
    Stdin,
}

impl Input {
    /// Opens a file; `-` is stdin.
    ///
    /// # Errors
    ///
    /// A message `FILE: REASON`.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let (name, source) = if path.as_os_str() == "-" {
            ("standard input".to_owned(), Source::Stdin)
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| cannot(&name, &error))?;
            (name, Source::File(file))
        };
        Ok(Self {
            name,
            path: path.to_owned(),
            source,
        })
    }

    /// How messages name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, if it is a regular one: one that can grow and has a size.
    pub(super) fn regular(&mut self) -> Option<&mut File> {
        match &mut self.source {
            Source::File(file) if file.metadata().is_ok_and(|it| it.is_file()) => Some(file),
            _ => None,
        }
    }

    /// Reads some of it; 0 is the end.
    ///
    /// # Errors
    ///
    /// A message `FILE: REASON`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            let read = match &mut self.source {
                Source::File(file) => file.read(buffer),
                Source::Stdin => io::stdin().lock().read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot(&self.name, &error)),
                Ok(read) => return Ok(read),
            }
        }
    }
}

/// `FILE: REASON`.
pub(super) fn cannot(name: &str, error: &io::Error) -> Failure {
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or_default();
    Failure::message(format!("{name}: {reason}"))
}

/// What in one file could not be understood: all counted, the first ones kept
/// until they are shown.
#[derive(Debug, Default)]
pub(super) struct Faults {
    count: u64,
    waiting: Vec<Fault>,
}

impl Faults {
    /// Takes note of one.
    pub(super) fn add(&mut self, fault: Fault) {
        self.count += 1;
        if self.count <= SHOWN {
            self.waiting.push(fault);
        }
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Shows those that wait, as `FILE:LINE: WHAT`.
    pub(super) fn show(&mut self, name: &str, console: &Console) {
        for Fault { place, what } in self.waiting.drain(..) {
            let line = match place {
                Place::Line(line) => format!("{name}:{line}: {what}\n"),
                Place::Byte(byte) => format!("{name}: byte {byte}: {what}\n"),
            };
            console.write_message(&line);
        }
    }

    /// Shows those that wait, and how many there were if that was not all.
    pub(super) fn conclude(&mut self, name: &str, console: &Console) {
        self.show(name, console);
        if self.count > SHOWN {
            console.error(format_args!(
                "{name}: {} faults, the first {SHOWN} are shown",
                self.count
            ));
        }
    }
}
