//! Generic strings: servers, commands, cookies, header texts.

use super::*;

impl Input<'_> {
    /// The value of the string as text, and where it stands without the white
    /// space around it.
    fn raw_value(&self, findings: &mut Findings) -> Outcome<(String, Span)> {
        let Some(raw) = self.statement.text else {
            return fail(self.missing());
        };
        let text = self.of(raw.span);
        let trimmed = text.trim_matches(string::is_blank);
        if trimmed.contains(LOST) {
            return Err(None);
        }
        let start = raw.span.start + (text.len() - text.trim_start_matches(string::is_blank).len());
        let span = Span {
            start,
            end: start + trimmed.len(),
        };
        let value = string::value(trimmed);
        if trimmed.is_empty() || value.is_empty() {
            return fail(self.missing());
        }
        warn_of_comment(trimmed, span, findings);
        warn_of_directive(trimmed, span, findings);
        Ok((value, span))
    }

    pub(super) fn text_value(&self, findings: &mut Findings) -> Outcome<(Text, Span)> {
        let (value, span) = self.raw_value(findings)?;
        Ok((Text::from(to_bytes(&value)), span))
    }

    pub(super) fn string(&self, findings: &mut Findings) -> Outcome<Lowered> {
        let (value, span) = self.raw_value(findings)?;
        match self.row.slot {
            Slot::Server => self.server(&value, span),
            Slot::StickyCookie => sticky_cookie(value, span),
            Slot::Header => self.header_text(&value, span),
            Slot::Capture => self.capture(&value, span),
            Slot::ErrorFile => self.error_file(&value, span),
            _ => {
                let text = Text::from(to_bytes(&value));
                Ok(Lowered::Value(Value::Text(text), span))
            }
        }
    }

    fn server(&self, value: &str, span: Span) -> Outcome<Lowered> {
        match Endpoint::parse_optional_port(value) {
            Ok((host, port)) => Ok(Lowered::Value(Value::Server(host, port), span)),
            Err(error) => {
                let message = match self.of(span).split_once('\n') {
                    Some((line, _)) => {
                        format!(
                            "more text follows {}: is a `;` missing?",
                            quoted(line.trim())
                        )
                    }
                    None => printable(&error.to_string()),
                };
                let finding = Finding::new(Code::E34, span, message);
                fail(finding.accepted("HOST or HOST:PORT".to_owned()))
            }
        }
    }

    fn header_text(&self, value: &str, span: Span) -> Outcome<Lowered> {
        let (side, action, value) = match self.row.word {
            "addserverheader" => (HeaderSide::Server, HeaderAction::Add, value.to_owned()),
            "appendserverheader" => (HeaderSide::Server, HeaderAction::Append, value.to_owned()),
            "setserverheader" => (HeaderSide::Server, HeaderAction::Set, value.to_owned()),
            "addclientheader" => (HeaderSide::Client, HeaderAction::Add, value.to_owned()),
            "appendclientheader" => (HeaderSide::Client, HeaderAction::Append, value.to_owned()),
            "setclientheader" => (HeaderSide::Client, HeaderAction::Set, value.to_owned()),
            _ => (HeaderSide::Client, HeaderAction::Add, set_cookie(value)),
        };
        if let Some(problem) = header_problem(&value) {
            return fail(Finding::new(Code::E37, span, problem).accepted(HEADER_FORM.to_owned()));
        }
        let name = value.split(':').next().unwrap_or("");
        let mut framing = FRAMING_HEADERS.iter();
        if framing.any(|framing| name.eq_ignore_ascii_case(framing)) {
            let message = format!("{} may not be changed", quoted(name));
            return fail(Finding::new(Code::E37, span, message));
        }
        self.header((side, action), Text::from(to_bytes(&value)), span)
    }

    /// The header directive that `text` says, which has a colon.
    pub(super) fn header(
        &self,
        (side, action): (HeaderSide, HeaderAction),
        text: Text,
        at: Span,
    ) -> Outcome<Lowered> {
        let header = HeaderDirective::new(side, action, text).ok_or(None)?;
        let managed = MANAGED_HEADERS.iter().any(|name| header.is_about(name));
        Ok(Lowered::Header(Box::new(HeaderDraft {
            header,
            row: self.row,
            word: self.statement.word,
            argument: at,
            managed,
        })))
    }
}

/// What a header text must be (E37).
const HEADER_FORM: &str =
    "NAME: VALUE, where NAME is an HTTP token and VALUE has no control characters";

/// Headers that say where a message ends; nobody may change them (E37).
const FRAMING_HEADERS: &[&str] = &["Content-Length", "Transfer-Encoding"];

/// Headers that the daemon manages itself (W15).
const MANAGED_HEADERS: &[&str] = &[
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
];

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// What is wrong with the form of a header text.
fn header_problem(value: &str) -> Option<String> {
    let Some((name, text)) = value.split_once(':') else {
        return Some(format!("{} has no `:`", quoted(value)));
    };
    if name.is_empty() {
        return Some("the name of the header is missing".to_owned());
    }
    if !name.chars().all(is_token_character) {
        return Some(format!("{} is not the name of a header", quoted(name)));
    }
    let control = text.chars().any(char::is_control);
    control.then(|| format!("the value of {} holds a control character", quoted(name)))
}

fn sticky_cookie(value: String, span: Span) -> Outcome<Lowered> {
    let fits = value.split_once('=').is_some_and(|(name, text)| {
        let printable = |c: char| c.is_ascii_graphic() && !"\",;\\".contains(c);
        !name.is_empty() && name.chars().all(is_token_character) && text.chars().all(printable)
    });
    if fits {
        return Ok(Lowered::Value(
            Value::Text(Text::from(value.into_bytes())),
            span,
        ));
    }
    let message = format!("{} is not a cookie NAME=VALUE", quoted(&value));
    let accepted = "NAME of HTTP token characters, VALUE of printable ASCII without blank, \
                    `\"`, `,`, `;`, `\\`";
    fail(Finding::new(Code::E36, span, message).accepted(accepted.to_owned()))
}

fn warn_of_comment(trimmed: &str, span: Span, findings: &mut Findings) {
    let mark = ["/*", "//", "#"]
        .into_iter()
        .find(|mark| trimmed.starts_with(mark));
    if let Some(mark) = mark {
        let span = Span {
            end: span.start + mark.len(),
            ..span
        };
        let message = format!("this string begins with `{mark}`; it is no comment here");
        findings.push(Finding::new(Code::W11, span, message));
    }
}

fn warn_of_directive(trimmed: &str, span: Span, findings: &mut Findings) {
    let mut at = span.start;
    for (number, line) in trimmed.split('\n').enumerate() {
        let word = line.trim_start_matches(string::is_blank);
        let start = at + (line.len() - word.len());
        at += line.len() + 1;
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word = word.split(|c| !is_letter(c)).next().unwrap_or("");
        if number > 0 && is_directive_word(word) {
            let end = start + word.len();
            let message =
                format!("`{word}` begins a line of a string: is a `;` missing before it?");
            findings.push(Finding::new(Code::W16, Span { start, end }, message));
        }
    }
}

/// The new form of `insertcookie TEXT`.
pub(in crate::config) fn set_cookie(text: &str) -> String {
    const NAME: &str = "Set-Cookie:";
    match text.get(..NAME.len()) {
        Some(start) if start.eq_ignore_ascii_case(NAME) => text.to_owned(),
        _ => format!("{NAME} {text}"),
    }
}
