//! What a work is: what the client does, and who takes part in which way.

use crate::peer::{Bodies, Extras, Health, Protocol, Scene};

/// One work: the same task for several balancers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    /// What is measured, in a few words for the reports.
    pub(crate) about: &'static str,
    pub(crate) unit: Unit,
    pub(crate) load: Load,
    pub(crate) backends: Backends,
    pub(crate) field: Field,
    /// Whether it is part of a quick comparison.
    pub(crate) quick: bool,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Connection,
    Request,
    MiB,
    /// A connection that stays open; there is no rate.
    Idle,
}

/// What the client does; see its subcommand.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Load {
    pub(crate) kind: &'static str,
    pub(crate) connections: u32,
    /// Requests per second, where the client does not wait for replies.
    pub(crate) rate: Option<u32>,
    /// Bytes of a body.
    pub(crate) size: Option<u64>,
    /// Clients that ask and do not read.
    pub(crate) stalled: Option<u32>,
    pub(crate) headers: &'static [&'static str],
}

/// The servers behind the balancers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Backends {
    /// So many addresses of one process.
    Steady(usize),
    /// So many processes, one of which is killed and started again all the time.
    Failing(usize),
}

/// Who takes part, and in which variants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// Every balancer that can do it, once.
    Each(Protocol),
    /// The same, and once more those that can be told to use larger buffers;
    /// crossroads does so by itself.
    Bodies(Protocol),
    /// Every balancer, with one worker and with two.
    Workers,
    /// Every dispatch mode of crossroads, and those that haproxy has.
    Modes,
    /// Crossroads only: the variants beside one that is plain.
    Ours(&'static [Variant]),
}

/// Crossroads with something added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) extras: Extras,
}

impl Spec {
    /// What the balancers are told by default.
    pub(crate) fn plain(&self, workers: u32) -> Scene {
        let bodies = match (self.load.size, self.load.stalled) {
            (Some(_), None) => Bodies::Large,
            // Of stalled readers nothing counts but what is kept for them.
            _ => Bodies::Small,
        };
        let health = match self.backends {
            Backends::Steady(_) => Health::Steady,
            Backends::Failing(_) => Health::Failing,
        };
        Scene {
            workers,
            clients: self.clients(),
            bodies,
            health,
            ..Scene::TCP
        }
    }

    /// Connections at the same time.
    pub(crate) fn clients(&self) -> u32 {
        self.load.connections + self.load.stalled.unwrap_or(0)
    }

    /// Whether `name` is its name or that of its group.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.group == name
    }
}

impl Field {
    /// The variants in which a balancer may take part; those that it cannot
    /// do are left out later. The name of the plain one is empty.
    pub(crate) fn scenes(self, ours: bool, plain: Scene) -> Vec<(&'static str, Scene)> {
        match self {
            Self::Each(protocol) => vec![("", Scene { protocol, ..plain })],
            Self::Bodies(protocol) => {
                let plain = Scene { protocol, ..plain };
                let tuned = Scene {
                    bodies: Bodies::Tuned,
                    ..plain
                };
                let mut scenes = vec![("", plain), ("with 1 MiB", tuned)];
                scenes.truncate(if ours { 1 } else { 2 });
                scenes
            }
            Self::Workers => vec![
                (
                    "",
                    Scene {
                        workers: 1,
                        ..plain
                    },
                ),
                (
                    "2 workers",
                    Scene {
                        workers: 2,
                        ..plain
                    },
                ),
            ],
            Self::Modes => MODES
                .iter()
                .map(|mode| (*mode, Scene { mode, ..plain }))
                .collect(),
            Self::Ours(_) if !ours => Vec::new(),
            Self::Ours(variants) => {
                let more = variants.iter().map(|variant| {
                    let Variant { name, mode, extras } = *variant;
                    (
                        name,
                        Scene {
                            mode,
                            extras,
                            ..plain
                        },
                    )
                });
                std::iter::once(("", plain)).chain(more).collect()
            }
        }
    }
}

const MODES: [&str; 7] = [
    "roundrobin",
    "random",
    "byorder",
    "byconnections",
    "bysize over 100",
    "byduration over 100",
    "byclientip lax",
];

#[cfg(test)]
mod tests {
    use super::super::variants::PATHS;
    use super::*;

    #[test]
    fn only_ours_takes_part_where_others_cannot() {
        assert!(Field::Ours(PATHS).scenes(false, Scene::TCP).is_empty());
        assert_eq!(
            Field::Ours(PATHS).scenes(true, Scene::TCP).len(),
            PATHS.len() + 1
        );
    }
}
