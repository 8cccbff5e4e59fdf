//! From the tokens behind a directive word to its value.

mod capture;
mod mode;
mod page;
mod text;

pub(super) use text::set_cookie;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ast::{Span, Statement};
use super::diagnostic::Code;
use super::directives::{
    Argument, BOOLEANS, Directive, MODES, RETIRED_ARGUMENTS, Slot, is_directive_word,
};
use super::draft::{ErrorFileDraft, HeaderDraft, Value};
use super::findings::{Finding, Findings};
use super::lower::bad_character;
use super::model::{
    BindTo, Capture, Handler, HandlerKind, HeaderAction, HeaderDirective, HeaderInspection,
    HeaderSide, Reuse,
};
use super::source::{LOST, printable, quoted, to_bytes};
use super::string;
use super::suggest::nearest;
use crate::base::endpoint::Endpoint;
use crate::base::text::Text;
use crate::policy::access::{Filter, FilterList};
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
    /// The page of an error reply; those of other codes stay.
    ErrorFile(Box<ErrorFileDraft>),
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

    /// The number that stands for `word`, from `least` to `most`.
    fn parse_number(
        (found, span): (&str, Span),
        word: &str,
        (least, most): (u32, u32),
    ) -> Outcome<u32> {
        let accepted = format!("{least} to {most}");
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
        let number = Self::parse_number((found, span), self.row.word, (least, most))?;
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
            (Slot::Reuse, "never") => Value::Reuse(Reuse::Never),
            (Slot::Reuse, "safe") => Value::Reuse(Reuse::Safe),
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
        let set = (HeaderSide::Server, HeaderAction::Set);
        self.header(set, Text::from("X-Real-IP: %r"), word)
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
