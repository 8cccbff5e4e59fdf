//! Inclusion of files and replacement of symbols (3.4).
//!
//! Runs before the grammar, yet must know tokens: in a comment or a string `#`
//! means nothing, in quotes a symbol is not replaced. So it follows the text
//! with the few states below, as the grammar will see it:
//!
//! ```text
//! Start --text word--> Text --;--> Start
//!   |---dispatchmode--> Dispatch --externalhandler--> Text
//!   |---other word----> First --token--> More --directive word--> (as Start)
//!   '---anything------> Loose            any of them --; { }--> Start
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::ast::Span;
use super::diagnostic::Code;
use super::directives::{self, Argument};
use super::findings::{Finding, Findings, Location};
use super::source::{
    Content, FileSpan, Fingerprint, Inclusion, LOST, MARK, MAX_BYTES, Origin, ReadError, SourceMap,
    Use, quoted, read, reason, to_bytes,
};
use super::suggest::distance;
use crate::base::name::check_name;

/// How deep includes may nest below the configuration file.
const MAX_INCLUDE_DEPTH: usize = 16;
/// How many files may be included in all; only a bomb needs more.
const MAX_INCLUSIONS: usize = 65_536;
/// How many symbols may stand for each other.
const MAX_SYMBOL_DEPTH: usize = 64;
/// How much text one symbol may become, in bytes.
const MAX_SYMBOL_TEXT: usize = 64 << 10;

/// The expanded text and what came up on the way.
#[derive(Debug)]
pub(super) struct Preprocessed {
    /// Text and origins.
    pub(super) map: SourceMap,
    /// FNV-1a 64 of the bytes of all files in order of reading.
    pub(super) fingerprint: u64,
    /// Whether a part is missing because of an error, so that nothing can be
    /// said about what is not there.
    pub(super) incomplete: bool,
}

/// Reads the file at `path`, and all that it includes.
pub(super) fn preprocess(path: &Path, findings: &mut Findings) -> Preprocessed {
    let mut scanner = Scanner {
        map: SourceMap::default(),
        fingerprint: Fingerprint::START,
        incomplete: false,
        taken: 0,
        state: State::Start,
        token_start: true,
        symbols: HashMap::new(),
        definitions: Vec::new(),
        open_symbols: Vec::new(),
        outermost: 0,
        overflow: false,
        open_files: Vec::new(),
        contents: HashMap::new(),
        findings,
    };
    scanner.root(path);
    Preprocessed {
        map: scanner.map,
        fingerprint: scanner.fingerprint.0,
        incomplete: scanner.incomplete,
    }
}

/// Where in a statement the scanner is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A statement may begin.
    Start,
    /// Behind a word of the language: the first argument.
    First,
    /// Behind the first argument: a word of the language begins a statement.
    More,
    /// Behind `dispatchmode`.
    Dispatch,
    /// In a statement that is none.
    Loose,
    /// In a generic string, perhaps within quotes.
    Text(Option<u8>),
}

/// Which text is being scanned.
#[derive(Clone, Copy, Debug)]
enum Frame {
    File(usize),
    Symbol(usize),
}

struct Definition {
    place: FileSpan,
    text: String,
}

struct Scanner<'a> {
    map: SourceMap,
    fingerprint: Fingerprint,
    incomplete: bool,
    /// Bytes of files and replacements so far.
    taken: usize,
    state: State,
    /// Whether a token could begin here.
    token_start: bool,
    symbols: HashMap<String, usize>,
    definitions: Vec<Definition>,
    /// Symbols that are being replaced.
    open_symbols: Vec<usize>,
    /// Length of the text when the outermost of them began.
    outermost: usize,
    overflow: bool,
    /// Files that are being included.
    open_files: Vec<Arc<Content>>,
    contents: HashMap<std::path::PathBuf, Arc<Content>>,
    findings: &'a mut Findings,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C | 0)
}

fn word_end(text: &str, start: usize) -> usize {
    let rest = text.as_bytes().get(start..).unwrap_or(&[]);
    start + rest.iter().take_while(|byte| is_word(**byte)).count()
}

fn line_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or("");
    rest.find('\n').map_or(text.len(), |at| start + at)
}

impl Scanner<'_> {
    fn root(&mut self, path: &Path) {
        let (code, text) = match read(path, MAX_BYTES) {
            Ok(bytes) => {
                let content = Arc::new(Content::new(path, bytes));
                return self.include(&content, None);
            }
            Err(ReadError::Io(error)) => (Code::E43, reason(&error)),
            Err(ReadError::TooLarge) => (Code::E42, "larger than 64 MiB".to_owned()),
        };
        self.incomplete = true;
        let content = Arc::new(Content::new(path, Vec::new()));
        let message = format!("cannot read {}: {text}", quoted(&path.to_string_lossy()));
        self.map.files.push(Inclusion {
            content,
            from: None,
        });
        let place = FileSpan {
            file: 0,
            start: 0,
            end: 0,
        };
        self.report(Finding::at(code, place.into(), 0, message));
    }

    fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn report_in_file(&mut self, code: Code, place: FileSpan, message: String) -> Finding {
        Finding::at(code, Location::File(place), self.map.text.len(), message)
    }

    /// Scans one file from beginning to end.
    fn include(&mut self, content: &Arc<Content>, from: Option<FileSpan>) {
        let file = self.map.files.len();
        self.map.files.push(Inclusion {
            content: Arc::clone(content),
            from: from.map(|from| (from, "included here")),
        });
        self.fingerprint.add(&content.bytes);
        self.taken += content.bytes.len();
        self.report_nul(content, file);
        self.open_files.push(Arc::clone(content));
        self.token_start = true;
        self.scan(&content.text, Frame::File(file));
        self.open_files.pop();
        let end = Origin::File {
            file,
            offset: content.text.len(),
        };
        if matches!(self.state, State::Text(_)) {
            self.map.push(&MARK.to_string(), end);
            self.state = State::Start;
        }
        self.map.push("\n", end);
        self.token_start = true;
    }

    /// The first NUL of each line is enough to find them.
    fn report_nul(&mut self, content: &Content, file: usize) {
        let mut at = 0;
        while let Some(found) = content.text.get(at..).and_then(|rest| rest.find('\0')) {
            let start = at + found;
            let place = FileSpan {
                file,
                start,
                end: start + 1,
            };
            // The order is right within the file, but for what it includes.
            let order = self.map.text.len() + start;
            let message = "a NUL byte does not belong into a configuration";
            self.report(Finding::at(Code::E11, place.into(), order, message));
            at = line_end(&content.text, start);
        }
    }

    fn stopped(&self) -> bool {
        self.overflow || self.taken > MAX_BYTES
    }

    fn emit(&mut self, text: &str, from: usize, to: usize, frame: Frame) {
        let origin = match frame {
            Frame::File(file) => Origin::File { file, offset: from },
            Frame::Symbol(index) => Origin::Symbol(index),
        };
        self.map.push(text.get(from..to).unwrap_or(""), origin);
    }

    /// Follows `text`, copies it, and replaces what is to be replaced.
    fn scan(&mut self, text: &str, frame: Frame) {
        let bytes = text.as_bytes();
        let (mut at, mut copied) = (0, 0);
        while at < bytes.len() && !self.stopped() {
            let byte = bytes[at];
            if is_word(byte) {
                let end = word_end(text, at);
                let word = &text[at..end];
                match self.replaceable(text, at, word) {
                    Some(definition) => {
                        self.emit(text, copied, at, frame);
                        self.replace(word, definition, at, frame);
                        copied = end;
                    }
                    None => self.word(word),
                }
                at = end;
            } else if let State::Text(quote) = self.state {
                at += self.text_byte(bytes, at, quote);
            } else if byte == b'#' && self.comment_may_begin() {
                self.emit(text, copied, at, frame);
                copied = at;
                let resume = self.hash(text, at, frame);
                if let Some(resume) = resume {
                    copied = resume;
                }
                at = resume.unwrap_or_else(|| line_end(text, at));
            } else {
                at = self.token_byte(text, at);
            }
        }
        self.emit(text, copied, at, frame);
    }

    fn comment_may_begin(&self) -> bool {
        self.state != State::Loose || self.token_start
    }

    /// One step within a generic string; gives its length.
    fn text_byte(&mut self, bytes: &[u8], at: usize, quote: Option<u8>) -> usize {
        let byte = bytes[at];
        match quote {
            Some(b'"') if byte == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\')) => {
                return 2;
            }
            Some(open) if open == byte => self.state = State::Text(None),
            Some(_) => {}
            None if byte == b';' => {
                self.state = State::Start;
                self.token_start = true;
            }
            None if matches!(byte, b'"' | b'\'') => self.state = State::Text(Some(byte)),
            None => {}
        }
        1
    }

    /// One step outside strings that is no word and no `#`; gives where to go on.
    fn token_byte(&mut self, text: &str, at: usize) -> usize {
        let bytes = text.as_bytes();
        let next = bytes.get(at + 1).copied();
        match bytes[at] {
            byte if is_blank(byte) => {
                self.token_start = true;
                at + 1
            }
            b';' | b'{' | b'}' => {
                self.state = State::Start;
                self.token_start = true;
                at + 1
            }
            b'/' if next == Some(b'/') && self.comment_may_begin() => {
                self.token_start = true;
                line_end(text, at)
            }
            b'/' if next == Some(b'*') && self.comment_may_begin() => {
                self.token_start = true;
                self.block_comment(text, at)
            }
            byte @ (b'"' | b'\'') => {
                self.token();
                self.token_start = true;
                let line = &bytes[at + 1..line_end(text, at)];
                let partner = line.iter().position(|other| *other == byte);
                at + partner.map_or(1, |length| length + 2)
            }
            _ => {
                self.token();
                at + 1
            }
        }
    }

    fn block_comment(&self, text: &str, at: usize) -> usize {
        let rest = text.get(at + 2..).unwrap_or("");
        rest.find("*/").map_or(text.len(), |length| at + length + 4)
    }

    /// Notes that a token stands here that is no word of the language.
    fn token(&mut self) {
        self.token_start = false;
        self.state = match self.state {
            State::Start => State::Loose,
            State::First | State::Dispatch => State::More,
            other => other,
        };
    }

    /// Notes a word outside strings.
    fn word(&mut self, word: &str) {
        if matches!(self.state, State::Text(_)) {
            return;
        }
        let begins = std::mem::replace(&mut self.token_start, false);
        match self.state {
            State::Start => self.statement_word(word, State::Loose),
            State::More if begins => self.statement_word(word, State::More),
            State::Dispatch if begins && word.eq_ignore_ascii_case("externalhandler") => {
                self.state = State::Text(None);
            }
            State::First | State::Dispatch => self.state = State::More,
            _ => {}
        }
    }

    /// The state behind a word where a statement may begin.
    fn statement_word(&mut self, word: &str, otherwise: State) {
        let lower = word.to_ascii_lowercase();
        let row = directives::rows(&lower).next();
        self.state = match row.map(|row| row.argument) {
            Some(Argument::Text) => State::Text(None),
            Some(Argument::Mode) => State::Dispatch,
            Some(_) => State::First,
            None => otherwise,
        };
    }

    /// The definition of `word` at byte `at`, if it is to be replaced there.
    fn replaceable(&self, text: &str, at: usize, word: &str) -> Option<usize> {
        if self.symbols.is_empty() || matches!(self.state, State::Text(Some(_))) {
            return None;
        }
        let percent = at > 0 && text.as_bytes()[at - 1] == b'%';
        let index = *self.symbols.get(word).filter(|_| !percent)?;
        (!self.open_symbols.contains(&index)).then_some(index)
    }

    fn replace(&mut self, word: &str, definition: usize, at: usize, frame: Frame) {
        let outermost = self.open_symbols.is_empty();
        let (place, within) = match frame {
            Frame::File(file) => (
                FileSpan {
                    file,
                    start: at,
                    end: at + word.len(),
                },
                None,
            ),
            Frame::Symbol(index) => (self.map.uses[index].place, Some(index)),
        };
        let before = (self.map.text.len(), self.state, self.token_start);
        if outermost {
            self.outermost = before.0;
        }
        let found = &self.definitions[definition];
        let (text, defined) = (found.text.clone(), found.place);
        self.taken += text.len();
        let grown = self.map.text.len() - self.outermost + text.len();
        if self.open_symbols.len() >= MAX_SYMBOL_DEPTH || grown > MAX_SYMBOL_TEXT {
            self.overflow = true;
        } else {
            let index = self.map.uses.len();
            self.map.uses.push(Use {
                place,
                definition: defined,
                within,
            });
            self.open_symbols.push(definition);
            self.scan(&text, Frame::Symbol(index));
            self.open_symbols.pop();
        }
        if outermost && self.overflow {
            self.overflow = false;
            self.map.truncate(before.0);
            (self.state, self.token_start) = (before.1, before.2);
            self.token();
            let origin = Origin::File {
                file: place.file,
                offset: place.start,
            };
            self.map.push(&LOST.to_string(), origin);
            let message = format!("{} stands for too much text", quoted(word));
            let finding = self
                .report_in_file(Code::E24, place, message)
                .accepted("64 KiB of text, 64 symbols within each other".to_owned())
                .note(defined, "symbol defined here");
            self.report(finding);
        } else if outermost && self.taken > MAX_BYTES {
            self.too_much(place);
        }
    }

    fn too_much(&mut self, place: FileSpan) {
        self.incomplete = true;
        let message = "the configuration is larger than 64 MiB here".to_owned();
        let finding = self.report_in_file(Code::E42, place, message);
        self.report(finding.accepted("64 MiB after inclusion".to_owned()));
    }

    /// A `#` where a token could begin. Gives where to go on behind a
    /// directive, `None` for a comment.
    fn hash(&mut self, text: &str, at: usize, frame: Frame) -> Option<usize> {
        self.token_start = true;
        let end = word_end(text, at + 1);
        let word = &text[at + 1..end];
        let first = at == 0 || text.as_bytes()[at - 1] == b'\n';
        match (frame, word) {
            (Frame::File(file), "include") if first => Some(self.include_line(text, at, end, file)),
            (Frame::File(file), "define") if first => Some(self.define_line(text, at, end, file)),
            (Frame::File(_), _) => {
                self.near_directive(word, first);
                None
            }
            (Frame::Symbol(_), _) => None,
        }
    }

    fn near_directive(&mut self, word: &str, first_column: bool) {
        let meant = ["include", "define"].into_iter().find(|directive| {
            if first_column {
                word.len() <= 9 && distance(&word.to_ascii_lowercase(), directive) <= 2
            } else {
                word == *directive
            }
        });
        let Some(meant) = meant else { return };
        let why = if word == meant {
            " that is not in column 1"
        } else {
            ""
        };
        let start = self.map.text.len();
        let span = Span {
            start,
            end: start + 1 + word.len(),
        };
        let message = format!("`#{word}`{why} is a comment");
        let finding = Finding::new(Code::W10, span, message).accepted(
            "#include \"FILE\", #define SYMBOL DEFINITION, with `#` in column 1".to_owned(),
        );
        let near = (word != meant).then(|| format!("#{meant}"));
        self.report(finding.suggest(near.as_deref()));
    }

    fn include_line(&mut self, text: &str, at: usize, word: usize, file: usize) -> usize {
        let end = line_end(text, word);
        let rest = &text[word..end];
        let name = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{0B}');
        let start = word + (rest.len() - name.len());
        let closed = name.strip_prefix('"').and_then(|name| name.split_once('"'));
        let (Some((name, behind)), false) = (closed, name.starts_with("\"\"")) else {
            return self.bad_include(FileSpan { file, start, end }, end);
        };
        let resume = start + name.len() + 2;
        let place = FileSpan {
            file,
            start,
            end: resume,
        };
        let behind = behind.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{0B}');
        let comment = ["//", "/*", "#"]
            .iter()
            .any(|mark| behind.starts_with(mark));
        if !behind.is_empty() && !comment {
            let start = end - behind.len();
            return self.bad_include(
                FileSpan {
                    file,
                    start,
                    end: start + behind.trim_end().len(),
                },
                end,
            );
        }
        self.include_file(
            name,
            place,
            FileSpan {
                file,
                start: at,
                end: resume,
            },
        );
        resume
    }

    fn bad_include(&mut self, place: FileSpan, resume: usize) -> usize {
        self.incomplete = true;
        let content = Arc::clone(&self.map.files[place.file].content);
        let found = content
            .text
            .get(place.start..place.end)
            .unwrap_or("")
            .trim_end();
        let message = match found {
            "" => "the file name of `#include` is missing".to_owned(),
            found => format!("unexpected {} after `#include`", quoted(found)),
        };
        let end = place.start + found.len();
        let finding = self.report_in_file(Code::E20, FileSpan { end, ..place }, message);
        self.report(finding.accepted("#include \"FILE\"".to_owned()));
        resume
    }

    fn include_file(&mut self, name: &str, place: FileSpan, from: FileSpan) {
        let here = Arc::clone(&self.map.files[place.file].content);
        let path = here
            .path
            .parent()
            .unwrap_or(Path::new(""))
            .join(path_of(name));
        if self.open_files.len() > MAX_INCLUDE_DEPTH {
            self.include_error(
                Code::E22,
                place,
                "includes nested more than 16 deep".to_owned(),
            );
            return;
        }
        if self.map.files.len() > MAX_INCLUSIONS {
            self.include_error(
                Code::E42,
                place,
                "more than 65536 files included".to_owned(),
            );
            return;
        }
        let content = match self.content(&path) {
            Ok(content) => content,
            Err(ReadError::TooLarge) => return self.too_much(place),
            Err(ReadError::Io(error)) => {
                let shown = quoted(&path.to_string_lossy());
                let message = format!("cannot read {shown}: {}", reason(&error));
                return self.include_error(Code::E21, place, message);
            }
        };
        if self
            .open_files
            .iter()
            .any(|open| open.canonical == content.canonical)
        {
            let shown = quoted(&path.to_string_lossy());
            return self.include_error(Code::E22, place, format!("{shown} includes itself"));
        }
        if self.taken + content.bytes.len() > MAX_BYTES {
            return self.too_much(place);
        }
        self.include(&content, Some(from));
    }

    fn include_error(&mut self, code: Code, place: FileSpan, message: String) {
        self.incomplete = true;
        let finding = self.report_in_file(code, place, message);
        self.report(finding);
    }

    fn content(&mut self, path: &Path) -> Result<Arc<Content>, ReadError> {
        if let Some(content) = self.contents.get(path) {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(Content::new(path, read(path, MAX_BYTES)?));
        self.contents
            .insert(path.to_path_buf(), Arc::clone(&content));
        Ok(content)
    }

    fn define_line(&mut self, text: &str, at: usize, word: usize, file: usize) -> usize {
        let end = line_end(text, word);
        let (definition, resume) = without_comment(text, word, end);
        let trimmed = definition.trim_matches(|c: char| c.is_ascii() && is_blank(c as u8));
        let split = trimmed.find(|c: char| c.is_ascii() && is_blank(c as u8));
        let (symbol, value) = trimmed.split_at(split.unwrap_or(trimmed.len()));
        let value = value.trim_matches(|c: char| c.is_ascii() && is_blank(c as u8));
        let start = word + (definition.len() - definition.trim_start().len());
        let place = FileSpan {
            file,
            start,
            end: start + symbol.len(),
        };
        let usable = check_name(symbol).is_ok() && !directives::is_directive_word(symbol);
        if symbol.is_empty() || !usable {
            let message = match symbol {
                "" => "the symbol of `#define` is missing".to_owned(),
                symbol => format!("{} cannot be a symbol", quoted(symbol)),
            };
            let finding = self.report_in_file(Code::E23, place, message);
            self.report(finding.accepted(
                "a letter or `_`, then letters, digits or `_`, no directive word".to_owned(),
            ));
        } else if value.is_empty() {
            let message = format!("nothing is given for {}", quoted(symbol));
            let finding = self.report_in_file(Code::E23, place, message);
            self.report(finding.accepted("#define SYMBOL DEFINITION".to_owned()));
        } else {
            let place = FileSpan {
                start: at,
                end: start + trimmed.len(),
                ..place
            };
            let text = value.to_owned();
            self.map.symbols.insert(symbol.to_owned());
            self.symbols
                .insert(symbol.to_owned(), self.definitions.len());
            self.definitions.push(Definition { place, text });
        }
        resume
    }
}

/// The rest of a line without a trailing comment, and where that begins.
fn without_comment(text: &str, start: usize, end: usize) -> (&str, usize) {
    let bytes = &text.as_bytes()[..end];
    let mut quote = None;
    let mut at = start;
    while at < end {
        let byte = bytes[at];
        match quote {
            Some(b'"') if byte == b'\\' && at + 1 < end => at += 1,
            Some(open) if open == byte => quote = None,
            Some(_) => {}
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None => {
                let rest = &bytes[at..];
                let mark = [&b"//"[..], b"/*", b"#"]
                    .iter()
                    .any(|mark| rest.starts_with(mark));
                if mark && is_blank(bytes[at - 1]) {
                    return (&text[start..at], at);
                }
            }
        }
        at += 1;
    }
    (&text[start..end], end)
}

#[cfg(unix)]
fn path_of(name: &str) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(to_bytes(name)).into()
}
