//! What `type http` costs: heads, bodies, whole exchanges; and what they
//! allocate, which has to be nothing.
//!
//! `cargo bench --bench http` drives an engine over loopback first and fails if
//! an exchange of a kept-alive client allocates in the steady state, whether
//! the client keeps its back end connection or shares it (`reuse safe`); then
//! it times the parts. `cargo bench --bench http -- allocations N` does only
//! the former, with N exchanges of each client in each round.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench that cannot go on ends"
)]

use std::alloc::System;

use crossroads::relay::http1::body::Chunked;
use crossroads::relay::http1::head::Head;
use crossroads::relay::http1::rewrite::{Hops, Rewriter};
use crossroads::relay::http1::session::{FromBackend, FromClient, Session, Workspace};
use divan::{Bencher, black_box};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use rig::host::{edit_reply, edit_request};
use web::{Case, Client, EXCHANGES, Exchange, LIMITS, cases, chunks};

#[allow(dead_code, reason = "other benches use what this one does not")]
mod rig;
#[path = "rig/web.rs"]
mod web;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Clients that are connected at once while allocations are counted.
const CLIENTS: usize = 16;

/// Exchanges of each client in each of the rounds.
const COUNTED: usize = 500;

/// Rounds in which allocations are counted, after one that is not: a buffer
/// that finds its size once is no cost of an exchange, and shows in one only.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [what, number, ..] if what == "allocations" => {
            count_allocations(number.parse().expect("a number of exchanges"));
        }
        _ => {
            count_allocations(COUNTED);
            divan::main();
        }
    }
}

#[divan::bench(args = EXCHANGES)]
fn read_request(bencher: Bencher<'_, '_>, what: Exchange) {
    let input = what.request();
    let mut head = Head::default();
    bencher.bench_local(|| head.request(black_box(input), LIMITS).unwrap().unwrap());
}

#[divan::bench(args = EXCHANGES)]
fn read_reply(bencher: Bencher<'_, '_>, what: Exchange) {
    let mut head = Head::default();
    let request = head.request(what.request(), LIMITS).unwrap().unwrap();
    let input = what.reply();
    bencher.bench_local(|| {
        let reply = head.reply(black_box(&input), LIMITS, &request);
        reply.unwrap().unwrap()
    });
}

#[divan::bench(args = EXCHANGES)]
fn read_and_change_request(bencher: Bencher<'_, '_>, what: Exchange) {
    let input = what.request();
    let (mut head, mut rewriter, mut out) = Default::default();
    bencher.bench_local(|| {
        Head::request(&mut head, black_box(input), LIMITS).unwrap();
        let mut editor = Rewriter::edit(&mut rewriter, input, &head);
        edit_request(&mut editor);
        Vec::clear(&mut out);
        editor.finish(Hops::PassedOn, true, &mut out);
        out.len()
    });
}

#[divan::bench(args = EXCHANGES)]
fn read_and_change_reply(bencher: Bencher<'_, '_>, what: Exchange) {
    let input = what.reply();
    let (mut head, mut rewriter, mut out) = Default::default();
    let request = Head::request(&mut head, what.request(), LIMITS);
    let request = request.unwrap().unwrap();
    bencher.bench_local(|| {
        Head::reply(&mut head, black_box(&input), LIMITS, &request).unwrap();
        let mut editor = Rewriter::edit(&mut rewriter, &input, &head);
        edit_reply(&mut editor);
        Vec::clear(&mut out);
        editor.finish(Hops::PassedOn, false, &mut out);
        out.len()
    });
}

/// A body of 1 MiB in chunks of that size, as it is checked on its way.
#[divan::bench(args = [16, 1_024, 16_384])]
fn check_chunks(bencher: Bencher<'_, '_>, chunk: usize) {
    let body = chunks(1 << 20, chunk);
    let size = divan::counter::BytesCount::new(body.len());
    bencher.counter(size).bench_local(|| {
        let taken = Chunked::new().take(black_box(&body)).unwrap();
        assert!(taken.complete);
    });
}

/// A whole exchange without sockets, from the bytes of the request to the end
/// of the reply.
#[divan::bench(args = cases())]
fn exchange_in_memory(bencher: Bencher<'_, '_>, Case(what, reuse): &Case) {
    let (request, reply) = (what.request(), what.reply());
    let manner = reuse.manner();
    let mut session = Session::new();
    let mut work = Workspace::default();
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        let found = session.client(black_box(request), &manner, &mut work);
        assert_eq!(found, Ok(FromClient::Choose));
        let taken = session.forward(request, &manner, &mut work, edit_request, &mut out);
        assert_eq!(taken, request.len());
        out.clear();
        let mut rest = black_box(&reply[..]);
        while !rest.is_empty() {
            let next = session.backend(rest, &manner, &mut work, edit_reply, &mut out);
            let taken = match next {
                Ok(FromBackend::Head { bytes, .. } | FromBackend::Body(bytes)) => bytes,
                other => unreachable!("in the middle of a reply: {other:?}"),
            };
            rest = &rest[taken..];
        }
        session.next();
        out.len()
    });
}

/// The same with sockets; the times of client and back end are in it.
#[divan::bench(args = cases())]
fn exchange_over_loopback(bencher: Bencher<'_, '_>, Case(what, reuse): &Case) {
    let rig = web::start(*reuse);
    let mut client = Client::connect(&rig);
    bencher.bench_local(|| {
        client.ask(*what);
        client.hear(*what);
    });
}

/// # Panics
///
/// When exchanges in the steady state allocate.
fn count_allocations(number: usize) {
    for case in cases() {
        let Case(what, reuse) = case;
        let rig = web::start(reuse);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&rig)).collect();
        let mut round = || {
            let region = Region::new(ALLOCATOR);
            for _ in 0..number {
                clients.iter_mut().for_each(|client| client.ask(what));
                clients.iter_mut().for_each(|client| client.hear(what));
            }
            let change = region.change();
            change.allocations + change.reallocations
        };
        round();
        let counts = [(); ROUNDS].map(|()| round());
        println!(
            "{case}: {counts:?} allocations in {} exchanges each",
            number * CLIENTS
        );
        assert!(counts.contains(&0), "exchanges allocate: {case}");
    }
}
