//! From the tokens behind a directive word to its value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ast::{Span, Statement};
use super::diagnostic::Code;
use super::directives::{
    Argument, BOOLEANS, Directive, MODES, RETIRED_ARGUMENTS, Slot, is_directive_word,
};
use super::draft::{HeaderDraft, Value};
use super::findings::{Finding, Findings};
use super::lower::bad_character;
use super::model::{BindTo, HeaderAction, HeaderDirective, HeaderInspection, HeaderSide};
use super::source::{LOST, printable, quoted, to_bytes};
use super::string;
use super::suggest::nearest;
use crate::base::endpoint::Endpoint;
use crate::base::text::Text;
use crate::policy::access::Filter;
use crate::policy::dispatch::{DispatchMode, Over, Stickiness};

/// A directive with what follows it.
pub(super) struct Input<'a> {
    /// The whole text.
    pub(super) text: &'a str,
    /// The row of its word.
    pub(super) row: &'static Directive,
    /// The statement.
    pub(super) statement: &'a Statement,
}

/// What a statement gives.
#[derive(Debug)]
pub(super) enum Lowered {
    /// A value, and where it stands.
    Value(Value, Span),
    /// A header directive, which adds up.
    Header(Box<HeaderDraft>),
    /// Filters, which add up.
    Filters(Vec<(Filter, Span)>),
    /// Nothing, as `insertrealip off`.
    Nothing,
}

/// Lowers one statement; `None` if it is faulty, which is then reported.
pub(super) fn lower(input: &Input<'_>, findings: &mut Findings) -> Option<Lowered> {
    let lowered = match input.row.argument {
        Argument::Number(least, most) => input.number(least, most),
        Argument::Word(_) => input.keyword(),
        Argument::Boolean => input.boolean(),
        Argument::OptionalBoolean => input.real_ip(),
        Argument::Address => input.address(),
        Argument::Mode => input.mode(findings),
        Argument::Filters => input.filters(findings),
        Argument::Text => input.string(findings),
        Argument::Block => Err(None),
    };
    let lowered = match lowered {
        Ok(lowered) => lowered,
        Err(finding) => {
            if let Some(finding) = finding {
                findings.push(*finding);
            }
            return None;
        }
    };
    if let Some(old) = input.retired_argument() {
        findings.push(old);
    }
    Some(lowered)
}

/// A value, or what is wrong; `Err(None)` if that was reported already.
type Outcome<T> = Result<T, Option<Box<Finding>>>;

fn fail<T>(finding: Finding) -> Outcome<T> {
    Err(Some(Box::new(finding)))
}

impl<'a> Input<'a> {
    fn of(&self, span: Span) -> &'a str {
        span.of(self.text)
    }

    /// The argument at `index`; `None` behind the last one.
    fn argument(&self, index: usize) -> Outcome<Option<(&'a str, Span)>> {
        let Some(span) = self.statement.arguments.get(index).copied() else {
            return Ok(None);
        };
        let found = self.of(span);
        if found.contains(LOST) {
            return Err(None);
        }
        match bad_character(span, self.text) {
            Some(finding) => fail(finding),
            None => Ok(Some((found, span))),
        }
    }

    fn missing(&self) -> Finding {
        let message = format!("the argument of `{}` is missing", self.row.word);
        Finding::new(Code::E06, self.statement.word, message).accepted(self.row.accepted())
    }

    fn first(&self) -> Outcome<(&'a str, Span)> {
        match self.argument(0)? {
            Some(found) => Ok(found),
            None => fail(self.missing()),
        }
    }

    fn nothing_behind(&self, count: usize) -> Outcome<()> {
        match self.argument(count)? {
            Some((found, span)) => {
                let message = format!("unexpected {} after the argument", quoted(found));
                fail(Finding::new(Code::E09, span, message))
            }
            None => Ok(()),
        }
    }

    fn wrong_kind(&self, found: &str, span: Span, allowed: &[&str]) -> Finding {
        let what = match self.row.argument {
            Argument::Mode => format!("unknown dispatch mode {}", quoted(found)),
            _ => format!("{} is no argument of `{}`", quoted(found), self.row.word),
        };
        Finding::new(Code::E07, span, what)
            .accepted(self.row.accepted())
            .suggest(nearest(found, allowed.iter().copied()))
    }

    fn parse_number(&self, found: &str, span: Span, least: u32, most: u32) -> Outcome<u32> {
        let accepted = format!("{least} to {most}");
        let word = self.row.word;
        if found.is_empty() || !found.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!("{} is not a whole number for `{word}`", quoted(found));
            return fail(Finding::new(Code::E07, span, message).accepted(accepted));
        }
        let number = found.parse::<u32>();
        match number.ok().filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(number),
            None => {
                let message = format!("{} is out of range for `{word}`", quoted(found));
                fail(Finding::new(Code::E08, span, message).accepted(accepted))
            }
        }
    }

    fn number(&self, least: u32, most: u32) -> Outcome<Lowered> {
        let (found, span) = self.first()?;
        let number = self.parse_number(found, span, least, most)?;
        self.nothing_behind(1)?;
        Ok(Lowered::Value(Value::Number(number), span))
    }

    fn keyword(&self) -> Outcome<Lowered> {
        let (found, span) = self.first()?;
        let value = match (self.row.slot, found) {
            (Slot::Type, "any") => Value::Http(false),
            (Slot::Type, "http" | "stickyhttp") => Value::Http(true),
            (Slot::HeaderInspection, "deep") => Value::Inspection(HeaderInspection::Deep),
            (Slot::HeaderInspection, "shallow") => Value::Inspection(HeaderInspection::Shallow),
            _ => {
                let allowed = match self.row.argument {
                    Argument::Word(words) => words,
                    _ => &[],
                };
                return fail(self.wrong_kind(found, span, allowed));
            }
        };
        self.nothing_behind(1)?;
        Ok(Lowered::Value(value, span))
    }

    fn flag(&self, found: &str, span: Span) -> Outcome<bool> {
        match found {
            "on" | "yes" | "true" => Ok(true),
            "off" | "no" | "false" => Ok(false),
            _ => fail(self.wrong_kind(found, span, BOOLEANS)),
        }
    }

    fn boolean(&self) -> Outcome<Lowered> {
        let (found, span) = self.first()?;
        let flag = self.flag(found, span)?;
        self.nothing_behind(1)?;
        Ok(Lowered::Value(Value::Flag(flag), span))
    }

    fn real_ip(&self) -> Outcome<Lowered> {
        let on = match self.argument(0)? {
            Some((found, span)) => self.flag(found, span)?,
            None => true,
        };
        self.nothing_behind(1)?;
        if !on {
            return Ok(Lowered::Nothing);
        }
        let word = self.statement.word;
        Ok(self.header(
            HeaderSide::Server,
            HeaderAction::Set,
            Text::from("X-Real-IP: %r"),
            word,
        ))
    }

    fn address(&self) -> Outcome<Lowered> {
        let (found, span) = self.first()?;
        let bind = match found {
            "any" => BindTo::Any,
            _ => match parse_address(found) {
                Some(address) => BindTo::Address(address),
                None if found.eq_ignore_ascii_case("any") => {
                    return fail(self.wrong_kind(found, span, &["any"]));
                }
                None => {
                    let message = format!("{} is not a full address", quoted(found));
                    let finding = Finding::new(Code::E40, span, message);
                    return fail(finding.accepted(self.row.accepted()));
                }
            },
        };
        self.nothing_behind(1)?;
        Ok(Lowered::Value(Value::Bind(bind), span))
    }

    fn filters(&self, findings: &mut Findings) -> Outcome<Lowered> {
        self.first()?;
        let mut filters = Vec::new();
        let mut faulty = false;
        for index in 0..self.statement.arguments.len() {
            let finding = match self.argument(index) {
                Ok(Some((found, span))) => match Filter::parse(found) {
                    Ok(filter) => {
                        filters.push((filter, span));
                        continue;
                    }
                    Err(error) => {
                        let message = printable(&format!("{error}; {}", error.remedy()));
                        Some(Box::new(Finding::new(Code::E35, span, message)))
                    }
                },
                Ok(None) => continue,
                Err(finding) => finding,
            };
            faulty = true;
            if let Some(finding) = finding {
                findings.push(*finding);
            }
        }
        if faulty {
            return Err(None);
        }
        Ok(Lowered::Filters(filters))
    }

    // ------------------------------------------------------------ dispatch modes

    fn mode(&self, findings: &mut Findings) -> Outcome<Lowered> {
        let (found, span) = self.first()?;
        if self.statement.text.is_some() {
            if found != "externalhandler" {
                return fail(self.wrong_kind(found, span, MODES));
            }
            let (text, argument) = self.text_value(findings)?;
            let value = Value::Mode(DispatchMode::ExternalHandler, Some(text));
            return Ok(Lowered::Value(value, argument));
        }
        let (mode, count) = match found {
            "roundrobin" => (DispatchMode::RoundRobin, 1),
            "random" => (DispatchMode::Random, 1),
            "byorder" => (DispatchMode::ByOrder, 1),
            "byconnections" | "bysessions" => (DispatchMode::ByConnections, 1),
            "bysize" | "byduration" => {
                let (over, count) = self.over()?;
                if found == "bysize" {
                    (DispatchMode::BySize(over), count)
                } else {
                    (DispatchMode::ByDuration(over), count)
                }
            }
            "byclientip" => self.stickiness()?,
            "byclientiplax" => (DispatchMode::ByClientIp(Stickiness::Lax), 1),
            _ => return fail(self.wrong_kind(found, span, MODES)),
        };
        self.nothing_behind(count)?;
        let last = self.statement.arguments.get(count - 1).copied();
        let span = Span {
            end: last.unwrap_or(span).end,
            ..span
        };
        Ok(Lowered::Value(Value::Mode(mode, None), span))
    }

    fn over(&self) -> Outcome<(Over, usize)> {
        let Some((found, span)) = self.argument(1)? else {
            return Ok((Over::default(), 1));
        };
        if !matches!(found, "over" | "of") {
            let message = format!("unexpected {} after the dispatch mode", quoted(found));
            let finding = Finding::new(Code::E09, span, message);
            let near = nearest(found, ["over", "of"]);
            return fail(finding.accepted("over NUMBER".to_owned()).suggest(near));
        }
        let Some((number, at)) = self.argument(2)? else {
            let message = format!("the number after `{found}` is missing");
            let finding = Finding::new(Code::E06, span, message);
            return fail(finding.accepted(format!("0 to {}", Over::MAX)));
        };
        let number = self.parse_number(number, at, 0, Over::MAX)?;
        Ok((Over::new(number).unwrap_or_default(), 3))
    }

    fn stickiness(&self) -> Outcome<(DispatchMode, usize)> {
        match self.argument(1)? {
            None => Ok((DispatchMode::ByClientIp(Stickiness::Strict), 1)),
            Some(("strict", _)) => Ok((DispatchMode::ByClientIp(Stickiness::Strict), 2)),
            Some(("lax", _)) => Ok((DispatchMode::ByClientIp(Stickiness::Lax), 2)),
            Some((found, span)) => {
                let message = format!("unexpected {} after the dispatch mode", quoted(found));
                let finding = Finding::new(Code::E09, span, message);
                let near = nearest(found, ["strict", "lax"]);
                fail(finding.accepted("strict, lax".to_owned()).suggest(near))
            }
        }
    }

    fn retired_argument(&self) -> Option<Finding> {
        let span = self.statement.arguments.first().copied()?;
        let found = self.of(span);
        let mut retired = RETIRED_ARGUMENTS.iter();
        let (word, old, new) =
            retired.find(|(word, old, _)| *word == self.row.word && *old == found)?;
        let message = format!("`{word} {old}` is a retired spelling of `{word} {new}`");
        Some(Finding::new(Code::W01, span, message))
    }

    // ----------------------------------------------------------- generic strings

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

    fn text_value(&self, findings: &mut Findings) -> Outcome<(Text, Span)> {
        let (value, span) = self.raw_value(findings)?;
        Ok((Text::from(to_bytes(&value)), span))
    }

    fn string(&self, findings: &mut Findings) -> Outcome<Lowered> {
        let (value, span) = self.raw_value(findings)?;
        match self.row.slot {
            Slot::Server => self.server(&value, span),
            Slot::StickyCookie => sticky_cookie(value, span),
            Slot::Header => self.header_text(&value, span),
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
                let finding = Finding::new(Code::E34, span, printable(&error.to_string()));
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
            let accepted = "NAME: VALUE, where NAME is an HTTP token and VALUE has no control \
                            characters";
            let finding = Finding::new(Code::E37, span, problem);
            return fail(finding.accepted(accepted.to_owned()));
        }
        Ok(self.header(side, action, Text::from(to_bytes(&value)), span))
    }

    fn header(&self, side: HeaderSide, action: HeaderAction, text: Text, at: Span) -> Lowered {
        let managed = MANAGED_HEADERS.iter().any(|name| has_name(&text, name));
        Lowered::Header(Box::new(HeaderDraft {
            header: HeaderDirective { side, action, text },
            row: self.row,
            word: self.statement.word,
            argument: at,
            managed,
        }))
    }
}

/// Headers that the daemon manages itself (W15).
const MANAGED_HEADERS: &[&str] = &[
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
];

fn has_name(text: &Text, name: &str) -> bool {
    let mut parts = text.as_bytes().split(|byte| *byte == b':');
    parts
        .next()
        .is_some_and(|part| part.eq_ignore_ascii_case(name.as_bytes()))
}

/// The new form of `insertcookie TEXT`.
pub(super) fn set_cookie(text: &str) -> String {
    const NAME: &str = "Set-Cookie:";
    match text.get(..NAME.len()) {
        Some(start) if start.eq_ignore_ascii_case(NAME) => text.to_owned(),
        _ => format!("{NAME} {text}"),
    }
}

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn header_problem(value: &str) -> Option<String> {
    let Some((name, text)) = value.split_once(':') else {
        return Some(format!("{} has no `:`", quoted(value)));
    };
    if name.is_empty() || !name.chars().all(is_token_character) {
        return Some(format!("{} is not the name of a header", quoted(name)));
    }
    let framing = ["Content-Length", "Transfer-Encoding"];
    if framing
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing))
    {
        return Some(format!("{} may not be changed", quoted(name)));
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

/// A full IPv4 address, leading zeros allowed, or an IPv6 address.
fn parse_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        let part = parts.next()?;
        let fits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        *byte = part.parse().ok().filter(|_| fits)?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(bytes).into())
}
