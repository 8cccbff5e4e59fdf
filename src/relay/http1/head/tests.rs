//! What heads are accepted as, and what is refused.

use super::*;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 65_536,
    fields: 200,
};

fn request(input: &[u8]) -> Result<Option<Request>, Fault> {
    Head::default().request(input, LIMITS)
}

fn accepted(input: &[u8]) -> Request {
    request(input).unwrap().unwrap()
}

fn refused(input: &[u8]) -> FaultKind {
    request(input).unwrap_err().kind
}

fn reply_to(request: &[u8], input: &[u8]) -> Result<Option<Reply>, Fault> {
    Head::default().reply(input, LIMITS, &accepted(request))
}

fn reply(input: &[u8]) -> Result<Option<Reply>, Fault> {
    reply_to(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", input)
}

#[test]
fn plain_request_is_taken_apart() {
    let input = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\nCOOKIE:\tx=1 \r\n\r\nrest";
    let mut head = Head::default();

    let request = head.request(input, LIMITS).unwrap().unwrap();

    assert_eq!(
        request,
        Request {
            method: Method::Safe,
            version: Version::Http11,
            body: Framing::Empty,
            persistent: true,
            upgrade: false,
            private: false,
        }
    );
    assert_eq!((head.start, head.length, head.clean), (2, 44, true));
    assert_eq!(head.fields_start, 19);
    assert_eq!(head.fields[1].line, 28..42);
    assert_eq!(head.fields[1].name, 28..34);
    assert_eq!(head.fields[1].value, 36..39);
    assert_eq!(head.cookies(input).collect::<Vec<_>>(), [b"x=1"]);
}

#[test]
fn one_line_that_ends_in_lf_makes_a_head_unclean() {
    let clean = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n".as_slice();
    for place in memchr::memchr_iter(b'\r', clean) {
        let mut input = clean.to_vec();
        input.remove(place);
        let mut head = Head::default();

        let request = head.request(&input, LIMITS).unwrap();

        assert!(request.is_some() && !head.clean, "{place}");
        assert_eq!(head.length, input.len());
    }
}

#[test]
fn every_beginning_of_a_head_goes_on() {
    let input = b"\r\nPOST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

    for end in 0..input.len() {
        assert_eq!(request(&input[..end]), Ok(None), "{end}");
    }
    assert_eq!(accepted(input).body, Framing::Length(5));
}

#[test]
fn fault_is_seen_before_the_head_ends() {
    assert_eq!(refused(b"GET /\r\n"), FaultKind::Bad);
    assert_eq!(refused(b"GET /\n"), FaultKind::Bad);
    assert_eq!(refused(b"GET / HTTP/2.0\r\n"), FaultKind::Version);
    assert_eq!(refused(b"GET x HTTP/1.1\r\n"), FaultKind::Bad);
    assert_eq!(refused(b"GET / HTTP/1.1\r\nA: \0"), FaultKind::Bad);
    assert_eq!(refused(b"GET / HTTP/1.1\r\n A"), FaultKind::Bad);
    assert_eq!(refused(b"\n\n\n\n\n"), FaultKind::Bad);
}

#[test]
fn head_may_be_as_large_as_the_limits() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";
    let read = |bytes, fields| Head::default().request(input, HeadLimits { bytes, fields });
    let too_large = |result: Result<_, Fault>| {
        matches!(
            result,
            Err(Fault {
                kind: FaultKind::TooLarge,
                ..
            })
        )
    };

    assert!(read(input.len(), 2).unwrap().is_some());
    assert!(too_large(read(input.len() - 1, 2)));
    assert!(too_large(read(input.len(), 1)));
    assert!(read(input.len() + 1, 10_000).unwrap().is_some());
}

#[test]
fn framing_of_requests() {
    let body = |fields: &str| {
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        request(input.as_bytes()).map(|request| request.unwrap().body)
    };

    assert_eq!(body("Content-Length: 0\r\n"), Ok(Framing::Empty));
    assert_eq!(
        body("Content-Length: 9223372036854775807\r\n"),
        Ok(Framing::Length(i64::MAX as u64))
    );
    assert!(body("Content-Length: 9223372036854775808\r\n").is_err());
    assert!(body("Content-Length: 1\r\nContent-Length: 1\r\n").is_err());
    assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    assert!(body("Transfer-Encoding: gzip, chunked\r\n").is_err());
    assert!(body("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n").is_err());
}

#[test]
fn framing_of_replies() {
    let body = |input: &str| reply(input.as_bytes()).map(|reply| reply.unwrap().body);

    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n"), Ok(Framing::UntilClose));
    assert_eq!(
        body("HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n"),
        Ok(Framing::Length(7))
    );
    assert_eq!(
        body("HTTP/1.1 204 \r\nContent-Length: 7\r\n\r\n"),
        Ok(Framing::Empty)
    );
    assert_eq!(
        body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Ok(Framing::Chunked)
    );
    assert!(body("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    assert!(body("HTTP/1.1 099 OK\r\n\r\n").is_err());
    assert!(body("\r\nHTTP/1.1 200 OK\r\n\r\n").is_err());
}

#[test]
fn reply_to_head_or_connect_has_no_body() {
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";

    for request in [
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let reply = reply_to(request.as_bytes(), reply).unwrap().unwrap();

        assert_eq!(reply.body, Framing::Empty);
    }
}

#[test]
fn only_lines_and_control_characters_are_worth_reading() {
    assert!(!is_worth_reading(b"abc\t:\xff\r"));
    assert!(is_worth_reading(b"\n") && is_worth_reading(b"\0") && is_worth_reading(b"\x7f"));
}

#[test]
fn persistence_of_requests() {
    let is_persistent = |version: &str, fields: &str| {
        let input = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        accepted(input.as_bytes()).persistent
    };

    for (version, fields, expected) in [
        ("1.1", "", true),
        ("1.0", "", false),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: a,\tCLOSE ,b\r\n", false),
        ("1.1", "Connection: a\r\nconnection: close\r\n", false),
        ("1.1", "Connection: closed, not-close\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", true),
        ("1.1", "Proxy-Connection: close\r\n", false),
        ("1.1", "Proxy-Connection: close\r\nConnection:\r\n", true),
        (
            "1.0",
            "Connection: a\r\nProxy-Connection: keep-alive\r\n",
            false,
        ),
    ] {
        assert_eq!(
            is_persistent(version, fields),
            expected,
            "{version} {fields}"
        );
    }
}

#[test]
fn reply_until_close_is_not_persistent() {
    let kept = reply(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let closed = reply(b"HTTP/1.1 200 OK\r\n\r\n");
    let old = reply(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n");

    assert!(kept.unwrap().unwrap().persistent);
    assert!(!closed.unwrap().unwrap().persistent);
    assert!(old.unwrap().unwrap().persistent);
}

#[test]
fn upgrade_needs_its_field_its_option_and_the_version() {
    let asks = |version: &str, fields: &str| {
        let input = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        accepted(input.as_bytes()).upgrade
    };

    assert!(asks(
        "1.1",
        "Upgrade: websocket\r\nConnection: a, UPGRADE\r\n"
    ));
    assert!(!asks("1.1", "Upgrade: websocket\r\n"));
    assert!(!asks("1.1", "Connection: upgrade\r\n"));
    assert!(!asks("1.1", "Upgrade: a\r\nProxy-Connection: upgrade\r\n"));
    assert!(!asks(
        "1.0",
        "Upgrade: websocket\r\nConnection: upgrade\r\n"
    ));
}

#[test]
fn credentials_of_a_connection_are_private() {
    let is_private = |line: &str| {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        accepted(input.as_bytes()).private
    };

    assert!(is_private("Authorization: NTLM TlRM"));
    assert!(is_private("proxy-authorization: negotiate"));
    assert!(is_private("Authorization: Negotiate\tYII="));
    assert!(!is_private("Authorization: Basic NTLM"));
    assert!(!is_private("Authorization: NTLMv2 x"));
    assert!(!is_private("X-Authorization: NTLM x"));
    assert!(!is_private("WWW-Authenticate: NTLM"));
}

#[test]
fn challenges_of_a_connection_are_private() {
    let is_private = |line: &str| {
        let input = format!("HTTP/1.1 401 x\r\nContent-Length: 0\r\n{line}\r\n\r\n");
        reply(input.as_bytes()).unwrap().unwrap().private
    };

    assert!(is_private("WWW-Authenticate: NTLM"));
    assert!(is_private(
        "Proxy-Authenticate: Basic realm=\"a\", negotiate"
    ));
    assert!(is_private(
        "WWW-Authenticate: Basic realm=\"a, \\\", b\" ,NTLM x"
    ));
    assert!(is_private(
        "WWW-Authenticate: Basic\r\nWWW-Authenticate: Negotiate YII="
    ));
    assert!(!is_private("WWW-Authenticate: Basic realm=\"a, NTLM, b\""));
    assert!(!is_private("WWW-Authenticate: Digest a=b, NTLM=c"));
    assert!(!is_private("Authorization: NTLM x"));
}

#[test]
fn limits_of_the_specification() {
    let with_fields = |count| "A:\r\n".repeat(count);
    let request_of = |fields| {
        let fields = with_fields(fields);
        request(format!("GET / HTTP/1.0\r\n{fields}\r\n").as_bytes())
    };
    let reply_of = |fields| {
        let fields = with_fields(fields);
        reply(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes())
    };

    assert!(request_of(200).unwrap().is_some());
    assert_eq!(request_of(201).unwrap_err().kind, FaultKind::TooLarge);
    assert!(reply_of(200).unwrap().is_some());
    assert_eq!(reply_of(201).unwrap_err().kind, FaultKind::TooLarge);
}

#[test]
fn incomplete_head_of_the_limit_is_too_large() {
    let mut input = b"\r\nGET / HTTP/1.0\r\nA: ".to_vec();
    input.resize(65_536 + 1, b'a');

    assert_eq!(request(&input), Ok(None));
    input.push(b'a');
    assert_eq!(refused(&input), FaultKind::TooLarge);
}

#[test]
fn head_is_as_new_for_each_message() {
    let mut head = Head::default();
    head.request(b"GET / HTTP/1.0\nCookie: a\n\n", LIMITS)
        .unwrap();
    head.request(b"GET / HTTP/1.0\r\n\r\n", LIMITS).unwrap();

    assert!(head.clean && head.fields.is_empty());
    head.request(b"GET / HTTP/1.0\r\nCookie: a\r\n\r\n", LIMITS)
        .unwrap();
    assert_eq!(head.request(b"GET", LIMITS), Ok(None));
    assert!(head.fields.is_empty());
}
