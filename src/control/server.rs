//! The daemon's side of the control socket.
//!
//! Runs on the main thread's runtime, so it answers while all workers are
//! busy. Each connection is a local task of its own: a slow or silent client
//! costs one of [`MOST_AT_ONCE`] places for at most the time limit, and delays
//! nobody else while a place is free.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::base::state::Tell;
use crate::control::request::{ErrorCode, MAX_LINE, Reply, Request};

/// How many connections are served at the same time; more wait in the kernel.
pub const MOST_AT_ONCE: usize = 64;

/// How many connections the kernel keeps waiting.
const BACKLOG: i32 = 128;

/// The pause after a failed accept, which is most often a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the daemon does not follow an order.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum OrderError {
    /// No service is called so.
    #[error("no service '{0}'")]
    NoSuchService(String),
    /// The service has no back end that is called so.
    #[error("no back end '{backend}' in service '{service}'")]
    NoSuchBackend {
        /// The service, which exists.
        service: String,
        /// What was asked for.
        backend: String,
    },
}

impl OrderError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoSuchService(_) => ErrorCode::NoSuchService,
            Self::NoSuchBackend { .. } => ErrorCode::NoSuchBackend,
        }
    }
}

/// What the daemon does when it is asked. Once begun, an order is carried out
/// even if whoever gave it hangs up.
#[allow(
    async_fn_in_trait,
    reason = "served on one thread only, so no future needs Send"
)]
pub trait Orders {
    /// Sets the state or address of a back end, publishes it, and gives what
    /// it was before and is now.
    ///
    /// # Errors
    ///
    /// [`OrderError`] if a name is not known, letter by letter.
    fn tell(
        &self,
        service: &str,
        backend: &str,
        tell: Tell,
    ) -> Result<(String, String), OrderError>;

    /// Begins to stop; done when the listeners are closed. The daemon then
    /// ends within `grace` without being asked again.
    async fn stop(&self, grace: Duration);

    /// As [`Orders::stop`]; done when the shared memory is removed as well.
    async fn release(&self, grace: Duration);

    /// The process id and the path of the configuration.
    fn ping(&self) -> (u32, String);
}

/// A bound control socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct ControlServer {
    listener: StdListener,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good as removed.
        let _ = fs::remove_file(&self.0);
    }
}

impl ControlServer {
    /// Binds the socket at `path` with mode 0600 and listens. No runtime is
    /// needed yet. A socket file that is there already was left over by a
    /// process that had our process id, and is replaced.
    ///
    /// # Errors
    ///
    /// What the system says, e.g. that something else than a socket is there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let address = SocketAddrUnix::new(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The file takes its mode from the socket, so it is never open to
        // others, not even between two system calls.
        rustix::fs::fchmod(&fd, Mode::RUSR | Mode::WUSR)?;
        rustix::net::bind(&fd, &address)?;
        let file = SocketFile(path.to_owned());
        rustix::net::listen(&fd, BACKLOG)?;
        Ok(Self {
            listener: StdListener::from(fd),
            file,
        })
    }

    /// Serves until the future is dropped, which cuts what is under way.
    /// Needs a `LocalSet`. `limit` holds for reading a request and again for
    /// writing its reply; the order between them takes its own time.
    ///
    /// # Errors
    ///
    /// If the runtime cannot take the socket.
    pub async fn serve(self, orders: Rc<impl Orders + 'static>, limit: Duration) -> io::Result<()> {
        self.serve_until(orders, limit, std::future::pending())
            .await
    }

    /// As [`ControlServer::serve`], but ends when `end` is done: no further
    /// connection is taken, those under way get up to `limit` to finish, and
    /// the socket file is removed.
    ///
    /// # Errors
    ///
    /// If the runtime cannot take the socket.
    pub async fn serve_until(
        self,
        orders: Rc<impl Orders + 'static>,
        limit: Duration,
        end: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = UnixListener::from_std(self.listener)?;
        let mut running = JoinSet::new();
        tokio::select! {
            () = accept_all(&listener, &mut running, &orders, limit) => {}
            () = end => {}
        }
        drop(listener);
        drop(self.file);
        // What is not done by then is cut when the set is dropped.
        let _ = timeout(limit, async {
            while running.join_next().await.is_some() {}
        })
        .await;
        Ok(())
    }
}

async fn accept_all(
    listener: &UnixListener,
    running: &mut JoinSet<()>,
    orders: &Rc<impl Orders + 'static>,
    limit: Duration,
) {
    loop {
        while running.try_join_next().is_some() {}
        if running.len() >= MOST_AT_ONCE {
            running.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                running.spawn_local(converse(stream, Rc::clone(orders), limit));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Whether a peer with this uid may give orders to a daemon with that one.
fn is_permitted(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

async fn converse(mut stream: UnixStream, orders: Rc<impl Orders>, limit: Duration) {
    let own = rustix::process::geteuid().as_raw();
    let permitted = stream
        .peer_cred()
        .is_ok_and(|peer| is_permitted(peer.uid(), own));
    // A peer that is silent, slow or gone gets no reply.
    let Ok(Ok(line)) = timeout(limit, read_line(&mut stream)).await else {
        return;
    };
    let reply = if permitted {
        follow(&line, &*orders).await
    } else {
        let text = "only root and the account of the daemon may ask".to_owned();
        Reply::Error {
            code: ErrorCode::NotPermitted,
            text,
        }
    };
    let line = reply.to_line();
    // The order stands whether or not the peer learns of it.
    let _ = timeout(limit, stream.write_all(line.as_bytes())).await;
}

/// Reads up to a line feed, the end, or one byte more than a request may have.
async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(128);
    let mut chunk = [0_u8; 512];
    while line.len() <= MAX_LINE {
        let count = stream.read(&mut chunk).await?;
        if count == 0 && line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&chunk[..count]);
        if let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            line.truncate(end + 1);
            break;
        }
        if count == 0 {
            break;
        }
    }
    Ok(line)
}

async fn follow(line: &[u8], orders: &impl Orders) -> Reply {
    let whole = line.ends_with(b"\n") || line.len() > MAX_LINE;
    let request = match Request::parse(line) {
        Ok(request) if whole => request,
        Ok(_) => return bad_request("the line has no end"),
        Err(error) => return bad_request(&error.to_string()),
    };
    match request {
        Request::Ping => {
            let (pid, config) = orders.ping();
            Reply::Pong { pid, config }
        }
        Request::Stop { grace } => {
            orders.stop(grace).await;
            Reply::Stopping
        }
        Request::Release { grace } => {
            orders.release(grace).await;
            Reply::Released
        }
        Request::Tell {
            service,
            backend,
            tell,
        } => match orders.tell(&service, &backend, tell) {
            Ok((old, new)) => Reply::Told {
                service,
                backend,
                old,
                new,
            },
            Err(error) => Reply::Error {
                code: error.code(),
                text: error.to_string(),
            },
        },
    }
}

fn bad_request(text: &str) -> Reply {
    Reply::Error {
        code: ErrorCode::BadRequest,
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
