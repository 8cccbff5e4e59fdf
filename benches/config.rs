//! How long a large configuration takes from its file to the model.
//!
//! `cargo bench --bench config`. The large file has 4,000 services in 100,000
//! lines, the faulty one an error in each service.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use std::fmt::Write;
use std::path::PathBuf;

use crossroads::config::{LoadOptions, load};

fn main() {
    divan::main();
}

/// A file with `services` services of 25 lines each.
fn file(services: usize, weight: &str) -> (tempfile::TempDir, PathBuf) {
    let mut text = String::from("#define FIRST 10.4.0.11 // the first server\n");
    for number in 0..services {
        let port = 2_000 + number;
        write!(
            text,
            "/* service {number} */
service shop_{number} {{
    port {port};            # its own
    bindto any;
    dispatchmode byduration over 8;
    revivinginterval 7;
    connectiontimeout 90;
    maxconnections 400;
    backlog 128;
    allowfrom 172.16/12 127.0.0.1 2001:db8::/32;
    denyfrom 172.16.4.9;

    backend maple {{
        server FIRST:8001;
        decay 15;
        onfail logger -t shop \"lost %b at %l\";
    }}
    backend birch {{
        server 10.4.0.12;
        port 8001;
        decay 15;
        weight {weight};
        throughputlog \"/var/log/birch.log\";
    }}
}}

"
        )
        .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.conf");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

#[divan::bench(args = [40, 400, 4_000])]
fn valid(bencher: divan::Bencher, services: usize) {
    let (_directory, path) = file(services, "3");
    bencher.bench(|| {
        let loaded = load(&path, &LoadOptions::default());
        assert!(loaded.config.is_some());
        loaded
    });
}

#[divan::bench(args = [4_000])]
fn faulty(bencher: divan::Bencher, services: usize) {
    let (_directory, path) = file(services, "heavy");
    bencher.bench(|| {
        let loaded = load(&path, &LoadOptions::default());
        assert_eq!(loaded.report.errors(), services);
        loaded
    });
}
