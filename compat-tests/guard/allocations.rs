//! Allocations of an engine for a connection and for a request.
//!
//! A target of its own, because its allocator counts for the whole process:
//! nothing else may run in it, and clients and back ends allocate nothing once
//! they are connected.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the whole crate is a test; a broken expectation ends the case that made it"
)]

use std::alloc::System;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use rig::Rig;
use rig::host::Fixed;
use table::{Margin, Table};
use web::{Client, Exchange, Reuse};

#[allow(dead_code, reason = "the benches use what this target does not")]
#[path = "../../benches/rig/mod.rs"]
mod rig;
mod table;
#[allow(dead_code, reason = "the benches use what this target does not")]
#[path = "../../benches/rig/web.rs"]
mod web;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Units in each of the rounds, of which the least counts: a buffer that finds
/// its size once is no cost of a unit, and shows in one round only.
const UNITS: u32 = 200;
const ROUNDS: usize = 5;

/// One in twenty units may have one; that would be a cost of something else.
const MARGIN: Margin = Margin::of(0.05);

const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

// One test: a second one beside it would be counted too.
#[test]
fn connections_and_requests() {
    plain();
    for reuse in [Reuse::Never, Reuse::Safe] {
        for exchange in [Exchange::Short, Exchange::Page] {
            requests_of_http(exchange, reuse);
        }
    }
}

/// # Panics
///
/// When `unit` does not allocate as often as the table allows.
fn assert_allocates(case: &str, mut unit: impl FnMut()) {
    let mut round = || {
        let region = Region::new(ALLOCATOR);
        (0..UNITS).for_each(|_| unit());
        let change = region.change();
        change.allocations + change.reallocations
    };
    round();
    let counts = [(); ROUNDS].map(|()| round());
    let least = counts.into_iter().min().unwrap_or_default();
    let each = least as f64 / f64::from(UNITS);
    let found = BTreeMap::from([("allocations".to_owned(), each)]);
    Table::called("allocations.txt").assert_holds(case, &found, |_| MARGIN);
}

fn plain() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    sockopt::set_socket_timeout(&backend, sockopt::Timeout::Recv, LIMIT).unwrap();
    let rig = Rig::start(Fixed::plain(backend.local_addr().unwrap()));
    assert_allocates("tcp-conn", || {
        let (mut client, mut peer) = pair(&rig, &backend);
        request(&mut client, &mut peer);
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        drop(client);
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    });
    let (mut client, mut peer) = pair(&rig, &backend);
    assert_allocates("tcp-keep", || request(&mut client, &mut peer));
}

fn requests_of_http(exchange: Exchange, reuse: Reuse) {
    let case = match (exchange, reuse) {
        (Exchange::Short, Reuse::Never) => "http-keep",
        (Exchange::Short, Reuse::Safe) => "http-keep-shared",
        (Exchange::Page, Reuse::Never) => "http-page",
        (Exchange::Page, Reuse::Safe) => "http-page-shared",
    };
    let rig = web::start(reuse);
    let mut client = Client::connect(&rig);
    assert_allocates(case, || {
        client.ask(exchange);
        client.hear(exchange);
    });
}

fn pair(rig: &Rig, backend: &TcpListener) -> (TcpStream, TcpStream) {
    let client = rig.connect();
    let (peer, _) = backend.accept().unwrap();
    peer.set_read_timeout(LIMIT).unwrap();
    (client, peer)
}

fn request(client: &mut TcpStream, peer: &mut TcpStream) {
    let mut heard = [0; 7];
    client.write_all(b"request").unwrap();
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"request");
    peer.write_all(b"answer!").unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"answer!");
}
