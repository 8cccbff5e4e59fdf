//! What the command line of `compare` says.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::specs::SPECS;
use super::works::Spec;
use crate::peer::{Build, Peer};

/// Options of `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Everything in about two minutes, with few and short rounds: shows what
    /// works and rough figures.
    #[arg(long)]
    quick: bool,
    /// Works, or groups of works, to measure; see --list.
    #[arg(long, value_delimiter = ',', value_name = "WORK")]
    only: Vec<String>,
    /// Balancers to measure: direct, crossroads, haproxy, nginx, pen; default:
    /// all that are installed.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    peers: Vec<String>,
    /// A build of crossroads; may be repeated. The first one is what the
    /// others are compared with.
    #[arg(long, value_name = "LABEL=PATH")]
    crossroads: Vec<String>,
    /// Rounds; in each one every balancer is measured once.
    #[arg(long)]
    rounds: Option<u32>,
    /// Length of one measurement.
    #[arg(long)]
    seconds: Option<f64>,
    /// Time before each measurement in which the same is done uncounted.
    #[arg(long, value_name = "SECONDS")]
    warm: Option<f64>,
    /// Threads or processes of each balancer.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: u32,
    /// Threads of the client.
    #[arg(long, default_value_t = 1)]
    pub(crate) client_threads: u32,
    /// Count system calls, in a further round that is not measured.
    #[arg(long)]
    pub(crate) strace: bool,
    /// Seed of the order in which balancers take their turn.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Directory of the reports, configurations and logs.
    #[arg(long, default_value = "target/peers")]
    pub(crate) out: PathBuf,
    /// Print the works, and do nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Effort {
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) warm: f64,
}

impl Effort {
    /// With as much time as so many connections need until each has had a
    /// turn: 0.2 ms for warming up, and 0.1 ms measured.
    pub(crate) fn for_connections(self, connections: u32) -> Self {
        let connections = f64::from(connections);
        Self {
            warm: self.warm.max(connections * 0.0002),
            seconds: self.seconds.max(connections * 0.0001),
            ..self
        }
    }
}

impl Options {
    /// # Errors
    ///
    /// If nothing would be measured.
    pub(crate) fn effort(&self) -> Result<Effort> {
        let (rounds, seconds, warm) = if self.quick {
            (3, 0.2, 0.05)
        } else {
            (7, 1.0, 0.3)
        };
        let effort = Effort {
            rounds: self.rounds.unwrap_or(rounds),
            seconds: self.seconds.unwrap_or(seconds),
            warm: self.warm.unwrap_or(warm),
        };
        ensure!((1..=1000).contains(&effort.rounds), "--rounds is 1 to 1000");
        ensure!(
            (0.01..=3600.0).contains(&effort.seconds),
            "--seconds is 0.01 to 3600"
        );
        ensure!((0.0..=3600.0).contains(&effort.warm), "--warm is 0 to 3600");
        ensure!((1..=64).contains(&self.workers), "--workers is 1 to 64");
        ensure!(
            (1..=64).contains(&self.client_threads),
            "--client-threads is 1 to 64"
        );
        Ok(effort)
    }

    /// The works to measure.
    ///
    /// # Errors
    ///
    /// If a name is none.
    pub(crate) fn specs(&self) -> Result<Vec<&'static Spec>> {
        for name in &self.only {
            if !SPECS.iter().any(|spec| spec.is_called(name)) {
                bail!("no work or group `{name}`; --list names them");
            }
        }
        let wanted = |spec: &&Spec| match self.only.as_slice() {
            [] => !self.quick || spec.quick,
            only => only.iter().any(|name| spec.is_called(name)),
        };
        Ok(SPECS.iter().filter(wanted).collect())
    }

    /// The balancers to measure, with their versions.
    ///
    /// # Errors
    ///
    /// If one that was asked for is not there, or no crossroads is.
    pub(crate) fn contenders(&self) -> Result<Vec<(Peer, String)>> {
        for name in &self.peers {
            if !Peer::NAMES.contains(&name.as_str()) {
                bail!("no balancer `{name}`; there are {}", Peer::NAMES.join(", "));
            }
        }
        let mut found = Vec::new();
        for name in Peer::NAMES {
            if !self.peers.is_empty() && !self.peers.iter().any(|wanted| wanted == name) {
                continue;
            }
            for peer in self.called(name)? {
                match peer.version() {
                    Ok(version) => found.push((peer, version)),
                    Err(error) if self.peers.is_empty() && !peer.is_ours() => {
                        eprintln!("peers: without {name}: {error:#}");
                    }
                    Err(error) => return Err(error).with_context(|| format!("without {name}")),
                }
            }
        }
        Ok(found)
    }

    fn called(&self, name: &str) -> Result<Vec<Peer>> {
        Ok(match name {
            "direct" => vec![Peer::Direct],
            "haproxy" => vec![Peer::Haproxy],
            "nginx" => vec![Peer::Nginx],
            "pen" => vec![Peer::Pen],
            _ => self.builds()?.into_iter().map(Peer::Crossroads).collect(),
        })
    }

    fn builds(&self) -> Result<Vec<Build>> {
        let own = ["crossroads=../../target/release/crossroads".to_owned()];
        let texts = if self.crossroads.is_empty() {
            &own[..]
        } else {
            &self.crossroads
        };
        let mut builds: Vec<Build> = Vec::new();
        for text in texts {
            let (label, path) = text
                .split_once('=')
                .with_context(|| format!("--crossroads `{text}`: LABEL=PATH is expected"))?;
            ensure!(
                !builds.iter().any(|build| build.label == label)
                    && !Peer::NAMES[2..].contains(&label),
                "--crossroads: the label `{label}` is taken"
            );
            builds.push(Build {
                label: label.to_owned(),
                program: path.into(),
            });
        }
        Ok(builds)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(words: &[&str]) -> Options {
        let words = ["compare"].iter().chain(words);
        Line::try_parse_from(words).unwrap().options
    }

    #[test]
    fn unknown_work_is_named() {
        let error = options(&["--only", "keep,kep"]).specs().unwrap_err();

        assert!(error.to_string().contains("`kep`"), "{error}");
    }

    #[test]
    fn group_stands_for_its_works() {
        let specs = options(&["--only", "http"]).specs().unwrap();

        assert!(specs.len() > 2);
        assert!(specs.iter().all(|spec| spec.group == "http"));
    }

    #[test]
    fn explicit_figures_overrule_quick() {
        let effort = options(&["--quick", "--rounds", "2"]).effort().unwrap();

        assert_eq!((effort.rounds, effort.seconds), (2, 0.2));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(options(&["--seconds", "0"]).effort().is_err());
        assert!(options(&["--peers", "varnish"]).contenders().is_err());
        assert!(options(&["--crossroads", "a"]).builds().is_err());
        assert!(
            options(&["--crossroads", "a=x", "--crossroads", "a=y"])
                .builds()
                .is_err()
        );
        assert!(options(&["--crossroads", "pen=x"]).builds().is_err());
    }
}
