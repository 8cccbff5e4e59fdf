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

mod follow;
mod lines;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::ast::Span;
use super::diagnostic::Code;
use super::directives::{self, Argument};
use super::findings::{Finding, Findings, Location};
use super::source::{
    Content, FileSpan, Fingerprint, Inclusion, LOST, MARK, MAX_BYTES, Origin, ReadError, SourceMap,
    Use, quoted, read, read_named, reason, to_bytes,
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
        open_comment: false,
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
    /// Whether the file that is being scanned ended in a comment.
    open_comment: bool,
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
        let (code, text) = match read(path) {
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
        let place = FileSpan::new(0, 0..0);
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
        let cut_off = std::mem::take(&mut self.open_comment);
        if cut_off || matches!(self.state, State::Text(_)) {
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
            let place = FileSpan::new(file, start..start + 1);
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

    fn too_much(&mut self, place: FileSpan) {
        self.incomplete = true;
        let message = "the configuration is larger than 64 MiB here".to_owned();
        let finding = self.report_in_file(Code::E42, place, message);
        self.report(finding.accepted("64 MiB after inclusion".to_owned()));
    }

    fn content(&mut self, path: &Path) -> Result<Arc<Content>, ReadError> {
        if let Some(content) = self.contents.get(path) {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(Content::new(path, read_named(path)?));
        self.contents
            .insert(path.to_path_buf(), Arc::clone(&content));
        Ok(content)
    }
}
