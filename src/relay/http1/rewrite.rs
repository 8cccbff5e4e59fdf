//! Heads as they are passed on: header directives applied, lines mended.
//!
//! Changes are collected first and carried out by [`Editor::finish`], in this
//! order: fields that belong to a connection leave the received head, or are
//! guarded in it; then the directives apply, each to what the ones before it
//! left; then the daemon's own `Connection` comes. So no option that a peer sent
//! can reach what a directive wrote.
//!
//! A line that nothing changes goes out byte for byte, but always with CR LF.

mod hops;
mod lines;

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::relay::http1::head::{Head, Known};
use crate::relay::http1::rewrite::lines::{Lines, Room};
use crate::relay::http1::syntax::{is_text, is_token};

/// What applying directives needs; to be used again for the next head, so that
/// a message costs no allocation.
#[derive(Debug, Default)]
pub struct Rewriter {
    edits: Vec<Edit>,
    room: Room,
}

/// One head in the middle of its changes.
#[derive(Debug)]
pub struct Editor<'a> {
    input: &'a [u8],
    head: &'a Head,
    work: &'a mut Rewriter,
}

/// How `Connection` and the fields that belong to a connection are treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hops {
    /// Passed on as they are (9.8).
    PassedOn,
    /// Taken out (RFC 9110 section 7.6.1), and the daemon's own word put in
    /// their place, at the end of the head.
    ///
    /// `Connection`, `Proxy-Connection`, `Keep-Alive`, `TE` and `Upgrade` go, and
    /// what `Connection` options name. Such an option must not name a field that
    /// is meant for the other end; where one does it is not obeyed, as
    /// that could change where the message ends or what it says. Thus these stay:
    /// `Authorization`, `Cache-Control`, everything that begins with `Content-`,
    /// `Close` (a reserved name), `Cookie`, `Date`, `Expires`, `Host`, `Proxy-Authenticate`,
    /// `Proxy-Authorization`, `Set-Cookie`, `Trailer`, `Transfer-Encoding`,
    /// `WWW-Authenticate`.
    ///
    /// Source: decided.
    Managed {
        /// What `Connection` is to say, if anything.
        connection: Option<Persistence>,
        /// Whether the message asks for an upgrade or grants it: then `Upgrade`
        /// stays, with its option.
        upgrade: bool,
    },
}

/// A `Connection` option of the daemon's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Persistence {
    /// `close`.
    Close,
    /// `keep-alive`.
    KeepAlive,
}

/// One change; name and value are in [`Room::text`].
#[derive(Clone, Debug)]
struct Edit {
    action: Action,
    name: Range<u32>,
    value: Range<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Add,
    Append,
    Set,
}

impl Rewriter {
    /// Begins with the head of `input` as it was received.
    pub fn edit<'a>(&'a mut self, input: &'a [u8], head: &'a Head) -> Editor<'a> {
        self.edits.clear();
        self.room.text.clear();
        Editor {
            input,
            head,
            work: self,
        }
    }
}

impl Editor<'_> {
    /// `add`: one more field at the end.
    ///
    /// Like its sisters it does nothing and answers `false` if that would damage
    /// the message: if the name is no token or belongs to the framing, or the
    /// value holds a control character other than tab. White space around a
    /// value is left out.
    ///
    /// Source: decided (9.7).
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.note(Action::Add, name, value)
    }

    /// `append`: the last field of that name is extended, or one added.
    ///
    /// Source: decided (9.7).
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.note(Action::Append, name, value)
    }

    /// `set`: the first field of that name gets the value and loses the others,
    /// or one is added.
    ///
    /// Source: decided (9.7).
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.note(Action::Set, name, value)
    }

    /// Writes the head to the end of `out`. With `guard` (requests), options of
    /// `Connection` that name a changed field are taken out of it (9.7).
    pub fn finish(self, hops: Hops, guard: bool, out: &mut Vec<u8>) {
        let Self { input, head, work } = self;
        if work.edits.is_empty() && head.clean && hops == Hops::PassedOn {
            out.extend_from_slice(&input[head.start..head.length]);
            return;
        }
        let mut lines = Lines::new(input, head, &mut work.room);
        match hops {
            Hops::Managed { upgrade, .. } => hops::take_out(&mut lines, upgrade),
            Hops::PassedOn if guard => hops::guard(&mut lines, &work.edits),
            Hops::PassedOn => {}
        }
        for edit in &work.edits {
            match edit.action {
                Action::Add => lines.add(edit),
                Action::Append => lines.append(edit),
                Action::Set => lines.set(edit),
            }
        }
        lines.write(out);
        out.extend_from_slice(hops.own_line());
        out.extend_from_slice(b"\r\n");
    }

    fn note(&mut self, action: Action, name: &[u8], value: &[u8]) -> bool {
        let is_framing = matches!(
            Known::of(name),
            Known::ContentLength | Known::TransferEncoding
        );
        let is_name = !name.is_empty() && name.iter().copied().all(is_token);
        if is_framing || !is_name || !value.iter().copied().all(is_text) {
            return false;
        }
        let edit = Edit {
            action,
            name: self.keep(name),
            value: self.keep(value.trim_ascii()),
        };
        self.work.edits.push(edit);
        true
    }

    fn keep(&mut self, part: &[u8]) -> Range<u32> {
        let start = self.work.room.text.len();
        self.work.room.text.extend_from_slice(part);
        start as u32..self.work.room.text.len() as u32
    }
}

impl Hops {
    fn own_line(self) -> &'static [u8] {
        let Self::Managed {
            connection,
            upgrade,
        } = self
        else {
            return b"";
        };
        match (connection, upgrade) {
            (None, false) => b"",
            (None, true) => b"Connection: upgrade\r\n",
            (Some(Persistence::Close), false) => b"Connection: close\r\n",
            (Some(Persistence::Close), true) => b"Connection: close, upgrade\r\n",
            (Some(Persistence::KeepAlive), false) => b"Connection: keep-alive\r\n",
            (Some(Persistence::KeepAlive), true) => b"Connection: keep-alive, upgrade\r\n",
        }
    }
}
