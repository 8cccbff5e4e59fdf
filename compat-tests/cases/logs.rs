//! `trafficlog` and `throughputlog`: shapes, files, and what happens when they
//! cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::cases::relay::Noise;
use crate::harness::{Backend, Client, Level, Proxy, Setup, mounted, root_only, until};

const REQUEST: &str = "PUT /a HTTP/1.1\r\nHost: h\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 204 No Content\r\nServer: maple\r\n\r\n";

/// A setup without back ends, and where a log called `name` lies.
fn setup() -> (Setup, PathBuf) {
    let mut setup = Setup::new("dispatchmode byorder;");
    let directory = setup.sandbox().path().to_owned();
    (setup, directory)
}

/// A back end that answers the first block of a client with `answer`, and then
/// waits for its end.
fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Backend {
    Backend::serving(move |mut peer| {
        if !peer.receive().is_empty() && peer.send(&answer) {
            peer.discard();
        }
    })
}

/// The lines of a file, none if it is not there.
fn lines(file: &Path) -> Vec<String> {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8(text).expect("a log is text");
    assert!(text.is_empty() || text.ends_with('\n'), "torn: {file:?}");
    text.lines().map(str::to_owned).collect()
}

/// The bytes that a traffic log has of the side `letter`; every line must have
/// its right shape and offset.
fn bytes_of(file: &Path, letter: char) -> Vec<u8> {
    let shape = Regex::new(r"^([CB]) ([0-9a-f]{4}) ((?:[0-9a-f]{2} ){0,15}[0-9a-f]{2}) ").unwrap();
    let mut bytes = Vec::new();
    for line in lines(file) {
        let found = shape.captures(&line).unwrap_or_else(|| panic!("{line:?}"));
        let hex: Vec<u8> = found[3]
            .split(' ')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let shown: String = hex
            .iter()
            .map(|&byte| match byte {
                0x20..=0x7e => char::from(byte),
                _ => '.',
            })
            .collect();
        assert_eq!(line[55..], shown, "{line:?}");
        if found[1].starts_with(letter) {
            bytes.extend(hex);
        }
    }
    bytes
}

/// One client that says `text` and reads the answer of `length` bytes.
#[track_caller]
fn ask(proxy: &Proxy, text: &str, length: usize) -> Client {
    let mut client = proxy.connect();
    client.send(text);
    client.take(length);
    client
}

/// C52 (documented; padding and number decided): 13.1 and 13.2.
#[test]
fn both_logs_have_the_specified_shapes() {
    let maple = answering(ANSWER);
    let (setup, directory) = setup();
    let (traffic, blocks) = (directory.join("traffic"), directory.join("blocks"));
    let body = format!(
        "trafficlog {}; throughputlog {};",
        traffic.display(),
        blocks.display()
    );
    let proxy = setup.backend("maple", maple.server(), &body).start();
    drop(ask(&proxy, REQUEST, ANSWER.len()));
    proxy.stop();

    assert_eq!(
        lines(&traffic)[..2],
        [
            "C 0000 50 55 54 20 2f 61 20 48 54 54 50 2f 31 2e 31 0d PUT /a HTTP/1.1.",
            "C 0010 0a 48 6f 73 74 3a 20 68 0d 0a 0d 0a             .Host: h....",
        ]
    );
    assert_eq!(bytes_of(&traffic, 'B'), ANSWER.as_bytes());
    let written = lines(&blocks);
    assert_eq!(
        written[0],
        "0000001 0.000001 C PUT /a HTTP/1.1..Host: h...."
    );
    let answer = r"^0000001 \d+\.\d{6} B HTTP/1\.1 204 No Content\.\.Server: maple\.\.\.\.$";
    assert!(
        Regex::new(answer).unwrap().is_match(&written[1]),
        "{written:?}"
    );
    assert_eq!(written.len(), 2);
    for file in [traffic, blocks] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?} holds what clients sent");
    }
}

/// 13.1 (decided): every byte of both directions is in the log.
#[test]
fn traffic_log_gives_random_bytes_of_both_directions_back() {
    let (up, down) = (Noise(7).bytes(700_001), Noise(9).bytes(900_003));
    let (length, answer) = (up.len(), down.clone());
    let maple = Backend::serving(move |mut peer| {
        let mut got = 0;
        while got < length {
            got += peer.receive().len();
        }
        peer.send(&answer);
    });
    let (setup, directory) = setup();
    let file = directory.join("traffic");
    let body = format!("trafficlog {};", file.display());
    let proxy = setup.backend("maple", maple.server(), &body).start();
    let mut client = proxy.connect();
    client.send(&up);
    let (got, _) = client.rest();
    assert!(got == down);
    drop(client);
    proxy.await_idle();
    assert_eq!(proxy.number("maple", "log_dropped"), 0);
    proxy.stop();

    assert!(bytes_of(&file, 'C') == up, "what the client sent differs");
    assert!(
        bytes_of(&file, 'B') == down,
        "what the back end sent differs"
    );
}

/// 4.21, 4.22 (decided): the service's file is the default of its back ends,
/// and a statement of a back end replaces it.
#[test]
fn statement_of_a_back_end_replaces_that_of_its_service() {
    let (maple, birch) = (answering("maple"), answering("birch"));
    let mut setup = Setup::new("dispatchmode roundrobin; trafficlog all;");
    let directory = setup.sandbox().path().to_owned();
    let proxy = setup
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "trafficlog \"birch's own\";")
        .start();
    drop(ask(&proxy, "1", 5));
    drop(ask(&proxy, "2", 5));
    proxy.stop();

    assert_eq!(bytes_of(&directory.join("all"), 'B'), b"maple");
    assert_eq!(bytes_of(&directory.join("birch's own"), 'B'), b"birch");
}

/// 13.3 (decided): what was sent before the back end was chosen is logged once
/// it is known, by the back end that serves.
#[test]
fn failing_over_logs_for_the_back_end_that_serves() {
    for (logs, expected) in [
        (["lost", ""], ""),
        (["", "kept"], "hello"),
        (["lost", "kept"], "hello"),
    ] {
        let (maple, birch) = (Backend::dead("maple"), answering("answer"));
        let (setup, directory) = setup();
        let log = |name: &str| match name {
            "" => String::new(),
            name => format!("trafficlog {};", directory.join(name).display()),
        };
        let proxy = setup
            .backend("maple", maple.server(), &log(logs[0]))
            .backend("birch", birch.server(), &log(logs[1]))
            .start();
        for _ in 0..5 {
            drop(ask(&proxy, "hello", 6));
        }
        proxy.stop();

        assert_eq!(lines(&directory.join("lost")), [""; 0], "{logs:?}");
        let kept = bytes_of(&directory.join("kept"), 'C');
        assert_eq!(kept, expected.repeat(5).as_bytes(), "{logs:?}");
    }
}

/// 13.3 (decided): a client that ends its direction first, and one that is gone
/// after a moment, are logged to the end.
#[test]
fn half_closed_and_short_connections_are_logged_completely() {
    let maple = Backend::serving(|mut peer| {
        while !peer.receive().is_empty() {}
        peer.send("goodbye");
    });
    let (setup, directory) = setup();
    let file = directory.join("traffic");
    let body = format!("trafficlog {};", file.display());
    let proxy = setup.backend("maple", maple.server(), &body).start();
    for _ in 0..200 {
        let mut client = proxy.connect();
        client.send("hello");
        client.finish_sending();
        assert_eq!(client.rest().0, b"goodbye");
    }
    proxy.stop();

    assert_eq!(bytes_of(&file, 'C'), "hello".repeat(200).as_bytes());
    assert_eq!(bytes_of(&file, 'B'), "goodbye".repeat(200).as_bytes());
}

/// 13.3 (decided): a renamed file is left alone by the next connection, while
/// an earlier one goes on in it; no file stays open without a connection.
#[test]
fn renamed_file_is_left_alone_by_the_next_connection() {
    let maple = Backend::echo();
    let (setup, directory) = setup();
    let (file, old) = (directory.join("traffic"), directory.join("traffic.old"));
    let body = format!("trafficlog {};", file.display());
    let proxy = setup.backend("maple", maple.server(), &body).start();
    let mut first = proxy.connect();
    first.assert_echo("one");
    until("the first block is written", || !lines(&file).is_empty());

    fs::rename(&file, &old).unwrap();
    let mut second = proxy.connect();
    second.assert_echo("two");
    first.assert_echo("three");
    drop((first, second));
    let daemon = proxy.process();
    let open = || {
        daemon
            .descriptors()
            .iter()
            .any(|path| path.starts_with(&directory))
    };
    until("no log is open", || !open());

    assert_eq!(bytes_of(&old, 'C'), b"onethree");
    assert_eq!(bytes_of(&file, 'C'), b"two");
}

/// 13.3 (decided): a log that cannot be opened costs a warning and no traffic.
/// A pipe is refused, since its reader could hold up all logs.
#[test]
fn log_that_cannot_be_opened_costs_a_warning_and_no_traffic() {
    let maple = answering("answer");
    let (setup, directory) = setup();
    let pipe = directory.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let body = format!(
        "trafficlog {}/missing/log; throughputlog {};",
        directory.display(),
        pipe.display()
    );
    let proxy = setup
        .backend("maple", maple.server(), &body)
        .limit("log_repeat", 0.001)
        .start();
    let _reader = fs::File::options()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    drop(ask(&proxy, "hello", 6));

    let syslog = &proxy.sandbox().syslog;
    let missing = format!(
        "shop maple: cannot open {}/missing/log: no such file or directory",
        directory.display()
    );
    syslog.await_exactly(Level::Warning, &missing);
    until("both blocks are counted for both logs", || {
        proxy.number("maple", "log_dropped") == 4
    });
    assert_eq!(proxy.state("maple"), "available");
}

/// C77 (decided): a log file at the limit of RLIMIT_FSIZE; 13.3.
#[test]
fn file_at_the_limit_of_its_size_costs_whole_blocks_and_no_traffic() {
    const LIMIT: u64 = 150_000;
    let maple = Backend::echo();
    let (setup, directory) = setup();
    let file = directory.join("traffic");
    let body = format!("trafficlog {};", file.display());
    let proxy = setup
        .backend("maple", maple.server(), &body)
        .wrap([
            "prlimit".to_owned(),
            format!("--fsize={LIMIT}"),
            "--".to_owned(),
        ])
        .start();
    let mut client = proxy.connect();
    let sent = Noise(3).bytes(20_000);
    for _ in 0..10 {
        client.send(&sent);
        assert!(client.take(sent.len()) == sent, "the traffic goes on");
    }
    let text = format!(
        "shop maple: blocks not logged in {}: file too large",
        file.display()
    );
    proxy.sandbox().syslog.await_exactly(Level::Warning, &text);
    until("dropped blocks are counted", || {
        proxy.number("maple", "log_dropped") > 0
    });
    let size = fs::metadata(&file).unwrap().len();
    assert!(size <= LIMIT, "{size}");

    fs::rename(&file, directory.join("full")).unwrap();
    let mut second = proxy.connect();
    second.assert_echo("good again");
    drop((client, second));
    proxy.stop();

    // Both parse, so no line is torn.
    assert!(sent.starts_with(&bytes_of(&directory.join("full"), 'C')[..10_000]));
    assert_eq!(bytes_of(&file, 'C'), b"good again");
}

/// 13.3 (decided): a full disk; what comes when it has room again is logged on
/// lines of its own.
#[test]
fn full_disk_costs_blocks_until_it_has_room_again() {
    if !root_only("a small file system") || mounted(&[]).is_none() {
        return;
    }
    let maple = Backend::echo();
    let (mut setup, directory) = setup();
    setup.sandbox().write("disk/below", "");
    let disk = directory.join("disk");
    let script = format!(
        "mount -t tmpfs -o size=64k tmpfs {} && exec \"$@\"",
        disk.display()
    );
    let body = format!("trafficlog {}/traffic;", disk.display());
    let proxy = setup
        .backend("maple", maple.server(), &body)
        .wrap(["unshare", "--mount", "sh", "-c", &script, "sh"])
        .start();
    // The disk as the daemon sees it.
    let root = PathBuf::from(format!("/proc/{}/root", proxy.process().0));
    let seen = root.join(disk.strip_prefix("/").unwrap());
    let filler = seen.join("filler");
    let mut client = proxy.connect();
    client.assert_echo("before");
    until("the first blocks are written", || {
        lines(&seen.join("traffic")).len() == 2
    });

    assert!(
        fs::write(&filler, vec![0; 100_000]).is_err(),
        "the disk takes all"
    );
    let large = "x".repeat(2_000);
    client.assert_echo(&large);
    let text = "no space left on device";
    proxy.sandbox().syslog.await_line(text);
    fs::remove_file(&filler).unwrap();
    client.assert_echo("after");
    until("the last blocks are written", || {
        bytes_of(&seen.join("traffic"), 'B').ends_with(b"after")
    });

    until("dropped blocks are counted", || {
        proxy.number("maple", "log_dropped") > 0
    });
    assert!(bytes_of(&seen.join("traffic"), 'C').starts_with(b"before"));
}

/// 13.3 (decided): when blocks come faster than they can be written, they are
/// dropped, and nobody waits for the log.
#[test]
fn blocks_that_come_too_fast_are_dropped_and_counted() {
    const SIZE: usize = 96 * 1024 * 1024;
    let maple = Backend::serving(|mut peer| {
        let piece = vec![b'.'; 1024 * 1024];
        for _ in 0..SIZE / piece.len() {
            if !peer.send(&piece) {
                return;
            }
        }
    });
    let birch = Backend::echo();
    let (setup, directory) = setup();
    let body = format!("trafficlog {}/traffic;", directory.display());
    let proxy = setup
        .backend("maple", maple.server(), &body)
        .service("desk", "")
        .backend("birch", birch.server(), "")
        .start();
    let mut client = proxy.connect();
    let mut neighbour = Client::connect(proxy.address_of("desk"));
    neighbour.assert_echo("not held up");

    let (got, _) = client.rest();

    assert_eq!(got.len(), SIZE);
    neighbour.assert_echo("not held up");
    proxy.sandbox().syslog.await_line("traffic: queue full");
    until("dropped blocks are counted", || {
        proxy.number("maple", "log_dropped") > 0
    });
}
