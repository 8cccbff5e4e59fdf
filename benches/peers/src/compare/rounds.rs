//! The rounds of one work: everybody in turn, in another order each time.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::contestant::{Contestant, Stage};
use super::measure::{self, Sample, Task};
use super::options::{Effort, Options};
use super::servers::Servers;
use super::sink::Sink;
use super::trace;
use super::works::{Spec, Unit};
use crate::interrupt::Interrupt;
use crate::peer::{Peer, Scene};
use crate::report::{Entry, Side, WorkResult};

/// Measures one work with everybody who can do it.
///
/// # Errors
///
/// If the servers cannot be started, and on a signal.
pub(super) fn work(
    spec: &'static Spec,
    peers: &[Peer],
    options: &Options,
    interrupt: &Interrupt,
) -> Result<WorkResult> {
    let directory = options.out.join(spec.name);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let sockets = tempfile::Builder::new().prefix("peers").tempdir()?;
    let _log = Sink::open(&crate::peer::log_socket(sockets.path()))?;
    let mut rounds = Rounds {
        spec,
        options,
        effort: options.effort()?.for_connections(spec.load.connections),
        servers: Servers::start(spec.backends, &directory, interrupt)?,
        directory,
        sockets: sockets.path(),
        interrupt,
        turns: turns(spec, peers, options.workers),
    };
    rounds.run()?;
    Ok(WorkResult {
        name: spec.name,
        group: spec.group,
        about: spec.about,
        unit: spec.unit,
        load: spec.load,
        entries: rounds.turns.into_iter().map(|turn| turn.entry).collect(),
    })
}

/// How often a measurement is tried whose counters were read late.
const TRIES: u32 = 4;

/// A work that is being measured.
struct Rounds<'a> {
    spec: &'static Spec,
    options: &'a Options,
    effort: Effort,
    servers: Servers,
    directory: PathBuf,
    sockets: &'a Path,
    interrupt: &'a Interrupt,
    turns: Vec<Turn>,
}

/// One who takes part, and what was found so far.
struct Turn {
    peer: Peer,
    scene: Scene,
    running: Option<Contestant>,
    entry: Entry,
}

impl Rounds<'_> {
    fn run(&mut self) -> Result<()> {
        for turn in 0..self.turns.len() {
            self.attempt(turn, Self::start)?;
        }
        for round in 0..self.effort.rounds {
            for turn in order(self.turns.len(), self.options.seed, round) {
                self.attempt(turn, Self::measure)?;
                let entry = &mut self.turns[turn].entry;
                // Rounds are compared by their place.
                entry.rounds.resize(round as usize + 1, None);
            }
        }
        if self.options.strace {
            for turn in 0..self.turns.len() {
                self.attempt(turn, Self::trace)?;
            }
        }
        Ok(())
    }

    /// Does something for one who has not failed yet. A failure is noted and
    /// ends the part of that one alone.
    fn attempt(&mut self, turn: usize, act: fn(&mut Self, usize) -> Result<()>) -> Result<()> {
        if self.turns[turn].entry.failed.is_some() {
            return Ok(());
        }
        if let Err(error) = act(self, turn) {
            self.interrupt.check()?;
            let turn = &mut self.turns[turn];
            turn.entry.failed = Some(format!("{error:#}"));
            turn.running = None;
        }
        Ok(())
    }

    fn start(&mut self, turn: usize) -> Result<()> {
        let stage = Stage {
            directory: self
                .directory
                .join(file_name(&self.turns[turn].entry.title())),
            sockets: self.sockets,
            backends: self.servers.addresses(),
            interrupt: self.interrupt,
        };
        let turn = &mut self.turns[turn];
        turn.running = None;
        turn.running = Some(Contestant::start(&turn.peer, &turn.scene, &stage)?);
        Ok(())
    }

    /// Measures, and once more if somebody else kept the machine busy.
    fn measure(&mut self, turn: usize) -> Result<()> {
        let mut sample = self.sample(turn)?;
        for _ in 1..TRIES {
            if !sample.is_askew() {
                break;
            }
            sample = self.sample(turn)?;
        }
        self.turns[turn].entry.rounds.push(Some(sample));
        Ok(())
    }

    fn sample(&mut self, turn: usize) -> Result<Sample> {
        // Memory that was used and freed would hide what a connection needs.
        if self.spec.unit == Unit::Idle || self.spec.load.stalled.is_some() {
            self.start(turn)?;
        }
        let task = self.task(self.effort);
        // Nobody is to be blamed for it.
        self.servers.check()?;
        let trouble = self.servers.trouble(&self.directory, self.interrupt);
        let contestant = self.turns[turn].running.as_mut();
        measure::measure(&task, contestant.context("it does not run")?, trouble)
    }

    fn trace(&mut self, turn: usize) -> Result<()> {
        // The tracer sees all that the client does, so all of it must count.
        let task = self.task(Effort {
            warm: 0.0,
            ..self.effort
        });
        let Turn { running, entry, .. } = &mut self.turns[turn];
        let contestant = running.as_mut().context("it does not run")?;
        entry.calls = trace::calls(&task, contestant)?;
        Ok(())
    }

    fn task(&self, effort: Effort) -> Task {
        Task {
            load: self.spec.load,
            effort,
            client_threads: self.options.client_threads,
            directory: self.directory.clone(),
            interrupt: self.interrupt.clone(),
        }
    }
}

fn turns(spec: &Spec, peers: &[Peer], workers: u32) -> Vec<Turn> {
    let mut turns = Vec::new();
    for peer in peers {
        let side = match peer {
            Peer::Direct => Side::None,
            peer if peer.is_ours() => Side::Ours,
            _ => Side::Theirs,
        };
        for (variant, scene) in spec.field.scenes(side == Side::Ours, spec.plain(workers)) {
            // Without a balancer all variants are the same.
            let again = side == Side::None && turns.iter().any(|turn: &Turn| turn.peer == *peer);
            if again || !peer.can(&scene) {
                continue;
            }
            let entry = Entry {
                peer: peer.name().to_owned(),
                side,
                variant,
                rounds: Vec::new(),
                calls: None,
                failed: None,
            };
            turns.push(Turn {
                peer: peer.clone(),
                scene,
                running: None,
                entry,
            });
        }
    }
    turns
}

/// A title as a name of a directory.
fn file_name(title: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    title.chars().map(letter).collect()
}

/// An order of `count` turns that looks like chance and can be repeated.
fn order(count: usize, seed: u64, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(round) << 32 | 1;
    for place in (1..count).rev() {
        // The steps of xorshift64*.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let chance = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        order.swap(place, usize::try_from(chance).unwrap_or(0) % (place + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_one_turn_in_each_round() {
        for round in 0..50 {
            let mut order = order(5, 1, round);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn order_changes_with_the_round_and_is_repeated_with_the_seed() {
        let orders = |seed| {
            (0..20)
                .map(|round| order(5, seed, round))
                .collect::<Vec<_>>()
        };

        assert_eq!(orders(1), orders(1));
        assert_ne!(orders(1), orders(2));
        let firsts: std::collections::BTreeSet<_> =
            orders(1).iter().map(|order| order[0]).collect();
        assert_eq!(firsts.len(), 5, "everybody begins sometimes");
    }

    #[test]
    fn floor_is_measured_once_whatever_the_workers() {
        let peers = [Peer::Direct, Peer::Pen];
        let titles = |name: &str, workers| {
            let spec = super::super::SPECS.iter().find(|spec| spec.name == name);
            let turns = turns(spec.unwrap(), &peers, workers);
            turns
                .iter()
                .map(|turn| turn.entry.title())
                .collect::<Vec<_>>()
        };

        assert_eq!(titles("growth-10", 1), ["direct", "pen"]);
        assert_eq!(titles("keep", 1), ["direct", "pen"]);
        assert_eq!(titles("keep", 2), ["direct"]);
    }

    #[test]
    fn title_becomes_a_harmless_name() {
        assert_eq!(file_name("new/1, -A json"), "new-1---A-json");
    }
}
