//! `trafficlog`: shows a traffic log or a capture.
//!
//! ```text
//! Input ─► Reader (telemetry::read) ─► View ─► pager or stdout
//! ```
//!
//! Faults wait until the pager has ended, or they would be written over its
//! screen.

mod follow;
mod view;

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};

use crate::cli::arguments::{Manner, TrafficLog, Until};
use crate::cli::console::{Console, Stream};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::input::Input;
use crate::cli::session::Session;
use crate::process::pager::Pager;
use crate::process::signals;
use crate::telemetry::read::reader::{Format, Reader};
use crate::telemetry::read::streams::Streams;

use view::View;

/// How much of a file is read at once, in bytes.
const PIECE: usize = 65_536;

/// Shows a file.
///
/// Source: decided; the layout is documented (13.1).
pub(super) fn run(session: &Session, order: &TrafficLog) -> Outcome {
    let console = session.console;
    let input = Input::open(&order.file)?;
    match order.until {
        Until::Signal => {
            let order = order.clone();
            let work = move || follow::follow(input, &order, &console);
            let ended = signals::until_ended(work)
                .map_err(|error| Failure::message(format!("cannot wait for signals: {error}")))?;
            ended.unwrap_or(Ok(()))
        }
        Until::EndOfFile if order.manner == Manner::Hex => paged(input, order, &console),
        Until::EndOfFile => show(input, order, &console, io::stdout().lock()),
    }
}

/// Shows a file through the pager if stdout is a terminal.
fn paged(input: Input, order: &TrafficLog, console: &Console) -> Outcome {
    let mut pager = match Stream::of_stdout() {
        Stream::Terminal => start_pager(std::env::var_os("PAGER").as_deref())?,
        Stream::Other => None,
    };
    let Some(text) = pager.as_mut().and_then(Pager::input) else {
        return show(input, order, console, io::stdout().lock());
    };
    let mut view = View::new(order, BufWriter::new(text));
    let shown = match read_all(input, &mut view) {
        // Its user has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    };
    let findings = view.into_findings();
    if let Some(pager) = pager
        && !pager.wait().unwrap_or(false)
    {
        console.error("the pager of the variable PAGER failed; '| cat' avoids it");
    }
    findings.conclude(console);
    shown
}

/// The pager that PAGER names, or the usual one; none if there is none, or if
/// the variable is empty.
fn start_pager(named: Option<&OsStr>) -> Result<Option<Pager>, Failure> {
    if named.is_some_and(OsStr::is_empty) {
        return Ok(None);
    }
    // Before there is a pager that could get control-C alone.
    let ignored = signals::ignore_interrupt();
    match ignored.and_then(|()| Pager::start(named)) {
        Ok(pager) => Ok(Some(pager)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::message(format!("cannot start a pager: {error}"))),
    }
}

fn show(input: Input, order: &TrafficLog, console: &Console, to: impl Write) -> Outcome {
    let mut view = View::new(order, BufWriter::with_capacity(PIECE, to));
    let shown = read_all(input, &mut view);
    view.into_findings().conclude(console);
    shown
}

fn read_all(mut input: Input, view: &mut View<impl Write>) -> Outcome {
    view.name(input.name());
    let mut reader = Reader::new(Streams::default());
    read_on(&mut input, &mut reader, view)?;
    reader.end(|item| view.item(item));
    view.flush()?;
    view.check_found()
}

/// Reads to the end that the file has now.
fn read_on(input: &mut Input, reader: &mut Reader, view: &mut View<impl Write>) -> Outcome {
    let mut piece = vec![0; PIECE];
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        let pushed = reader.push(&piece[..read], |item| view.item(item));
        let name = input.name();
        pushed.map_err(|error| Failure::message(format!("{name}: {error}")))?;
        if reader.format() == Some(Format::TrafficLog) {
            view.check_selection()?;
        }
        view.check_written()?;
    }
}
