//! Mock back ends: small TCP servers that can die and come back at their place.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::{Client, Ending, Port};

/// One connection that a back end serves.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl Peer {
    /// Sends `bytes`; false when the other side has gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let mut left = bytes.as_ref();
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(written) => {
                    self.sent.fetch_add(written as u64, Ordering::SeqCst);
                    left = &left[written..];
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads what is there; empty at the end or after a reset.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 64 * 1024];
        let read = self.stream.read(&mut buffer).unwrap_or(0);
        self.received.fetch_add(read as u64, Ordering::SeqCst);
        buffer.truncate(read);
        buffer
    }

    /// Reads what is there, or says how the connection ended.
    pub(crate) fn try_receive(&mut self) -> Result<Vec<u8>, Ending> {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Ending::Fin),
            Ok(read) => {
                self.received.fetch_add(read as u64, Ordering::SeqCst);
                buffer.truncate(read);
                Ok(buffer)
            }
            Err(_) => Err(Ending::Reset),
        }
    }

    /// Ends the sending direction; receiving goes on.
    pub(crate) fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends back whatever comes, up to the end of the other direction.
    pub(crate) fn echo(&mut self) {
        loop {
            let bytes = self.receive();
            if bytes.is_empty() || !self.send(&bytes) {
                return;
            }
        }
    }

    /// Reads and throws away, up to the end of the other direction.
    pub(crate) fn discard(&mut self) {
        while !self.receive().is_empty() {}
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        set_reset(&self.stream);
    }
}

type Serve = Arc<dyn Fn(Peer) + Send + Sync>;

/// What the threads of a back end share with its handle.
#[derive(Default)]
struct Shared {
    accepted: AtomicU64,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    open: Mutex<HashMap<u64, TcpStream>>,
}

/// A mock back end at a port of its own.
pub(crate) struct Backend {
    ip: IpAddr,
    port: Arc<Port>,
    serve: Serve,
    shared: Arc<Shared>,
    listening: Option<(UnixStream, JoinHandle<()>)>,
}

impl Backend {
    /// A server on 127.0.0.1 whose connections are served by `serve`, each in a
    /// thread of its own; when it returns, the connection is closed.
    pub(crate) fn serving(serve: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        Self::serving_at(Ipv4Addr::LOCALHOST.into(), Arc::new(Port::reserve()), serve)
    }

    /// A server as [`Backend::serving`], at an address and port of the case.
    pub(crate) fn serving_at(
        ip: IpAddr,
        port: Arc<Port>,
        serve: impl Fn(Peer) + Send + Sync + 'static,
    ) -> Self {
        let mut backend = Self {
            ip,
            port,
            serve: Arc::new(serve),
            shared: Arc::default(),
            listening: None,
        };
        backend.revive();
        backend
    }

    /// A server that sends back what it gets.
    pub(crate) fn echo() -> Self {
        Self::serving(|mut peer| peer.echo())
    }

    /// A server that sends `name` as a line, and then back what it gets.
    pub(crate) fn banner(name: &str) -> Self {
        Self::serving(banner(name))
    }

    /// A server that sends exactly `size` bytes, the first of them `name` as a
    /// line, and closes.
    pub(crate) fn sized(name: &str, size: usize) -> Self {
        let mut bytes = format!("{name}\n").into_bytes();
        bytes.resize(size, b'.');
        Self::serving(move |mut peer| {
            peer.send(&bytes);
        })
    }

    /// A server that never sends anything.
    pub(crate) fn silent() -> Self {
        Self::serving(|mut peer| peer.discard())
    }

    /// A server that hands each connection to the case, which plays it itself.
    pub(crate) fn handing_over() -> (Self, Receiver<Client>) {
        let (sender, receiver) = channel();
        let backend = Self::serving(move |peer| {
            let _ = sender.send(Client::from(peer.stream));
        });
        (backend, receiver)
    }

    /// A server that is dead from the beginning: connects are refused.
    pub(crate) fn dead(name: &str) -> Self {
        let mut backend = Self::banner(name);
        backend.kill();
        backend
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.number())
    }

    /// Its address as the argument of `server`.
    pub(crate) fn server(&self) -> String {
        self.address().to_string()
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Bytes received so far, over all connections.
    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// Bytes sent so far, over all connections.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Connections being served now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.lock().expect("the connections").len()
    }

    /// Dies: stops listening, then breaks every connection off with a reset.
    ///
    /// When this returns, connects are refused.
    pub(crate) fn kill(&mut self) {
        self.refuse();
        let open = std::mem::take(&mut *self.shared.open.lock().expect("the connections"));
        for stream in open.into_values() {
            set_reset(&stream);
            // Disconnecting resets at once, also under a thread that is blocked.
            if rustix::net::connect_unspec(&stream).is_err() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Stops listening; running connections go on.
    pub(crate) fn refuse(&mut self) {
        if let Some((wake, thread)) = self.listening.take() {
            drop(wake);
            thread.join().expect("the listener's thread");
        }
    }

    /// Listens again, at the same place.
    pub(crate) fn revive(&mut self) {
        self.refuse();
        let listener = TcpListener::bind(self.address())
            .unwrap_or_else(|error| panic!("a back end at {}: {error}", self.address()));
        listener.set_nonblocking(true).expect("non-blocking");
        let (wake, woken) = UnixStream::pair().expect("a pair of sockets");
        let (serve, shared) = (Arc::clone(&self.serve), Arc::clone(&self.shared));
        let thread = std::thread::spawn(move || accept(&listener, &woken, &serve, &shared));
        self.listening = Some((wake, thread));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What [`Backend::banner`] does with a connection.
pub(crate) fn banner(name: &str) -> impl Fn(Peer) + Send + Sync + 'static {
    let line = format!("{name}\n");
    move |mut peer| {
        if peer.send(&line) {
            peer.echo();
        }
    }
}

/// Accepts until the other end of `woken` is dropped.
fn accept(listener: &TcpListener, woken: &UnixStream, serve: &Serve, shared: &Arc<Shared>) {
    loop {
        let mut wanted = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(woken, PollFlags::IN),
        ];
        let _ = poll(&mut wanted, None);
        if !wanted[1].revents().is_empty() {
            // Closing would not be enough: a child of another case may hold a
            // copy of the descriptor until it runs its program.
            let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
            return;
        }
        while let Ok((stream, _)) = listener.accept() {
            attend(stream, Arc::clone(serve), Arc::clone(shared));
        }
    }
}

fn attend(stream: TcpStream, serve: Serve, shared: Arc<Shared>) {
    let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
    stream.set_nonblocking(false).expect("blocking");
    let _ = stream.set_nodelay(true);
    let handle = stream
        .try_clone()
        .expect("a second handle of the connection");
    shared
        .open
        .lock()
        .expect("the connections")
        .insert(number, handle);
    let peer = Peer {
        stream,
        received: Arc::clone(&shared.received),
        sent: Arc::clone(&shared.sent),
    };
    std::thread::spawn(move || {
        serve(peer);
        // Both handles are gone after this, which closes the connection.
        shared.open.lock().expect("the connections").remove(&number);
    });
}

fn set_reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
