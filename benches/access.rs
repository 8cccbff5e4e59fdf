//! What one decision of an access list costs, among 1 to 1,000,000 networks of
//! both families and of many masks, for clients that it holds and clients that
//! it does not, and what making it costs.
//!
//! `cargo bench --bench access`

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crossroads::base::random::Random;
use crossroads::config::model::Service;
use crossroads::config::{self, LoadOptions};
use crossroads::policy::access::{Filter, FilterSet};
use crossroads::service::access::AccessControl;
use divan::{Bencher, black_box};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const SIZES: [usize; 5] = [1, 100, 10_000, 100_000, 1_000_000];

/// So many clients that their addresses are not in the cache by themselves.
const CLIENTS: usize = 1 << 16;

fn main() {
    divan::main();
}

/// An address of a family by turns: any of IPv4, or one of 2000::/3.
fn address(turn: usize, random: &mut Random) -> IpAddr {
    let (high, low) = (random.next_u64(), random.next_u64());
    if turn.is_multiple_of(2) {
        return Ipv4Addr::from_bits(high as u32).into();
    }
    let bits = u128::from(high >> 3 | 1 << 61) << 64 | u128::from(low);
    Ipv6Addr::from_bits(bits).into()
}

/// A network of an address: 24 to 32 bits of IPv4, 24 to 128 of IPv6.
fn network(turn: usize, random: &mut Random) -> Option<Filter> {
    let net = match address(turn, random) {
        IpAddr::V4(address) => Ipv4Net::new(address, 24 + random.below(9) as u8).map(IpNet::V4),
        IpAddr::V6(address) => Ipv6Net::new(address, 24 + random.below(105) as u8).map(IpNet::V6),
    };
    net.ok().map(Filter::from)
}

fn networks(count: usize) -> Vec<Filter> {
    let mut random = Random::new(1);
    (0..count)
        .filter_map(|turn| network(turn, &mut random))
        .collect()
}

/// Decides about one client after another, so often that the set is as warm as
/// it gets.
fn decide(bencher: Bencher<'_, '_>, set: &FilterSet, clients: &[IpAddr]) {
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        set.matches(black_box(clients[turn % clients.len()]))
    });
}

#[divan::bench(args = SIZES, sample_size = 8192)]
fn client_that_no_network_holds(bencher: Bencher<'_, '_>, count: usize) {
    let set: FilterSet = networks(count).into_iter().collect();
    let mut random = Random::new(2);
    let drawn = (0..).map(|turn| address(turn, &mut random));
    let clients: Vec<IpAddr> = drawn
        .filter(|one| !set.matches(*one))
        .take(CLIENTS)
        .collect();
    decide(bencher, &set, &clients);
}

#[divan::bench(args = SIZES, sample_size = 8192)]
fn client_of_a_network(bencher: Bencher<'_, '_>, count: usize) {
    let filters = networks(count);
    let mut random = Random::new(3);
    let clients: Vec<IpAddr> = (0..CLIENTS)
        .map(|_| {
            filters[random.below(count as u64) as usize]
                .network()
                .broadcast()
        })
        .collect();
    decide(bencher, &filters.into_iter().collect(), &clients);
}

#[divan::bench(args = SIZES)]
fn making_the_set(bencher: Bencher<'_, '_>, count: usize) {
    let filters = networks(count);
    bencher.bench_local(|| FilterSet::from_iter(black_box(&filters).iter().copied()));
}

/// A service with these statements.
fn service(statements: &str) -> io::Result<Service> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("crossroads.conf");
    let text = format!("service shop {{ port 8080; {statements} backend a {{ server h:1; }} }}");
    std::fs::write(&file, text)?;
    let config = config::load(&file, &LoadOptions::default()).config;
    let mut services = config.map_or_else(Vec::new, |config| config.services);
    services.pop().ok_or_else(|| io::Error::other("no service"))
}

/// What a worker does for each client, with the lock of its copy: without
/// lists, and with a filter in both.
#[divan::bench(args = ["", "allowfrom 127/8; denyfrom 10/8;"], sample_size = 8192)]
fn worker_asks(bencher: Bencher<'_, '_>, statements: &str) {
    let Ok(service) = service(statements) else {
        return;
    };
    let access = AccessControl::new(&service, 1);
    bencher.bench_local(|| access.refuses(0, black_box(Ipv4Addr::LOCALHOST.into())));
}
