//! Which daemons run for a configuration, and what they say of its services
//! (2.3, 14.4).
//!
//! A daemon is found by the shared memory objects of the services in the file,
//! and by its control socket, when it was started from the same path. So a file
//! that was edited since the start hides nothing.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::base::limits::Limits;
use crate::cli::exit::causes;
use crate::control::client::{RunningDaemon, running_daemons};
use crate::control::rundir::RunDir;
use crate::status::owner::{Liveness, Processes, process_start};
use crate::status::read::{OpenError, StatusReader, list};
use crate::status::snapshot::ServiceSnapshot;

/// A service as far as the file could be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Expected {
    /// Its name.
    pub(super) name: String,
    /// The key of its shared memory object.
    pub(super) key: u32,
}

/// A process that runs services.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Daemon {
    /// Its process id.
    pub(super) pid: u32,
    /// Start of its process in clock ticks; with the pid it is unmistakable.
    pub(super) start: u64,
    /// Its control socket.
    pub(super) socket: PathBuf,
}

/// Where a service was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// In the configuration file.
    InFile,
    /// Only in the shared memory of a running daemon.
    NotInFile,
}

/// What became of a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// It runs.
    Running(Box<ServiceSnapshot>),
    /// Its daemon is gone, its object is still there.
    LeftOver {
        /// The process that it was.
        pid: u32,
    },
    /// There is no object of it.
    NotRunning,
    /// There is an object in its place that cannot be read.
    Unreadable(String),
}

/// One service with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sighting {
    /// Its name.
    pub(super) name: String,
    /// Where it was found.
    pub(super) place: Place,
    /// What became of it.
    pub(super) standing: Standing,
}

/// What runs for a configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Survey {
    /// The services of the file in its order, then those that are no longer in
    /// it, by their keys.
    pub(super) services: Vec<Sighting>,
    /// The daemons, by process id.
    pub(super) daemons: Vec<Daemon>,
}

impl Survey {
    /// A line for each service whose object is there but cannot be read.
    pub(super) fn unreadable(&self) -> Vec<String> {
        let services = self.services.iter();
        services
            .filter_map(|service| match &service.standing {
                Standing::Unreadable(why) => Some(format!("service {}: {why}", service.name)),
                _ => None,
            })
            .collect()
    }
}

/// What stands at one key.
#[derive(Clone, Debug, PartialEq)]
enum Object {
    Nothing,
    Segment {
        snapshot: Box<ServiceSnapshot>,
        liveness: Liveness,
    },
    Unreadable(String),
}

/// Looks at all objects of `expected` services and asks all sockets in
/// `run_dir` for daemons that were started from `paths`.
///
/// Source: decided (2.3).
pub(super) fn survey(
    expected: &[Expected],
    paths: &[String],
    run_dir: &RunDir,
    limits: &Limits,
) -> Survey {
    let mut processes = Processes::default();
    let objects: Vec<Object> = expected
        .iter()
        .map(|service| object(service.key, limits.record, &mut processes))
        .collect();
    let mut daemons = daemons_of(&objects);
    if has_unknown_socket(run_dir, &daemons) {
        for answer in running_daemons(run_dir, limits.control) {
            add_answer(&mut daemons, answer, paths);
        }
    }
    let others = others(expected, &daemons, limits.record);
    Survey {
        services: arrange(expected, objects, others),
        daemons: daemons.into_values().collect(),
    }
}

/// Daemons that are known by their segments need not be asked who they are;
/// one that is stopped would only cost time.
fn has_unknown_socket(run_dir: &RunDir, known: &BTreeMap<u32, Daemon>) -> bool {
    let sockets = run_dir.sockets();
    sockets.iter().any(|(pid, _)| !known.contains_key(pid))
}

fn object(key: u32, record_limit: Duration, processes: &mut Processes) -> Object {
    match StatusReader::open(key) {
        Ok(None) => Object::Nothing,
        Ok(Some(reader)) => match reader.snapshot(record_limit) {
            Ok(snapshot) => Object::Segment {
                liveness: processes.liveness(&snapshot.header),
                snapshot: Box::new(snapshot),
            },
            Err(error) => Object::Unreadable(format!(
                "shared memory object of key {key:#010x}: {}",
                causes(&error)
            )),
        },
        Err(error @ OpenError::OtherOwner { .. }) => {
            Object::Unreadable(format!("{}; ask as that account", causes(&error)))
        }
        Err(error @ OpenError::System { .. }) => Object::Unreadable(causes(&error)),
    }
}

fn daemons_of(objects: &[Object]) -> BTreeMap<u32, Daemon> {
    let live = objects.iter().filter_map(|object| match object {
        Object::Segment { snapshot, liveness } if *liveness == Liveness::Live => {
            Some(&snapshot.header)
        }
        _ => None,
    });
    live.map(|header| {
        let daemon = Daemon {
            pid: header.pid,
            start: header.process_start,
            socket: PathBuf::from(&header.socket),
        };
        (header.pid, daemon)
    })
    .collect()
}

fn add_answer(known: &mut BTreeMap<u32, Daemon>, answer: RunningDaemon, paths: &[String]) {
    if !paths.contains(&answer.config) || known.contains_key(&answer.pid) {
        return;
    }
    if let Some(start) = process_start(answer.pid) {
        let daemon = Daemon {
            pid: answer.pid,
            start,
            socket: answer.socket,
        };
        known.insert(daemon.pid, daemon);
    }
}

/// Segments of `daemons` whose keys are not those of services in the file.
fn others(
    expected: &[Expected],
    daemons: &BTreeMap<u32, Daemon>,
    record_limit: Duration,
) -> Vec<ServiceSnapshot> {
    if daemons.is_empty() {
        return Vec::new();
    }
    let in_file: HashSet<u32> = expected.iter().map(|service| service.key).collect();
    let keys = list().unwrap_or_default().into_iter();
    let unexpected = keys.filter(|key| !in_file.contains(key));
    unexpected
        .filter_map(|key| {
            let reader = StatusReader::open(key).ok()??;
            let header = reader.header().ok()?;
            let daemon = daemons.get(&header.pid)?;
            if daemon.start != header.process_start {
                return None;
            }
            reader.snapshot(record_limit).ok()
        })
        .collect()
}

/// Puts together what the file expects and what was found.
///
/// A segment under a service's key belongs to that service only if it bears
/// its name: after a service was renamed in the file, the one that runs still
/// has the old name.
fn arrange(
    expected: &[Expected],
    objects: Vec<Object>,
    others: Vec<ServiceSnapshot>,
) -> Vec<Sighting> {
    let mut services = Vec::new();
    let mut extra = Vec::new();
    for (service, object) in expected.iter().zip(objects) {
        let standing = match object {
            Object::Nothing => Standing::NotRunning,
            Object::Unreadable(why) => Standing::Unreadable(why),
            Object::Segment {
                snapshot,
                liveness: Liveness::LeftOver,
            } => Standing::LeftOver {
                pid: snapshot.header.pid,
            },
            Object::Segment { snapshot, .. } if name_in(&snapshot) != service.name => {
                extra.push(*snapshot);
                Standing::NotRunning
            }
            Object::Segment { snapshot, .. } => Standing::Running(snapshot),
        };
        services.push(Sighting {
            name: service.name.clone(),
            place: Place::InFile,
            standing,
        });
    }
    extra.extend(others);
    extra.sort_by_key(|snapshot| snapshot.header.key);
    services.extend(extra.into_iter().map(|snapshot| Sighting {
        name: name_in(&snapshot).to_owned(),
        place: Place::NotInFile,
        standing: Standing::Running(Box::new(snapshot)),
    }));
    services
}

fn name_in(snapshot: &ServiceSnapshot) -> &str {
    &snapshot.service.value.0.name
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::status::snapshot::{
        BackendFacts, BackendNumbers, Phase, Record, SegmentHeader, ServiceFacts, ServiceNumbers,
    };

    /// A segment of a daemon with this process id.
    pub(in crate::cli) fn snapshot(
        key: u32,
        pid: u32,
        name: &str,
        backends: &[&str],
    ) -> ServiceSnapshot {
        let header = SegmentHeader {
            key,
            pid,
            started: 1_772_528_700,
            heartbeat: 0,
            fingerprint: 7,
            phase: Phase::Listening,
            socket: format!("/run/x/{pid}.sock"),
            process_start: 99,
        };
        let facts = ServiceFacts {
            name: name.to_owned(),
            mode: "roundrobin".to_owned(),
            port: 80,
            bind: Ipv4Addr::LOCALHOST.into(),
            http: false,
            shallow: false,
            max_connections: 0,
        };
        let record = |value| Record { value, torn: false };
        ServiceSnapshot {
            header,
            service: Record {
                value: (facts, ServiceNumbers::default()),
                torn: false,
            },
            backends: backends
                .iter()
                .map(|name| record((backend_facts(name), BackendNumbers::at_start(1_772_528_700))))
                .collect(),
        }
    }

    fn backend_facts(name: &str) -> BackendFacts {
        BackendFacts {
            name: name.to_owned(),
            server: "10.0.0.5:80".to_owned(),
            weight: 1,
            decay: 0,
            retries: 0,
            max_connections: 0,
        }
    }

    fn expected(name: &str, key: u32) -> Expected {
        Expected {
            name: name.to_owned(),
            key,
        }
    }

    fn segment(snapshot: ServiceSnapshot, liveness: Liveness) -> Object {
        Object::Segment {
            snapshot: Box::new(snapshot),
            liveness,
        }
    }

    fn summary(services: &[Sighting]) -> Vec<String> {
        services
            .iter()
            .map(|service| {
                let standing = match &service.standing {
                    Standing::Running(snapshot) => format!("running {}", snapshot.header.pid),
                    Standing::LeftOver { pid } => format!("left over {pid}"),
                    Standing::NotRunning => "not running".to_owned(),
                    Standing::Unreadable(why) => why.clone(),
                };
                format!("{} {:?} {standing}", service.name, service.place)
            })
            .collect()
    }

    #[test]
    fn services_stand_in_the_order_of_the_file_and_unknown_ones_last() {
        let file = [expected("a", 9), expected("b", 5), expected("c", 7)];
        let objects = vec![
            segment(snapshot(9, 10, "a", &[]), Liveness::Live),
            Object::Nothing,
            segment(snapshot(7, 11, "c", &[]), Liveness::LeftOver),
        ];
        let others = vec![snapshot(6, 10, "z", &[]), snapshot(3, 10, "y", &[])];

        let services = arrange(&file, objects, others);

        assert_eq!(
            summary(&services),
            [
                "a InFile running 10",
                "b InFile not running",
                "c InFile left over 11",
                "y NotInFile running 10",
                "z NotInFile running 10",
            ]
        );
    }

    #[test]
    fn service_renamed_in_the_file_still_runs_under_its_old_name() {
        let objects = vec![segment(snapshot(9, 10, "old", &[]), Liveness::Live)];

        let services = arrange(&[expected("new", 9)], objects, Vec::new());

        assert_eq!(
            summary(&services),
            ["new InFile not running", "old NotInFile running 10"]
        );
    }

    #[test]
    fn daemons_are_those_of_live_segments_once_each() {
        let objects = [
            segment(snapshot(1, 10, "a", &[]), Liveness::Live),
            segment(snapshot(2, 10, "b", &[]), Liveness::Live),
            segment(snapshot(3, 12, "c", &[]), Liveness::LeftOver),
            Object::Nothing,
        ];

        let daemons = daemons_of(&objects);

        assert_eq!(
            daemons.into_values().collect::<Vec<_>>(),
            [Daemon {
                pid: 10,
                start: 99,
                socket: PathBuf::from("/run/x/10.sock"),
            }]
        );
    }

    #[test]
    fn only_answers_with_the_same_path_count() {
        let own = std::process::id();
        let answer = |config: &str| RunningDaemon {
            pid: own,
            config: config.to_owned(),
            socket: PathBuf::from("/run/x/own.sock"),
        };
        let paths = ["/etc/a.conf".to_owned()];

        let mut known = BTreeMap::new();
        add_answer(&mut known, answer("/etc/b.conf"), &paths);
        assert!(known.is_empty());

        add_answer(&mut known, answer("/etc/a.conf"), &paths);
        assert_eq!(known[&own].start, process_start(own).unwrap());
    }
}
