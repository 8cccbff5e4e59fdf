//! nginx, with its stream module for bytes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::template::fill;
use super::{Bodies, Place, Protocol, Scene, descriptors, each_backend, program, said, write};

const STREAM: &str = include_str!("../../configs/nginx-stream.conf");
const HTTP: &str = include_str!("../../configs/nginx-http.conf");

/// Where the stream module is.
enum Stream {
    BuiltIn,
    Module(PathBuf),
}

pub(super) fn prepare(scene: &Scene, place: &Place<'_>) -> Result<Command> {
    let (workers, descriptors) = (
        scene.workers.to_string(),
        descriptors(scene.clients).to_string(),
    );
    let (port, directory) = (
        place.port.to_string(),
        place.directory.display().to_string(),
    );
    let servers = each_backend(place, |_, at| {
        format!("        server {at} max_fails=1 fail_timeout=1s;")
    });
    let modules = match stream()? {
        Stream::BuiltIn => String::new(),
        Stream::Module(file) => format!("load_module {};", file.display()),
    };
    let mut values = vec![
        ("WORKERS", workers.as_str()),
        ("DESCRIPTORS", &descriptors),
        ("PORT", &port),
        ("DIRECTORY", &directory),
        ("SERVERS", &servers),
    ];
    let text = match scene.protocol {
        Protocol::Http(_) => {
            values.push(("BUFFERS", buffers(scene.bodies)));
            fill(HTTP, &values)?
        }
        Protocol::Tcp => {
            values.push(("MODULES", &modules));
            values.push(("BUFFER", buffer(scene.bodies)));
            fill(STREAM, &values)?
        }
    };
    let file = place.directory.join("nginx.conf");
    write(&file, &text)?;
    let mut command = Command::new(program("nginx")?);
    command
        .args(["-e", "stderr", "-p"])
        .arg(place.directory)
        .arg("-c")
        .arg(file);
    Ok(command)
}

/// Large streams need large buffers, which each connection has two of.
fn buffer(bodies: Bodies) -> &'static str {
    match bodies {
        Bodies::Small | Bodies::Large => "16k",
        Bodies::Tuned => "1m",
    }
}

/// The same for HTTP, where replies have several.
fn buffers(bodies: Bodies) -> &'static str {
    match bodies {
        Bodies::Small | Bodies::Large => "",
        Bodies::Tuned => {
            "            proxy_buffer_size 64k;\n            \
            proxy_buffers 4 1m;\n            proxy_busy_buffers_size 2m;"
        }
    }
}

pub(super) fn version() -> Result<String> {
    stream()?;
    let line = said(Command::new(program("nginx")?).arg("-v"))?;
    Ok(line.trim_start_matches("nginx version: ").replace('/', " "))
}

/// # Errors
///
/// If nginx has no stream module.
fn stream() -> Result<Stream> {
    let output = Command::new(program("nginx")?)
        .arg("-V")
        .output()
        .context("cannot run nginx")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut words = text.split_whitespace();
    if words.clone().any(|word| word == "--with-stream") {
        return Ok(Stream::BuiltIn);
    }
    let directory = words.find_map(|word| word.strip_prefix("--modules-path="));
    let file =
        PathBuf::from(directory.unwrap_or("/usr/lib/nginx/modules")).join("ngx_stream_module.so");
    if !file.is_file() {
        bail!("nginx has no stream module (Debian: package libnginx-mod-stream)");
    }
    Ok(Stream::Module(file))
}
