//! A balancer that takes part in a work.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::interrupt::Interrupt;
use crate::peer::{Peer, Place, Scene};
use crate::process::{Process, Talk};

/// How long a balancer may take to listen.
const START: Duration = Duration::from_secs(10);

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A balancer that runs until this is dropped, or none at all.
#[derive(Debug)]
pub(crate) struct Contestant {
    address: SocketAddr,
    process: Option<Process>,
    segment: PathBuf,
}

impl Contestant {
    /// Starts a balancer and waits until it can be connected to.
    ///
    /// # Errors
    ///
    /// If it cannot; with the end of its log.
    pub(crate) fn start(peer: &Peer, scene: &Scene, stage: &Stage<'_>) -> Result<Self> {
        let mut tries = 0;
        loop {
            let started = Self::attempt(peer, scene, stage);
            tries += 1;
            // Somebody else may take the free port in the meantime.
            match started {
                Err(error) if tries < 3 && is_taken_port(&error) => {}
                started => return started,
            }
        }
    }

    fn attempt(peer: &Peer, scene: &Scene, stage: &Stage<'_>) -> Result<Self> {
        let port = free_port()?;
        fs::create_dir_all(&stage.directory)?;
        let directory = stage.directory.canonicalize()?;
        let (backends, sockets) = (stage.backends, stage.sockets);
        let place = Place {
            port,
            backends,
            directory: &directory,
            sockets,
        };
        let segment = PathBuf::from(format!(
            "/dev/shm/crossroads.{:08x}",
            0x5852_0000 | u32::from(port)
        ));
        let Some(command) = peer.prepare(scene, &place)? else {
            let address = *backends.first().context("no back end")?;
            return Ok(Self {
                address,
                process: None,
                segment,
            });
        };
        let log = directory.join("log");
        let process = Process::start(peer.name(), &command, Talk::Logged, &log)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut contestant = Self {
            address,
            process: Some(process),
            segment,
        };
        contestant.await_service(stage.interrupt)?;
        Ok(contestant)
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All processes of it.
    pub(crate) fn family(&self) -> Vec<u32> {
        let process = self.process.as_ref();
        process
            .map(|process| crate::proc::family(process.pid()))
            .unwrap_or_default()
    }

    /// # Errors
    ///
    /// If it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check)
    }

    /// Waits until a whole exchange succeeds: a port may be open before those
    /// who serve it have begun.
    fn await_service(&mut self, interrupt: &Interrupt) -> Result<()> {
        let deadline = Instant::now() + START;
        while let Err(error) = exchange(self.address) {
            interrupt.check()?;
            self.check()?;
            if Instant::now() >= deadline {
                return Err(error).with_context(|| format!("no reply through {}", self.address));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        self.process = None;
        // Only a crossroads that had to be killed leaves this behind.
        let _ = fs::remove_file(&self.segment);
    }
}

/// Where the balancers of a work are started.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) directory: PathBuf,
    pub(crate) sockets: &'a Path,
    pub(crate) backends: &'a [SocketAddr],
    pub(crate) interrupt: &'a Interrupt,
}

/// One small request and its reply.
fn exchange(with: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&with, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /small HTTP/1.1\r\nHost: peers\r\nConnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    match reply.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(std::io::Error::other("a reply other than 200")),
    }
}

fn is_taken_port(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    ["in use", "cannot bind", "can't bind"]
        .iter()
        .any(|words| text.contains(words))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}
