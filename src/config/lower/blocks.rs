//! Heads of blocks, and words that do not belong where they stand.

use super::*;

impl Lowerer<'_> {
    pub(super) fn no_directive(&mut self, word: &Spanned<String>, statement: &Statement) {
        let level = self.level();
        if let Some(finding) = bad_character(statement.word, self.text) {
            self.findings.push(finding);
            return self.unknown_block(statement);
        }
        if word.value.contains(LOST) {
            return self.unknown_block(statement);
        }
        let lower = word.value.to_ascii_lowercase();
        if !word
            .value
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            let message = format!("unexpected {}", quoted(&word.value));
            let accepted = directives::words_at(level).collect::<Vec<_>>().join(", ");
            self.report(Finding::new(Code::E01, word.span, message).accepted(accepted));
        } else if is_directive_word(&word.value) {
            return self.wrong_level(word, statement);
        } else {
            let near = if is_directive_word(&lower) {
                directives::rows(&lower).next().map(|row| row.word)
            } else {
                nearest_at(&word.value, level)
            };
            let message = format!("unknown word {}", quoted(&word.value));
            let accepted = directives::words_at(level).collect::<Vec<_>>().join(", ");
            let finding = Finding::new(Code::E02, word.span, message);
            self.report(finding.accepted(accepted).suggest(near));
            return self.as_if(near, statement);
        }
        self.unknown_block(statement);
    }

    /// Goes on as if the near word stood there, as far as follow-up errors are
    /// concerned.
    fn as_if(&mut self, near: Option<&str>, statement: &Statement) {
        let row = near.and_then(|near| directives::find(near, self.level()));
        match (row, statement.end) {
            (Some(row), End::Brace(brace)) if row.argument == Argument::Block => {
                let name = self.name(statement);
                self.push_block(row.word, statement.word, name, brace);
            }
            (Some(row), _) => {
                self.spoil(row.slot);
                self.note_lost(row.word);
                self.unknown_block(statement);
            }
            (None, _) => self.unknown_block(statement),
        }
    }

    fn note_lost(&mut self, word: &str) {
        match (word, self.open.last_mut()) {
            ("service", None) => self.drafts.lost_service = true,
            ("backend", Some((Block::Service(service), _))) => service.lost_backend = true,
            _ => {}
        }
    }

    fn wrong_level(&mut self, word: &Spanned<String>, statement: &Statement) {
        let head = is_block_word(&word.value) && matches!(statement.end, End::Brace(_));
        if head && self.close_forgotten(word) {
            return self.statement(statement, None);
        }
        let level = self.level().place();
        let mut places: Vec<&str> = Vec::new();
        for row in directives::rows(&word.value) {
            places.extend(row.levels.iter().map(|level| level.place()));
        }
        let belongs = places.join(" or ");
        let message = format!(
            "{} stands {level}, it belongs {belongs}",
            quoted(&word.value)
        );
        self.report(Finding::new(Code::E12, word.span, message));
        self.unknown_block(statement);
    }

    /// If a `}` is missing in the file, the head of a block that cannot stand
    /// here shows where: the blocks that it does not belong to end before it.
    fn close_forgotten(&mut self, word: &Spanned<String>) -> bool {
        let keep = usize::from(word.value == "backend");
        let surplus = self.open.len().saturating_sub(keep);
        let service = matches!(self.open.first(), Some((Block::Service(_), _)));
        if surplus == 0 || self.unclosed < surplus || (keep == 1 && !service) {
            return false;
        }
        for _ in 0..surplus {
            self.unclosed -= 1;
            if let Some((_, brace)) = self.open.last() {
                let finding = Finding::new(Code::E03, *brace, "this block is not closed").note(
                    word.span,
                    format!("`}}` is missing before this `{}`", word.value),
                );
                self.findings.push(finding);
            }
            self.pop();
        }
        true
    }

    pub(super) fn block(
        &mut self,
        word: &Spanned<String>,
        statement: &Statement,
        next: Option<&Item>,
    ) {
        let name = self.name(statement);
        match statement.end {
            End::Brace(brace) => {
                self.push_block(&word.value, word.span, name, brace);
            }
            End::Semicolon => {
                self.note_lost(&word.value);
                if name.is_some() {
                    let message = format!("`{{` and a block are missing after `{}`", word.value);
                    self.report(Finding::new(Code::E01, word.span, message));
                }
            }
            End::Missing if next.is_none() => {
                self.note_lost(&word.value);
                if let Some(name) = name {
                    let message = "`{` is missing, found the end of the file";
                    self.report(Finding::new(Code::E01, name.span, message));
                }
            }
            End::Missing => {
                let place = next.map_or(statement.word, Item::span);
                let message = format!("`{{` is missing, found {}", self.found(next));
                self.report(Finding::new(Code::E01, place, message));
                let brace = name.as_ref().map_or(word.span, |name| name.span);
                self.push_block(&word.value, word.span, name, brace);
            }
        }
    }

    /// What comes next, for a message.
    fn found(&self, next: Option<&Item>) -> String {
        match next {
            Some(item) => quoted(item.span().of(self.text)),
            None => "the end of the file".to_owned(),
        }
    }

    fn name(&mut self, statement: &Statement) -> Option<Spanned<String>> {
        let (first, rest) = match statement.arguments.split_first() {
            Some(split) => split,
            None => {
                let message = format!(
                    "the name of this {} is missing",
                    statement.word.of(self.text)
                );
                self.report(Finding::new(Code::E06, statement.word, message));
                return None;
            }
        };
        let value = first.of(self.text).to_owned();
        if value.contains(LOST) {
            return None;
        }
        if let Some(finding) = bad_character(*first, self.text) {
            self.findings.push(finding);
            return None;
        }
        let why = match check_name(&value) {
            Ok(()) if is_reserved_word(&value) => Some("is a reserved word"),
            Ok(()) => None,
            Err(NameError::TooLong) => Some("has more than 63 characters"),
            Err(_) => Some("is no name"),
        };
        if let Some(why) = why {
            let message = format!("{} {why}", quoted(&value));
            let accepted = "a letter or `_`, then letters, digits or `_`, at most 63, \
                            no directive word";
            let finding = Finding::new(Code::E10, *first, message);
            self.report(finding.accepted(accepted.to_owned()));
            return None;
        }
        if let Some(extra) = rest.first() {
            let message = format!("unexpected {} after the name", quoted(extra.of(self.text)));
            self.report(Finding::new(Code::E09, *extra, message));
        }
        Some(Spanned {
            value,
            span: *first,
        })
    }

    fn push_block(
        &mut self,
        word: &str,
        keyword: Span,
        name: Option<Spanned<String>>,
        brace: Span,
    ) {
        let place = name.as_ref().map_or(keyword, |name| name.span);
        let block = if word == "service" {
            if self.drafts.services.len() == MAX_SERVICES {
                let finding = Finding::new(Code::E42, place, "more than 4096 services");
                self.report(finding.accepted("1 to 4096 services".to_owned()));
            }
            Block::Service(Box::new(ServiceDraft {
                name,
                keyword,
                settings: Settings::default(),
                allow: ListDraft::default(),
                deny: ListDraft::default(),
                error_files: Vec::new(),
                backends: Vec::new(),
                lost_backend: false,
            }))
        } else {
            let full = matches!(self.open.last(), Some((Block::Service(service), _))
                if service.backends.len() == MAX_BACKENDS);
            if full {
                let finding = Finding::new(Code::E42, place, "more than 1024 back ends");
                self.report(finding.accepted("1 to 1024 back ends in a service".to_owned()));
            }
            Block::Backend(Box::new(BackendDraft {
                name,
                keyword,
                settings: Settings::default(),
                headers: Vec::new(),
            }))
        };
        self.open.push((block, brace));
    }
}
