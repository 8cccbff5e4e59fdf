//! Buffers for bytes that could not be written at once.

use crate::relay::rest::Held;

/// Rests of up to so many bytes live in small buffers, so that ten thousand
/// clients that wait for their back end with a short request do not hold a
/// full-sized buffer each.
const SMALL: usize = 4 * 1024;

/// How many unused buffers of each size are kept at most.
const KEPT: usize = 64;

/// How many bytes of unused full-sized buffers are kept, or a single buffer:
/// with a scratch of 16 MiB, 64 of them would be a gigabyte.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Two stacks of empty buffers, and one of what holds them in a pair.
pub(super) struct Buffers {
    size: usize,
    small: Vec<Vec<u8>>,
    full: Vec<Vec<u8>>,
    #[allow(clippy::vec_box, reason = "the boxes are what is kept")]
    held: Vec<Box<Held>>,
}

impl Buffers {
    /// `size` is the greatest length of a rest.
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            small: Vec::new(),
            full: Vec::new(),
            held: Vec::new(),
        }
    }

    /// What holds a buffer, without one.
    pub(super) fn take_held(&mut self) -> Box<Held> {
        self.held.pop().unwrap_or_default()
    }

    /// Takes it back, without a buffer.
    pub(super) fn give_back_held(&mut self, held: Box<Held>) {
        if self.held.len() < KEPT {
            self.held.push(held);
        }
    }

    /// A buffer that holds a copy of `bytes`.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (pool, size) = if bytes.len() <= SMALL {
            (&mut self.small, SMALL)
        } else {
            (&mut self.full, self.size.max(bytes.len()))
        };
        let mut buffer = pool.pop().unwrap_or_else(|| Vec::with_capacity(size));
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        let (pool, kept) = match buffer.capacity() {
            0 => return,
            1..=SMALL => (&mut self.small, KEPT),
            size => (&mut self.full, (KEPT_BYTES / size).clamp(1, KEPT)),
        };
        if pool.len() < kept {
            pool.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_given_back_is_used_again_for_its_size_only() {
        let mut buffers = Buffers::new(64 * 1024);
        let short = buffers.keep(b"short");
        let place = short.as_ptr();
        buffers.give_back(short);

        let long = buffers.keep(&[7; 64 * 1024]);
        let again = buffers.keep(b"again");

        assert_ne!(long.as_ptr(), place);
        assert_eq!(again.as_ptr(), place);
        assert_eq!(again, b"again");
    }

    #[test]
    fn number_of_kept_buffers_is_bounded() {
        let mut buffers = Buffers::new(64 * 1024);
        let many: Vec<_> = (0..200).map(|_| buffers.keep(b"x")).collect();
        many.into_iter()
            .for_each(|buffer| buffers.give_back(buffer));
        assert_eq!(buffers.small.len(), KEPT);
    }

    #[test]
    fn large_buffers_are_kept_up_to_a_few_megabytes() {
        let size = 2 * 1024 * 1024;
        let mut buffers = Buffers::new(size);
        let many: Vec<_> = (0..5).map(|_| buffers.keep(&[1; SMALL + 1])).collect();
        many.into_iter()
            .for_each(|buffer| buffers.give_back(buffer));
        assert_eq!(buffers.full.len(), 2);
    }
}
