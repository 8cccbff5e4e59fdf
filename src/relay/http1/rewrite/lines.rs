//! The fields of one head while directives change them.

use std::cmp::Ordering;
use std::ops::Range;

use crate::relay::http1::head::{Field, Head, Known};
use crate::relay::http1::rewrite::Edit;

/// One line of a head as it is going to be sent.
#[derive(Clone, Debug)]
pub(super) struct Line {
    origin: Origin,
    is_gone: bool,
    /// Its places are in the bytes that `origin` says.
    field: Field,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    /// The head that came.
    Received,
    /// What was made here.
    Written,
}

/// What is used again for each head.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Names and values of edits, and the lines that they make.
    pub(super) text: Vec<u8>,
    lines: Vec<Line>,
    order: Vec<u32>,
}

/// All lines behind the start line.
pub(super) struct Lines<'a> {
    input: &'a [u8],
    head: &'a Head,
    text: &'a mut Vec<u8>,
    lines: &'a mut Vec<Line>,
    /// Places of lines by their names.
    order: &'a mut Vec<u32>,
}

impl<'a> Lines<'a> {
    /// The lines as they came.
    pub(super) fn new(input: &'a [u8], head: &'a Head, work: &'a mut Room) -> Self {
        let Room { text, lines, order } = work;
        lines.clear();
        lines.extend(head.fields.iter().map(|field| Line {
            origin: Origin::Received,
            is_gone: false,
            field: field.clone(),
        }));
        Self {
            input,
            head,
            text,
            lines,
            order,
        }
    }

    /// The fields that came, whatever has become of them.
    pub(super) fn received(&self) -> impl Iterator<Item = (Known, &'a [u8])> + use<'a> {
        let input = self.input;
        let fields = self.head.fields.iter();
        fields.map(move |field| (field.known, &input[usize_range(&field.value)]))
    }

    /// What the names and values of edits are part of.
    pub(super) fn text(&self) -> &[u8] {
        self.text
    }

    /// Leaves only lines that `keeps` accepts by what they are.
    pub(super) fn retain(&mut self, keeps: impl Fn(Known) -> bool) {
        self.lines.retain(|line| keeps(line.field.known));
    }

    /// Takes out the lines with one of those names, before there are written
    /// ones. A head may have thousands of names in an option list, so they are
    /// looked up in order, which is made if there is any.
    pub(super) fn take_out<'b>(&mut self, names: impl Iterator<Item = &'b [u8]>) {
        let (input, lines) = (self.input, &mut *self.lines);
        let name_of = |line: &Line| &input[usize_range(&line.field.name)];
        self.order.clear();
        for name in names {
            if self.order.is_empty() {
                self.order.extend(0..lines.len() as u32);
                let by_name = |place: &u32| name_of(&lines[*place as usize]);
                self.order
                    .sort_unstable_by(|left, right| compare(by_name(left), by_name(right)));
            }
            let is_before = |place: &u32| compare(name_of(&lines[*place as usize]), name).is_lt();
            let first = self.order.partition_point(is_before);
            for place in &self.order[first..] {
                let line = &mut lines[*place as usize];
                if line.is_gone || compare(name_of(line), name).is_ne() {
                    break;
                }
                line.is_gone = true;
            }
        }
        lines.retain(|line| !line.is_gone);
    }

    /// Whether the line at `index` lists `Connection` options, and its value.
    pub(super) fn options(&self, index: usize) -> Option<&'a [u8]> {
        let field = &self.lines.get(index)?.field;
        let is_list = matches!(field.known, Known::Connection | Known::ProxyConnection);
        is_list.then(|| &self.input[usize_range(&field.value)])
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn remove(&mut self, index: usize) {
        self.lines.remove(index);
    }

    /// Gives a line another value: those of `parts` that `keeps` accepts, given
    /// the text of the edits, with `, ` between them. Its name stays as spelled.
    pub(super) fn replace<'b>(
        &mut self,
        index: usize,
        parts: impl Iterator<Item = &'b [u8]>,
        keeps: impl Fn(&[u8], &'b [u8]) -> bool,
    ) {
        let name = self.lines[index].field.name.clone();
        let start = self.begin_like(index, name.end);
        self.text.extend_from_slice(b":");
        let mut before: &[u8] = b" ";
        for part in parts {
            if keeps(self.text, part) {
                self.text.extend_from_slice(before);
                self.text.extend_from_slice(part);
                before = b", ";
            }
        }
        self.lines[index] = self.end(start, name.len());
    }

    pub(super) fn add(&mut self, edit: &Edit) {
        let line = self.written(edit);
        self.lines.push(line);
    }

    pub(super) fn append(&mut self, edit: &Edit) {
        let Some(index) = self.lines.iter().rposition(|line| self.is_of(line, edit)) else {
            return self.add(edit);
        };
        let Field { name, value, .. } = self.lines[index].field.clone();
        let start = self.begin_like(index, value.end);
        if !value.is_empty() {
            self.text.extend_from_slice(b"; ");
        } else if name.end + 1 == value.start {
            self.text.extend_from_slice(b" ");
        }
        self.text.extend_from_within(usize_range(&edit.value));
        self.lines[index] = self.end(start, name.len());
    }

    pub(super) fn set(&mut self, edit: &Edit) {
        let Some(index) = self.lines.iter().position(|line| self.is_of(line, edit)) else {
            return self.add(edit);
        };
        self.lines[index] = self.written(edit);
        let (input, text) = (self.input, &*self.text);
        let name = &text[usize_range(&edit.name)];
        let mut place = 0;
        self.lines.retain(|line| {
            place += 1;
            place - 1 <= index || !line.is_named(name, input, text)
        });
    }

    fn is_of(&self, line: &Line, edit: &Edit) -> bool {
        line.is_named(&self.text[usize_range(&edit.name)], self.input, self.text)
    }

    fn written(&mut self, edit: &Edit) -> Line {
        let start = self.text.len();
        self.text.extend_from_within(usize_range(&edit.name));
        self.text.extend_from_slice(b": ");
        self.text.extend_from_within(usize_range(&edit.value));
        self.end(start, edit.name.len())
    }

    /// Begins a new line with an old one up to `end`; where it begins.
    fn begin_like(&mut self, index: usize, end: u32) -> usize {
        let start = self.text.len();
        let line = &self.lines[index];
        let kept = usize_range(&(line.field.line.start..end));
        match line.origin {
            Origin::Received => self.text.extend_from_slice(&self.input[kept]),
            Origin::Written => self.text.extend_from_within(kept),
        }
        start
    }

    /// Ends a line that begins at `start` with a name of that length.
    fn end(&mut self, start: usize, name_length: usize) -> Line {
        let name_end = start + name_length;
        let behind = &self.text[name_end + 1..];
        let value_start = self.text.len() - behind.trim_ascii_start().len();
        let value_end = value_start + behind.trim_ascii().len();
        self.text.extend_from_slice(b"\r\n");
        Line {
            origin: Origin::Written,
            is_gone: false,
            field: Field {
                line: start as u32..self.text.len() as u32,
                name: start as u32..name_end as u32,
                value: value_start as u32..value_end as u32,
                known: Known::of(&self.text[start..name_end]),
            },
        }
    }

    /// Writes the start line and all lines, not the empty one behind them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut run = self.head.start..self.head.fields_start;
        for line in &*self.lines {
            let place = usize_range(&line.field.line);
            if line.origin == Origin::Written {
                self.write_received(&run, out);
                run.start = run.end;
                out.extend_from_slice(&self.text[place]);
            } else if self.head.clean && place.start == run.end {
                run.end = place.end;
            } else {
                self.write_received(&run, out);
                run = place;
            }
        }
        self.write_received(&run, out);
    }

    /// Writes one received line, or several if all end in CR LF.
    fn write_received(&self, place: &Range<usize>, out: &mut Vec<u8>) {
        let lines = &self.input[place.clone()];
        match lines {
            [kept @ .., before, b'\n'] if *before != b'\r' => {
                out.extend_from_slice(kept);
                out.extend_from_slice(&[*before, b'\r', b'\n']);
            }
            _ => out.extend_from_slice(lines),
        }
    }
}

impl Line {
    fn bytes<'a>(&self, input: &'a [u8], text: &'a [u8]) -> &'a [u8] {
        match self.origin {
            Origin::Received => input,
            Origin::Written => text,
        }
    }

    fn is_named(&self, name: &[u8], input: &[u8], text: &[u8]) -> bool {
        let bytes = self.bytes(input, text);
        bytes[usize_range(&self.field.name)].eq_ignore_ascii_case(name)
    }
}

/// Orders names, letters of both cases alike.
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (left_letters, right_letters) = (left.iter(), right.iter());
    left.len().cmp(&right.len()).then_with(|| {
        left_letters
            .map(u8::to_ascii_lowercase)
            .cmp(right_letters.map(u8::to_ascii_lowercase))
    })
}

/// A range of places as what it indexes wants it.
pub(super) fn usize_range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
