//! Back ends which die, refuse or fall silent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::harness::{backend, client, report};

/// Serves each connection in a thread of its own, until the test program ends.
fn serve(each: impl Fn(usize, TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, each) = (stream.unwrap(), each.clone());
            thread::spawn(move || each(number, stream));
        }
    });
    address
}

/// Reads a request; false at the end of the connection.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return false,
        }
    }
    true
}

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn dead_back_end_is_counted_and_survived() {
    let (mut backend, addresses) = backend(1);
    let client = client(addresses[0], "--work churn --connections 2 --seconds 0.3");
    assert_eq!(client.line(), "ready");

    backend.kill();

    let report = report(client);
    assert!(report["errors"].as_u64().unwrap() > 10, "{report}");
    assert_ne!(report["first_error"], "");
}

#[test]
fn kept_connections_survive_a_dead_back_end() {
    let (mut backend, addresses) = backend(1);
    let client = client(addresses[0], "--work keep --connections 2 --seconds 0.3");
    assert_eq!(client.line(), "ready");

    backend.kill();

    let report = report(client);
    assert!(report["errors"].as_u64().unwrap() > 10, "{report}");
}

#[test]
fn work_goes_on_between_errors() {
    let address = serve(|number, mut stream| {
        if read_request(&mut stream) && number % 3 != 0 {
            let _ = stream.write_all(REPLY);
        }
    });

    let report = report(client(
        address,
        "--work churn --connections 3 --seconds 0.3",
    ));

    assert!(report["units"].as_u64().unwrap() > 0, "{report}");
    assert!(report["errors"].as_u64().unwrap() > 0, "{report}");
    let error = report["first_error"].as_str().unwrap();
    assert_eq!(error, "the connection was closed before the reply");
}

#[test]
fn short_and_wrong_replies_are_errors() {
    let address = serve(|number, mut stream| {
        if read_request(&mut stream) {
            let reply: &[u8] = match number % 2 {
                0 => &REPLY[..REPLY.len() - 1],
                _ => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            };
            let _ = stream.write_all(reply);
        }
    });

    let report = report(client(
        address,
        "--work churn --connections 1 --seconds 0.3",
    ));

    assert_eq!(report["units"], 0, "{report}");
    assert!(report["errors"].as_u64().unwrap() > 1, "{report}");
}

#[test]
fn silent_back_end_makes_late_requests_not_lost_ones() {
    let address = serve(|_, mut stream| {
        // The request before the load has a reply, and no other one.
        if read_request(&mut stream) {
            let _ = stream.write_all(REPLY);
        }
        while read_request(&mut stream) {}
    });

    let report = report(client(
        address,
        "--work fixed --connections 2 --rate 500 --seconds 0.2",
    ));

    assert_eq!(report["errors"], 98 + 2, "{report}");
    assert_eq!(report["latency_us"]["count"], 100);
    let fastest = report["latency_us"]["p50"].as_f64().unwrap();
    assert!(fastest > 1e6, "{report}");
}

#[test]
fn announced_end_of_a_kept_connection_is_no_error() {
    let address = serve(|_, mut stream| {
        if read_request(&mut stream) {
            let reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(reply);
        }
    });

    let report = report(client(address, "--work keep --connections 2 --seconds 0.2"));

    assert_eq!(report["errors"], 0, "{report}");
    assert!(report["units"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn closed_idle_connections_are_not_open() {
    let address = serve(|number, mut stream| {
        if read_request(&mut stream) {
            let _ = stream.write_all(REPLY);
        }
        if number != 0 {
            read_request(&mut stream);
        }
    });

    let report = report(client(address, "--work idle --connections 3 --seconds 0.2"));

    assert_eq!(report["units"], 2, "{report}");
    assert_eq!(report["errors"], 1, "{report}");
}

#[test]
fn address_without_listener_is_reported() {
    // Bound, so that nobody else listens there, but not listening.
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let any = "127.0.0.1:0".parse::<SocketAddr>().unwrap();
    rustix::net::bind(&socket, &any).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();

    let client = client(address, "--work keep --connections 2 --seconds 0.2");

    let (lines, errors, success) = client.finish();
    assert!(!success);
    assert_eq!(lines, Vec::<String>::new());
    assert!(errors.contains("0 of 2 connections"), "{errors}");
    let cause = "cannot open a connection: Connection refused";
    assert!(errors.contains(cause), "{errors}");
}
