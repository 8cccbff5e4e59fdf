use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[A-Za-z_][A-Za-z0-9_]{0,62}").unwrap()
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let host = prop_oneof![
        any::<[u8; 4]>().prop_map(|v4| std::net::Ipv4Addr::from(v4).to_string()),
        any::<[u8; 16]>().prop_map(|v6| format!("[{}]", std::net::Ipv6Addr::from(v6))),
        proptest::string::string_regex("[a-z][a-z0-9.-]{0,60}").unwrap(),
    ];
    (host, 1..=u16::MAX)
        .prop_map(|(host, port)| Endpoint::parse(&format!("{host}:{port}")).unwrap())
}

fn grace() -> impl Strategy<Value = Duration> {
    (0..86_400_u64, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn request() -> impl Strategy<Value = Request> {
    let tell = prop_oneof![
        proptest::sample::select(ShownState::ALL.to_vec()).prop_map(Tell::State),
        endpoint().prop_map(Tell::Server),
    ];
    prop_oneof![
        (name(), name(), tell).prop_map(|(service, backend, tell)| Request::Tell {
            service,
            backend,
            tell
        }),
        grace().prop_map(|grace| Request::Stop { grace }),
        grace().prop_map(|grace| Request::Release { grace }),
        Just(Request::Ping),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let state = || proptest::string::string_regex("[!-~]{1,40}").unwrap();
    let text = || proptest::string::string_regex("[ -~é]{0,80}").unwrap();
    prop_oneof![
        (name(), name(), state(), state()).prop_map(|(service, backend, old, new)| {
            Reply::Told {
                service,
                backend,
                old,
                new,
            }
        }),
        Just(Reply::Stopping),
        Just(Reply::Released),
        (any::<u32>(), text()).prop_map(|(pid, rest)| Reply::Pong {
            pid,
            config: format!("/{rest}")
        }),
        (proptest::sample::select(ErrorCode::ALL.to_vec()), text())
            .prop_map(|(code, text)| Reply::Error { code, text }),
    ]
}

fn fixed_seed() -> ProptestConfig {
    ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x0078_7264),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn request_that_is_printed_is_read_as_itself(request in request()) {
        let line = request.to_line().unwrap();
        prop_assert_eq!(Request::parse(line.as_bytes()), Ok(request));
    }

    #[test]
    fn reply_that_is_printed_is_read_as_itself(reply in reply()) {
        prop_assert_eq!(Reply::parse(reply.to_line().as_bytes()), Ok(reply));
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = Request::parse(&bytes) {
            prop_assert_eq!(Request::parse(request.to_string().as_bytes()), Ok(request));
        }
        if let Ok(reply) = Reply::parse(&bytes) {
            prop_assert_eq!(Reply::parse(reply.to_line().as_bytes()), Ok(reply));
        }
    }

    #[test]
    fn words_of_the_protocol_in_any_order_are_a_value_or_an_error(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "tell", "stop", "release", "ping", "ok", "error", "state", "server", "down", "up",
                "1", "0.5", "a", "b", "h:80", "", "stopping", "released", "not-permitted",
            ]),
            0..7,
        )
    ) {
        let line = words.join(" ");
        if let Ok(request) = Request::parse(line.as_bytes()) {
            prop_assert_eq!(Request::parse(request.to_string().as_bytes()), Ok(request));
        }
        if let Ok(reply) = Reply::parse(line.as_bytes()) {
            prop_assert_eq!(reply.to_string(), line);
        }
    }
}

#[test]
fn up_is_sent_and_answered_as_available() {
    let request = Request::parse(b"tell www two state up\n").unwrap();

    assert_eq!(request.to_string(), "tell www two state available");
}

#[test]
fn grace_may_have_a_fraction() {
    for (line, grace) in [
        ("stop 0", Duration::ZERO),
        ("stop 0.25", Duration::from_millis(250)),
        ("stop 3.000000001", Duration::new(3, 1)),
        ("stop 86400", Limits::MAX),
    ] {
        assert_eq!(
            Request::parse(line.as_bytes()),
            Ok(Request::Stop { grace }),
            "{line}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let long = "x".repeat(MAX_LINE);
    for (line, text) in [
        ("", "`` is not tell, stop, release or ping"),
        ("PING", "`PING` is not tell, stop, release or ping"),
        ("ping ", "expected `ping`"),
        ("stop", "expected `stop SECONDS`"),
        ("stop -1", "`-1` is not a number of seconds, 0 to 86400"),
        ("stop 1.", "`1.` is not a number of seconds, 0 to 86400"),
        ("stop .5", "`.5` is not a number of seconds, 0 to 86400"),
        (
            "stop 1.1234567890",
            "`1.1234567890` is not a number of seconds, 0 to 86400",
        ),
        (
            "release 86400.1",
            "`86400.1` is not a number of seconds, 0 to 86400",
        ),
        ("tell www  state up", "`` is not a name"),
        (
            "tell www two up",
            "expected `tell SERVICE BACKEND state|server VALUE`",
        ),
        ("tell www two weight 2", "`weight` is not state or server"),
        (
            "tell www two state Down",
            "`Down` is not available, up, unavailable, waking or down",
        ),
        (
            "tell www two server h",
            "`h` is not HOST:PORT: the port is missing",
        ),
        ("tell a-b two state up", "`a-b` is not a name"),
        ("ping\r", "a request is printable ASCII"),
        ("tell é two state up", "a request is printable ASCII"),
        (long.as_str(), "a request has at most 4096 bytes"),
    ] {
        assert_eq!(
            Request::parse(line.as_bytes()).unwrap_err().to_string(),
            text,
            "{line:?}"
        );
    }
}

#[test]
fn longest_line_counts_its_line_feed() {
    let fits = format!("{}\n", "x".repeat(MAX_LINE - 1));
    let over = format!("{}\n", "x".repeat(MAX_LINE));

    assert!(matches!(
        Request::parse(fits.as_bytes()),
        Err(RequestError::UnknownWord(_))
    ));
    assert_eq!(Request::parse(over.as_bytes()), Err(RequestError::TooLong));
}

#[test]
fn request_that_would_be_read_as_another_is_not_sent() {
    let smuggled = Request::Tell {
        service: "www two state down\nstop 0".into(),
        backend: "b".into(),
        tell: Tell::State(ShownState::Down),
    };
    let endless = Request::Stop {
        grace: Duration::from_secs(86_401),
    };

    assert_eq!(smuggled.to_line(), Err(RequestError::BadByte));
    assert!(matches!(
        endless.to_line(),
        Err(RequestError::BadSeconds(_))
    ));
}

#[test]
fn path_with_blanks_survives_a_ping() {
    let pong = Reply::parse(b"ok 4711 /etc/my own/x.conf\n").unwrap();

    assert_eq!(
        pong,
        Reply::Pong {
            pid: 4711,
            config: "/etc/my own/x.conf".into()
        }
    );
}

#[test]
fn line_feed_in_a_text_does_not_end_the_reply() {
    let reply = Reply::Error {
        code: ErrorCode::BadRequest,
        text: "a\nok stopping".into(),
    };

    assert_eq!(reply.to_line(), "error bad-request a?ok stopping\n");
}

#[test]
fn line_that_is_no_reply_is_refused() {
    for line in [
        "",
        "ok",
        "ok ",
        "ok 5 ",
        "ok a b c",
        "ok a b c d e",
        "error",
        "error x y",
        "yes",
    ] {
        assert_eq!(Reply::parse(line.as_bytes()), Err(ReplyError), "{line:?}");
    }
}
