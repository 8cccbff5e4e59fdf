//! pen.

use std::process::Command;

use anyhow::Result;

use super::template::fill;
use super::{Health, Place, Scene, each_backend, program, room, said, write};

const ARGUMENTS: &str = include_str!("../../configs/pen.args");

pub(super) fn prepare(scene: &Scene, place: &Place<'_>) -> Result<Command> {
    let (clients, port) = (room(scene.clients).to_string(), place.port.to_string());
    let servers = each_backend(place, |_, at| at.to_string());
    let turns = match scene.health {
        Health::Steady => "-r",
        Health::Failing => "",
    };
    let values = [
        ("TURNS", turns),
        ("CLIENTS", &clients),
        ("PORT", &port),
        ("SERVERS", &servers),
    ];
    let text = fill(ARGUMENTS, &values)?;
    write(&place.directory.join("pen.args"), &text)?;
    let mut command = Command::new(program("pen")?);
    command.args(arguments(&text));
    Ok(command)
}

/// pen itself does not tell; the package does, where there is one.
pub(super) fn version() -> Result<String> {
    program("pen")?;
    let mut query = Command::new("dpkg-query");
    let version = said(query.args(["-W", "-f", "${Version}", "pen"]));
    Ok(format!(
        "pen {}",
        version.as_deref().unwrap_or("of unknown version")
    ))
}

fn arguments(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_arguments() {
        let words: Vec<_> = arguments("# a b\n-f\n-x 20\n\n127.0.0.1:1\n").collect();

        assert_eq!(words, ["-f", "-x", "20", "127.0.0.1:1"]);
    }
}
