//! The two directives, `#include` and `#define`, and what only looks like one.

use super::*;

impl Scanner<'_> {
    /// A `#` where a token could begin. Gives where to go on behind a
    /// directive, `None` for a comment.
    pub(super) fn hash(&mut self, text: &str, at: usize, frame: Frame) -> Option<usize> {
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
            return self.bad_include(FileSpan::new(file, start..end), end);
        };
        let resume = start + name.len() + 2;
        let behind = behind.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{0B}');
        let comment = ["//", "/*", "#"]
            .iter()
            .any(|mark| behind.starts_with(mark));
        if !behind.is_empty() && !comment {
            let start = end - behind.len();
            let place = FileSpan::new(file, start..start + behind.trim_end().len());
            return self.bad_include(place, end);
        }
        let from = FileSpan::new(file, at..resume);
        self.include_file(name, FileSpan::new(file, start..resume), from);
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
            "\"\"" => "the file name of `#include` is empty".to_owned(),
            found if found.starts_with('"') && found.matches('"').count() == 1 => {
                "the quote of the file name is not closed".to_owned()
            }
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
            let message = "includes nested more than 16 deep".to_owned();
            return self.include_error(Code::E22, place, message);
        }
        if self.map.files.len() > MAX_INCLUSIONS {
            let message = "more than 65536 files included".to_owned();
            return self.include_error(Code::E42, place, message);
        }
        let shown = quoted(&path.to_string_lossy());
        let content = match self.content(&path) {
            Ok(content) => content,
            Err(ReadError::TooLarge) => return self.too_much(place),
            Err(ReadError::Io(error)) => {
                let message = format!("cannot read {shown}: {}", reason(&error));
                return self.include_error(Code::E21, place, message);
            }
        };
        let mut open = self.open_files.iter();
        if open.any(|open| open.canonical == content.canonical) {
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

    fn define_line(&mut self, text: &str, at: usize, word: usize, file: usize) -> usize {
        let end = line_end(text, word);
        let (definition, resume) = without_comment(text, word, end);
        let trimmed = definition.trim_matches(|c: char| c.is_ascii() && is_blank(c as u8));
        let split = trimmed.find(|c: char| c.is_ascii() && is_blank(c as u8));
        let (symbol, value) = trimmed.split_at(split.unwrap_or(trimmed.len()));
        let value = value.trim_matches(|c: char| c.is_ascii() && is_blank(c as u8));
        let leading = |c: char| c.is_ascii() && is_blank(c as u8);
        let start = word + (definition.len() - definition.trim_start_matches(leading).len());
        let place = FileSpan::new(file, start..start + symbol.len());
        let usable = check_name(symbol).is_ok() && !directives::is_reserved_word(symbol);
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
