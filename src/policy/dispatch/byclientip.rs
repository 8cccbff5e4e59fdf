//! `byclientip`: by the address of the client, by highest random weight. A back
//! end that leaves moves its own clients and no others.

use std::net::IpAddr;

use crate::base::id::BackendId;
use crate::base::name::BackendName;
use crate::policy::dispatch::{Ask, Candidates, Mode, Stickiness};

/// Every client has its own order of all configured back ends.
///
/// Source: decided (7.4).
#[derive(Debug)]
pub(crate) struct ByClientIp {
    stickiness: Stickiness,
    /// mix(fnv(name)) of each back end.
    names: Vec<u64>,
}

impl ByClientIp {
    /// The mode for back ends of these names in order of definition.
    pub(crate) fn new<'a>(
        stickiness: Stickiness,
        names: impl Iterator<Item = &'a BackendName>,
    ) -> Self {
        let hash = |name: &BackendName| mix(fnv(name.as_str().as_bytes()));
        Self {
            stickiness,
            names: names.map(hash).collect(),
        }
    }
}

impl Mode for ByClientIp {
    fn pick(&mut self, from: &Candidates<'_>, ask: &Ask) -> Option<BackendId> {
        let client = fnv_of(ask.client);
        match self.stickiness {
            Stickiness::Strict => {
                let all = (0..).map(BackendId).zip(self.names.iter().copied());
                highest(client, all).filter(|&backend| from.contains(backend))
            }
            Stickiness::Lax => {
                let name = |backend: BackendId| (backend, self.names[backend.index()]);
                highest(client, from.iter().map(name))
            }
        }
    }
}

/// The first in the order of a client; of equal ones the first that is given.
fn highest(client: u64, names: impl Iterator<Item = (BackendId, u64)>) -> Option<BackendId> {
    let mut first: Option<(u64, BackendId)> = None;
    for (backend, name) in names {
        let rank = mix(client ^ name);
        if first.is_none_or(|(highest, _)| rank > highest) {
            first = Some((rank, backend));
        }
    }
    first.map(|(_, backend)| backend)
}

/// The rank of a back end of this name for a client, by the words of 7.4.
#[cfg(test)]
pub(crate) fn rank(client: IpAddr, name: &str) -> u64 {
    mix(fnv_of(client) ^ mix(fnv(name.as_bytes())))
}

/// FNV-1a of the address bytes in network order.
fn fnv_of(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(address) => fnv(&address.octets()),
        IpAddr::V6(address) => fnv(&address.octets()),
    }
}

/// FNV-1a, 64 bit.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Spreads every bit over all others.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    #[test]
    fn orders_and_hashes_are_those_of_the_table() {
        let names = ["maple", "birch", "cedar"];
        for (client, order, first) in [
            ("192.0.2.1", "birch cedar maple", 0xd5a7_afea_5ec7_cc84),
            ("192.0.2.2", "birch cedar maple", 0xfcd5_dbf8_0d3c_e02a),
            ("198.51.100.20", "maple birch cedar", 0xf292_029c_9025_98e6),
            (
                "203.0.113.9",
                "cedar maple birch",
                0x6e90_218b_f973_76d1_u64,
            ),
            ("10.0.0.1", "cedar birch maple", 0xe4a4_7974_e87a_5906),
        ] {
            let client = fnv_of(client.parse().unwrap());
            let hash = |name: &str| mix(client ^ mix(fnv(name.as_bytes())));

            let mut ordered = names;
            ordered.sort_by_key(|name| Reverse(hash(name)));

            assert_eq!(ordered.join(" "), order);
            assert_eq!(hash(ordered[0]), first);
        }
    }

    #[test]
    fn fnv_gives_the_published_values() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
