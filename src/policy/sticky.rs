//! Sticky cookies: which back end a request asks for.
//!
//! ```text
//!   Cookie: a=b; pool=1;x=y      fields, split at `;`, blanks and tabs trimmed
//!                └────┴─► the back end with `stickycookie "pool=1"`
//! ```
//!
//! Whether that back end can serve is not decided here: all that are asked for
//! come out, in the order of the request, and the caller takes the first that
//! fits.

use crate::base::id::BackendId;

/// The cookies of the back ends of one service.
///
/// Source: documented (9.6); the comparison decided.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StickyTable {
    /// Sorted, each pair once. Unlike a hash, a search looks only at as much of
    /// a client's cookie as agrees with one of these.
    pairs: Vec<(Box<[u8]>, BackendId)>,
}

impl StickyTable {
    /// The table of back ends with these cookies, `NAME=VALUE`, in order of
    /// definition. Of two with the same cookie the first one gets it (W08).
    pub fn new<'a>(cookies: impl IntoIterator<Item = Option<&'a [u8]>>) -> Self {
        let cookies = (0..).map(BackendId).zip(cookies);
        let mut pairs: Vec<_> = cookies
            .filter_map(|(id, cookie)| Some((Box::from(cookie?), id)))
            .collect();
        pairs.sort();
        pairs.dedup_by(|later, first| later.0 == first.0);
        Self { pairs }
    }

    /// Whether no back end has a cookie, so that nobody need look for any.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The back ends that a request with these `Cookie` fields asks for, in the
    /// order of its pairs; one that is asked for twice comes twice. Takes the
    /// values of the fields, with or without white space around them.
    pub fn matches<'a>(
        &self,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> impl Iterator<Item = BackendId> {
        let pairs = cookies.flat_map(|field| field.split(|&byte| byte == b';'));
        pairs.filter_map(|pair| self.find(trimmed(pair)))
    }

    fn find(&self, pair: &[u8]) -> Option<BackendId> {
        let search = self
            .pairs
            .binary_search_by(|(known, _)| (**known).cmp(pair));
        search.ok().map(|position| self.pairs[position].1)
    }
}

/// Without the blanks and tabs around it; no other byte is white space here.
fn trimmed(mut pair: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn table(cookies: &[&str]) -> StickyTable {
        StickyTable::new(cookies.iter().map(|cookie| Some(cookie.as_bytes())))
    }

    fn asked(table: &StickyTable, fields: &[&[u8]]) -> Vec<u32> {
        let matches = table.matches(fields.iter().copied());
        matches.map(|id| id.0).collect()
    }

    #[test]
    fn pair_matches_if_it_is_equal_byte_for_byte() {
        let table = table(&["pool=1", "pool=2", "q=\"1\"", "flag="]);
        for (field, expected) in [
            (&b"pool=1"[..], &[0][..]),
            (b"pool=12", &[]),
            (b"pool=", &[]),
            (b"xpool=1", &[]),
            (b"Pool=1", &[]),
            (b"pool =1", &[]),
            (b"pool= 1", &[]),
            (b"pool=\"1\"", &[]),
            (b"q=1", &[]),
            (b"q=\"1\"", &[2]),
            (b"flag=", &[3]),
            (b"flag", &[]),
            (b"pool=1, pool=2", &[]),
            (b"pool=1\xff", &[]),
            (b"\xffpool=1", &[]),
            (b"pool=1\0", &[]),
            (b"", &[]),
        ] {
            assert_eq!(
                asked(&table, &[field]),
                expected,
                "{}",
                field.escape_ascii()
            );
        }
    }

    #[test]
    fn pairs_are_split_at_semicolons_and_trimmed_of_blanks_and_tabs() {
        let table = table(&["pool=1", "pool=2"]);
        for (field, expected) in [
            (&b"pool=1;pool=2"[..], &[0, 1][..]),
            (b"a=b; pool=2 ;c=d", &[1]),
            (b" \tpool=1\t ", &[0]),
            (b";pool=1;", &[0]),
            (b";; ; \t;pool=1;;pool=2; ;", &[0, 1]),
            (b"pool=2; pool=1; pool=2", &[1, 0, 1]),
            (b"\npool=1", &[]),
            (b"pool=1\r", &[]),
            (b"pool=1\x0b", &[]),
            (b"\xa0pool=1", &[]),
            (b";", &[]),
            (b" \t", &[]),
        ] {
            assert_eq!(
                asked(&table, &[field]),
                expected,
                "{}",
                field.escape_ascii()
            );
        }
    }

    #[test]
    fn several_fields_are_read_in_order() {
        let table = table(&["pool=1", "pool=2"]);

        assert_eq!(asked(&table, &[b"pool=2", b"", b"a; pool=1"]), [1, 0]);
        assert_eq!(asked(&table, &[b"pool", b"=1"]), [0; 0]);
        assert_eq!(asked(&table, &[]), [0; 0]);
    }

    #[test]
    fn cookie_may_hold_any_byte() {
        let table = StickyTable::new([Some(&b"n=\xe9\xff"[..]), Some(b"n=\xe9")]);

        assert_eq!(asked(&table, &[b"n=\xe9;n=\xe9\xff;n=\xc3\xa9"]), [1, 0]);
    }

    #[test]
    fn of_two_back_ends_with_the_same_cookie_the_first_gets_it() {
        let table = StickyTable::new([None, Some(&b"b=1"[..]), Some(b"a=1"), Some(b"b=1")]);

        assert_eq!(asked(&table, &[b"b=1; a=1; b=1"]), [1, 2, 1]);
    }

    #[test]
    fn table_without_cookies_is_empty_and_matches_nothing() {
        let table = StickyTable::new([None, None]);

        assert!(table.is_empty());
        assert_eq!(asked(&table, &[b"", b"pool=1;;"]), [0; 0]);
        assert!(!self::table(&["pool=1"]).is_empty());
    }

    #[test]
    fn each_of_hundreds_of_back_ends_is_found() {
        let cookies: Vec<_> = (0..1_024).map(|id| format!("pool={id}")).collect();
        let table = StickyTable::new(cookies.iter().map(|cookie| Some(cookie.as_bytes())));

        for (id, cookie) in (0..).zip(&cookies) {
            assert_eq!(asked(&table, &[cookie.as_bytes()]), [id]);
        }
    }

    /// The rule as the specification words it, one step after the other.
    fn naive(cookies: &[Option<Vec<u8>>], fields: &[Vec<u8>]) -> Vec<u32> {
        let all = fields.join(&b';');
        let mut found = Vec::new();
        for pair in all.split(|&byte| byte == b';') {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let start = pair.iter().position(|byte| !blank(byte));
            let end = pair.iter().rposition(|byte| !blank(byte));
            let (Some(start), Some(end)) = (start, end) else {
                continue;
            };
            let pair = &pair[start..=end];
            let first = cookies.iter().position(|one| one.as_deref() == Some(pair));
            found.extend(first.map(|id| id as u32));
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1_000,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn table_agrees_with_its_naive_twin(
            cookies in proptest::collection::vec(
                proptest::option::of("[ab]=[12\"]{0,2}".prop_map(String::into_bytes)), 0..8),
            fields in proptest::collection::vec(
                "([ab]=[12\"]{0,2}|[ab=12; \t\u{e9}]{0,4})(; ?[ab]=[12\"]{0,2}){0,4}"
                    .prop_map(String::into_bytes),
                0..4,
            ),
        ) {
            let table = StickyTable::new(cookies.iter().map(Option::as_deref));
            let found: Vec<u32> = table
                .matches(fields.iter().map(Vec::as_slice))
                .map(|id| id.0)
                .collect();
            prop_assert_eq!(found, naive(&cookies, &fields));
        }
    }
}
