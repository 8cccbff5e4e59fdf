//! Asks a running daemon, blocking: for the commands.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

use crate::control::request::{MAX_REPLY, Reply, ReplyError, Request, RequestError};
use crate::control::rundir::RunDir;

/// How many daemons are asked at the same time.
const SIDE_BY_SIDE: usize = 32;

/// The pause before a full queue of a daemon is tried again.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// Why a daemon gave no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// The request cannot be put into a line.
    #[error("cannot be asked: {0}")]
    Unsendable(#[from] RequestError),
    /// Nobody listens at the socket, or it may not be used.
    #[error("cannot reach the daemon at {socket}", socket = socket.display())]
    Unreachable {
        /// The path of the socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("no answer from the daemon at {socket} within {limit:?}", socket = socket.display())]
    Timeout {
        /// The path of the socket.
        socket: PathBuf,
        /// The limit that ran out.
        limit: Duration,
    },
    /// The daemon hung up without a whole answer.
    #[error("the daemon at {socket} ended the connection without an answer", socket = socket.display())]
    HungUp {
        /// The path of the socket.
        socket: PathBuf,
    },
    /// The answer is none of this protocol.
    #[error("the daemon at {socket} answers in another language", socket = socket.display())]
    BadReply {
        /// The path of the socket.
        socket: PathBuf,
        /// What is known of it.
        #[source]
        source: ReplyError,
    },
}

impl AskError {
    /// Whether no process listens at the socket (any more): it is missing, or
    /// left over from a daemon that has gone.
    pub fn is_nobody_there(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ),
            _ => false,
        }
    }
}

/// Asks the daemon at `socket` one thing; `limit` holds for all of it.
///
/// # Errors
///
/// [`AskError`]; a refusal by the daemon is no error here but a
/// [`Reply::Error`].
///
/// Source: decided (14.5, 8.2 `control`).
pub fn ask(socket: &Path, request: &Request, limit: Duration) -> Result<Reply, AskError> {
    let line = request.to_line()?;
    let deadline = Instant::now() + limit;
    let answer = connect(socket, deadline).map_err(|source| match source.kind() {
        io::ErrorKind::TimedOut => timeout(socket, limit),
        _ => AskError::Unreachable {
            socket: socket.to_owned(),
            source,
        },
    });
    let answer = exchange(&answer?, line.as_bytes(), deadline);
    let answer = answer.map_err(|source| match source.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => timeout(socket, limit),
        _ => AskError::HungUp {
            socket: socket.to_owned(),
        },
    })?;
    if !answer.ends_with(b"\n") && answer.len() < MAX_REPLY {
        return Err(AskError::HungUp {
            socket: socket.to_owned(),
        });
    }
    Reply::parse(&answer).map_err(|source| AskError::BadReply {
        socket: socket.to_owned(),
        source,
    })
}

fn timeout(socket: &Path, limit: Duration) -> AskError {
    AskError::Timeout {
        socket: socket.to_owned(),
        limit,
    }
}

/// Connects without ever blocking: a daemon that is stopped and whose queue
/// is full would otherwise hold the caller for good.
fn connect(socket: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(socket)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd: OwnedFd =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        match rustix::net::connect(&fd, &address) {
            Ok(()) => break,
            Err(Errno::AGAIN) if Instant::now() < deadline => thread::sleep(QUEUE_PAUSE),
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Sends the line and reads until a line feed, the end or [`MAX_REPLY`] bytes.
fn exchange(mut stream: &UnixStream, line: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    stream.write_all(line)?;
    let mut answer = Vec::new();
    let mut chunk = [0_u8; 1024];
    while !answer.ends_with(b"\n") && answer.len() < MAX_REPLY {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// A daemon that answered a `ping`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunningDaemon {
    /// Its process id, as it says.
    pub pid: u32,
    /// The path of its configuration: absolute, as text.
    pub config: String,
    /// Its control socket.
    pub socket: PathBuf,
}

/// The daemons whose sockets lie in `run_dir`, by process id.
///
/// All are asked side by side, so a few that hang cost one `limit` together;
/// one that does not answer in time is passed over. A directory that is
/// missing or not safe holds no daemon.
///
/// Source: decided (2.3).
pub fn running_daemons(run_dir: &RunDir, limit: Duration) -> Vec<RunningDaemon> {
    let sockets = run_dir.sockets();
    let mut daemons: Vec<RunningDaemon> = sockets
        .chunks(SIDE_BY_SIDE)
        .flat_map(|some| ping_all(some, limit))
        .collect();
    daemons.sort_unstable_by_key(|daemon| daemon.pid);
    daemons
}

fn ping_all(sockets: &[(u32, PathBuf)], limit: Duration) -> Vec<RunningDaemon> {
    thread::scope(|scope| {
        let started: Vec<_> = sockets
            .iter()
            .map(|(_, socket)| {
                // A thread that cannot be had is replaced by the caller's own.
                thread::Builder::new()
                    .spawn_scoped(scope, move || ping(socket, limit))
                    .map_err(|_| ping(socket, limit))
            })
            .collect();
        let answers = started.into_iter().map(|one| match one {
            Ok(thread) => thread.join().ok().flatten(),
            Err(answer) => answer,
        });
        answers.flatten().collect()
    })
}

fn ping(socket: &Path, limit: Duration) -> Option<RunningDaemon> {
    match ask(socket, &Request::Ping, limit) {
        Ok(Reply::Pong { pid, config }) => Some(RunningDaemon {
            pid,
            config,
            socket: socket.to_owned(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A daemon that reads one line and answers with `reply`, byte for byte.
    fn answering(socket: &Path, reply: &'static [u8]) -> JoinHandle<String> {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(reply).unwrap();
            line
        })
    }

    fn asked(reply: &'static [u8]) -> Result<Reply, AskError> {
        let around = tempfile::tempdir().unwrap();
        let socket = around.path().join("1.sock");
        let daemon = answering(&socket, reply);
        let answer = ask(&socket, &Request::Ping, LIMIT);
        assert_eq!(daemon.join().unwrap(), "ping\n");
        answer
    }

    #[test]
    fn request_goes_out_as_a_line_and_the_reply_comes_back() {
        let pong = asked(b"ok 7 /etc/x.conf\n").unwrap();

        assert_eq!(
            pong,
            Reply::Pong {
                pid: 7,
                config: "/etc/x.conf".into()
            }
        );
    }

    #[test]
    fn answer_without_line_feed_or_sense_is_an_error() {
        assert!(matches!(asked(b""), Err(AskError::HungUp { .. })));
        assert!(matches!(asked(b"ok stopp"), Err(AskError::HungUp { .. })));
        assert!(matches!(asked(b"hello\n"), Err(AskError::BadReply { .. })));
        assert!(matches!(
            asked(&[b'x'; MAX_REPLY + 2000]),
            Err(AskError::BadReply { .. })
        ));
    }

    #[test]
    fn socket_without_a_process_is_told_from_one_that_is_silent() {
        let around = tempfile::tempdir().unwrap();
        let socket = around.path().join("1.sock");
        let missing = ask(&socket, &Request::Ping, LIMIT).unwrap_err();
        let listener = UnixListener::bind(&socket).unwrap();
        let silent = ask(&socket, &Request::Ping, Duration::from_millis(30)).unwrap_err();
        drop(listener);
        let left_over = ask(&socket, &Request::Ping, LIMIT).unwrap_err();

        assert!(missing.is_nobody_there());
        assert!(matches!(silent, AskError::Timeout { .. }) && !silent.is_nobody_there());
        assert!(left_over.is_nobody_there());
    }

    #[test]
    fn daemon_that_drips_its_answer_is_cut_at_the_limit() {
        let around = tempfile::tempdir().unwrap();
        let socket = around.path().join("1.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let end = Instant::now() + LIMIT;
            while Instant::now() < end && stream.write_all(b"o").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
            Instant::now() < end
        });

        let answer = ask(&socket, &Request::Ping, Duration::from_millis(60));

        assert!(matches!(answer, Err(AskError::Timeout { .. })));
        assert!(daemon.join().unwrap(), "the client never hung up");
    }

    #[test]
    fn daemons_that_answer_are_found_and_the_others_passed_over() {
        let around = tempfile::tempdir().unwrap();
        let dir = run_dir(around.path());
        let first = answering(&dir.socket_path(9).unwrap(), b"ok 9 /etc/b c.conf\n");
        let second = answering(&dir.socket_path(8).unwrap(), b"ok 8 /etc/a.conf\n");
        let _silent = UnixListener::bind(dir.socket_path(7).unwrap()).unwrap();
        drop(UnixListener::bind(dir.socket_path(6).unwrap()).unwrap());

        let found = running_daemons(&dir, Duration::from_millis(500));

        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.pid, one.config.as_str()))
            .collect();
        assert_eq!(seen, [(8, "/etc/a.conf"), (9, "/etc/b c.conf")]);
        assert_eq!(found[0].socket, dir.socket_path(8).unwrap());
        first.join().unwrap();
        second.join().unwrap();
    }

    fn run_dir(around: &Path) -> RunDir {
        let uid = rustix::process::geteuid().as_raw();
        let place = around.join("run").into_os_string();
        let dir = RunDir::locate(|_| Some(place.clone()), uid);
        dir.ensure().unwrap();
        dir
    }
}
