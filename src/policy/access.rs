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

mod filter;

pub use filter::{Filter, FilterError};

/// The filters of one side, asked as one: does any of them match?
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FilterList(Vec<Filter>);

impl FilterList {
    /// Whether any filter of the list matches.
    pub fn matches(&self, client: IpAddr) -> bool {
        self.0.iter().any(|filter| filter.matches(client))
    }

    /// Whether there is no filter at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The filters, in the order in which they were given.
    pub fn filters(&self) -> &[Filter] {
        &self.0
    }
}

impl FromIterator<Filter> for FilterList {
    fn from_iter<I: IntoIterator<Item = Filter>>(filters: I) -> Self {
        Self(filters.into_iter().collect())
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
/// of the access files does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessRules {
    /// Who is refused; asked first.
    pub deny: FilterList,
    /// Who is admitted; empty admits everyone who was not denied.
    pub allow: FilterList,
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
