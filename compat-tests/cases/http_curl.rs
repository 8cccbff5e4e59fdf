//! curl, where it is installed, in front of mock back ends.

use std::path::Path;
use std::process::Command;

use crate::cases::relay::Noise;
use crate::cases::{Lanes, http_shop};
use crate::harness::http::{HttpBackend, reply};
use crate::harness::{Proxy, Run};

/// Whether curl is there; says so if not.
pub(super) fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: curl is not installed");
    }
    found
}

/// Runs curl in the sandbox; `/PATH` becomes an address of the first service.
#[track_caller]
pub(super) fn curl(proxy: &Proxy, words: &[&str]) -> Run {
    let words = words.iter().map(|word| match word.strip_prefix('/') {
        Some(path) => format!("http://{}/{path}", proxy.address()),
        None => (*word).to_owned(),
    });
    let usual = ["-q", "-sS", "--noproxy", "*", "--max-time", "20"];
    let run = proxy
        .sandbox()
        .other_program("curl")
        .args(usual)
        .args(words)
        .run();
    assert_eq!(run.code, Some(0), "{run:#?}");
    run
}

/// A back end that takes what it is given, after a 100 if that is expected, and
/// says whether the bytes are those of the file.
pub(super) fn taking(expected: Vec<u8>) -> HttpBackend {
    HttpBackend::new(move |turn| {
        if turn.head.lists("Expect", "100-continue") {
            turn.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let same = turn
            .message()
            .is_some_and(|message| message.body == expected);
        turn.answer(&reply("200 OK", "", format!("same: {same}\n")))
    })
}

/// 9.8 (documented).
#[test]
fn curl_keeps_its_connection() {
    if !has_curl() {
        return;
    }
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "");

    let format = "%{http_code} %{num_connects}\n";
    let run = curl(&proxy, &["/1", "/2", "/3?a=b", "-w", format]);

    let expected = "maple GET /1\n200 1\nmaple GET /2\n200 0\nmaple GET /3?a=b\n200 0\n";
    assert_eq!(run.clean(), expected);
    assert_eq!(maple.counts(), [3]);
    proxy.await_idle();
    assert_eq!(proxy.shop_number("accepted"), 1);
}

/// 9.4 (decided).
#[test]
fn curl_asks_for_heads_only() {
    if !has_curl() {
        return;
    }
    let maple = HttpBackend::named("maple");
    let proxy = http_shop("", &maple, "addclientheader \"X: y\";");

    let run = curl(&proxy, &["-I", "/1", "/2"]);

    assert_eq!(run.clean().matches("HTTP/1.1 200 OK\r\n").count(), 2);
    assert_eq!(run.stdout.matches("\r\nX: y\r\n").count(), 2);
    assert!(maple.heads().iter().all(|head| head.method() == "HEAD"));
    assert_eq!(maple.counts(), [2]);
}

/// 9.4 (documented): chunked uploads, and replies in HTTP/1.0.
#[test]
fn curl_uploads_in_chunks_and_speaks_http_1_0() {
    if !has_curl() {
        return;
    }
    let bytes = Noise(5).bytes(3_000_000);
    let maple = taking(bytes.clone());
    let proxy = http_shop("", &maple, "");
    proxy.sandbox().write("file", bytes);
    let chunked = "Transfer-Encoding: chunked";

    let put = curl(&proxy, &["-T", "file", "-H", chunked, "/put"]);
    let post = curl(&proxy, &["--data-binary", "@file", "-H", chunked, "/post"]);
    let old = curl(&proxy, &["-0", "--data-binary", "@file", "/old"]);

    for run in [put, post, old] {
        assert_eq!(run.clean(), "same: true\n");
    }
    let heads = maple.heads();
    assert!(
        heads[..2]
            .iter()
            .all(|head| head.lists("Transfer-Encoding", "chunked"))
    );
    assert!(heads[2].start().ends_with(" HTTP/1.0"));
}

/// C45 (decided).
#[test]
fn curl_waits_for_100_continue() {
    if !has_curl() {
        return;
    }
    let bytes = Noise(6).bytes(8_000_000);
    let maple = taking(bytes.clone());
    let proxy = http_shop("", &maple, "");
    proxy.sandbox().write("file", bytes);

    let expect = "Expect: 100-continue";
    let words = ["-v", "--data-binary", "@file", "-H", expect, "/1", "/2"];
    let run = curl(&proxy, &words);

    assert_eq!(run.stdout, "same: true\n".repeat(2));
    assert!(
        run.stderr.matches("< HTTP/1.1 100 Continue").count() == 2,
        "{run:#?}"
    );
    assert_eq!(maple.counts(), [2]);
}

/// C39 (documented): a jar of cookies as a browser keeps it.
#[test]
fn curl_with_a_cookie_jar_stays_with_its_backend() {
    if !has_curl() {
        return;
    }
    let lanes = Lanes::new();
    let proxy = lanes.behind("").start();
    let jars = ["one", "two", "three"];
    let served = |jar: &str, count: usize| {
        let mut words = vec!["-c", jar, "-b", jar];
        words.extend(vec!["/"; count]);
        let run = curl(&proxy, &words);
        let lines: Vec<String> = run.clean().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count);
        assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
        lines[0].clone()
    };

    let first: Vec<String> = jars.iter().map(|jar| served(jar, 1)).collect();
    for _ in 0..4 {
        for (jar, name) in jars.iter().zip(&first) {
            assert_eq!(&served(jar, 1), name);
            assert_eq!(&served(jar, 24), name);
        }
    }

    let expected = ["maple", "birch", "cedar"].map(|name| format!("{name} GET /\n"));
    assert_eq!(first.join("\n") + "\n", expected.concat());
    let jar = std::fs::read_to_string(Path::new(proxy.sandbox().path()).join("two"));
    assert!(jar.unwrap().contains("lane\tbirch"));
    assert_eq!(lanes.cedar.heads().len(), 101);
}
