//! `dispatchmode` with what follows the mode, and retired arguments.

use super::*;

impl Input<'_> {
    pub(super) fn mode(&self, findings: &mut Findings) -> Outcome<Lowered> {
        let (found, span) = self.first()?;
        if self.statement.text.is_some() {
            if found != "externalhandler" {
                return fail(self.wrong_kind(found, span, MODES));
            }
            return self.handler(findings);
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

    /// `externalhandler COMMAND` and `externalhandler persistent COMMAND`.
    fn handler(&self, findings: &mut Findings) -> Outcome<Lowered> {
        let (text, argument) = self.text_value(findings)?;
        let bytes = text.as_bytes();
        let word = bytes.split(u8::is_ascii_whitespace).next().unwrap_or(b"");
        let handler = match word {
            b"persistent" => Handler {
                kind: HandlerKind::Persistent,
                command: Text::from(bytes[word.len()..].trim_ascii().to_vec()),
            },
            _ => Handler {
                kind: HandlerKind::Classic,
                command: text,
            },
        };
        if handler.command.as_bytes().is_empty() {
            let message = "the command behind `externalhandler persistent` is missing";
            return fail(Finding::new(Code::E06, argument, message));
        }
        let value = Value::Mode(DispatchMode::ExternalHandler, Some(handler));
        Ok(Lowered::Value(value, argument))
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
        let Some(number) = self.argument(2)? else {
            let message = format!("the number after `{found}` is missing");
            let finding = Finding::new(Code::E06, span, message);
            return fail(finding.accepted(format!("0 to {}", Over::MAX)));
        };
        let number = Self::parse_number(number, found, (0, Over::MAX))?;
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

    pub(super) fn retired_argument(&self) -> Option<Finding> {
        let span = self.statement.arguments.first().copied()?;
        let found = self.of(span);
        let mut retired = RETIRED_ARGUMENTS.iter();
        let (word, old, new) =
            retired.find(|(word, old, _)| *word == self.row.word && *old == found)?;
        let message = format!("`{word} {old}` is a retired spelling of `{word} {new}`");
        Some(Finding::new(Code::W01, span, message))
    }
}
