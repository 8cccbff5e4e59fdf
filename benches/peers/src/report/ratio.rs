//! Who is compared with whom, and by how much they differ.

use super::{Entry, Figure, Side, WorkResult};
use crate::stats::Summary;

/// Two entries of a work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) first: &'a Entry,
    pub(crate) second: &'a Entry,
}

impl Pair<'_> {
    /// The first divided by the second, round by round; rounds in which the
    /// second is too small to be told from nothing are left out.
    pub(crate) fn ratio(&self, figure: Figure, work: &WorkResult) -> Option<Summary> {
        let value = |sample: &Option<_>| sample.as_ref().and_then(|sample| figure.of(sample, work));
        let rounds = self.first.rounds.iter().zip(&self.second.rounds);
        let told = |value: &f64| *value > figure.noise();
        let pair = |(first, second)| (value(first), value(second).filter(told));
        Summary::of_ratios(rounds.map(pair))
    }

    /// Both names.
    pub(crate) fn title(&self) -> String {
        format!("{} / {}", self.first.title(), self.second.title())
    }
}

/// All pairs of a work that say something.
pub(crate) fn pairs(work: &WorkResult) -> Vec<Pair<'_>> {
    let all = &work.entries;
    let ours = all.iter().filter(|entry| entry.side == Side::Ours);
    let pairs = ours.flat_map(|ours| {
        all.iter()
            .filter(|other| is_compared(ours, other, all))
            .map(move |other| Pair {
                first: ours,
                second: other,
            })
    });
    pairs.collect()
}

fn is_compared(ours: &Entry, other: &Entry, all: &[Entry]) -> bool {
    match other.side {
        Side::None => false,
        Side::Theirs if other.variant == ours.variant => true,
        // A variant that ours has not, with the first one of ours.
        Side::Theirs => {
            let ours_has =
                |entry: &Entry| entry.peer == ours.peer && entry.variant == other.variant;
            ours.variant == first(all, &ours.peer) && !all.iter().any(ours_has)
        }
        // A variant with the first one, a build with the first build.
        Side::Ours if other.peer == ours.peer => {
            let first = first(all, &other.peer);
            other.variant == first && ours.variant != first
        }
        Side::Ours => other.variant == ours.variant && is_first_build(other, all),
    }
}

fn first(all: &[Entry], peer: &str) -> &'static str {
    all.iter()
        .find(|entry| entry.peer == peer)
        .map_or("", |entry| entry.variant)
}

fn is_first_build(entry: &Entry, all: &[Entry]) -> bool {
    let first = all.iter().find(|entry| entry.side == Side::Ours);
    first.is_some_and(|first| first.peer == entry.peer)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{sample, work};
    use super::*;

    fn titles(entries: &[(&str, Side, &'static str)]) -> Vec<String> {
        let work = work(entries);
        pairs(&work).iter().map(Pair::title).collect()
    }

    #[test]
    fn each_build_meets_each_balancer_and_the_first_build() {
        let entries = [
            ("direct", Side::None, ""),
            ("old", Side::Ours, ""),
            ("new", Side::Ours, ""),
            ("pen", Side::Theirs, ""),
        ];

        assert_eq!(titles(&entries), ["old / pen", "new / old", "new / pen"]);
    }

    #[test]
    fn nothing_is_compared_with_nothing() {
        let mut work = work(&[("c", Side::Ours, ""), ("pen", Side::Theirs, "")]);
        work.unit = crate::compare::Unit::Idle;
        for entry in &mut work.entries {
            entry.rounds = vec![Some(sample(64, 1.0))];
        }
        let preallocated = work.entries[1].rounds[0].as_mut().unwrap();
        preallocated.memory_loaded = preallocated.memory_at_rest.map(|bytes| bytes - 4096.0);

        let pair = pairs(&work)[0];

        assert_eq!(pair.ratio(Figure::PerConnection, &work), None);
        assert_eq!(pair.ratio(Figure::Rest, &work).unwrap().median, 1.0);
    }

    #[test]
    fn variant_of_others_that_ours_has_not_meets_the_plain_one() {
        let entries = [
            ("c", Side::Ours, ""),
            ("haproxy", Side::Theirs, ""),
            ("haproxy", Side::Theirs, "with 1 MiB"),
        ];

        assert_eq!(titles(&entries), ["c / haproxy", "c / haproxy, with 1 MiB"]);
    }

    #[test]
    fn variants_meet_the_plain_one() {
        let entries = [
            ("c", Side::Ours, ""),
            ("c", Side::Ours, "x"),
            ("c", Side::Ours, "y"),
        ];

        assert_eq!(titles(&entries), ["c, x / c", "c, y / c"]);
    }

    #[test]
    fn mode_meets_the_same_mode_and_the_first_one() {
        let entries = [
            ("c", Side::Ours, "roundrobin"),
            ("c", Side::Ours, "random"),
            ("c", Side::Ours, "byorder"),
            ("h", Side::Theirs, "roundrobin"),
            ("h", Side::Theirs, "random"),
        ];

        let expected = [
            "c, roundrobin / h, roundrobin",
            "c, random / c, roundrobin",
            "c, random / h, random",
            "c, byorder / c, roundrobin",
        ];
        assert_eq!(titles(&entries), expected);
    }
}
