//! `--follow`: a file that grows, is emptied, or is replaced by another one.
//!
//! The file is looked at every [`PAUSE`]. The kernel could tell of changes, but
//! not on every file system, and not of a new file in the place of the old one
//! without a watch of its directory too.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::view::View;
use super::{PIECE, read_on};
use crate::cli::arguments::TrafficLog;
use crate::cli::console::Console;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::input::{Input, cannot};
use crate::telemetry::read::reader::Reader;
use crate::telemetry::read::streams::Streams;

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// What has become of a file whose end was reached.
enum Turn {
    /// It may have grown.
    Same,
    /// It is shorter than what was read.
    Emptied,
    /// Another one has its name.
    Replaced,
}

/// Shows a file from its beginning, and what is added to it; ends only with an
/// error, or where a pipe ends.
pub(super) fn follow(mut input: Input, order: &TrafficLog, console: &Console) -> Outcome {
    let mut view = View::new(order, BufWriter::with_capacity(PIECE, io::stdout()));
    view.name(input.name());
    let mut reader = Reader::new(Streams::default());
    loop {
        let read = read_on(&mut input, &mut reader, &mut view);
        let read = read.and_then(|()| view.flush());
        view.findings().tell(console);
        read?;
        let turn = turn(&mut input)?;
        match turn {
            None => return end(reader, &mut view, console).map(drop),
            Some(Turn::Same) => {
                pause()?;
                continue;
            }
            Some(Turn::Emptied) => {
                if let Some(file) = input.regular() {
                    let begun = file.seek(SeekFrom::Start(0));
                    begun.map_err(|error| cannot(order.file.to_string_lossy().as_ref(), &error))?;
                }
            }
            Some(Turn::Replaced) => {
                // It may have grown until it lost its name.
                read_on(&mut input, &mut reader, &mut view)?;
                match Input::open(&order.file) {
                    Ok(next) => input = next,
                    // Gone again; the next look tells.
                    Err(_) => {
                        pause()?;
                        continue;
                    }
                }
            }
        }
        // Its connections may go on in what follows.
        let streams = end(reader, &mut view, console)?;
        reader = Reader::new(streams);
    }
}

/// Shows what waited for the end of a file.
fn end(
    reader: Reader,
    view: &mut View<BufWriter<io::Stdout>>,
    console: &Console,
) -> Result<Streams, Failure> {
    let streams = reader.end(|item| view.item(item));
    view.flush()?;
    view.findings().tell(console);
    Ok(streams)
}

/// `None` for what is no regular file: its end is the end.
fn turn(input: &mut Input) -> Result<Option<Turn>, Failure> {
    let name = input.name().to_owned();
    let path = input.path().to_owned();
    let Some(file) = input.regular() else {
        return Ok(None);
    };
    let looked = look(file, fs::metadata(path).ok());
    looked.map(Some).map_err(|error| cannot(&name, &error))
}

fn look(file: &mut File, named: Option<fs::Metadata>) -> io::Result<Turn> {
    let own = file.metadata()?;
    let is_other = |named: fs::Metadata| (named.dev(), named.ino()) != (own.dev(), own.ino());
    // A name that is gone is about to come back, for a file that is rotated.
    Ok(if named.is_some_and(is_other) {
        Turn::Replaced
    } else if own.len() < file.stream_position()? {
        Turn::Emptied
    } else {
        Turn::Same
    })
}

/// Waits a moment, or until nobody reads stdout any more.
fn pause() -> Outcome {
    let stdout = io::stdout();
    // Without events the end of a pipe's reader is still told.
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let limit = Timespec::try_from(PAUSE).ok();
    match poll(&mut watched, limit.as_ref()) {
        Ok(0) | Err(Errno::INTR) => Ok(()),
        Ok(_) => Err(Failure::Output(io::ErrorKind::BrokenPipe.into())),
        Err(error) => Err(Failure::Output(error.into())),
    }
}
