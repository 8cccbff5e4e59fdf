//! `errorfile CODE FILE`.

use super::*;
use crate::config::model::ErrorPage;

impl Input<'_> {
    pub(super) fn error_file(&self, value: &str, span: Span) -> Outcome<Lowered> {
        let blank = |c: char| c.is_ascii_whitespace();
        let (found, rest) = value.split_once(blank).unwrap_or((value, ""));
        let file = string::value(rest);
        let place = self.part(span, 0..found.len());
        let code = Self::parse_code(found, place)?;
        if file.is_empty() {
            let message = format!("the file with the page for {code} is missing");
            return fail(Finding::new(Code::E06, place, message).accepted("CODE FILE".to_owned()));
        }
        let start = value.len() - rest.trim_start_matches(blank).len();
        Ok(Lowered::ErrorFile(Box::new(ErrorFileDraft {
            code,
            file: Text::from(to_bytes(&file)),
            row: self.row,
            word: self.statement.word,
            argument: self.part(span, start..value.len()),
        })))
    }

    /// Where a part of the value stands in the raw text at `span`.
    fn part(&self, span: Span, part: std::ops::Range<usize>) -> Span {
        let raw = self.of(span);
        Span {
            start: span.start + string::locate(raw, part.start),
            end: span.start + string::locate(raw, part.end),
        }
    }

    /// The code of a reply that the daemon makes itself.
    fn parse_code(found: &str, place: Span) -> Outcome<u16> {
        let code = Self::parse_number((found, place), "errorfile", (0, u32::MAX));
        let known = ErrorPage::CODES.iter();
        let accepted = known.clone().map(u16::to_string);
        let accepted = accepted.collect::<Vec<_>>().join(", ");
        match code {
            Ok(number) => match known.copied().find(|code| u32::from(*code) == number) {
                Some(code) => Ok(code),
                None => {
                    let message = format!("the daemon makes no reply {number} itself");
                    fail(Finding::new(Code::E08, place, message).accepted(accepted))
                }
            },
            Err(finding) => Err(finding.map(|finding| Box::new(finding.accepted(accepted)))),
        }
    }
}
