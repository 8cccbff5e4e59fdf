//! The arguments of flags: numbers, limits, warning codes.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::limits::Limits;
use crate::cli::arguments::flags;
use crate::cli::exit::Failure;
use crate::cli::nearest;
use crate::config::diagnostic::{Code, CodeError};
use crate::telemetry::level::Facility;

/// The greatest number of worker threads.
///
/// Source: decided (2.2).
pub(super) const MAX_WORKERS: usize = 1_024;

/// The argument of the flag with this long name, as text.
pub(super) fn text<'a>(long: &str, value: &'a OsStr) -> Result<&'a str, Failure> {
    value
        .to_str()
        .ok_or_else(|| wrong(long, value, "is not UTF-8"))
}

/// A decimal number within `range`, for the flag with this long name.
pub(super) fn number(
    long: &str,
    value: &OsStr,
    range: RangeInclusive<usize>,
) -> Result<usize, Failure> {
    let text = text(long, value)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(long, value, "is not a number"));
    }
    // Too many digits for the type are out of every range as well.
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let (low, high) = range.into_inner();
            Err(wrong(
                long,
                value,
                &format!("is not within {low} to {high}"),
            ))
        }
    }
}

/// `NAME=SECONDS` of `--limit`.
///
/// Source: decided (2.2).
pub(super) fn limit(text: &str) -> Result<(&str, Duration), Failure> {
    let (name, seconds) = text
        .split_once('=')
        .ok_or_else(|| wrong("limit", text.as_ref(), "is not NAME=SECONDS"))?;
    if !Limits::NAMES.contains(&name) {
        return Err(Failure::Usage(format!(
            "unknown limit '{name}'; limits are {}",
            Limits::NAMES.join(", ")
        )));
    }
    match decimal_seconds(seconds) {
        Some(time) if (Limits::MIN..=Limits::MAX).contains(&time) => Ok((name, time)),
        _ => Err(wrong(
            "limit",
            text.as_ref(),
            "needs seconds from 0.001 to 86400",
        )),
    }
}

/// Digits, and perhaps a point and more digits.
fn decimal_seconds(text: &str) -> Option<Duration> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    };
    if !well_formed {
        return None;
    }
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// The warning that `no-CODE` of `-W` silences.
pub(super) fn silenced(text: &str) -> Result<Code, Failure> {
    Code::silenced_by(text).map_err(|error| {
        let what = match error {
            CodeError::NotSilenced(_) => "is not no-CODE, such as no-W17",
            CodeError::Unknown(_) => "names no warning",
            CodeError::NotAWarning(_) => "names no warning; nothing else can be silenced",
        };
        wrong("warning", text.as_ref(), what)
    })
}

/// The facility of `-l`, in any case, with or without `LOG_`.
pub(super) fn facility(text: &str) -> Result<Facility, Failure> {
    text.parse().map_err(|_| {
        let words = Facility::WORDS;
        let hint = nearest::hint(text, words.iter().copied());
        Failure::Usage(format!(
            "unknown facility '{text}'{hint}; facilities are {}",
            words.join(", ")
        ))
    })
}

fn wrong(long: &str, value: &OsStr, what: &str) -> Failure {
    let flag = flags::by_long(long).map_or_else(|| long.to_owned(), flags::Flag::spelling);
    Failure::Usage(format!(
        "argument '{}' of '{flag}' {what}",
        value.to_string_lossy()
    ))
}
