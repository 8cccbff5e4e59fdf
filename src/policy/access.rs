//! Who may connect: deny list first, then allow list.
//!
//! Promises: a [`Filter`] is a network and nothing else, so what was parsed can
//! be compared; the verdict depends on the client's address and the two lists
//! alone. Must not: read files, look up names, know which port was used.
//!
//! Clients come in with canonical addresses: one that reached an IPv6 listener
//! over IPv4 is an IPv4 client here
//! ([`ClientAddr`](crate::base::endpoint::ClientAddr) sees to it).

use std::net::IpAddr;
use std::sync::Arc;

mod filter;
mod set;

pub use filter::{Filter, FilterError};
pub use set::FilterSet;

/// Filters that are shown as they were given, and asked as one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FilterList {
    filters: Vec<Filter>,
    set: FilterSet,
}

impl FilterList {
    /// Whether any filter of the list matches.
    pub fn matches(&self, client: IpAddr) -> bool {
        self.set.matches(client)
    }

    /// Whether there is no filter at all.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The filters, in the order in which they were given.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }
}

impl FromIterator<Filter> for FilterList {
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        let filters: Vec<Filter> = filters.into_iter().collect();
        Self {
            set: filters.iter().copied().collect(),
            filters,
        }
    }
}

/// Who refused a client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RefusedBy {
    /// A filter of the deny list matches.
    DenyList,
    /// The allow list is not empty, and none of its filters matches.
    AllowList,
}

/// What the lists say about one client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AccessVerdict {
    /// It may be served.
    Admit,
    /// It is closed without data.
    Refuse(RefusedBy),
}

/// Both lists of one service. They can be replaced independently, as a reload
/// of the access files does, and a copy shares them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessRules {
    /// Who is refused; asked first.
    pub deny: Arc<FilterSet>,
    /// Who is admitted; empty admits everyone who was not denied.
    pub allow: Arc<FilterSet>,
}

impl AccessRules {
    /// Whether this client may be served.
    ///
    /// Source: documented (12.2).
    pub fn verdict(&self, client: IpAddr) -> AccessVerdict {
        if self.deny.matches(client) {
            return AccessVerdict::Refuse(RefusedBy::DenyList);
        }
        if !self.allow.is_empty() && !self.allow.matches(client) {
            return AccessVerdict::Refuse(RefusedBy::AllowList);
        }
        AccessVerdict::Admit
    }
}

#[cfg(test)]
mod tests;
