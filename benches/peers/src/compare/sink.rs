//! Somewhere for balancers to log to, in place of the system's log.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

/// Reads messages and drops them, until it is dropped itself.
#[derive(Debug)]
pub(crate) struct Sink {
    socket: PathBuf,
    reader: Option<JoinHandle<()>>,
}

impl Sink {
    /// # Errors
    ///
    /// If the socket cannot be made.
    pub(crate) fn open(socket: &Path) -> Result<Self> {
        let receiver = UnixDatagram::bind(socket);
        let receiver =
            receiver.with_context(|| format!("cannot listen on {}", socket.display()))?;
        let reader = std::thread::spawn(move || {
            let mut message = [0; 8192];
            // An empty message is the end; see below.
            while receiver.recv(&mut message).is_ok_and(|length| length > 0) {}
        });
        Ok(Self {
            socket: socket.to_owned(),
            reader: Some(reader),
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let ended = UnixDatagram::unbound().and_then(|sender| sender.send_to(&[], &self.socket));
        if let (Ok(_), Some(reader)) = (ended, self.reader.take()) {
            let _ = reader.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_messages_and_ends() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("log");

        let sink = Sink::open(&socket).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        // More than a socket buffers, so that somebody must read.
        for _ in 0..2000 {
            sender.send_to(&[b'x'; 1000], &socket).unwrap();
        }
        drop(sink);

        assert!(sender.send_to(b"x", &socket).is_err());
    }
}
