//! What of a traffic log or a capture is shown, and how.

use std::io::{self, Write};

use crate::cli::arguments::{Manner, TrafficLog};
use crate::cli::console::Console;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::input::Faults;
use crate::telemetry::layout;
use crate::telemetry::read::streams::Stream;
use crate::telemetry::read::{Block, Item};

/// Writes what is wanted of a file.
pub(super) struct View<W: Write> {
    to: W,
    manner: Manner,
    connection: Option<u64>,
    /// The connection whose blocks were written last.
    shown: Option<u64>,
    /// Whether there was any block of what is wanted, of either side.
    found: bool,
    findings: Findings,
    /// Where lines are put together.
    lines: Vec<u8>,
    /// Why something could not be written; nothing is from then on.
    failed: Option<io::Error>,
}

/// What a file lacks.
#[derive(Debug, Default)]
pub(super) struct Findings {
    name: String,
    faults: Faults,
    /// Bytes that belong to what was written, and are not in the file.
    missing: u64,
}

impl<W: Write> View<W> {
    /// Shows on `to` what is ordered.
    pub(super) fn new(order: &TrafficLog, to: W) -> Self {
        Self {
            to,
            manner: order.manner,
            connection: order.connection,
            shown: None,
            found: false,
            findings: Findings::default(),
            lines: Vec::new(),
            failed: None,
        }
    }

    /// How messages name the file.
    pub(super) fn name(&mut self, name: &str) {
        name.clone_into(&mut self.findings.name);
    }

    /// Shows one thing out of the file, if it is wanted.
    pub(super) fn item(&mut self, item: Item<'_>) {
        if self.failed.is_some() {
            return;
        }
        let written = match item {
            Item::Block(block) => self.block(&block),
            Item::Comment(line) => self.comment(line),
            Item::Fault(fault) => {
                self.findings.faults.add(fault);
                Ok(())
            }
        };
        self.failed = written.err();
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        let label = block.stream.and_then(|stream| stream.label.as_ref());
        let number = label.map(|label| label.connection);
        if self.connection.is_some() && self.connection != number {
            return Ok(());
        }
        self.found = true;
        match self.manner {
            Manner::Raw(side) if side != block.from => Ok(()),
            Manner::Raw(_) => {
                self.findings.missing += block.missing_before + block.missing_after;
                self.to.write_all(block.bytes)
            }
            Manner::Hex => self.hex(block),
        }
    }

    fn hex(&mut self, block: &Block<'_>) -> io::Result<()> {
        if let Some(stream) = block.stream
            && self.shown != Some(stream.id)
        {
            self.shown = Some(stream.id);
            self.introduce(stream)?;
        }
        self.missing(block, block.missing_before)?;
        self.lines.clear();
        layout::append(&mut self.lines, block.from, block.offset, block.bytes);
        self.to.write_all(&self.lines)?;
        self.missing(block, block.missing_after)
    }

    /// Says whose blocks follow.
    fn introduce(&mut self, stream: &Stream) -> io::Result<()> {
        let (client, backend) = (stream.client, stream.backend);
        match &stream.label {
            Some(label) => writeln!(
                self.to,
                "# connection {:07} {} {} {client} -> {backend}",
                label.connection, label.service, label.backend
            ),
            None => writeln!(
                self.to,
                "# connection ? {client} -> {backend} (begins in an earlier file)"
            ),
        }
    }

    fn missing(&mut self, block: &Block<'_>, count: u64) -> io::Result<()> {
        let letter = layout::letter(block.from);
        match count {
            0 => Ok(()),
            1 => writeln!(self.to, "# {letter} 1 byte missing"),
            _ => writeln!(self.to, "# {letter} {count} bytes missing"),
        }
    }

    fn comment(&mut self, line: &[u8]) -> io::Result<()> {
        if self.manner != Manner::Hex {
            return Ok(());
        }
        // Nothing that a terminal would obey.
        let mut line = line.to_vec();
        for byte in line.iter_mut().filter(|byte| byte.is_ascii_control()) {
            *byte = b'.';
        }
        line.push(b'\n');
        self.to.write_all(&line)
    }

    /// For a traffic log, which cannot tell connections apart.
    pub(super) fn check_selection(&self) -> Outcome {
        match self.connection {
            None => Ok(()),
            Some(_) => Err(Failure::message(format!(
                "{}: a traffic log has no connection numbers, so '--connection' cannot select \
                 one; the directive 'capture' writes a file in which it can",
                self.findings.name
            ))),
        }
    }

    /// Whether the connection that was asked for was there.
    pub(super) fn check_found(&self) -> Outcome {
        match self.connection {
            Some(number) if !self.found => Err(Failure::message(format!(
                "{}: no bytes of a connection {number:07}",
                self.findings.name
            ))),
            _ => Ok(()),
        }
    }

    /// Whether all could be written so far.
    pub(super) fn check_written(&mut self) -> Outcome {
        self.failed
            .take()
            .map_or(Ok(()), |error| Err(Failure::Output(error)))
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Outcome {
        self.check_written()?;
        self.to.flush().map_err(Failure::Output)
    }

    /// What the file lacked so far.
    pub(super) fn findings(&mut self) -> &mut Findings {
        &mut self.findings
    }

    /// What the file lacked.
    pub(super) fn into_findings(self) -> Findings {
        self.findings
    }
}

impl Findings {
    /// Tells what is new, while the file may go on.
    pub(super) fn tell(&mut self, console: &Console) {
        self.faults.show(&self.name, console);
        let missing = std::mem::take(&mut self.missing);
        if missing > 0 {
            console.error(format_args!(
                "{}: {missing} bytes of this are missing: cut off, or never captured",
                self.name
            ));
        }
    }

    /// Tells all that is left to tell.
    pub(super) fn conclude(mut self, console: &Console) {
        self.faults.conclude(&self.name, console);
        self.tell(console);
    }
}
