//! crossroads itself.

use std::fmt::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::process::Command;

use anyhow::{Context, Result};

use super::template::fill;
use super::{Build, Host, Place, Protocol, Reuse, Scene, each_backend, log_socket, write};

const TCP: &str = include_str!("../../configs/crossroads-tcp.conf");
const HTTP: &str = include_str!("../../configs/crossroads-http.conf");

/// What each back end of `type http` is told: the cookie that names it, and
/// the headers that the others add too.
const CHANGES: &str = "stickycookie LANE=s@NUMBER@; \
    addclientheader \"Set-Cookie: LANE=s@NUMBER@; Path=/\"; \
    setserverheader \"X-Forwarded-For: %r\"; \
    setserverheader \"X-Real-Host: peers.example\";";

pub(super) fn prepare(build: &Build, scene: &Scene, place: &Place<'_>) -> Result<Command> {
    let file = place.directory.join("crossroads.conf");
    write(&file, &configuration(scene, place)?)?;
    write(
        &place.directory.join("networks.txt"),
        &networks(scene.extras.networks),
    )?;
    let state = place.sockets.join(place.port.to_string());
    // Two attempts may get the same port.
    let mut private = std::fs::DirBuilder::new();
    private.mode(0o700).recursive(true).create(&state)?;
    let program = build.program.canonicalize();
    let program = program.with_context(|| format!("no program {}", build.program.display()))?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(file)
        .args(["-g", "0", "-W", "no-W17", "-W", "no-W20"]);
    command
        .args(["-w", &scene.workers.to_string()])
        .args(scene.extras.flags);
    command.args(["start", "-f"]);
    command
        .env("CROSSROADS_RUN_DIR", state)
        .env("CROSSROADS_SYSLOG", log_socket(place.sockets));
    Ok(command)
}

fn configuration(scene: &Scene, place: &Place<'_>) -> Result<String> {
    let extras = &scene.extras;
    let (port, directory) = (
        place.port.to_string(),
        place.directory.display().to_string(),
    );
    let servers = each_backend(place, |number, at| {
        let statements = match scene.protocol {
            Protocol::Tcp => String::new(),
            Protocol::Http(_) => CHANGES.replace("@NUMBER@", &number.to_string()),
        };
        let (server, more) = (server(extras.host, at), extras.backend);
        format!("    backend s{number} {{ server {server}; {statements}{more} }}")
    });
    let mut values = vec![
        ("PORT", port.as_str()),
        ("BALANCE", scene.mode),
        ("SERVICE", extras.service),
        ("SERVERS", &servers),
        ("NEIGHBOUR", extras.neighbour),
    ];
    let template = match scene.protocol {
        Protocol::Tcp => TCP,
        Protocol::Http(reuse) => {
            values.push(("REUSE", sharing(reuse)));
            HTTP
        }
    };
    // What is added may speak of the directory.
    let text = fill(template, &values);
    text.map(|text| text.replace("%DIRECTORY%", &directory))
}

fn sharing(reuse: Reuse) -> &'static str {
    match reuse {
        Reuse::Safe => "safe",
        Reuse::Never => "never",
    }
}

fn server(host: Host, at: SocketAddr) -> String {
    match host {
        Host::Address => at.to_string(),
        Host::Name => format!("localhost:{}", at.port()),
    }
}

/// Networks that the client is not in, and as the last one its own.
fn networks(count: u32) -> String {
    let mut text = String::new();
    for number in 1..count {
        let [_, high, low, _] = (number << 8).to_be_bytes();
        // Infallible: a String takes everything.
        let _ = writeln!(text, "10.{high}.{low}.0/24");
    }
    text + "127.0.0.0/8\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Extras, Reuse};
    use super::*;

    fn configuration_of(scene: &Scene) -> String {
        let backends = [
            "127.0.0.1:7001".parse().unwrap(),
            "127.0.0.1:7002".parse().unwrap(),
        ];
        let place = Place {
            port: 8080,
            backends: &backends,
            directory: Path::new("/d"),
            sockets: Path::new("/s"),
        };
        configuration(scene, &place).unwrap()
    }

    #[test]
    fn bytes_need_no_statements() {
        let text = configuration_of(&Scene::TCP);

        assert!(text.contains("port 8080;"), "{text}");
        assert!(
            text.contains("backend s2 { server 127.0.0.1:7002;  }"),
            "{text}"
        );
    }

    #[test]
    fn each_server_has_its_own_cookie() {
        let scene = Scene {
            protocol: Protocol::Http(Reuse::Safe),
            ..Scene::TCP
        };

        let text = configuration_of(&scene);

        assert!(text.contains("reuse safe;"), "{text}");
        assert!(text.contains("stickycookie LANE=s2;"), "{text}");
    }

    #[test]
    fn additions_find_their_directory() {
        let extras = Extras {
            service: "allowfile %DIRECTORY%/n;",
            host: Host::Name,
            ..Extras::NONE
        };

        let text = configuration_of(&Scene {
            extras,
            ..Scene::TCP
        });

        assert!(text.contains("allowfile /d/n;"), "{text}");
        assert!(text.contains("server localhost:7001;"), "{text}");
    }

    #[test]
    fn last_network_is_that_of_the_client() {
        let text = networks(300);

        assert_eq!(text.lines().count(), 300);
        assert!(text.contains("10.1.0.0/24\n"), "{text}");
        assert!(text.ends_with("127.0.0.0/8\n"), "{text}");
    }
}
