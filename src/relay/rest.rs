//! Bytes that were read from one side and not written to the other yet.

use crate::relay::buffers::Buffers;

/// What one direction still has to write; nothing, most of the time, so it
/// lies elsewhere and costs an idle connection one pointer.
#[derive(Debug, Default)]
pub(super) struct Rest(Option<Box<Held>>);

/// Never all written: then there is no rest any more.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    written: usize,
}

impl Rest {
    /// Whether nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is to be written.
    pub(super) fn unwritten(&self) -> &[u8] {
        let held = self.0.as_deref();
        held.map_or(&[], |held| &held.bytes[held.written..])
    }

    /// Takes a copy of `bytes` in place of what was to be written before.
    pub(super) fn keep(&mut self, bytes: &[u8], buffers: &mut Buffers) {
        self.clear(buffers);
        if !bytes.is_empty() {
            let mut held = buffers.take_held();
            held.bytes = buffers.keep(bytes);
            self.0 = Some(held);
        }
    }

    /// Adds `bytes` to what is to be written.
    pub(super) fn append(&mut self, bytes: &[u8], buffers: &mut Buffers) {
        match &mut self.0 {
            Some(held) => held.bytes.extend_from_slice(bytes),
            None => self.keep(bytes, buffers),
        }
    }

    /// The first `count` bytes were written.
    pub(super) fn advance(&mut self, count: usize, buffers: &mut Buffers) {
        let Some(held) = &mut self.0 else { return };
        held.written += count;
        if held.written >= held.bytes.len() {
            self.clear(buffers);
        }
    }

    /// Nothing is to be written any more.
    pub(super) fn clear(&mut self, buffers: &mut Buffers) {
        if let Some(mut held) = self.0.take() {
            buffers.give_back(std::mem::take(&mut held.bytes));
            held.written = 0;
            buffers.give_back_held(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_written_piece_by_piece_and_then_gone() {
        let mut buffers = Buffers::new(64 * 1024);
        let mut rest = Rest::default();
        rest.keep(b"one two", &mut buffers);

        rest.advance(4, &mut buffers);
        assert_eq!(rest.unwritten(), b"two");
        rest.append(b" three", &mut buffers);
        assert_eq!(rest.unwritten(), b"two three");
        rest.advance(9, &mut buffers);

        assert!(rest.is_empty());
        assert_eq!(rest.unwritten(), b"");
    }

    #[test]
    fn nothing_is_no_rest() {
        let mut buffers = Buffers::new(64 * 1024);
        let mut rest = Rest::default();
        rest.keep(b"gone", &mut buffers);
        rest.keep(b"", &mut buffers);
        assert!(rest.is_empty());

        rest.append(b"begun", &mut buffers);
        assert_eq!(rest.unwritten(), b"begun");
    }
}
