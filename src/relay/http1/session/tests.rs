//! Exchanges without sockets.

use super::*;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 65_536,
    fields: 200,
};

const PASSED_ON: Manner = Manner {
    limits: LIMITS,
    shallow: false,
    managed: false,
};

const MANAGED: Manner = Manner {
    managed: true,
    ..PASSED_ON
};

const SHALLOW: Manner = Manner {
    shallow: true,
    ..PASSED_ON
};

/// A session with all that drives it.
struct Rig {
    session: Session,
    manner: Manner,
    work: Workspace,
}

impl Rig {
    fn new(manner: Manner) -> Self {
        Self {
            session: Session::new(),
            manner,
            work: Workspace::default(),
        }
    }

    /// A whole request that finds its back end at once; what that gets.
    fn request(&mut self, input: &str) -> String {
        let (mut rest, mut out) = (input.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let asked = self.session.client(rest, &self.manner, &mut self.work);
            let taken = match asked.unwrap() {
                FromClient::Choose => {
                    let work = &mut self.work;
                    self.session
                        .forward(rest, &self.manner, work, |_| {}, &mut out)
                }
                FromClient::Body(bytes) => {
                    out.extend_from_slice(&rest[..bytes]);
                    bytes
                }
                other => panic!("{other:?}"),
            };
            rest = &rest[taken..];
        }
        String::from_utf8(out).unwrap()
    }

    /// A reply; what the client gets of it.
    fn reply(&mut self, input: &str) -> Result<String, Fault> {
        let (mut rest, mut out) = (input.as_bytes(), Vec::new());
        loop {
            let work = &mut self.work;
            let seen = self
                .session
                .backend(rest, &self.manner, work, |_| {}, &mut out)?;
            let taken = match seen {
                FromBackend::Head { bytes, .. } => bytes,
                FromBackend::Body(bytes) => {
                    out.extend_from_slice(&rest[..bytes]);
                    bytes
                }
                _ => return Ok(String::from_utf8(out).unwrap()),
            };
            rest = &rest[taken..];
        }
    }

    fn keeps(&self) -> (bool, bool) {
        (
            self.session.keeps_client(&self.manner),
            self.session.keeps_backend(&self.manner),
        )
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OLD_GET: &str = "GET / HTTP/1.0\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn both_connections_stay_if_both_messages_are_persistent() {
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let closing_get = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let old_kept = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for (request, reply, both) in [
        (GET, EMPTY, true),
        (GET, close, false),
        (closing_get, EMPTY, false),
        (OLD_GET, EMPTY, false),
        (old_kept, EMPTY, true),
        (GET, "HTTP/1.1 200 OK\r\n\r\n", false),
    ] {
        let mut rig = Rig::new(PASSED_ON);
        rig.request(request);
        assert_eq!(rig.reply(reply).unwrap(), reply);
        assert_eq!(rig.keeps(), (both, both), "{request:?} {reply:?}");
        assert_eq!(rig.session.ends_client(&PASSED_ON), !both);
    }
}

#[test]
fn managed_connections_end_each_for_itself_and_are_told_so() {
    const CLOSE: &str = "Connection: close\r\n";
    const KEEP: &str = "Connection: keep-alive\r\n";
    for (client_says, back_end_says, told, keeps) in [
        ("", "", "", (true, true)),
        ("", CLOSE, "", (true, false)),
        (CLOSE, "", CLOSE, (false, true)),
        (CLOSE, CLOSE, CLOSE, (false, false)),
        (KEEP, KEEP, "", (true, true)),
    ] {
        let mut rig = Rig::new(MANAGED);
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{client_says}\r\n");
        assert_eq!(rig.request(&request), GET);
        let reply = |says| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{says}\r\n");
        assert_eq!(rig.reply(&reply(back_end_says)).unwrap(), reply(told));
        assert_eq!(rig.keeps(), keeps, "{client_says:?} {back_end_says:?}");
        assert_eq!(rig.session.ends_client(&MANAGED), !keeps.0);
    }
}

#[test]
fn managed_connections_of_old_versions_are_told_to_stay() {
    let mut rig = Rig::new(MANAGED);
    let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(rig.request(old), old);
    let told = rig.reply(EMPTY).unwrap();
    assert!(told.ends_with("Connection: keep-alive\r\n\r\n"), "{told}");
    assert_eq!(rig.keeps(), (true, true));
}

#[test]
fn client_that_was_told_to_close_gets_no_further_exchange() {
    let mut rig = Rig::new(MANAGED);
    rig.request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    let told = rig.reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    assert!(told.unwrap().contains("Connection: close"));

    // The request is complete in the end, but the word is given.
    rig.request("cd");
    rig.reply("k").unwrap();
    assert!(rig.session.is_complete());
    assert_eq!(rig.keeps(), (false, true));
}

#[test]
fn interim_replies_pass_to_clients_that_know_them() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    for (request, passed) in [(GET, interim), (OLD_GET, "")] {
        let mut rig = Rig::new(PASSED_ON);
        rig.request(request);
        assert_eq!(rig.reply(interim).unwrap(), passed);
        assert!(rig.session.awaits_reply());
    }
}

#[test]
fn tunnel_begins_where_it_was_asked_for() {
    let upgrade = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let connect = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    for (request, reply, tunnel) in [
        (upgrade, switching, true),
        (connect, "HTTP/1.1 200 OK\r\n\r\n", true),
        (upgrade, EMPTY, false),
        (
            connect,
            "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
            false,
        ),
    ] {
        for manner in [PASSED_ON, MANAGED] {
            let mut rig = Rig::new(manner);
            assert_eq!(rig.request(request), request);
            assert_eq!(rig.reply(reply).unwrap(), reply);
            assert_eq!(
                rig.session.backend_is_raw(),
                tunnel,
                "{request:?} {reply:?}"
            );
            assert_eq!(rig.session.client_is_raw(), tunnel);
        }
    }
    let mut rig = Rig::new(PASSED_ON);
    rig.request(GET);
    assert!(rig.reply(switching).is_err());
    assert!(!rig.session.has_replied());
}

#[test]
fn shallow_session_looks_at_one_head_each_way() {
    let mut rig = Rig::new(SHALLOW);
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(rig.request(head), head);
    assert!(rig.session.client_is_raw() && !rig.session.backend_is_raw());

    assert_eq!(
        rig.reply("HTTP/1.1 200 OK\r\n\r\nanything").unwrap(),
        "HTTP/1.1 200 OK\r\n\r\n"
    );
    assert!(rig.session.backend_is_raw());
}

#[test]
fn faulty_chunk_in_the_first_piece_is_found_before_a_back_end_is_chosen() {
    let mut rig = Rig::new(PASSED_ON);
    let request = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n";
    let found = rig.session.client(request, &PASSED_ON, &mut rig.work);
    assert!(found.is_err());
    assert!(rig.session.reads_head());
}

#[test]
fn end_of_the_back_end_means_what_the_reply_says() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab";
    for (reply, meaning) in [
        ("", BackendEnd::NoReply),
        ("HTTP/1.1 20", BackendEnd::NoReply),
        ("HTTP/1.1 100 Continue\r\n\r\n", BackendEnd::NoReply),
        ("HTTP/1.1 200 OK\r\n\r\nab", BackendEnd::Complete),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            BackendEnd::Broken,
        ),
        (chunked, BackendEnd::Broken),
        (EMPTY, BackendEnd::Complete),
    ] {
        let mut rig = Rig::new(PASSED_ON);
        assert_eq!(rig.session.backend_end(), BackendEnd::Idle);
        rig.request(GET);
        rig.reply(reply).unwrap();
        assert_eq!(rig.session.backend_end(), meaning, "{reply:?}");
    }
}

#[test]
fn credentials_of_a_connection_are_remembered_until_another_serves() {
    let mut rig = Rig::new(MANAGED);
    rig.request("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Negotiate x\r\n\r\n");
    rig.reply(EMPTY).unwrap();
    rig.session.next();
    rig.request(GET);
    assert!(rig.session.is_private());
    rig.session.backend_changed();
    assert!(!rig.session.is_private());
}
