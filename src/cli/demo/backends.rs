//! The demo's own back ends: three tiny web servers that say their names.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// Names of the back ends, in order of definition.
pub(super) const NAMES: [&str; 3] = ["one", "two", "three"];

/// The longest request head that is read.
const HEAD: usize = 8_192;
/// How long a client may take for its request, and for taking the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running back ends: one thread for all; it ends when this is dropped.
pub(super) struct Backends {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backends {
    /// Starts one back end for each name on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The system's, when there is no port or no thread.
    pub(super) fn start() -> io::Result<Self> {
        let listeners = NAMES
            .iter()
            .map(|_| listener())
            .collect::<io::Result<Vec<_>>>()?;
        let addresses = listeners
            .iter()
            .map(std::net::TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("backends".to_owned())
            .spawn(move || {
                let tasks = LocalSet::new();
                tasks.block_on(&runtime, serve_until(listeners, stopped));
            })?;
        Ok(Self {
            addresses,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where they listen, in the order of [`NAMES`].
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        // Dropping the sender is the signal, joining the wait.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listener() -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `stopped`; what is being answered then is cut.
async fn serve_until(listeners: Vec<std::net::TcpListener>, stopped: oneshot::Receiver<()>) {
    for (listener, name) in listeners.into_iter().zip(NAMES) {
        // The descriptors are fresh and non-blocking, so this can't refuse them
        // short of running out of memory; that back end is then simply down.
        if let Ok(listener) = TcpListener::from_std(listener) {
            tokio::task::spawn_local(accept(listener, name));
        }
    }
    // An error means that the sender is gone, which is the signal as well.
    let _ = stopped.await;
}

async fn accept(listener: TcpListener, name: &'static str) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::task::spawn_local(timeout(PATIENCE, answer(client, name)));
            }
            // Out of descriptors: others have to end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Reads one request and answers with the name of the back end.
async fn answer(mut client: TcpStream, name: &str) -> io::Result<()> {
    let mut head = Vec::new();
    while !head_is_complete(&head) && head.len() < HEAD {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    client.write_all(&reply(name)).await?;
    client.shutdown().await
}

fn head_is_complete(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

fn reply(name: &str) -> Vec<u8> {
    let body = format!("I am back end {name}.\n");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut client = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        client.write_all(request).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn each_back_end_answers_with_its_own_name() {
        let backends = Backends::start().unwrap();

        for (address, name) in backends.addresses().iter().zip(NAMES) {
            let answer = ask(*address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");

            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(
                answer.ends_with(&format!("\r\n\r\nI am back end {name}.\n")),
                "{answer}"
            );
        }
    }

    #[test]
    fn silent_client_does_not_keep_others_waiting() {
        let backends = Backends::start().unwrap();
        let address = backends.addresses()[0];
        let silent = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();

        let answer = ask(address, b"GET / HTTP/1.0\n\n");

        assert!(answer.contains("I am back end one."));
        drop(silent);
    }

    #[test]
    fn nothing_listens_after_the_end() {
        let backends = Backends::start().unwrap();
        let addresses = backends.addresses().to_vec();
        let _open = TcpStream::connect(addresses[0]).unwrap();

        drop(backends);

        // A process that another test starts just now holds a copy of every
        // descriptor until it runs its program.
        let deadline = Instant::now() + Duration::from_secs(20);
        for address in addresses {
            while TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok() {
                assert!(Instant::now() < deadline);
                std::thread::yield_now();
            }
        }
    }
}
