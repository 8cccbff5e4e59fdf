//! `throughput`: analyses throughput logs.
//!
//! ```text
//! Input ─► Analysis ─► Findings ─┬─► report ─► text or JSON on stdout
//!                                └─► plot ─► an SVG file
//! ```

mod analysis;
mod plot;
mod report;
mod timeline;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::arguments::{Form, Throughput};
use crate::cli::console::Console;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::input::{Input, cannot};
use crate::cli::session::Session;
use crate::telemetry::read::capture::MAGIC;
use crate::telemetry::read::reader::GZIP;

use analysis::{Analysis, Findings};

/// How much of a file is read at once, in bytes.
const PIECE: usize = 262_144;

/// The size in bytes from which on a file gets a progress bar.
const LARGE: u64 = 64 << 20;

/// Analyses files, each for itself.
///
/// A file that cannot be read does not keep the others from being analysed.
///
/// Source: decided; the layout of the files is documented (13.2).
pub(super) fn run(session: &Session, order: &Throughput) -> Outcome {
    let console = session.console;
    if let Some(path) = &order.plot {
        check_target(path)?;
    }
    let mut all = Vec::new();
    let mut complete = true;
    for path in &order.files {
        match analyse(path, &console) {
            Ok(findings) => all.push(findings),
            Err(Failure::Message(text)) => {
                console.error(text);
                complete = false;
            }
            Err(other) => return Err(other),
        }
    }
    console.print(match session.options.form {
        Form::Json => report::json(&all),
        _ => report::text(&all),
    })?;
    if let Some(path) = &order.plot {
        let written = fs::write(path, plot::draw(&all));
        written.map_err(|error| cannot(&path.display().to_string(), &error))?;
    }
    match complete {
        true => Ok(()),
        false => Err(Failure::Told),
    }
}

fn analyse(path: &Path, console: &Console) -> Result<Findings, Failure> {
    let mut input = Input::open(path)?;
    let progress = progress(&mut input);
    let mut analysis = Analysis::new(input.name());
    let mut piece = vec![0; PIECE];
    let mut is_first = true;
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            break;
        }
        if std::mem::take(&mut is_first) {
            check_begin(input.name(), &piece[..read])?;
        }
        analysis.push(&piece[..read]);
        progress.inc(read as u64);
    }
    // Before anything else is written to stderr.
    progress.finish_and_clear();
    let mut findings = analysis.end();
    findings.faults.conclude(&findings.name, console);
    Ok(findings)
}

/// A bar for a large file; it is only drawn where stderr is a terminal.
fn progress(input: &mut Input) -> ProgressBar {
    const STYLE: &str = "{msg} [{wide_bar}] {bytes} of {total_bytes}, {eta} left";
    let size = input.regular().and_then(|file| file.metadata().ok());
    match size.map(|size| size.len()).filter(|size| *size >= LARGE) {
        Some(size) => {
            let style = ProgressStyle::with_template(STYLE);
            ProgressBar::new(size)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(input.name().to_owned())
        }
        None => ProgressBar::hidden(),
    }
}

/// Refuses files that are no text, by their first bytes.
fn check_begin(name: &str, bytes: &[u8]) -> Outcome {
    let what = if bytes.starts_with(&GZIP) {
        "compressed by gzip; 'gzip -dc FILE | crossroads throughput -' reads it"
    } else if bytes.starts_with(&MAGIC) {
        "a capture; 'crossroads trafficlog' shows it"
    } else {
        return Ok(());
    };
    Err(Failure::message(format!("{name}: {what}")))
}

/// Refuses to draw over a file that is no picture: somebody may have written
/// `--plot LOG` for `--plot PICTURE LOG`.
fn check_target(path: &Path) -> Outcome {
    let name = path.display().to_string();
    // A pipe or a terminal has nothing to lose, and would be waited for.
    if fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir()) {
        return Ok(());
    }
    let mut begin = [0; 5];
    let read = match fs::File::open(path) {
        Ok(mut file) => file.read(&mut begin),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    let read = read.map_err(|error| cannot(&name, &error))?;
    match &begin[..read] {
        b"" | b"<svg " | b"<?xml" => Ok(()),
        _ => Err(Failure::message(format!(
            "{name}: exists and is no SVG file; '--plot' does not overwrite it"
        ))),
    }
}
