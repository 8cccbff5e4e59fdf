//! The balancers: how each of them is told to do the same.

mod crossroads;
mod haproxy;
mod nginx;
mod pen;
mod template;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A balancer that can be started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// No balancer: the client talks to the back end itself.
    Direct,
    /// One build of ours.
    Crossroads(Build),
    Haproxy,
    Nginx,
    Pen,
}

/// A program of ours, and what it is called in the reports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Build {
    pub(crate) label: String,
    pub(crate) program: PathBuf,
}

/// What a balancer is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) protocol: Protocol,
    /// Threads, or processes, that serve clients.
    pub(crate) workers: u32,
    /// How many clients it has at the same time.
    pub(crate) clients: u32,
    pub(crate) bodies: Bodies,
    pub(crate) health: Health,
    /// How back ends are chosen, in the words of crossroads.
    pub(crate) mode: &'static str,
    /// What only crossroads is told.
    pub(crate) extras: Extras,
}

/// What a balancer looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// Nothing: bytes are passed on.
    Tcp,
    /// Each HTTP request, with a cookie set and headers added.
    Http(Reuse),
}

/// What the others are tuned for; crossroads finds out by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bodies {
    Small,
    /// Splicing is switched on; buffers and pipes are what everybody has.
    Large,
    /// The same, with buffers and pipes of 1 MiB.
    Tuned,
}

/// Whether the servers stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Health {
    Steady,
    Failing,
}

/// Whether clients share connections to servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reuse {
    Safe,
    Never,
}

/// Additions to the configuration of crossroads. `%DIRECTORY%` in a text is
/// the directory of its files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extras {
    /// Statements of the service.
    pub(crate) service: &'static str,
    /// Statements of each back end.
    pub(crate) backend: &'static str,
    /// A second back end, which gets no client.
    pub(crate) neighbour: &'static str,
    /// Flags of the command.
    pub(crate) flags: &'static [&'static str],
    /// How back ends are named.
    pub(crate) host: Host,
    /// Networks in the file `networks.txt`; the last one is that of the client.
    pub(crate) networks: u32,
}

/// How the configuration names a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Host {
    Address,
    /// A name that has to be looked up.
    Name,
}

impl Extras {
    /// Nothing is added.
    pub(crate) const NONE: Self = Self {
        service: "",
        backend: "",
        neighbour: "",
        flags: &[],
        host: Host::Address,
        networks: 0,
    };
}

impl Scene {
    /// Bytes passed on by one thread.
    pub(crate) const TCP: Self = Self {
        protocol: Protocol::Tcp,
        workers: 1,
        clients: 64,
        bodies: Bodies::Small,
        health: Health::Steady,
        mode: "roundrobin",
        extras: Extras::NONE,
    };
}

/// Where a balancer finds and leaves things.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The port of 127.0.0.1 to listen on.
    pub(crate) port: u16,
    pub(crate) backends: &'a [SocketAddr],
    /// For its configuration and its log.
    pub(crate) directory: &'a Path,
    /// For sockets, whose names must be short.
    pub(crate) sockets: &'a Path,
}

impl Peer {
    /// All that `--peers` may name, in the order of the reports.
    pub(crate) const NAMES: [&'static str; 5] = ["direct", "crossroads", "haproxy", "nginx", "pen"];

    /// What it is called in the reports.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Direct => "direct",
            Self::Crossroads(build) => &build.label,
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Pen => "pen",
        }
    }

    /// Whether it is a build of ours.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Crossroads(_))
    }

    /// Whether it does what the scene asks.
    pub(crate) fn can(&self, scene: &Scene) -> bool {
        let http = scene.protocol != Protocol::Tcp;
        match self {
            Self::Direct => scene.mode == Scene::TCP.mode,
            Self::Crossroads(_) => true,
            Self::Haproxy => haproxy::balance(scene.mode).is_some(),
            // It cannot keep a connection to a server for one client.
            Self::Nginx => {
                scene.protocol != Protocol::Http(Reuse::Never) && scene.mode == "roundrobin"
            }
            // One process, one thread, and HTTP only in that it adds a header;
            // its buffers are as they are.
            Self::Pen => {
                let same = scene.workers == 1 && scene.bodies != Bodies::Tuned;
                !http && same && scene.mode == "roundrobin"
            }
        }
    }

    /// Writes its configuration; the command starts it in the foreground.
    /// None if there is nothing to start.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub(crate) fn prepare(&self, scene: &Scene, place: &Place<'_>) -> Result<Option<Command>> {
        match self {
            Self::Direct => Ok(None),
            Self::Crossroads(build) => crossroads::prepare(build, scene, place).map(Some),
            Self::Haproxy => haproxy::prepare(scene, place).map(Some),
            Self::Nginx => nginx::prepare(scene, place).map(Some),
            Self::Pen => pen::prepare(scene, place).map(Some),
        }
    }

    /// Its version, in one line.
    ///
    /// # Errors
    ///
    /// If it is not installed, or cannot do what is compared here.
    pub(crate) fn version(&self) -> Result<String> {
        match self {
            Self::Direct => Ok("no balancer".to_owned()),
            Self::Crossroads(build) => said(Command::new(&build.program).arg("-V")),
            Self::Haproxy => haproxy::version(),
            Self::Nginx => nginx::version(),
            Self::Pen => pen::version(),
        }
    }
}

/// Where messages for the system's log go instead: a socket in the directory
/// of sockets.
pub(crate) fn log_socket(sockets: &Path) -> PathBuf {
    sockets.join("log")
}

/// How many clients a balancer is told to be ready for: some more than there
/// are. Not as many as possible, since tables of that length are memory.
fn room(clients: u32) -> u64 {
    u64::from(clients) + 400
}

/// How many descriptors a balancer with so many clients may need: two for each,
/// and some for servers and pipes.
pub(crate) fn descriptors(clients: u32) -> u64 {
    2 * room(clients) + 1100
}

/// Where a program is, also in the directories of the system's own.
fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed"))
}

/// The first line that a command prints.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    match text.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => Ok(line.trim().to_owned()),
        None => bail!("{name} does not say its version"),
    }
}

/// A text for each back end, with its number and address.
fn each_backend(place: &Place<'_>, text: impl Fn(usize, SocketAddr) -> String) -> String {
    let backends = place.backends.iter().enumerate();
    let texts: Vec<_> = backends.map(|(index, at)| text(index + 1, *at)).collect();
    texts.join("\n")
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
