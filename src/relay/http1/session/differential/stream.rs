//! What one peer got, as it was meant.

use std::ops::Range;

use super::strict::Message;

/// A message that was passed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Passed {
    /// Which exchange of the client it belongs to.
    pub(super) exchange: usize,
    /// Where its head is in the stream that it was passed on in.
    pub(super) head: Range<usize>,
    /// Where its body is.
    pub(super) body: Range<usize>,
    /// Whether it was complete.
    pub(super) whole: bool,
    /// Whether another may follow on its connection, as far as it says.
    pub(super) persistent: bool,
}

/// What one peer got.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: Vec<Passed>,
    /// Where bytes begin that nobody has read.
    pub(super) raw: Option<usize>,
}

impl Stream {
    /// What was passed on message by message.
    pub(super) fn read(&self) -> &[u8] {
        &self.bytes[..self.raw.unwrap_or(self.bytes.len())]
    }

    /// Whether another reader has found the same messages.
    ///
    /// # Errors
    ///
    /// What differs.
    pub(super) fn agrees(&self, found: &[Message]) -> Result<(), String> {
        let (ours, theirs) = (&self.messages, found);
        let is_open = |passed: &Passed, message: &Message| {
            let is_last = passed.body.end == self.read().len();
            is_last && (self.raw.is_some() || !message.is_framed())
        };
        let agree = |(passed, message): (&Passed, &Message)| {
            passed.head == message.head
                && passed.body == message.body
                && (passed.whole == message.whole || is_open(passed, message))
        };
        let last = ours.len().saturating_sub(1);
        let all_persist = ours[..last].iter().all(|passed| passed.persistent);
        if ours.len() != theirs.len() || !ours.iter().zip(theirs).all(agree) {
            return Err(format!(
                "passed on as {ours:?}, arrived as {theirs:?}: {}",
                self.show()
            ));
        }
        match all_persist {
            true => Ok(()),
            false => Err(format!("one follows that should not: {ours:?}")),
        }
    }

    /// Its bytes, so that they can be printed.
    pub(super) fn show(&self) -> String {
        self.bytes.escape_ascii().to_string()
    }
}
