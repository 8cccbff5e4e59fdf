//! Command lines and header texts with `%` specifiers (section 10).
//!
//! Parsed once when the file is read, expanded once for each use, from left to
//! right; what comes out is not expanded again. Pure: the time, the host name
//! and the process come in with the [`TemplateContext`]. No specifier gives
//! anything that a client or a back end can word freely: the client is an
//! address, names that are no identifiers give nothing, and what comes from the
//! system is made harmless. So a shell takes every value as what it is, and no
//! value can end the line of a header.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::ops::Range;

use crate::base::calendar::CalendarTime;
use crate::base::clock::Clock;
use crate::base::id::BackendId;
use crate::base::name::{BackendName, check_name};

/// Where a template is used; decides which specifiers have a meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemplateKind {
    /// A hook command.
    Hook,
    /// The command of an external handler, which has no current back end.
    Handler,
    /// The command of a program that lives as long as its service: it has
    /// neither a current back end nor a client.
    Resident,
    /// A header text.
    Header,
}

/// What of a back end a specifier gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BackendField {
    /// `a`: 1 if usable, else 0.
    Usable,
    /// `b`: its name.
    Name,
    /// `w`: its weight.
    Weight,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Literal(Vec<u8>),
    Current(BackendField),
    Numbered(BackendId, BackendField),
    Epoch,
    GmtStamp,
    LocalStamp,
    Host,
    Process,
    Client,
    Service,
    LocalCtime,
    GmtCtime,
    Version,
}

/// A command line or header text, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
    references: Vec<Reference>,
}

/// A `%N` specifier: which back end it names, and where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// The number as written, from 1 if it is any good.
    pub number: u64,
    /// The bytes of the specifier in the text.
    pub place: Range<usize>,
}

/// What is odd about a specifier; the template works all the same (W12).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TemplateIssue {
    /// `%a`, `%b` or `%w` where there is no current back end; it gives nothing.
    NoCurrentBackend(Range<usize>),
    /// `%r` where there is no client; it gives nothing.
    NoClient(Range<usize>),
    /// `%Na` where nobody knows it at the right moment; it gives nothing.
    NoUsability(Range<usize>),
    /// Digits that none of `a`, `b`, `w` follows; they stand for themselves.
    BareNumber(Range<usize>),
}

impl TemplateIssue {
    /// The bytes of the specifier in the text.
    pub fn place(&self) -> Range<usize> {
        match self {
            Self::NoCurrentBackend(place)
            | Self::NoClient(place)
            | Self::NoUsability(place)
            | Self::BareNumber(place) => place.clone(),
        }
    }
}

impl Template {
    /// Takes `text` apart. Every text is a template; what is odd about it comes
    /// beside it, and [`Template::references`] has still to be compared with
    /// the number of back ends.
    ///
    /// Source: documented and decided (section 10, row by row).
    pub fn parse(text: &[u8], kind: TemplateKind) -> (Self, Vec<TemplateIssue>) {
        let mut parser = Parser {
            text,
            at: 0,
            pieces: Vec::new(),
            references: Vec::new(),
            issues: Vec::new(),
        };
        while parser.at < text.len() {
            parser.step(kind);
        }
        let template = Self {
            pieces: parser.pieces,
            references: parser.references,
        };
        (template, parser.issues)
    }

    /// The back ends that are named by their number.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The text itself, if it has no specifier.
    pub fn literal(&self) -> Option<&[u8]> {
        match &self.pieces[..] {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it says of a back end how it stands at the moment of use.
    pub fn asks_usability(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Current(BackendField::Usable) | Piece::Numbered(_, BackendField::Usable)
            )
        })
    }

    /// Whether it shows the time of its use.
    pub fn needs_clock(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Epoch
                    | Piece::GmtStamp
                    | Piece::LocalStamp
                    | Piece::LocalCtime
                    | Piece::GmtCtime
            )
        })
    }

    /// The text for one use. A number without a back end gives nothing.
    pub fn expand(&self, context: &TemplateContext<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.expand_into(context, &mut out);
        out
    }

    /// The same, behind what `out` holds already. Allocates nothing but room in
    /// `out`, unless it shows a time.
    pub fn expand_into(&self, context: &TemplateContext<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            piece.expand(context, out);
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    pieces: Vec<Piece>,
    references: Vec<Reference>,
    issues: Vec<TemplateIssue>,
}

impl Parser<'_> {
    fn literal(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Literal(literal)) => literal.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Literal(bytes.to_vec())),
        }
    }

    /// Takes one byte, or one specifier.
    fn step(&mut self, kind: TemplateKind) {
        let text = self.text;
        let start = self.at;
        let next = text.get(start + 1).copied();
        self.at += 1;
        match (text[start], next) {
            (b'%', Some(next)) if next.is_ascii_digit() => self.number(start, kind),
            (b'%', Some(next)) => {
                self.at += 1;
                self.letter(start, next, kind);
            }
            (byte, _) => self.literal(&[byte]),
        }
    }

    fn number(&mut self, start: usize, kind: TemplateKind) {
        let digits = self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let end = self.at + digits.count();
        let digits = &self.text[self.at..end];
        let field = self.text.get(end).copied().and_then(BackendField::of);
        self.at = end;
        let Some(field) = field else {
            self.issues.push(TemplateIssue::BareNumber(start..end));
            return self.literal(digits);
        };
        self.at += 1;
        let number = digits.iter().fold(0_u64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        });
        let place = start..self.at;
        self.references.push(Reference { number, place });
        let index = number
            .checked_sub(1)
            .and_then(|index| u32::try_from(index).ok());
        if kind == TemplateKind::Resident && field == BackendField::Usable {
            // It was started long ago; with each request it is told anew.
            self.issues.push(TemplateIssue::NoUsability(start..self.at));
        } else if let Some(index) = index {
            self.pieces.push(Piece::Numbered(BackendId(index), field));
        }
    }

    fn letter(&mut self, start: usize, letter: u8, kind: TemplateKind) {
        if let Some(field) = BackendField::of(letter) {
            if matches!(kind, TemplateKind::Handler | TemplateKind::Resident) {
                self.issues
                    .push(TemplateIssue::NoCurrentBackend(start..self.at));
            }
            return self.pieces.push(Piece::Current(field));
        }
        if letter == b'r' && kind == TemplateKind::Resident {
            self.issues.push(TemplateIssue::NoClient(start..self.at));
        }
        let piece = match letter {
            b'e' => Piece::Epoch,
            b'g' => Piece::GmtStamp,
            b'l' => Piece::LocalStamp,
            b'h' => Piece::Host,
            b'p' => Piece::Process,
            b'r' => Piece::Client,
            b's' => Piece::Service,
            b't' => Piece::LocalCtime,
            b'T' => Piece::GmtCtime,
            b'v' => Piece::Version,
            other => return self.literal(&[other]),
        };
        self.pieces.push(piece);
    }
}

impl BackendField {
    fn of(letter: u8) -> Option<Self> {
        match letter {
            b'a' => Some(Self::Usable),
            b'b' => Some(Self::Name),
            b'w' => Some(Self::Weight),
            _ => None,
        }
    }
}

/// One back end as specifiers see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TemplateBackend<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its weight, 1 to 65535.
    pub weight: u16,
    /// Whether it may be given a connection now.
    pub usable: bool,
}

/// The back ends of a service as specifiers see them, whatever they are kept
/// in: nobody has to make a list for each use.
pub trait TemplateBackends {
    /// The back end with this number, if there is one.
    fn get(&self, id: BackendId) -> Option<TemplateBackend<'_>>;
}

impl TemplateBackends for &[TemplateBackend<'_>] {
    fn get(&self, id: BackendId) -> Option<TemplateBackend<'_>> {
        <[_]>::get(self, id.index()).copied()
    }
}

/// Back ends whose names and weights are kept apart from how they stand.
#[derive(Clone, Copy, Debug)]
pub struct BackendList<'a> {
    /// Name and weight of each, in order of definition.
    pub known: &'a [(BackendName, u16)],
    /// Usability of each at the moment of use; may be left empty where the
    /// template does not ask for it.
    pub usable: &'a [bool],
}

impl TemplateBackends for BackendList<'_> {
    fn get(&self, id: BackendId) -> Option<TemplateBackend<'_>> {
        let (name, weight) = self.known.get(id.index())?;
        Some(TemplateBackend {
            name: name.as_str(),
            weight: *weight,
            usable: self.usable.get(id.index()).copied().unwrap_or(false),
        })
    }
}

/// All values of one expansion; they come from one moment. Making one costs
/// nothing: everything is borrowed.
#[derive(Clone, Copy)]
pub struct TemplateContext<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// All back ends of the service.
    pub backends: &'a dyn TemplateBackends,
    /// The current back end; `None` in a handler.
    pub current: Option<BackendId>,
    /// Address of the client, if there is one.
    pub client: Option<IpAddr>,
    /// Host name of the balancer as the system gives it.
    pub host: &'a str,
    /// Process id of the daemon.
    pub process: u32,
    /// Seconds since 1970-01-01 00:00 GMT; any number unless
    /// [`Template::needs_clock`].
    pub epoch: u64,
    /// The zone of `%l` and `%t`, asked only where one of them stands.
    pub zone: &'a Clock,
}

impl Piece {
    fn expand(&self, context: &TemplateContext<'_>, out: &mut Vec<u8>) {
        let gmt = || CalendarTime::gmt(i64::try_from(context.epoch).unwrap_or(i64::MAX));
        let local = || context.zone.calendar(context.epoch);
        match self {
            Self::Literal(bytes) => out.extend_from_slice(bytes),
            Self::Current(field) => {
                if let Some(current) = context.current {
                    field.expand(context, current, out);
                }
            }
            Self::Numbered(id, field) => field.expand(context, *id, out),
            Self::Epoch => show(out, context.epoch),
            Self::GmtStamp => show(out, gmt()),
            Self::LocalStamp => show(out, local()),
            Self::Host => host_name(context.host, out),
            Self::Process => show(out, context.process),
            Self::Client => {
                if let Some(client) = context.client {
                    show(out, client);
                }
            }
            Self::Service => identifier(context.service, out),
            Self::LocalCtime => show(out, local().ctime()),
            Self::GmtCtime => show(out, gmt().ctime()),
            Self::Version => out.extend_from_slice(crate::VERSION.as_bytes()),
        }
    }
}

impl BackendField {
    fn expand(self, context: &TemplateContext<'_>, id: BackendId, out: &mut Vec<u8>) {
        let Some(backend) = context.backends.get(id) else {
            return;
        };
        match self {
            Self::Usable => show(out, u8::from(backend.usable)),
            Self::Name => identifier(backend.name, out),
            Self::Weight => show(out, backend.weight),
        }
    }
}

fn show(out: &mut Vec<u8>, value: impl fmt::Display) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

/// A name, or nothing if it is none.
fn identifier(name: &str, out: &mut Vec<u8>) {
    if check_name(name).is_ok() {
        out.extend_from_slice(name.as_bytes());
    }
}

/// A host name that the shell takes as one word, whatever the system says.
fn host_name(name: &str, out: &mut Vec<u8>) {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let bytes = name.bytes();
    out.extend(bytes.map(|byte| if keep(byte) { byte } else { b'_' }));
}

#[cfg(test)]
mod tests;
