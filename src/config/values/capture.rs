//! `capture FILE [SNAPLEN] [when FILTER...]`.

use super::*;

/// What `capture` takes.
const FORM: &str = "FILE [SNAPLEN] [when FILTER...]";

/// The least snap length: the longest headers of a packet, without payload.
const LEAST_SNAP: u32 = 64;

/// The greatest snap length.
const MOST_SNAP: u32 = 65_535;

impl Input<'_> {
    pub(super) fn capture(&self, value: &str, span: Span) -> Outcome<Lowered> {
        let refuse = |code, message: String| {
            fail(Finding::new(code, span, message).accepted(FORM.to_owned()))
        };
        let (file, rest) = match file_name(value) {
            Some(split) => split,
            None => {
                let message = "the quote around the file name is not closed, or the name is empty";
                return refuse(Code::E07, message.to_owned());
            }
        };
        let mut words = rest.split_ascii_whitespace().peekable();
        let digits = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
        let snap_length = match words.next_if(digits) {
            Some(word) => {
                let limits = (LEAST_SNAP, MOST_SNAP);
                Some(Self::parse_number((word, span), "capture", limits)?)
            }
            None => None,
        };
        let filters = match words.next() {
            None => Vec::new(),
            Some("when") => self.filters_of_capture(words, span)?,
            Some(other) => {
                let near = nearest(other, ["when"]);
                let message = format!("unexpected {} after the file of a capture", quoted(other));
                let finding = Finding::new(Code::E09, span, message).accepted(FORM.to_owned());
                return fail(finding.suggest(near));
            }
        };
        let capture = Capture {
            file: Text::from(to_bytes(file)),
            snap_length,
            when: FilterList::from_iter(filters),
        };
        Ok(Lowered::Value(Value::Capture(Box::new(capture)), span))
    }

    fn filters_of_capture<'w>(
        &self,
        words: impl Iterator<Item = &'w str>,
        span: Span,
    ) -> Outcome<Vec<Filter>> {
        let parse = |word: &str| {
            Filter::parse(word).map_err(|error| {
                let message = printable(&format!("{error}; {}", error.remedy()));
                Some(Box::new(Finding::new(Code::E35, span, message)))
            })
        };
        let filters = words.map(parse).collect::<Outcome<Vec<_>>>()?;
        if filters.is_empty() {
            let message = "the filters behind `when` are missing";
            return fail(Finding::new(Code::E06, span, message).accepted(FORM.to_owned()));
        }
        Ok(filters)
    }
}

/// The file name at the beginning of `value`, in quotes if it holds blanks, and
/// what follows it. `None` for an open quote or an empty name.
fn file_name(value: &str) -> Option<(&str, &str)> {
    let (name, rest) = match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => value
            .split_once(|c: char| c.is_ascii_whitespace())
            .unwrap_or((value, "")),
    };
    (!name.is_empty()).then_some((name, rest))
}
