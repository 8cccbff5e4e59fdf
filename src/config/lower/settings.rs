//! Statements of a directive: how they end, and what they set.

use super::*;

impl Lowerer<'_> {
    pub(super) fn directive(
        &mut self,
        row: &'static Directive,
        word: &Spanned<String>,
        statement: &Statement,
        next: Option<&Item>,
    ) {
        if let Some(new) = row.new_form() {
            let message = format!("`{}` is a retired spelling of `{new}`", row.word);
            self.report(Finding::new(Code::W01, word.span, message));
        }
        if let End::Brace(brace) = statement.end {
            self.spoil(row.slot);
            self.report(Finding::new(Code::E01, brace, "`;` is missing, found `{`"));
            return self.unknown_block(statement);
        }
        if self.endless_string(row, statement) {
            return;
        }
        let input = values::Input {
            text: self.text,
            row,
            statement,
        };
        let lowered = values::lower(&input, self.findings);
        if statement.end == End::Missing {
            let follows = matches!(next, Some(Item::Statement(_)));
            // Behind a faulty argument only another statement shows that the
            // `;` is missing as well.
            if lowered.is_some() || (follows && !statement.arguments.is_empty()) {
                self.missing_semicolon(statement, next);
            }
        }
        let Some(lowered) = lowered else {
            return self.spoil(row.slot);
        };
        self.take(row, word.span, lowered);
    }

    /// Whether the string of the statement hides the rest of the file, which is
    /// then the only thing to be said about it.
    fn endless_string(&mut self, row: &Directive, statement: &Statement) -> bool {
        let Some(text) = statement.text.filter(|_| statement.end == End::Missing) else {
            return false;
        };
        self.drafts.swallowed = true;
        self.spoil(row.slot);
        let finding = match text.open_quote {
            Some(quote) => {
                let end = quote.start + 1;
                Finding::new(Code::E04, Span { end, ..quote }, "this quote is not closed")
            }
            None => {
                let raw = text.span.of(self.text);
                let start = text.span.start + (raw.len() - raw.trim_start().len());
                let end = start + raw.trim().lines().next().unwrap_or("").len();
                let message = "`;` is missing: the string runs to the end of the file";
                Finding::new(Code::E01, Span { start, end }, message)
            }
        };
        self.report(finding);
        true
    }

    fn missing_semicolon(&mut self, statement: &Statement, next: Option<&Item>) {
        let last = statement
            .arguments
            .last()
            .copied()
            .unwrap_or(statement.word);
        match next {
            // The comment that is not closed hides the `;`.
            Some(Item::OpenComment(_)) => {}
            Some(item) => {
                let found = quoted(item.span().of(self.text));
                let finding = Finding::new(
                    Code::E01,
                    item.span(),
                    format!("`;` is missing, found {found}"),
                );
                self.report(finding.note(last, "`;` belongs behind this"));
            }
            None => {
                let message = "`;` is missing, found the end of the file";
                self.report(Finding::new(Code::E01, last, message));
            }
        }
    }

    fn take(&mut self, row: &'static Directive, word: Span, lowered: Lowered) {
        match lowered {
            Lowered::Nothing => {}
            Lowered::Header(header) => {
                if let Some((Block::Backend(backend), _)) = self.open.last_mut() {
                    backend.headers.push(*header);
                }
            }
            Lowered::ErrorFile(file) => self.error_file(*file),
            Lowered::Filters(mut filters) => {
                let Some((Block::Service(service), _)) = self.open.last_mut() else {
                    return;
                };
                let list = match row.slot {
                    Slot::AllowFrom => &mut service.allow,
                    _ => &mut service.deny,
                };
                list.word.get_or_insert(word);
                list.filters.append(&mut filters);
            }
            Lowered::Value(value, argument) => {
                self.set(Setting {
                    row,
                    word,
                    argument,
                    value,
                });
            }
        }
    }

    fn set(&mut self, setting: Setting) {
        let Some(settings) = self.settings() else {
            return;
        };
        let (argument, value) = (setting.argument, setting.value.clone());
        let mut differs = None;
        if let Value::Server(_, port) = &value {
            differs = settings.set_server_port(*port, &setting);
        }
        let earlier = settings.set(setting);
        if let Some(earlier) = earlier.filter(|earlier| earlier.value != value) {
            differs = Some(earlier.argument);
        }
        if let Some(earlier) = differs {
            self.set_twice(earlier, argument);
        }
    }

    /// Takes the page of an error reply in the place of an earlier one of the
    /// same code.
    fn error_file(&mut self, file: ErrorFileDraft) {
        let Some((Block::Service(service), _)) = self.open.last_mut() else {
            return;
        };
        let mut known = service.error_files.iter_mut();
        let Some(earlier) = known.find(|other| other.code == file.code) else {
            return service.error_files.push(file);
        };
        let place = file.argument;
        let earlier = std::mem::replace(earlier, file.clone());
        if earlier.file != file.file {
            self.set_twice(earlier.argument, place);
        }
    }

    fn set_twice(&mut self, earlier: Span, argument: Span) {
        let message = "set before with another value; this one counts";
        let finding = Finding::new(Code::W02, argument, message);
        self.report(finding.note(earlier, "set here first"));
    }
}

impl Settings {
    /// Takes the port out of a `server` statement; the later of it and a `port`
    /// statement counts. Gives the place of a port that differs.
    fn set_server_port(&mut self, port: Option<u16>, server: &Setting) -> Option<Span> {
        let row = directives::find("port", Level::Backend)?;
        let earlier = self.find(Slot::Port).cloned();
        let from_server = |setting: &Setting| {
            self.find(Slot::Server)
                .is_some_and(|server| server.argument == setting.argument)
        };
        let replaced = earlier.as_ref().is_some_and(from_server);
        let Some(port) = port else {
            if replaced {
                self.remove(Slot::Port);
            }
            return None;
        };
        let value = Value::Number(u32::from(port));
        let differs = earlier.filter(|earlier| !replaced && earlier.value != value);
        self.set(Setting {
            row,
            word: server.word,
            argument: server.argument,
            value,
        });
        differs.map(|earlier| earlier.argument)
    }
}
