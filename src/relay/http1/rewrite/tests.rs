//! What is sent instead of what came.

use super::*;
use crate::relay::http1::head::HeadLimits;

fn rewritten(input: &str, hops: Hops, edit: impl FnOnce(&mut Editor<'_>)) -> String {
    let limits = HeadLimits {
        bytes: 65_536,
        fields: 200,
    };
    let mut head = Head::default();
    head.request(input.as_bytes(), limits).unwrap().unwrap();
    let mut rewriter = Rewriter::default();
    let mut editor = rewriter.edit(input.as_bytes(), &head);
    let mut out = Vec::new();

    edit(&mut editor);
    editor.finish(hops, true, &mut out);

    String::from_utf8_lossy(&out).into_owned()
}

const RECEIVED: &str = "GET /list?p=2 HTTP/1.1\r\nhost: www.shop.test\r\nVia: 1.1 cache-a\r\n\
    X-Client: 10.9.9.9\r\nVIA: 1.1 cache-b\r\nConnection: close, x-client\r\n\r\n";

#[test]
fn directives_of_the_specification_give_its_result() {
    let sent = rewritten(RECEIVED, Hops::PassedOn, |editor| {
        editor.add(b"X-Client", b"192.0.2.7");
        editor.append(b"Via", b"1.1 shop");
        editor.set(b"Host", b"inside.test");
    });

    assert_eq!(
        sent,
        "GET /list?p=2 HTTP/1.1\r\nHost: inside.test\r\nVia: 1.1 cache-a\r\n\
        X-Client: 10.9.9.9\r\nVIA: 1.1 cache-b; 1.1 shop\r\nConnection: close\r\n\
        X-Client: 192.0.2.7\r\n\r\n"
    );
}

#[test]
fn nothing_to_do_changes_nothing() {
    assert_eq!(rewritten(RECEIVED, Hops::PassedOn, |_| {}), RECEIVED);
}

#[test]
fn lf_is_sent_as_cr_lf() {
    let received = RECEIVED.replace("\r\n", "\n");

    assert_eq!(rewritten(&received, Hops::PassedOn, |_| {}), RECEIVED);
}

#[test]
fn edits_see_what_earlier_ones_did() {
    let sent = rewritten(
        "GET / HTTP/1.0\r\nA:\r\na: 1\r\n\r\n",
        Hops::PassedOn,
        |editor| {
            editor.append(b"b", b"1");
            editor.append(b"B", b" 2 ");
            editor.set(b"aA", b"");
            editor.append(b"aa", b"x");
            editor.set(b"a", b"3");
            editor.append(b"A", b"4");
        },
    );

    assert_eq!(
        sent,
        "GET / HTTP/1.0\r\na: 3; 4\r\nb: 1; 2\r\naA: x\r\n\r\n"
    );
}

#[test]
fn fields_of_the_connection_are_taken_out() {
    let received = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, host, upgrade\r\nX: 1\r\n\
        Keep-Alive: 1\r\nUpgrade: h\r\nConnection: content-type\r\nContent-Type: t\r\nTE: trailers\r\n\r\n";
    let hops = |connection, upgrade| Hops::Managed {
        connection,
        upgrade,
    };
    let edit = |editor: &mut Editor<'_>| {
        editor.append(b"X", b"2");
    };

    assert_eq!(
        rewritten(received, hops(Some(Persistence::Close), false), edit),
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Type: t\r\nX: 2\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        rewritten(received, hops(None, true), |_| {}),
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h\r\nContent-Type: t\r\nConnection: upgrade\r\n\r\n"
    );
}

#[test]
fn damage_is_refused() {
    rewritten(RECEIVED, Hops::PassedOn, |editor| {
        assert!(!editor.add(b"", b"a"));
        assert!(!editor.set(b"a b", b"a"));
        assert!(!editor.append(b"a", b"a\r\nb: c"));
        assert!(!editor.add(b"a", b"a\0"));
        assert!(!editor.set(b"content-length", b"1"));
        assert!(editor.add(b"a", b"\xff\t"));
    });
}

#[test]
fn nothing_touched_leaves_options_as_they_are() {
    let received = "GET / HTTP/1.1\r\nHost: a\r\nConnection:  close ,, x\t\r\n\r\n";
    let sent = rewritten(received, Hops::PassedOn, |editor| {
        editor.set(b"Y", b"1");
    });

    assert!(sent.contains("Connection:  close ,, x\t\r\n"));
}

#[test]
fn options_that_name_what_is_touched_are_taken_out() {
    let received = "GET / HTTP/1.1\r\nHost: a\r\nCONNECTION:x-b,close,X-A;q, d\r\n\
        Connection: x-a\r\nProxy-Connection: X-B, x-a\r\n\r\n";
    let sent = rewritten(received, Hops::PassedOn, |editor| {
        editor.add(b"X-A", b"1");
        editor.set(b"X-B", b"2");
    });

    assert_eq!(
        sent,
        "GET / HTTP/1.1\r\nHost: a\r\nCONNECTION: close, d\r\nX-A: 1\r\nX-B: 2\r\n\r\n"
    );
}

#[test]
fn option_does_not_reach_what_a_directive_wrote() {
    let received = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, x\r\nX: 1\r\nx: 2\r\n\r\n";
    let hops = Hops::Managed {
        connection: None,
        upgrade: false,
    };
    let sent = rewritten(received, hops, |editor| {
        editor.append(b"X", b"3");
        editor.add(b"X", b"4");
    });

    assert_eq!(sent, "GET / HTTP/1.1\r\nHost: a\r\nX: 3\r\nX: 4\r\n\r\n");
}

#[test]
fn fields_for_the_other_end_stay_although_an_option_names_them() {
    const STAY: [&str; 13] = [
        "Authorization",
        "Cache-Control",
        "Content-Type",
        "Close",
        "Cookie",
        "Date",
        "Expires",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Set-Cookie",
        "Trailer",
        "WWW-Authenticate",
        "Content-Anything",
    ];
    let lines: String = STAY.map(|name| format!("{name}: 1\r\n")).concat();
    let options = STAY.join(", ").to_lowercase();
    let received = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host, x, {options}\r\n{lines}X: 1\r\n\r\n"
    );
    let hops = Hops::Managed {
        connection: None,
        upgrade: false,
    };

    assert_eq!(
        rewritten(&received, hops, |_| {}),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    );
}

#[test]
fn rewriter_is_as_new_for_each_head() {
    let managed = Hops::Managed {
        connection: None,
        upgrade: false,
    };
    let limits = HeadLimits {
        bytes: 100,
        fields: 10,
    };
    let mut rewriter = Rewriter::default();
    let mut rewrite = |input: &str, edits: usize, hops| {
        let mut head = Head::default();
        head.request(input.as_bytes(), limits).unwrap();
        let mut editor = rewriter.edit(input.as_bytes(), &head);
        for _ in 0..edits {
            editor.set(b"X", b"c");
        }
        let mut out = Vec::new();
        editor.finish(hops, false, &mut out);
        (
            String::from_utf8(out).unwrap(),
            rewriter.room.text.capacity(),
        )
    };
    let long = "GET / HTTP/1.0\r\nC: d\r\nA: b\r\nE: f\r\nConnection: a\r\n\r\n";
    let short = "GET / HTTP/1.0\r\nA: b\r\nConnection: a\r\n\r\n";

    let (sent, size) = rewrite(long, 3, managed);
    assert_eq!(sent, "GET / HTTP/1.0\r\nC: d\r\nE: f\r\nX: c\r\n\r\n");
    for _ in 0..20 {
        assert_eq!(rewrite(short, 0, managed).0, "GET / HTTP/1.0\r\n\r\n");
        assert_eq!(rewrite(short, 0, Hops::PassedOn).0, short);
        assert_eq!(rewrite(long, 3, managed), (sent.clone(), size));
    }
}
