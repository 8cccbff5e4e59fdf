//! From what the parser of heads gives to what the rest of the room uses.

use std::ops::Range;

use crate::relay::http1::head::fields::Facts;
use crate::relay::http1::head::{Fault, FaultKind, Field, Head, HeadLimits, Known, Version};

/// The greatest number of bytes that counts as a limit, so that places fit.
const MOST_BYTES: usize = 1 << 30;

/// What a parser may see of some input: no more than a head may have.
pub(super) struct Window<'a> {
    pub(super) bytes: &'a [u8],
    is_full: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(input: &'a [u8], limits: HeadLimits) -> Self {
        let most = limits.bytes.min(MOST_BYTES);
        Self {
            bytes: &input[..input.len().min(most)],
            is_full: input.len() >= most,
        }
    }

    /// The answer when the head does not end in here.
    pub(super) fn goes_on<T>(&self) -> Result<Option<T>, Fault> {
        if self.is_full {
            return Err(Fault::too_large("head above maxheadersize"));
        }
        Ok(None)
    }
}

impl Head {
    /// Notes where the lines of a complete head are, and what they say.
    pub(super) fn take_apart(
        &mut self,
        input: &[u8],
        start: usize,
        length: usize,
        headers: &[httparse::Header<'_>],
    ) -> Result<Facts, Fault> {
        let base = input.as_ptr().addr();
        let place = |part: &[u8]| part.as_ptr().addr() - base;
        let ends_in_cr = |end: usize| input[..end].ends_with(b"\r\n");
        self.start = start;
        self.length = start + length;
        self.clean = ends_in_cr(self.length);
        let fields_end = self.length - if self.clean { 2 } else { 1 };
        let mut next = headers
            .first()
            .map_or(fields_end, |first| place(first.name.as_bytes()));
        self.fields_start = next;
        self.clean &= ends_in_cr(next);
        let mut facts = Facts::default();
        for (index, header) in headers.iter().enumerate() {
            let (name, value) = (next, place(header.value));
            next = headers
                .get(index + 1)
                .map_or(fields_end, |header| place(header.name.as_bytes()));
            self.clean &= ends_in_cr(next);
            let known = Known::of(header.name.as_bytes());
            facts.note(known, header.value)?;
            self.fields.push(Field {
                line: narrow(name, next),
                name: narrow(name, name + header.name.len()),
                value: narrow(value, value + header.value.len()),
                known,
            });
        }
        Ok(facts)
    }
}

impl Fault {
    pub(in crate::relay::http1) fn bad(what: &'static str) -> Self {
        let kind = FaultKind::Bad;
        Self { kind, what }
    }

    pub(in crate::relay::http1) fn too_large(what: &'static str) -> Self {
        let kind = FaultKind::TooLarge;
        Self { kind, what }
    }

    pub(super) fn of_parser(error: httparse::Error) -> Self {
        match error {
            httparse::Error::HeaderName => {
                Self::bad("malformed field name, blank before a colon, or folded line")
            }
            httparse::Error::HeaderValue => Self::bad("control character in a field value"),
            httparse::Error::NewLine => Self::bad("malformed line end"),
            httparse::Error::Status => Self::bad("malformed status line"),
            httparse::Error::Token => Self::bad("malformed request line"),
            httparse::Error::TooManyHeaders => Self::too_large("more fields than maxheaders"),
            httparse::Error::Version => Self::bad("malformed version"),
        }
    }
}

impl Version {
    pub(super) fn of_minor(minor: u8) -> Self {
        if minor == 0 {
            Self::Http10
        } else {
            Self::Http11
        }
    }
}

/// Places of at most [`MOST_BYTES`] bytes and a few empty lines.
fn narrow(start: usize, end: usize) -> Range<u32> {
    start as u32..end as u32
}
