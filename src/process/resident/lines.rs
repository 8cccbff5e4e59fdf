//! The answers in what a resident program says: lines `ID TEXT`. Pure.

/// The longest line that is looked at.
const LONGEST_LINE: usize = 4_096;

/// How much that is no answer may come between two answers.
const LONGEST_NOISE: usize = 64 * 1024;

/// An answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Heard<'a> {
    /// The number of the question.
    pub(super) id: u64,
    /// What was said to it, without white space around it.
    pub(super) text: &'a [u8],
}

/// Puts lines together out of the pieces in which they come.
#[derive(Default)]
pub(super) struct Answers {
    line: Vec<u8>,
    /// Bytes since the last answer.
    noise: usize,
}

impl Answers {
    /// Takes the next bytes; `answer` says of each line in the form of an
    /// answer whether somebody had asked. `false` when there was too much else.
    pub(super) fn hear(&mut self, bytes: &[u8], mut answer: impl FnMut(Heard<'_>) -> bool) -> bool {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.noise += piece.len();
            let room = (LONGEST_LINE + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                if parse(&self.line).is_some_and(&mut answer) {
                    self.noise = 0;
                }
                self.line.clear();
            }
        }
        self.noise <= LONGEST_NOISE
    }
}

/// A whole line, if it is an answer.
fn parse(line: &[u8]) -> Option<Heard<'_>> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let line = line.trim_ascii();
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let id = std::str::from_utf8(&line[..digits]).ok()?.parse().ok()?;
    let rest = &line[digits..];
    let text = rest.trim_ascii_start();
    (rest.len() > text.len() || rest.is_empty()).then_some(Heard { id, text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is heard in `pieces` by somebody who has asked even questions.
    fn heard(pieces: &[&[u8]]) -> (Vec<(u64, Vec<u8>)>, bool) {
        let mut answers = Answers::default();
        let mut found = Vec::new();
        let mut sound = true;
        for piece in pieces {
            sound = answers.hear(piece, |heard| {
                found.push((heard.id, heard.text.to_vec()));
                heard.id % 2 == 0
            });
        }
        (found, sound)
    }

    #[test]
    fn answers_are_found_in_whatever_pieces_they_come() {
        let pieces: [&[u8]; 4] = [b"2 map", b"le\n4  birch \r\nnoise\n6", b"\n", b"8 late"];

        let (found, sound) = heard(&pieces);

        let text = |text: &str| text.as_bytes().to_vec();
        let expected = [(2, text("maple")), (4, text("birch")), (6, text(""))];
        assert_eq!(found, expected);
        assert!(sound);
    }

    #[test]
    fn what_is_no_answer_is_passed_over() {
        for line in [
            "",
            "maple",
            "-2 maple",
            "2maple",
            "99999999999999999999 x",
            "x 2 maple",
        ] {
            let line = format!("{line}\n");
            assert_eq!(heard(&[line.as_bytes()]).0, [], "{line}");
        }
        let long = format!("2 {}\n", "x".repeat(LONGEST_LINE));
        assert_eq!(heard(&[long.as_bytes()]).0, []);
    }

    #[test]
    fn noise_between_answers_is_bounded() {
        let noise = vec![b'x'; LONGEST_NOISE];
        assert!(heard(&[&noise]).1);
        assert!(heard(&[&noise, b"\n2 maple\n", &noise]).1);
        assert!(!heard(&[&noise, b"x"]).1);
        // An answer that nobody asked for is noise.
        let unasked = b"1 maple\n".repeat(LONGEST_NOISE / 8 + 1);
        assert!(!heard(&[&unasked]).1);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 256,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn random_output_in_random_pieces_gives_what_it_gives_in_one(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b' '), b'0'..=b'9', any::<u8>()], 0..300),
            cut in 0_usize..300,
        ) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(heard(&[&bytes]), heard(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}
