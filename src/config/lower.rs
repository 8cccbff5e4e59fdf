//! From statements and braces to services and back ends with values.

mod blocks;
mod settings;

use super::ast::{End, Item, Span, Spanned, Statement};
use super::diagnostic::Code;
use super::directives::{
    self, Argument, Directive, Level, Slot, is_directive_word, is_reserved_word, nearest_at,
};
use super::draft::{
    BackendDraft, ErrorFileDraft, ListDraft, ServiceDraft, Setting, Settings, Value,
};
use super::findings::{Finding, Findings};
use super::source::{LOST, is_stand_in, quoted};
use super::values::{self, Lowered};
use crate::base::name::{NameError, check_name};

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
    /// Whether a string or comment that is not closed hides the rest.
    pub(super) swallowed: bool,
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
                self.drafts.swallowed = true;
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
            if !self.drafts.swallowed {
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
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
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
