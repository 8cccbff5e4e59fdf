//! The program under test with one configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::http::HttpClient;
use super::program::{Program, Run, Running};
use super::segment::PID;
use super::{Client, Port, Process, Sandbox, Segment, Status, pace, until};

/// Where a service listens and where its state lives.
pub(crate) struct Listening {
    pub(crate) name: String,
    pub(crate) port: Port,
    pub(crate) key: u32,
}

/// A configuration file and the commands that are run with it.
///
/// A daemon that still runs at the end of a case is stopped by the command
/// `stop`, and that must succeed.
pub(crate) struct Proxy {
    services: Vec<Listening>,
    flags: Vec<String>,
    config: PathBuf,
    sandbox: Sandbox,
}

impl Proxy {
    pub(crate) fn new(
        sandbox: Sandbox,
        config: PathBuf,
        services: Vec<Listening>,
        flags: Vec<String>,
    ) -> Self {
        Self {
            services,
            flags,
            config,
            sandbox,
        }
    }

    /// The sandbox.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The sandbox, to be changed.
    pub(crate) fn sandbox_mut(&mut self) -> &mut Sandbox {
        &mut self.sandbox
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// The text of the configuration file.
    pub(crate) fn config_text(&self) -> String {
        std::fs::read_to_string(&self.config).expect("the configuration")
    }

    /// Replaces the text of the configuration file.
    pub(crate) fn rewrite(&self, text: &str) {
        std::fs::write(&self.config, text).expect("the configuration");
    }

    /// A command with the configuration and the flags of this case.
    pub(crate) fn command<S: AsRef<str>>(&self, words: impl IntoIterator<Item = S>) -> Program {
        self.sandbox
            .program()
            .args(["-c"])
            .args([&self.config])
            .args(&self.flags)
            .args(words.into_iter().map(|word| word.as_ref().to_owned()))
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run<S: AsRef<str>>(&self, words: impl IntoIterator<Item = S>) -> Run {
        self.command(words).run()
    }

    /// Starts the daemon; it must be silent about it.
    #[track_caller]
    pub(crate) fn start(&self) {
        let run = self.run(["start"]);
        assert_eq!(run.clean(), "", "start is silent");
    }

    /// Starts the daemon in the foreground and waits until it serves.
    #[track_caller]
    pub(crate) fn start_foreground(&self) -> Running {
        let running = self.command(["-f", "start"]).spawn();
        until("the foreground daemon serves", || {
            self.run(["status", "-j"]).code == Some(0) && self.is_running()
        });
        running
    }

    /// Stops the daemon without grace; it must succeed.
    #[track_caller]
    pub(crate) fn stop(&self) {
        let run = self.run(["-g", "0", "stop"]);
        assert_eq!(run.clean(), "", "stop is silent");
    }

    /// Whether the first service runs.
    pub(crate) fn is_running(&self) -> bool {
        self.status().service(&self.services[0].name).running()
    }

    /// The daemon's process.
    #[track_caller]
    pub(crate) fn process(&self) -> Process {
        let pid = self.shop_number("pid");
        Process(u32::try_from(pid).expect("a pid"))
    }

    /// Kills the daemon with SIGKILL and waits until it has gone.
    #[track_caller]
    pub(crate) fn kill(&self) -> Process {
        let process = Process(u32::from_ne_bytes(self.segment().read(PID)));
        process.signal(Signal::SIGKILL);
        process.await_end();
        process
    }

    /// What `status -j` says now.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        Status::parse(self.run(["status", "-j"]).ok())
    }

    /// A number of the first service.
    #[track_caller]
    pub(crate) fn shop_number(&self, field: &str) -> u64 {
        self.status().service(&self.services[0].name).number(field)
    }

    /// A number of a back end of the first service.
    #[track_caller]
    pub(crate) fn number(&self, backend: &str, field: &str) -> u64 {
        let status = self.status();
        status
            .service(&self.services[0].name)
            .backend(backend)
            .number(field)
    }

    /// The state of a back end of the first service.
    #[track_caller]
    pub(crate) fn state(&self, backend: &str) -> String {
        let status = self.status();
        status
            .service(&self.services[0].name)
            .backend(backend)
            .state()
            .to_owned()
    }

    /// The reason of a back end of the first service.
    #[track_caller]
    pub(crate) fn reason(&self, backend: &str) -> String {
        let status = self.status();
        status
            .service(&self.services[0].name)
            .backend(backend)
            .text("reason")
            .to_owned()
    }

    /// Waits until a back end of the first service is in `state`.
    #[track_caller]
    pub(crate) fn await_state(&self, backend: &str, state: &str) {
        until(&format!("{backend} is {state}"), || {
            self.state(backend) == state
        });
    }

    /// Waits until no connection is active, in the first service and in all of
    /// its back ends, and until the numbers shown are those of that moment.
    #[track_caller]
    pub(crate) fn await_idle(&self) {
        // Numbers are published every 200 ms at least, so those that are shown
        // after a pause are later than everything that came before the call.
        pace(Duration::from_millis(300));
        until("all active numbers are 0", || {
            let status = self.status();
            let shop = status.service(&self.services[0].name);
            shop.number("active") == 0
                && shop
                    .backends()
                    .iter()
                    .all(|backend| backend.number("active") == 0)
        });
    }

    /// Sets the state of a back end of the first service.
    #[track_caller]
    pub(crate) fn tell(&self, backend: &str, state: &str) {
        let run = self.run(["tell", &self.services[0].name, backend, state]);
        run.clean();
    }

    /// The first service's key of shared memory.
    pub(crate) fn key(&self) -> u32 {
        self.services[0].key
    }

    /// The first service's shared memory object.
    pub(crate) fn segment(&self) -> Segment {
        Segment::of(self.key())
    }

    /// Where the first service listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.services[0].port.local()
    }

    /// The first service's port.
    pub(crate) fn port(&self) -> u16 {
        self.services[0].port.number()
    }

    /// Where the service called `name` listens.
    pub(crate) fn address_of(&self, name: &str) -> SocketAddr {
        let service = self.services.iter().find(|service| service.name == name);
        service.expect("a service of the case").port.local()
    }

    /// Connects to the first service.
    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Connects to the first service to speak HTTP.
    #[track_caller]
    pub(crate) fn http(&self) -> HttpClient {
        HttpClient::connect(self.address())
    }

    /// Connects to the first service and reads the line in which a mock back
    /// end says who it is.
    #[track_caller]
    pub(crate) fn greeted(&self) -> (Client, String) {
        let mut client = self.connect();
        let name = client.line();
        (client, name)
    }

    /// One client after the other, each served to its end; gives who served.
    #[track_caller]
    pub(crate) fn visits(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.visit()).collect()
    }

    /// One client, served to its end; gives who served.
    #[track_caller]
    pub(crate) fn visit(&self) -> String {
        let (mut client, name) = self.greeted();
        client.finish_sending();
        client.rest();
        name
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() || self.sandbox.processes().is_empty() {
            return;
        }
        self.stop();
    }
}
