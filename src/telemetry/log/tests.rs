use std::os::unix::net::UnixDatagram;

use super::*;
use crate::base::endpoint::ClientAddr;
use crate::base::event::InService;
use crate::base::id::ConnectionCounter;
use crate::base::name::ServiceName;
use crate::telemetry::queue::drain;

const DEADLINE: Duration = Duration::from_secs(20);

/// A log whose lines stay in a queue.
fn kept(capacity: usize) -> (Log, Arc<Queue>) {
    let queue = Arc::new(Queue::new(capacity));
    // Nobody writes, so the end has nobody to wait for.
    queue.finish();
    let log = Log {
        wanted: Wanted::default(),
        clock: Clock::gmt(),
        repeats: Repeats::new(Duration::from_secs(60)),
        queues: vec![Arc::clone(&queue)],
    };
    (log, queue)
}

fn no_backend(name: &ServiceName) -> Event<'_> {
    let client = ClientAddr::new("192.0.2.7:50000".parse().unwrap());
    Event::NoBackend {
        service: InService {
            name,
            verbose: false,
        },
        client,
    }
}

#[test]
fn repeated_trouble_is_written_once_an_interval_with_a_count() {
    let (log, queue) = kept(10);
    let name = ServiceName::new("shop").unwrap();
    let start = Instant::now();

    for second in [0, 1, 30, 59, 60, 61] {
        log.emit_at(&no_backend(&name), || start + Duration::from_secs(second));
    }

    let line = "shop: no usable back end for 192.0.2.7";
    assert_eq!(drain(&queue), [line.to_owned(), format!("{line} (3 more)")]);
}

#[test]
fn changes_of_state_are_never_held_back() {
    let (log, queue) = kept(10);
    let name = ServiceName::new("shop").unwrap();
    let stopped = Event::Stopped {
        service: InService {
            name: &name,
            verbose: false,
        },
        cut: 0,
    };

    for _ in 0..3 {
        log.emit(&stopped);
    }

    assert_eq!(drain(&queue), ["shop: stopped, 0 connections cut"; 3]);
}

#[test]
fn event_that_nobody_wants_reads_no_clock_and_writes_nothing() {
    let (log, queue) = kept(10);
    let name = ServiceName::new("shop").unwrap();
    let accepted = Event::Accepted {
        service: InService {
            name: &name,
            verbose: false,
        },
        connection: ConnectionCounter::default().next(),
        client: ClientAddr::new("192.0.2.7:50000".parse().unwrap()),
    };

    log.emit_at(&accepted, || panic!("the clock was read"));

    assert!(drain(&queue).is_empty());
}

#[test]
fn flood_is_cut_at_the_bound_and_counted() {
    let (log, queue) = kept(4);

    for number in 0..100 {
        log.note(Level::Info, number.to_string());
    }

    assert_eq!(drain(&queue), ["0", "1", "2", "3", "96 messages lost"]);
}

#[test]
fn dropping_the_log_writes_what_is_left() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let log = Log::start(settings(&path)).unwrap();

    log.note(Level::Notice, "the last word");
    drop(log);

    let mut buffer = [0; 1024];
    let count = socket.recv(&mut buffer).unwrap();
    let line = String::from_utf8_lossy(&buffer[..count]);
    assert!(line.starts_with("<165>"), "{line}");
    assert!(line.ends_with(": the last word"), "{line}");
}

#[test]
fn dead_syslog_delays_neither_lines_nor_the_end() {
    let around = tempfile::tempdir().unwrap();
    let log = Log::start(settings(&around.path().join("missing"))).unwrap();
    let start = Instant::now();

    for _ in 0..3 * CAPACITY {
        log.note(Level::Info, "into the void");
    }
    drop(log);

    assert!(start.elapsed() < DEADLINE);
}

fn settings(path: &Path) -> LogSettings {
    LogSettings {
        facility: "local4".parse().unwrap(),
        syslog: Some(path.to_owned()),
        console: Console::Off,
        activity: false,
        verbose: false,
        repeat: Duration::from_secs(60),
        clock: Clock::local(),
    }
}
