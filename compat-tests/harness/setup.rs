//! A configuration in the making.

use std::ffi::OsString;
use std::fmt::Write;

use super::proxy::Listening;
use super::{Port, Proxy, Sandbox};

/// One configuration file, the flags that go with it, and its sandbox.
///
/// Every service gets a port and a key of shared memory of its own, and listens
/// on 127.0.0.1 unless its text says otherwise.
pub(crate) struct Setup {
    sandbox: Sandbox,
    services: Vec<ServiceText>,
    flags: Vec<String>,
}

struct ServiceText {
    listening: Listening,
    body: String,
}

impl Setup {
    /// A configuration with one service `shop`; `body` holds its statements
    /// except port, key and back ends.
    pub(crate) fn new(body: &str) -> Self {
        let setup = Self {
            sandbox: Sandbox::new(),
            services: Vec::new(),
            flags: ["-W", "no-W17", "-W", "no-W20"].map(str::to_owned).to_vec(),
        };
        setup.service("shop", body)
    }

    /// A configuration with one service `shop` of `type http`.
    pub(crate) fn http(body: &str) -> Self {
        Self::new(&format!("type http; {body}"))
    }

    /// Adds a service.
    pub(crate) fn service(mut self, name: &str, body: &str) -> Self {
        let listening = Listening {
            name: name.to_owned(),
            port: Port::reserve(),
            key: self.sandbox.key(),
        };
        self.services.push(ServiceText {
            listening,
            body: body.to_owned(),
        });
        self
    }

    /// Adds a back end to the service that was added last.
    pub(crate) fn backend(mut self, name: &str, server: impl AsRef<str>, body: &str) -> Self {
        let service = self.services.last_mut().expect("a service");
        let server = server.as_ref();
        write!(
            service.body,
            "\n    backend {name} {{ server {server}; {body} }}"
        )
        .unwrap();
        self
    }

    /// Replaces a word of the services' statements.
    pub(crate) fn replacing(mut self, word: &str, text: &str) -> Self {
        for service in &mut self.services {
            service.body = service.body.replace(word, text);
        }
        self
    }

    /// Adds flags to every command.
    pub(crate) fn flags<S: Into<String>>(mut self, flags: impl IntoIterator<Item = S>) -> Self {
        self.flags.extend(flags.into_iter().map(Into::into));
        self
    }

    /// Sets a fixed limit of the specification (8.2), in seconds.
    pub(crate) fn limit(self, name: &str, seconds: f64) -> Self {
        self.flags(["--limit".to_owned(), format!("{name}={seconds}")])
    }

    /// Puts words in front of the program.
    pub(crate) fn wrap<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.sandbox.wrap(wrapper);
        self
    }

    /// The sandbox, for files that the configuration needs.
    pub(crate) fn sandbox(&mut self) -> &mut Sandbox {
        &mut self.sandbox
    }

    /// Writes the file; nothing runs yet.
    pub(crate) fn write(self) -> Proxy {
        let text: String = self.services.iter().map(ServiceText::text).collect();
        let config = self.sandbox.write("crossroads.conf", text);
        let services = self
            .services
            .into_iter()
            .map(|service| service.listening)
            .collect();
        Proxy::new(self.sandbox, config, services, self.flags)
    }

    /// Writes the file and starts the daemon.
    #[track_caller]
    pub(crate) fn start(self) -> Proxy {
        let proxy = self.write();
        proxy.start();
        proxy
    }
}

impl ServiceText {
    fn text(&self) -> String {
        let Listening { name, port, key } = &self.listening;
        let bind = if self.body.contains("bindto") {
            ""
        } else {
            "bindto 127.0.0.1; "
        };
        let (port, body) = (port.number(), &self.body);
        format!("service {name} {{\n    port {port}; shmkey {key}; {bind}{body}\n}}\n")
    }
}
