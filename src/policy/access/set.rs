//! Networks asked as one, however many they are.
//!
//! Only membership counts, so nested and neighbouring networks are merged into
//! ranges that lie apart, and a range is kept as its two edges: the first
//! address in it and the first one behind it. All edges of a family stand in
//! one ascending array without pointers:
//!
//! ```text
//!   10.0.0.0/8, 10.1.0.0/16, 12.0.0.0/8     (10/8 holds 10.1/16)
//!   edges   10.0.0.0   11.0.0.0   12.0.0.0   13.0.0.0
//!           in         out        in         out
//! ```
//!
//! A client is inside if an odd number of edges is not above its address. That
//! is one binary search. A range that reaches to the last address of its family
//! has no second edge. To keep the search within the processor's cache, the
//! first edge of each group of [`GROUP`] also stands in a short array of its
//! own, which is searched first.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Filter;

/// Edges in a group: 64 bytes of IPv4, a cache line, and 256 of IPv6.
const GROUP: usize = 16;

/// Filters of which only one thing is known: whom they match together.
///
/// Takes 8.5 bytes for an IPv4 network, 34 for one of IPv6, less where networks
/// touch or overlap.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FilterSet {
    v4: Edges<u32>,
    v6: Edges<u128>,
    len: usize,
}

impl FilterSet {
    /// Whether any filter of the set matches.
    pub fn matches(&self, client: IpAddr) -> bool {
        match client {
            IpAddr::V4(client) => self.v4.hold(client.to_bits()),
            IpAddr::V6(client) => self.v6.hold(client.to_bits()),
        }
    }

    /// Whether there is no filter at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many filters were given, also those that others contain.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl FromIterator<Filter> for FilterSet {
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        let (mut v4, mut v6, mut len) = (Vec::new(), Vec::new(), 0);
        for filter in filters {
            len += 1;
            match filter.network() {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self {
            v4: Edges::of(v4, |last| last.checked_add(1)),
            v6: Edges::of(v6, |last| last.checked_add(1)),
            len,
        }
    }
}

/// The edges of ranges that lie apart, in ascending order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Edges<A> {
    all: Box<[A]>,
    /// The first edge of each group but the first group.
    groups: Box<[A]>,
}

impl<A: Copy + Ord> Edges<A> {
    /// The edges of the union of `ranges`, each from its first to its last
    /// address; `after` gives the next address, if there is one.
    fn of(mut ranges: Vec<(A, A)>, after: impl Fn(A) -> Option<A>) -> Self {
        ranges.sort_unstable();
        let mut all: Vec<A> = Vec::new();
        for (first, last) in ranges {
            // A range without its second edge holds all that is to come.
            if all.len() % 2 == 1 {
                break;
            }
            let end = match all.pop_if(|end| *end >= first) {
                Some(end) => after(last).map(|own| own.max(end)),
                None => {
                    all.push(first);
                    after(last)
                }
            };
            all.extend(end);
        }
        Self {
            groups: all.iter().copied().step_by(GROUP).skip(1).collect(),
            all: all.into(),
        }
    }

    fn hold(&self, address: A) -> bool {
        let not_above = |edge: &A| *edge <= address;
        let before = self.groups.partition_point(not_above) * GROUP;
        let group = self.all.get(before..).unwrap_or_default();
        let group = group.get(..GROUP).unwrap_or(group);
        (before + group.partition_point(not_above)) % 2 == 1
    }
}
