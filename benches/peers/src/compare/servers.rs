//! The back ends of a work.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::works::Backends;
use crate::interrupt::Interrupt;
use crate::lines::Lines;
use crate::process::{self, Process, Talk};

/// How long a back end may take to listen.
const START: Duration = Duration::from_secs(10);

/// Back ends that run until this is dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    processes: Vec<Server>,
    addresses: Vec<SocketAddr>,
    failing: bool,
}

#[derive(Debug)]
struct Server {
    process: Process,
    // At its end the back end ends too.
    _input: Option<ChildStdin>,
}

impl Servers {
    /// Starts them and waits until all listen.
    ///
    /// # Errors
    ///
    /// If one does not.
    pub(crate) fn start(
        backends: Backends,
        directory: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let (processes, each, failing) = match backends {
            Backends::Steady(count) => (1, count, false),
            Backends::Failing(count) => (count, 1, true),
        };
        let mut servers = Self {
            processes: Vec::new(),
            addresses: Vec::new(),
            failing,
        };
        for _ in 0..processes {
            let (server, addresses) = launch("127.0.0.1:0", each, directory, interrupt)?;
            servers.processes.push(server);
            servers.addresses.extend(addresses);
        }
        Ok(servers)
    }

    /// # Errors
    ///
    /// If one has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let servers = &mut self.processes;
        servers
            .iter_mut()
            .try_for_each(|server| server.process.check())
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What disturbs them while a measurement runs.
    pub(crate) fn trouble<'a>(
        &'a mut self,
        directory: &'a Path,
        interrupt: &'a Interrupt,
    ) -> Trouble<'a> {
        let next = Instant::now();
        Trouble {
            servers: self,
            directory,
            interrupt,
            next,
            victim: 0,
            down: false,
        }
    }
}

/// Kills one server after the other, and starts it again.
#[derive(Debug)]
pub(crate) struct Trouble<'a> {
    servers: &'a mut Servers,
    directory: &'a Path,
    interrupt: &'a Interrupt,
    next: Instant,
    victim: usize,
    down: bool,
}

impl Trouble<'_> {
    /// The processes of the servers that are there now.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let servers = self.servers.processes.iter();
        servers.map(|server| server.process.pid()).collect()
    }

    /// Half of the time between two deaths: so long is a server away.
    ///
    /// A server that failed is tried again after a second, the least that all
    /// can be told; with three of them one is always in use.
    const HALF: Duration = Duration::from_millis(400);

    /// Does what is due; to be called often.
    ///
    /// # Errors
    ///
    /// If a server cannot be started again.
    pub(crate) fn tick(&mut self) -> Result<()> {
        if !self.servers.failing || Instant::now() < self.next {
            return Ok(());
        }
        self.next += Self::HALF;
        match self.down {
            true => self.revive(),
            false => {
                self.servers.processes[self.victim].process.kill();
                self.down = true;
                Ok(())
            }
        }
    }

    /// Brings back the one that is away.
    ///
    /// # Errors
    ///
    /// As [`Trouble::tick`].
    pub(crate) fn end(mut self) -> Result<()> {
        match self.down {
            true => self.revive(),
            false => Ok(()),
        }
    }

    fn revive(&mut self) -> Result<()> {
        let address = self.servers.addresses[self.victim].to_string();
        let (server, _) = launch(&address, 1, self.directory, self.interrupt)?;
        self.servers.processes[self.victim] = server;
        self.victim = (self.victim + 1) % self.servers.processes.len();
        self.down = false;
        Ok(())
    }
}

fn launch(
    listen: &str,
    count: usize,
    directory: &Path,
    interrupt: &Interrupt,
) -> Result<(Server, Vec<SocketAddr>)> {
    let mut command = Command::new(process::OWN);
    command.args(["backend", "--listen", listen, "--count", &count.to_string()]);
    let log = directory.join("backend.log");
    let mut process = Process::start("the back end", &command, Talk::Piped, &log)?;
    let mut lines = Lines::new(process.output()?, interrupt.clone());
    let deadline = Instant::now() + START;
    let mut addresses = Vec::new();
    loop {
        match lines
            .next(deadline)
            .context("the back end does not start")?
            .as_deref()
        {
            Some("ready") => break,
            Some(line) => addresses.push(address(line)?),
            None => bail!("the back end has ended: {}", process.log_tail()),
        }
    }
    let input = process.input();
    Ok((
        Server {
            process,
            _input: input,
        },
        addresses,
    ))
}

fn address(line: &str) -> Result<SocketAddr> {
    let text = line.strip_prefix("listening ");
    let address = text.and_then(|text| text.parse().ok());
    address
        .with_context(|| format!("`listening ADDRESS` is expected of the back end, not `{line}`"))
}
