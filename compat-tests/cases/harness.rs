//! The mock actors and the harness itself, without the program in between.

use std::time::Duration;

use crate::harness::{Backend, Blackhole, Client, Ending, Port, Process, Sandbox, until};

#[test]
fn an_echoing_backend_returns_what_a_client_sends() {
    let backend = Backend::echo();
    let mut client = Client::connect(backend.address());

    client.assert_echo("to and fro");
    client.finish_sending();

    assert_eq!(client.rest(), (Vec::new(), Ending::Fin));
    assert_eq!(
        (backend.accepted(), backend.received(), backend.sent()),
        (1, 10, 10)
    );
}

#[test]
fn a_sized_backend_sends_its_name_and_exactly_so_many_bytes() {
    let backend = Backend::sized("maple", 1000);
    let mut client = Client::connect(backend.address());

    let (bytes, ending) = client.rest();

    assert_eq!((bytes.len(), ending), (1000, Ending::Fin));
    assert!(bytes.starts_with(b"maple\n"));
}

#[test]
fn a_killed_backend_resets_its_clients_refuses_others_and_can_be_revived() {
    let mut backend = Backend::banner("maple");
    let mut client = Client::connect(backend.address());
    assert_eq!(client.line(), "maple");

    backend.kill();

    assert_eq!(client.rest().1, Ending::Reset);
    let refused = Client::try_connect(backend.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    backend.revive();
    assert_eq!(Client::connect(backend.address()).line(), "maple");
}

#[test]
fn a_refusing_backend_serves_the_clients_that_it_has() {
    let mut backend = Backend::banner("maple");
    let mut client = Client::connect(backend.address());
    assert_eq!(client.line(), "maple");

    backend.refuse();

    client.assert_echo("still here");
    assert!(Client::try_connect(backend.address()).is_err());
    assert_eq!(backend.open(), 1);
}

#[test]
fn a_silent_backend_says_nothing() {
    let backend = Backend::silent();
    let mut client = Client::connect(backend.address());

    client.send("anybody there?");

    until("the bytes arrive", || backend.received() == 14);
    assert!(client.is_quiet_for(Duration::from_millis(50)));
}

#[test]
fn a_backend_that_hands_over_lets_the_case_play_it() {
    let (backend, peers) = Backend::handing_over();
    let mut client = Client::connect(backend.address());
    let mut peer = peers.recv_timeout(Duration::from_secs(5)).unwrap();

    client.send("question\n");
    assert_eq!(peer.line(), "question");
    peer.send("answer\n");
    assert_eq!(client.line(), "answer");
    peer.reset();

    assert_eq!(client.rest().1, Ending::Reset);
}

#[test]
fn a_connect_to_a_black_hole_hangs() {
    let hole = Blackhole::new();

    let address = hole.server().parse().unwrap();
    let error = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));

    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn reserved_ports_refuse_connects_and_differ() {
    let ports: Vec<Port> = (0..50).map(|_| Port::reserve()).collect();

    let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
    numbers.sort_unstable();
    numbers.dedup();

    assert_eq!(numbers.len(), 50);
    assert!(Client::try_connect(ports[0].local()).is_err());
}

#[test]
fn a_sandbox_knows_the_processes_that_were_started_in_it() {
    let sandbox = Sandbox::new();
    let running = sandbox.other_program("sleep").args(["60"]).spawn();
    let pid = running.pid();

    until("it runs", || sandbox.processes() == [Process(pid)]);
    drop(running);

    assert_eq!(sandbox.processes(), []);
    assert!(!Process(pid).is_alive());
}

#[test]
fn a_sandbox_is_not_dropped_in_peace_while_something_is_left_in_it() {
    let sandbox = Sandbox::new();
    sandbox.write("run/1.sock", "");

    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(sandbox)));

    let message = *dropped.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("run/1.sock"), "{message}");
}

#[test]
fn a_command_is_run_with_its_output_and_exit_code() {
    let sandbox = Sandbox::new();

    let script = "echo out; echo crossroads: err >&2; exit 1";
    let run = sandbox.other_program("sh").args(["-c", script]).run();

    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "out\n"));
    assert_eq!(run.stderr, "crossroads: err\n");
}

#[test]
fn syslog_lines_are_collected_also_after_the_socket_was_made_anew() {
    let mut sandbox = Sandbox::new();
    let say = |sandbox: &Sandbox, text: &str| {
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        socket.send_to(text.as_bytes(), sandbox.syslog.path())
    };

    say(&sandbox, "<29>Jan  1 00:00:00 crossroads[7]: first").unwrap();
    let first = sandbox.syslog.await_line("first");
    sandbox.syslog.remove();
    assert!(say(&sandbox, "<29>lost").is_err());
    sandbox.syslog.restore();
    say(&sandbox, "<28>Jan  1 00:00:00 host crossroads[7]: second").unwrap();

    assert_eq!((first.facility, first.pid), (3, 7));
    sandbox
        .syslog
        .await_exactly(crate::harness::Level::Warning, "second");
}
