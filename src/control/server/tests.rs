use std::cell::{Cell, RefCell};
use std::os::unix::fs::PermissionsExt;

use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::*;
use crate::base::state::ShownState;

/// No wait of a test is longer; none is meant to be nearly as long.
const DEADLINE: Duration = Duration::from_secs(20);

/// A daemon of one service `www` with one back end `two`.
#[derive(Default)]
struct Daemon {
    told: RefCell<Vec<Tell>>,
    graces: RefCell<Vec<Duration>>,
    listeners_closed: Notify,
    stops: Cell<usize>,
}

impl Orders for Daemon {
    fn tell(
        &self,
        service: &str,
        backend: &str,
        tell: Tell,
    ) -> Result<(String, String), OrderError> {
        if service != "www" {
            return Err(OrderError::NoSuchService(service.to_owned()));
        }
        if backend != "two" {
            return Err(OrderError::NoSuchBackend {
                service: service.to_owned(),
                backend: backend.to_owned(),
            });
        }
        self.told.borrow_mut().push(tell);
        Ok(("available".into(), "down".into()))
    }

    async fn stop(&self, grace: Duration) {
        self.graces.borrow_mut().push(grace);
        self.listeners_closed.notified().await;
        self.stops.set(self.stops.get() + 1);
    }

    async fn release(&self, grace: Duration) {
        self.graces.borrow_mut().push(grace);
    }

    fn ping(&self) -> (u32, String) {
        (7, "/etc/a b.conf".into())
    }
}

/// Runs `scenario` beside a server with `limit`, all on one thread.
fn beside_a_server<F: Future<Output = ()>>(
    limit: Duration,
    scenario: impl FnOnce(PathBuf, Rc<Daemon>) -> F,
) {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("7.sock");
    let server = ControlServer::bind(&path).unwrap();
    let daemon = Rc::new(Daemon::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let scenario = scenario(path.clone(), Rc::clone(&daemon));

    let served = LocalSet::new().block_on(&runtime, async {
        timeout(DEADLINE, server.serve_until(daemon, limit, scenario)).await
    });

    served.expect("the scenario went on for too long").unwrap();
    assert!(!path.exists(), "the socket stayed behind");
}

async fn connected(path: &Path) -> UnixStream {
    UnixStream::connect(path).await.unwrap()
}

/// Sends `line` and reads to the end.
async fn answer(path: &Path, line: &str) -> String {
    let mut stream = connected(path).await;
    stream.write_all(line.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut UnixStream) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 256];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&chunk[..count]),
            // What the daemon did not read of an overlong line resets us.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn every_order_is_followed_and_answered() {
    beside_a_server(DEADLINE, async |path: PathBuf, daemon: Rc<Daemon>| {
        assert_eq!(answer(&path, "ping\n").await, "ok 7 /etc/a b.conf\n");
        assert_eq!(
            answer(&path, "tell www two state down\n").await,
            "ok www two available down\n"
        );
        assert_eq!(*daemon.told.borrow(), [Tell::State(ShownState::Down)]);
        assert_eq!(answer(&path, "release 0.5\n").await, "ok released\n");
        assert_eq!(*daemon.graces.borrow(), [Duration::from_millis(500)]);
    });
}

#[test]
fn unknown_names_are_refused_letter_by_letter() {
    beside_a_server(DEADLINE, async |path: PathBuf, daemon: Rc<Daemon>| {
        assert_eq!(
            answer(&path, "tell WWW two state down\n").await,
            "error no-such-service no service 'WWW'\n"
        );
        assert_eq!(
            answer(&path, "tell www Two state down\n").await,
            "error no-such-backend no back end 'Two' in service 'www'\n"
        );
        assert!(daemon.told.borrow().is_empty());
    });
}

#[test]
fn lines_that_are_no_request_are_answered_as_bad() {
    beside_a_server(DEADLINE, async |path: PathBuf, _| {
        assert_eq!(
            answer(&path, "reload\n").await,
            "error bad-request `reload` is not tell, stop, release or ping\n"
        );
        assert_eq!(
            answer(&path, &"x".repeat(3 * MAX_LINE)).await,
            "error bad-request a request has at most 4096 bytes\n"
        );
    });
}

#[test]
fn request_without_its_line_feed_is_not_followed() {
    beside_a_server(DEADLINE, async |path: PathBuf, daemon: Rc<Daemon>| {
        let mut stream = connected(&path).await;
        stream.write_all(b"release 3").await.unwrap();
        stream.shutdown().await.unwrap();

        assert_eq!(
            rest(&mut stream).await,
            "error bad-request the line has no end\n"
        );
        assert!(daemon.graces.borrow().is_empty());
    });
}

#[test]
fn stop_is_answered_only_when_it_is_done_while_others_are_served() {
    beside_a_server(DEADLINE, async |path: PathBuf, daemon: Rc<Daemon>| {
        let mut stopping = connected(&path).await;
        stopping.write_all(b"stop 3\n").await.unwrap();
        while daemon.graces.borrow().is_empty() {
            tokio::task::yield_now().await;
        }

        assert_eq!(answer(&path, "ping\n").await, "ok 7 /etc/a b.conf\n");
        let early = stopping.try_read(&mut [0; 16]).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock);

        daemon.listeners_closed.notify_one();
        assert_eq!(rest(&mut stopping).await, "ok stopping\n");
    });
}

#[test]
fn order_is_carried_out_though_its_giver_hung_up() {
    beside_a_server(DEADLINE, async |path: PathBuf, daemon: Rc<Daemon>| {
        let mut stopping = connected(&path).await;
        stopping.write_all(b"stop 3\n").await.unwrap();
        while daemon.graces.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        drop(stopping);
        daemon.listeners_closed.notify_one();

        while daemon.stops.get() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(answer(&path, "ping\n").await, "ok 7 /etc/a b.conf\n");
    });
}

#[test]
fn silent_clients_delay_nobody_and_are_closed_at_the_limit() {
    beside_a_server(Duration::from_millis(300), async |path: PathBuf, _| {
        let mut silent = Vec::new();
        for _ in 0..MOST_AT_ONCE - 1 {
            let mut stream = connected(&path).await;
            stream.write_all(b"pi").await.unwrap();
            silent.push(stream);
        }

        assert_eq!(answer(&path, "ping\n").await, "ok 7 /etc/a b.conf\n");
        for stream in &mut silent {
            assert_eq!(rest(stream).await, "");
        }
    });
}

#[test]
fn one_more_than_the_places_waits_and_is_served_then() {
    beside_a_server(Duration::from_millis(200), async |path: PathBuf, _| {
        let mut silent = Vec::new();
        for _ in 0..MOST_AT_ONCE + 5 {
            silent.push(connected(&path).await);
        }

        assert_eq!(answer(&path, "ping\n").await, "ok 7 /etc/a b.conf\n");
    });
}

#[test]
fn request_under_way_at_the_end_is_still_answered() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("7.sock");
    let server = ControlServer::bind(&path).unwrap();
    let daemon = Rc::new(Daemon::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();

    let text = LocalSet::new().block_on(&runtime, async {
        let asking = tokio::task::spawn_local({
            let path = path.clone();
            async move { answer(&path, "stop 3\n").await }
        });
        let end = async {
            while daemon.graces.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
            daemon.listeners_closed.notify_one();
        };
        let served = server.serve_until(Rc::clone(&daemon), DEADLINE, end);
        timeout(DEADLINE, served).await.unwrap().unwrap();
        timeout(DEADLINE, asking).await.unwrap().unwrap()
    });

    assert_eq!(text, "ok stopping\n");
}

#[test]
fn socket_is_closed_to_others_and_gone_when_dropped() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("7.sock");

    let server = ControlServer::bind(&path).unwrap();

    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(server);
    assert!(!path.exists());
}

#[test]
fn left_over_socket_is_replaced_but_another_file_is_not() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("7.sock");
    drop(StdListener::bind(&path).unwrap());
    drop(ControlServer::bind(&path).unwrap());
    fs::write(&path, "precious").unwrap();

    let error = ControlServer::bind(&path).unwrap_err();

    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn only_root_and_the_own_account_are_permitted() {
    assert!(is_permitted(0, 1000));
    assert!(is_permitted(1000, 1000));
    assert!(!is_permitted(1001, 1000));
    assert!(!is_permitted(1000, 0));
}
