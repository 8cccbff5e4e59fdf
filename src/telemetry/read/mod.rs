//! Reading the logs again. Pure: bytes are pushed in, in pieces of any size,
//! and what they say comes out; nothing here opens a file.
//!
//! ```text
//! traffic log ──► lines ─► traffic ────────────────┐
//!                                                  ├─► Item ─► whoever shows it
//! capture ──────► capture (blocks) ─► streams (TCP)┘
//! throughput log ► lines ─► throughput ─► exchanges ─► one Exchange after another
//! ```
//!
//! Nothing that a file holds ends the reading: what cannot be understood
//! becomes a [`Fault`], and the next line or block is tried. Memory is bounded
//! whatever the file holds: lines and blocks have a greatest length, and only
//! so many connections are remembered ([`recent`]).

pub mod capture;
pub mod exchanges;
pub mod lines;
pub mod reader;
pub mod recent;
pub mod streams;
pub mod throughput;
pub mod traffic;

use std::fmt;

use crate::base::tap::Origin;

use streams::Stream;

/// Where in a file something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// A line of a text, from 1.
    Line(u64),
    /// A byte of a capture, from 0.
    Byte(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "{line}"),
            Self::Byte(byte) => write!(f, "byte {byte}"),
        }
    }
}

/// Something in a file that could not be understood, and was passed over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where it begins.
    pub place: Place,
    /// What is wrong with it.
    pub what: String,
}

/// Bytes that one side sent.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Who sent them.
    pub from: Origin,
    /// The offset of the first one in what was read together; wraps after
    /// 0xffff.
    pub offset: u16,
    /// The bytes.
    pub bytes: &'a [u8],
    /// How many bytes before these were sent, but are not in the file.
    pub missing_before: u64,
    /// How many bytes after these are known to be cut off.
    pub missing_after: u64,
    /// The connection; a traffic log does not tell.
    pub stream: Option<&'a Stream>,
}

/// One thing that a traffic log or a capture holds.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// Bytes of one side.
    Block(Block<'a>),
    /// A line that somebody put into a traffic log; begins with `#`.
    Comment(&'a [u8]),
    /// Something else.
    Fault(Fault),
}
