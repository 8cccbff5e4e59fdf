//! haproxy.

use std::process::Command;

use anyhow::{Context, Result};

use super::template::fill;
use super::{Bodies, Place, Protocol, Reuse, Scene, each_backend, program, room, said, write};

const TCP: &str = include_str!("../../configs/haproxy-tcp.cfg");
const HTTP: &str = include_str!("../../configs/haproxy-http.cfg");

/// Its word for a dispatch mode of crossroads, if it has one.
pub(super) fn balance(mode: &str) -> Option<&'static str> {
    match mode {
        "roundrobin" => Some("roundrobin"),
        "byconnections" => Some("leastconn"),
        "random" => Some("random"),
        _ => None,
    }
}

pub(super) fn prepare(scene: &Scene, place: &Place<'_>) -> Result<Command> {
    let (workers, clients) = (scene.workers.to_string(), room(scene.clients).to_string());
    let port = place.port.to_string();
    let servers = each_backend(place, |number, at| match scene.protocol {
        Protocol::Tcp => format!("    server s{number} {at}"),
        Protocol::Http(_) => format!("    server s{number} {at} cookie s{number}"),
    });
    let mut values = vec![
        ("WORKERS", workers.as_str()),
        ("CLIENTS", &clients),
        ("PORT", &port),
        ("BALANCE", balance(scene.mode).unwrap_or("roundrobin")),
        ("PIPES", pipes(scene.bodies)),
        ("SPLICE", splice(scene.bodies)),
        ("SERVERS", &servers),
    ];
    let text = match scene.protocol {
        Protocol::Tcp => fill(TCP, &values)?,
        Protocol::Http(reuse) => {
            values.push(("REUSE", sharing(reuse)));
            fill(HTTP, &values)?
        }
    };
    let file = place.directory.join("haproxy.cfg");
    write(&file, &text)?;
    let mut command = Command::new(program("haproxy")?);
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

/// Left to itself haproxy does not splice here; told to do so it also splices
/// what is small, with twice the system calls. So it is told where that pays.
fn splice(bodies: Bodies) -> &'static str {
    match bodies {
        Bodies::Small => "    option splice-auto",
        Bodies::Large | Bodies::Tuned => "    option splice-request\n    option splice-response",
    }
}

/// With pipes of its default size, 64 KiB, it needs twice the time.
fn pipes(bodies: Bodies) -> &'static str {
    match bodies {
        Bodies::Small | Bodies::Large => "",
        Bodies::Tuned => "    tune.pipesize 1048576",
    }
}

/// Its word for what crossroads does.
fn sharing(reuse: Reuse) -> &'static str {
    match reuse {
        Reuse::Safe => "always",
        Reuse::Never => "never",
    }
}

pub(super) fn version() -> Result<String> {
    let line = said(Command::new(program("haproxy")?).arg("-v"))?;
    let version = line.strip_prefix("HAProxy version ");
    let version = version.and_then(|rest| rest.split_whitespace().next());
    let version = version.with_context(|| format!("haproxy -v says `{line}`"))?;
    Ok(format!("haproxy {version}"))
}
