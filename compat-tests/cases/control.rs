//! The control socket, spoken to directly (specification, 14.5).

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::cases::Trees;
use crate::harness::{Client, Deadline, Proxy, root_only, until};

fn socket(proxy: &Proxy) -> PathBuf {
    let sockets = proxy.sandbox().sockets();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    sockets.into_iter().next().unwrap()
}

fn open(proxy: &Proxy) -> UnixStream {
    let stream = UnixStream::connect(socket(proxy)).unwrap();
    stream
        .set_read_timeout(Some(Deadline::usual().left()))
        .unwrap();
    stream
}

/// Sends `request` as it is and reads up to the end.
fn ask(proxy: &Proxy, request: &[u8]) -> String {
    let mut stream = open(proxy);
    stream.write_all(request).unwrap();
    answer(stream)
}

fn answer(mut stream: UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// 2.8 (decided).
#[test]
fn the_socket_is_named_after_the_pid_and_closed_to_others() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let socket = socket(&proxy);

    let expected = proxy
        .sandbox()
        .run_dir()
        .join(format!("{}.sock", proxy.process().0));
    assert_eq!(socket, expected);
    let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode();
    assert_eq!(mode(&socket) & 0o777, 0o600);
    assert_eq!(mode(&proxy.sandbox().run_dir()) & 0o777, 0o700);
    assert_eq!(
        socket.symlink_metadata().unwrap().uid(),
        nix::unistd::geteuid().as_raw()
    );
}

/// 14.5 (decided).
#[test]
fn each_request_has_one_line_of_reply() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let (old, new) = (trees.birch.server(), trees.cedar.server());

    let pong = format!("ok {} {}\n", proxy.process().0, proxy.config().display());
    assert_eq!(ask(&proxy, b"ping\n"), pong);
    assert_eq!(
        ask(&proxy, b"tell shop maple state down\n"),
        "ok shop maple available down\n"
    );
    assert_eq!(
        ask(&proxy, format!("tell shop birch server {new}\n").as_bytes()),
        format!("ok shop birch {old} {new}\n")
    );
}

/// 14.5 (decided).
#[test]
fn what_is_no_request_is_refused_with_a_code() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    for (request, code) in [
        (&b"dance\n"[..], "bad-request"),
        (b"\n", "bad-request"),
        (b"tell shop maple\n", "bad-request"),
        (b"tell shop maple state asleep\n", "bad-request"),
        (b"tell  shop maple state down\n", "bad-request"),
        (b"tell shop maple server nowhere\n", "bad-request"),
        (b"\xff\xfe\x00\n", "bad-request"),
        (b"stop soon\n", "bad-request"),
        (b"stop -1\n", "bad-request"),
        (b"tell desk maple state down\n", "no-such-service"),
        (b"tell SHOP maple state down\n", "no-such-service"),
        (b"tell shop oak state down\n", "no-such-backend"),
    ] {
        let reply = ask(&proxy, request);
        let shown = String::from_utf8_lossy(request);
        assert!(
            reply.starts_with(&format!("error {code} ")),
            "{shown:?}: {reply:?}"
        );
        assert_eq!(reply.matches('\n').count(), 1, "{shown:?}: {reply:?}");
    }
    assert_eq!(proxy.state("maple"), "available");
    assert_eq!(proxy.visit(), "maple");
}

/// 14.5 (decided): at most 4096 bytes.
#[test]
fn a_line_that_is_too_long_is_refused() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let mut stream = open(&proxy);

    // The daemon may close before it has read everything.
    let _ = stream.write_all(&[b'x'; 10_000]);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);

    let reply = String::from_utf8_lossy(&reply);
    assert!(
        reply.is_empty() || reply.starts_with("error bad-request "),
        "{reply:?}"
    );
    assert_eq!(proxy.visit(), "maple");
}

/// 14.5, 8.2 (decided): a request comes within its time, and who is silent
/// delays nobody.
#[test]
fn silent_operators_are_closed_and_hold_nobody_up() {
    let trees = Trees::new();
    let proxy = trees.behind("").limit("control", 1.5).start();
    let silent: Vec<UnixStream> = (0..50).map(|_| open(&proxy)).collect();

    proxy.tell("maple", "down");

    assert_eq!(proxy.state("maple"), "down");
    for mut stream in silent {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
    }
}

/// 14.5 (decided): a request may come in pieces, and its sender may be gone
/// before the answer.
#[test]
fn requests_in_pieces_are_understood_and_vanished_operators_are_borne() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();

    let mut slow = open(&proxy);
    for piece in ["tell shop ", "maple st", "ate down", "\n"] {
        slow.write_all(piece.as_bytes()).unwrap();
        slow.flush().unwrap();
        assert_eq!(ask(&proxy, b"ping\n").split(' ').next(), Some("ok"));
    }
    for _ in 0..20 {
        open(&proxy)
            .write_all(b"tell shop birch state down\n")
            .unwrap();
    }

    assert_eq!(answer(slow), "ok shop maple available down\n");
    proxy.await_state("birch", "down");
    assert_eq!(proxy.visit(), "cedar");
}

/// 14.5 (decided): `stop` is answered when the listeners are closed; an order
/// that comes during the grace cuts it short.
#[test]
fn a_second_stop_cuts_the_grace_of_the_first_short() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();
    let (mut client, _) = proxy.greeted();

    let first = ask(&proxy, b"stop 600\n");
    let refused = Client::try_connect(proxy.address()).is_err();
    client.assert_echo("in the grace");
    let second = ask(&proxy, b"stop 0\n");

    assert_eq!([first.as_str(), second.as_str()], ["ok stopping\n"; 2]);
    assert!(
        refused,
        "the listeners are closed when the first reply comes"
    );
    assert_eq!(client.rest().0, b"");
    daemon.await_end();
}

/// 14.5 (decided): `release` removes the objects before it answers.
#[test]
fn release_frees_ports_and_objects_and_goes_on_serving() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let daemon = proxy.process();
    let (mut client, _) = proxy.greeted();

    let reply = ask(&proxy, b"release 600\n");

    assert_eq!(reply, "ok released\n");
    assert!(!proxy.segment().exists());
    assert!(Client::try_connect(proxy.address()).is_err());
    client.assert_echo("still served");
    drop(client);
    until("it ends with its last connection", || !daemon.is_alive());
}

/// Tells this test, when it runs as another account, which socket to ask.
const ASK: &str = "CROSSROADS_CASE_ASK";

/// 14.5 (decided): only root and the daemon's own account may give orders.
#[test]
fn another_account_may_not_give_orders() {
    if let Some(socket) = std::env::var_os(ASK) {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(b"tell shop maple state down\n").unwrap();
        let reply = answer(stream);
        assert!(reply.starts_with("error not-permitted "), "{reply:?}");
        return;
    }
    if !root_only("another account connects to the control socket") {
        return;
    }
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let socket = socket(&proxy);
    let sandbox = proxy.sandbox();
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // As if somebody had opened the door by mistake.
    sandbox.open_to_all();
    allow(&sandbox.run_dir(), 0o755);
    allow(&socket, 0o666);

    let suite = sandbox.copy_program(&std::env::current_exe().unwrap(), "suite");
    let test = "cases::control::another_account_may_not_give_orders";
    let run = sandbox
        .other_program(suite)
        .args(["--exact", test, "--nocapture"])
        .env(ASK, &socket)
        .account(65534)
        .run();
    allow(&sandbox.run_dir(), 0o700);

    assert!(run.ok().contains("1 passed"), "{run:#?}");
    assert_eq!(proxy.state("maple"), "available");
}
