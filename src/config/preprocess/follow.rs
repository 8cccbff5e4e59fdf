//! Following the text: what is a token, a comment, a string, a symbol.

use super::*;

impl Scanner<'_> {
    /// Follows `text`, copies it, and replaces what is to be replaced.
    pub(super) fn scan(&mut self, text: &str, frame: Frame) {
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
                at = self.token_byte(text, at, frame);
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
    fn token_byte(&mut self, text: &str, at: usize, frame: Frame) -> usize {
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
                self.block_comment(text, at, frame)
            }
            byte @ (b'"' | b'\'') => {
                self.token();
                self.token_start = true;
                // Only up to the partner: a search for the end of the line, for
                // each quote of a long line, would take its length squared.
                let mut rest = bytes[at + 1..].iter();
                let stop = rest.position(|other| *other == byte || *other == b'\n');
                match stop.map(|length| at + 1 + length) {
                    Some(partner) if bytes[partner] == byte => partner + 1,
                    _ => at + 1,
                }
            }
            _ => {
                self.token();
                at + 1
            }
        }
    }

    /// Gives where to go on behind a comment, the end of the text if nothing
    /// closes it.
    fn block_comment(&mut self, text: &str, at: usize, frame: Frame) -> usize {
        let rest = text.get(at + 2..).unwrap_or("");
        if let Some(length) = rest.find("*/") {
            return at + length + 4;
        }
        self.open_comment = matches!(frame, Frame::File(_));
        text.len()
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

    /// Scans the definition of `word` in its place.
    fn replace(&mut self, word: &str, definition: usize, at: usize, frame: Frame) {
        let (place, within) = match frame {
            Frame::File(file) => (FileSpan::new(file, at..at + word.len()), None),
            Frame::Symbol(index) => (self.map.uses[index].place, Some(index)),
        };
        let found = &self.definitions[definition];
        let (text, defined) = (found.text.clone(), found.place);
        let used = Use {
            place,
            definition: defined,
            within,
        };
        self.taken += text.len();
        if !self.open_symbols.is_empty() {
            return self.scan_symbol(&text, definition, used);
        }
        let before = (self.map.text.len(), self.state, self.token_start);
        self.outermost = before.0;
        self.scan_symbol(&text, definition, used);
        if std::mem::take(&mut self.overflow) {
            self.map.truncate(before.0);
            (self.state, self.token_start) = (before.1, before.2);
            self.give_up(word, place, defined);
        } else if self.taken > MAX_BYTES {
            self.too_much(place);
        }
    }

    /// Scans the text of a symbol, unless it has grown too much already.
    fn scan_symbol(&mut self, text: &str, definition: usize, used: Use) {
        let grown = self.map.text.len() - self.outermost + text.len();
        if self.open_symbols.len() >= MAX_SYMBOL_DEPTH || grown > MAX_SYMBOL_TEXT {
            self.overflow = true;
            return;
        }
        let index = self.map.uses.len();
        self.map.uses.push(used);
        self.open_symbols.push(definition);
        self.scan(text, Frame::Symbol(index));
        self.open_symbols.pop();
    }

    /// Puts a mark in the place of a symbol that grows too much, and says so.
    fn give_up(&mut self, word: &str, place: FileSpan, defined: FileSpan) {
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
    }
}
