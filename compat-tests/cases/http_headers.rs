//! Header directives.

use std::net::{IpAddr, Ipv4Addr};

use crate::cases::http_shop;
use crate::harness::http::{After, HttpBackend, HttpClient, reply, request};
use crate::harness::{Backend, Setup};

const SEVEN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));

/// C43 (documented; two decided): the fields of a head, and what becomes of
/// them.
const TABLE: [(&str, &str); 4] = [
    ("", "A: new\r\nP: new\r\nS: new\r\n"),
    (
        "a: 1\r\np: 1 \r\ns: 1\r\nx: 0\r\n",
        "a: 1\r\np: 1; new\r\nS: new\r\nx: 0\r\nA: new\r\n",
    ),
    (
        "a: 1\r\np: 1\r\ns: 1\r\nx: 0\r\nA: 2\r\nP: 2\r\nS: 2\r\n",
        "a: 1\r\np: 1\r\nS: new\r\nx: 0\r\nA: 2\r\nP: 2; new\r\nA: new\r\n",
    ),
    (
        "P:\r\nxp: 1\r\nsx: 1\r\nS:\r\n",
        "P: new\r\nxp: 1\r\nsx: 1\r\nS: new\r\nA: new\r\n",
    ),
];

/// C43 (documented; two decided): in requests.
#[test]
fn server_directives_add_append_and_set_fields_of_requests() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop(
        "",
        &maple,
        "addserverheader \"A: new\"; appendserverheader \"P: new\"; setserverheader \"S: new\";",
    );
    let mut client = proxy.http();

    for (fields, _) in TABLE {
        client.get("/", fields);
    }

    let expected: Vec<Vec<u8>> = TABLE
        .iter()
        .map(|(_, fields)| request("GET", "/", fields))
        .collect();
    let expected = String::from_utf8(expected.concat()).unwrap();
    assert_eq!(maple.text_on(0), expected);
}

/// C43 (documented; two decided): in replies.
#[test]
fn client_directives_add_append_and_set_fields_of_replies() {
    let maple = HttpBackend::new(|turn| {
        let row: usize = turn.head.target()[1..].parse().unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nok",
            TABLE[row].0
        );
        turn.answer(head.as_bytes())
    });
    let proxy = http_shop(
        "",
        &maple,
        "addclientheader \"A: new\"; appendclientheader \"P: new\"; setclientheader \"S: new\";",
    );
    let mut client = proxy.http();

    for (row, (_, fields)) in TABLE.iter().enumerate() {
        let answer = client.get(&format!("/{row}"), "");
        let expected = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nok");
        assert_eq!(String::from_utf8_lossy(&answer.wire), expected);
    }

    assert_eq!(maple.text_on(0).matches("new").count(), 0);
}

/// 9.7 (decided): the worked example, byte for byte.
#[test]
fn the_worked_example_comes_out_byte_for_byte() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop(
        "",
        &maple,
        "addserverheader \"X-Client: %r\"; appendserverheader \"Via: 1.1 %s\";
         setserverheader \"Host: inside.test\";",
    );
    let mut client = HttpClient::connect_from(SEVEN, proxy.address());

    client.ask(
        "GET /list?p=2 HTTP/1.1\r\nhost: www.shop.test\r\nVia: 1.1 cache-a\r\n\
         X-Client: 10.9.9.9\r\nVIA: 1.1 cache-b\r\nConnection: close, x-client\r\n\r\n",
    );

    assert_eq!(
        maple.text_on(0),
        "GET /list?p=2 HTTP/1.1\r\nHost: inside.test\r\nVia: 1.1 cache-a\r\n\
         X-Client: 10.9.9.9\r\nVIA: 1.1 cache-b; 1.1 shop\r\nConnection: close\r\n\
         X-Client: 127.0.0.7\r\n\r\n"
    );
}

/// C42 (documented; the warning decided).
#[test]
fn the_address_of_the_client_is_told_in_http_services_only() {
    let maple = HttpBackend::named("maple");
    let directive = "addserverheader \"X-Client: %r\";";
    let proxy = Setup::http("")
        .backend("maple", maple.server(), directive)
        .service("desk", "")
        .backend("maple", maple.server(), directive)
        .write();
    let run = proxy.run(["start"]);
    assert_eq!(run.ok(), "");
    assert_eq!(run.stderr.matches("warning[W03]").count(), 1, "{run:?}");

    HttpClient::connect_from(SEVEN, proxy.address()).get("/", "");
    HttpClient::connect_from(SEVEN, proxy.address_of("desk")).get("/", "");

    let heads = maple.heads();
    assert_eq!(heads[0].value("X-Client").as_deref(), Some("127.0.0.7"));
    assert_eq!(heads[1].bytes(), request("GET", "/", ""));
}

/// 9.7 (decided): directives work in the order of the file, each on what those
/// before it left.
#[test]
fn directives_are_applied_in_the_order_of_the_file() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop(
        "",
        &maple,
        "addserverheader \"X: a\"; appendserverheader \"x: b\"; addserverheader \"X: c\";
         appendserverheader \"X: d\"; setserverheader \"Y: 1\"; addserverheader \"y: 2\";
         addserverheader \"Z: 1\"; addserverheader \"Z: 2\"; setserverheader \"z: 3\";
         appendserverheader \"Q:\"; appendserverheader \"Q: late\";",
    );

    proxy.http().get("/", "");

    let expected = "X: a; b\r\nX: c; d\r\nY: 1\r\ny: 2\r\nz: 3\r\nQ: late\r\n";
    assert_eq!(maple.received_on(0), request("GET", "/", expected));
}

/// C53 and section 10 (decided; `%r`, `%b`, `%Na` documented).
#[test]
fn specifiers_are_expanded_for_each_message() {
    let (maple, birch) = (HttpBackend::named("maple"), HttpBackend::named("birch"));
    let template = "%s/%b from %r: %1b=%1a*%1w %2b=%2a*%2w %%b %v";
    let statements = format!(
        "weight 3; maxconnections 1; stickycookie to=birch;
         addserverheader \"X-All: {template}\"; setclientheader \"Set-Cookie: to=birch\";
         addclientheader \"X-All: {template} %a\";"
    );
    let proxy = Setup::http("dispatchmode byconnections;")
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), &statements)
        .start();
    let mut client = HttpClient::connect_from(SEVEN, proxy.address());

    let first = client.get("/", "Cookie: to=birch\r\n");
    proxy.tell("maple", "down");
    let second = client.get("/", "Cookie: to=birch\r\n");

    let with = "shop/birch from 127.0.0.7: maple=1*1 birch=0*3 %b 3.0.0";
    let without = "shop/birch from 127.0.0.7: maple=0*1 birch=0*3 %b 3.0.0";
    assert_eq!(first.head.value("X-All"), Some(format!("{with} 0")));
    assert_eq!(second.head.value("X-All"), Some(format!("{without} 0")));
    let sent: Vec<_> = birch
        .heads()
        .iter()
        .filter_map(|head| head.value("X-All"))
        .collect();
    assert_eq!(sent, [with, without]);
}

/// C12 (documented): quotes of a directive enclose it, semicolons stay.
#[test]
fn a_set_cookie_comes_out_as_one_field() {
    let maple = HttpBackend::answering(reply("200 OK", "Set-Cookie: a=1\r\n", ""));
    let proxy = http_shop("", &maple, "addclientheader \"Set-Cookie: K=2; Path=/\";");

    let answer = proxy.http().get("/", "");

    assert_eq!(answer.head.values("Set-Cookie"), ["a=1", "K=2; Path=/"]);
}

/// C56 (decided): a byte beyond ASCII reaches the back end as it is.
#[test]
fn a_byte_beyond_ascii_in_a_directive_is_sent_as_it_is() {
    let maple = HttpBackend::named("maple");
    let proxy = Setup::http("/* K@ln */")
        .backend("maple", maple.server(), "addserverheader \"X-City: K@ln\";")
        .write();
    let mut text = proxy.config_text().into_bytes();
    for byte in &mut text {
        *byte = if *byte == b'@' { 0xe9 } else { *byte };
    }
    std::fs::write(proxy.config(), text).unwrap();
    proxy.start();

    proxy.http().get("/", "");

    let head = maple.received_on(0);
    let line = b"X-City: K\xe9ln\r\n";
    assert!(
        head.windows(line.len()).any(|part| part == line),
        "{head:?}"
    );
}

/// 9.7 (decided): a client cannot make the back end drop what was set.
#[test]
fn options_of_connection_that_name_a_set_field_are_removed() {
    let maple = HttpBackend::named("maple");
    let proxy = http_shop(
        "",
        &maple,
        "addserverheader \"X-Client: %r\"; setserverheader \"X-Set: 1\";
         appendserverheader \"X-Append: 1\"; addclientheader \"X-Reply: 1\";",
    );
    let mut client = proxy.http();
    let rows: [(&str, &[&str]); 4] = [
        ("Connection: x-client\r\n", &[]),
        ("Connection: X-SET , x-other,X-Append\r\n", &["x-other"]),
        (
            "Connection: x-client\r\nConnection: x-reply\r\n",
            &["x-reply"],
        ),
        (
            "Connection: x-clients, keep-alive\r\n",
            &["x-clients", "keep-alive"],
        ),
    ];

    for (fields, _) in rows {
        client.get("/", fields);
    }

    for (head, (fields, expected)) in maple.heads().iter().zip(rows) {
        let left: Vec<String> = head
            .values("Connection")
            .iter()
            .flat_map(|value| value.split(','))
            .map(|option| option.trim().to_owned())
            .collect();
        assert_eq!(left, expected, "{fields:?}");
        assert_eq!(head.values("X-Set"), ["1"]);
    }
}

/// 4.24, W15 (decided).
#[test]
fn fields_that_belong_to_a_connection_are_not_touched_by_directives() {
    let maple = HttpBackend::named("maple");
    let proxy = Setup::http("")
        .backend(
            "maple",
            maple.server(),
            "setserverheader \"Connection: close\"; setclientheader \"Connection: close\";",
        )
        .flags(["-W", "no-W15"])
        .start();
    let mut client = proxy.http();

    client.get("/1", "");
    client.get("/2", "");

    let both = [request("GET", "/1", ""), request("GET", "/2", "")].concat();
    assert_eq!(maple.received_on(0), both);
}

/// 9.7 (decided): only heads of final replies and of 101 are changed.
#[test]
fn trailers_and_replies_of_the_daemon_are_not_touched_by_directives() {
    const BODY: &str = "2\r\nok\r\n0\r\nX: trailer\r\n\r\n";
    let maple = HttpBackend::new(|turn| {
        turn.message();
        turn.send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{BODY}"
        ));
        After::Keep
    });
    let dead = Backend::dead("dead");
    let proxy = Setup::http("dispatchmode byorder;")
        .backend("dead", dead.server(), "setclientheader \"X: dead\";")
        .backend("maple", maple.server(), "setclientheader \"X: set\";")
        .start();
    let mut client = proxy.http();

    let answer = client.get("/", "");
    proxy.tell("maple", "down");
    let refusal = client.get("/", "");

    assert_eq!(answer.head.values("X"), ["set"], "of who answered");
    assert!(answer.wire.ends_with(BODY.as_bytes()));
    assert_eq!(refusal.code(), 503);
    assert_eq!(refusal.head.values("X"), [""; 0]);
}
