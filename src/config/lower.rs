//! From statements and braces to services and back ends with values.

use super::ast::{End, Item, Span, Spanned, Statement};
use super::diagnostic::Code;
use super::directives::{self, Argument, Directive, Level, Slot, is_directive_word, nearest_at};
use super::draft::{BackendDraft, ListDraft, ServiceDraft, Setting, Settings, Value};
use super::findings::{Finding, Findings};
use super::source::{LOST, is_stand_in, quoted};
use super::values::{self, Lowered};
use crate::base::name::check_name;

/// The greatest number of services in a file.
const MAX_SERVICES: usize = 4_096;
/// The greatest number of back ends in a service.
const MAX_BACKENDS: usize = 1_024;

/// What the statements of a file say.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    /// In order of the file.
    pub(super) services: Vec<ServiceDraft>,
    /// Whether a `service` was there but faulty.
    pub(super) lost_service: bool,
}

/// Lowers `items` of `text`; findings go to `findings`.
pub(super) fn lower(text: &str, items: &[Item], findings: &mut Findings) -> Drafts {
    let braces = |wanted: fn(&Item) -> bool| items.iter().filter(|item| wanted(item)).count();
    let opened = braces(|item| match item {
        Item::Open(_) => true,
        Item::Statement(statement) => matches!(statement.end, End::Brace(_)),
        _ => false,
    });
    let closed = braces(|item| matches!(item, Item::Close(_)));
    let mut lowerer = Lowerer {
        text,
        findings,
        drafts: Drafts::default(),
        open: Vec::new(),
        unclosed: opened.saturating_sub(closed),
        swallowed: false,
    };
    for (index, item) in items.iter().enumerate() {
        lowerer.item(item, items.get(index + 1));
    }
    lowerer.finish();
    lowerer.drafts
}

/// A block that is open.
enum Block {
    Service(Box<ServiceDraft>),
    Backend(Box<BackendDraft>),
    /// One whose head was faulty; nothing in it is looked at.
    Unknown,
}

struct Lowerer<'a> {
    text: &'a str,
    findings: &'a mut Findings,
    drafts: Drafts,
    /// Open blocks with their braces.
    open: Vec<(Block, Span)>,
    /// How many braces are never closed.
    unclosed: usize,
    /// Whether a string or comment that is not closed hides the rest.
    swallowed: bool,
}

impl Lowerer<'_> {
    fn item(&mut self, item: &Item, next: Option<&Item>) {
        match item {
            Item::Statement(statement) => self.statement(statement, next),
            Item::Open(span) => {
                self.report(Finding::new(Code::E01, *span, "unexpected `{`"));
                self.open.push((Block::Unknown, *span));
            }
            Item::Close(span) => self.close(*span),
            Item::OpenComment(span) => {
                self.swallowed = true;
                let span = Span {
                    end: span.start + 2,
                    ..*span
                };
                self.report(Finding::new(Code::E05, span, "this comment is not closed"));
            }
        }
    }

    fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn level(&self) -> Level {
        match self.open.last() {
            None => Level::File,
            Some((Block::Service(_), _)) => Level::Service,
            Some(_) => Level::Backend,
        }
    }

    fn close(&mut self, span: Span) {
        if self.open.is_empty() {
            self.report(Finding::new(
                Code::E01,
                span,
                "unexpected `}`: no block is open",
            ));
        }
        self.pop();
    }

    /// Ends the innermost block.
    fn pop(&mut self) {
        match self.open.pop() {
            Some((Block::Service(service), _)) => self.drafts.services.push(*service),
            Some((Block::Backend(backend), _)) => {
                if let Some((Block::Service(service), _)) = self.open.last_mut() {
                    service.backends.push(*backend);
                }
            }
            Some((Block::Unknown, _)) | None => {}
        }
    }

    fn finish(&mut self) {
        let braces: Vec<Span> = self.open.iter().map(|(_, brace)| *brace).collect();
        for brace in braces {
            if !self.swallowed {
                self.report(Finding::new(Code::E03, brace, "this block is not closed"));
            }
        }
        while !self.open.is_empty() {
            self.pop();
        }
    }

    fn settings(&mut self) -> Option<&mut Settings> {
        match self.open.last_mut() {
            Some((Block::Service(service), _)) => Some(&mut service.settings),
            Some((Block::Backend(backend), _)) => Some(&mut backend.settings),
            _ => None,
        }
    }

    fn spoil(&mut self, slot: Slot) {
        if let Some(settings) = self.settings() {
            settings.spoil(slot);
        }
    }

    fn statement(&mut self, statement: &Statement, next: Option<&Item>) {
        let word = self.word(statement);
        if matches!(self.open.last(), Some((Block::Unknown, _))) {
            if let End::Brace(brace) = statement.end {
                self.open.push((Block::Unknown, brace));
            }
            return;
        }
        match directives::find(&word.value, self.level()) {
            Some(row) if row.argument == Argument::Block => self.block(&word, statement, next),
            Some(row) => self.directive(row, &word, statement, next),
            None => self.no_directive(&word, statement),
        }
    }

    /// The word of a statement: the letters that the first token begins with.
    fn word(&self, statement: &Statement) -> Spanned<String> {
        let token = statement.word.of(self.text);
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = token.find(|c| !is_letter(c)).unwrap_or(token.len());
        let named = !token.starts_with(|c: char| c.is_ascii_digit()) && end > 0;
        let end = if named { end } else { token.len() };
        let span = Span {
            end: statement.word.start + end,
            ..statement.word
        };
        Spanned {
            value: span.of(self.text).to_owned(),
            span,
        }
    }

    /// Skips what a brace opens that no block word stands before.
    fn unknown_block(&mut self, statement: &Statement) {
        if let End::Brace(brace) = statement.end {
            self.open.push((Block::Unknown, brace));
        }
    }

    // ------------------------------------------------------------ unknown words

    fn no_directive(&mut self, word: &Spanned<String>, statement: &Statement) {
        let level = self.level();
        if let Some(finding) = bad_character(statement.word, self.text) {
            self.findings.push(finding);
            return self.unknown_block(statement);
        }
        if word.value.contains(LOST) {
            return self.unknown_block(statement);
        }
        let lower = word.value.to_ascii_lowercase();
        if check_name(&word.value) == Err(crate::base::name::NameError::BadCharacter) {
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

    // ------------------------------------------------------------------- blocks

    fn block(&mut self, word: &Spanned<String>, statement: &Statement, next: Option<&Item>) {
        let name = self.name(statement);
        match statement.end {
            End::Brace(brace) => {
                self.push_block(&word.value, word.span, name, brace);
            }
            End::Semicolon => {
                self.note_lost(&word.value);
                let message = format!("`{{` and a block are missing after `{}`", word.value);
                self.report(Finding::new(Code::E01, word.span, message));
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
        let reserved = is_directive_word(&value);
        if reserved || check_name(&value).is_err() {
            let why = if reserved {
                "a reserved word"
            } else {
                "no name"
            };
            let message = format!("{} is {why}", quoted(&value));
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
                backends: Vec::new(),
                lost_backend: false,
                later: Vec::new(),
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

    // --------------------------------------------------------------- directives

    fn directive(
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
        self.swallowed = true;
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
        let used = !row.in_effect && !matches!(lowered, Lowered::Nothing);
        if let (true, Some((Block::Service(service), _))) = (used, self.open.first_mut()) {
            service.later.push((row, word));
        }
        match lowered {
            Lowered::Nothing => {}
            Lowered::Header(header) => {
                if let Some((Block::Backend(backend), _)) = self.open.last_mut() {
                    backend.headers.push(*header);
                }
            }
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
            let message = "set before with another value; this one counts";
            let finding = Finding::new(Code::W02, argument, message);
            self.report(finding.note(earlier, "set here first"));
        }
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

fn is_block_word(word: &str) -> bool {
    matches!(word, "service" | "backend")
}

/// The error about a byte that is not UTF-8 in a token.
pub(super) fn bad_character(token: Span, text: &str) -> Option<Finding> {
    let found = token.of(text);
    let at = found.find(is_stand_in)?;
    let start = token.start + at;
    let span = Span {
        start,
        end: start + LOST.len_utf8(),
    };
    let message = "this byte is not UTF-8; it is accepted in comments and strings only";
    Some(Finding::new(Code::E11, span, message))
}
