//! What was found, and its forms: text, Markdown, JSON, pictures.

mod chart;
mod figure;
mod ratio;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

pub(crate) use figure::Figure;

use crate::compare::{Calls, Effort, Load, Sample, Unit};
use crate::machine::Machine;

/// Everything that a comparison has found.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) effort: Effort,
    pub(crate) seed: u64,
    pub(crate) works: Vec<WorkResult>,
}

/// What was found in one work.
#[derive(Debug, Serialize)]
pub(crate) struct WorkResult {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) about: &'static str,
    pub(crate) unit: Unit,
    pub(crate) load: Load,
    pub(crate) entries: Vec<Entry>,
}

/// What was found for one balancer in one work.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) peer: String,
    pub(crate) side: Side,
    /// What is special about it here; empty if nothing is.
    pub(crate) variant: &'static str,
    /// One for each round, in order; none if it failed.
    pub(crate) rounds: Vec<Option<Sample>>,
    /// System calls per unit, if they were counted.
    pub(crate) calls: Option<Calls>,
    /// Why there are rounds without a sample.
    pub(crate) failed: Option<String>,
}

/// Whose balancer it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Ours,
    Theirs,
    /// No balancer.
    None,
}

impl Entry {
    /// What the reports call it.
    pub(crate) fn title(&self) -> String {
        match self.variant {
            "" => self.peer.clone(),
            variant => format!("{}, {variant}", self.peer),
        }
    }
}

/// Writes all forms but the text into a directory.
///
/// # Errors
///
/// If a file cannot be written.
pub(crate) fn write(results: &Results, directory: &Path) -> Result<()> {
    let put = |name: &str, text: &str| {
        let file = directory.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    put("results.json", &serde_json::to_string_pretty(results)?)?;
    put("results.md", &table::markdown(results))?;
    for (name, picture) in chart::pictures(results)? {
        put(name, &picture)?;
    }
    Ok(())
}

/// The tables of one work, for a terminal.
pub(crate) fn text(work: &WorkResult) -> String {
    table::text(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Latency, Outcome, SPECS};

    /// The work `keep` with entries that were not measured.
    pub(super) fn work(entries: &[(&str, Side, &'static str)]) -> WorkResult {
        let spec = SPECS.iter().find(|spec| spec.name == "keep").unwrap();
        let entry = |(peer, side, variant): &(&str, Side, &'static str)| Entry {
            peer: (*peer).to_owned(),
            side: *side,
            variant,
            rounds: Vec::new(),
            calls: None,
            failed: None,
        };
        WorkResult {
            name: spec.name,
            group: spec.group,
            about: spec.about,
            unit: spec.unit,
            load: spec.load,
            entries: entries.iter().map(entry).collect(),
        }
    }

    /// So many requests in a second, and the processor time in microseconds.
    pub(super) fn sample(units: u64, cpu_us: f64) -> Sample {
        let latency_us = Latency {
            p50: 50.0,
            p99: 90.0,
            p999: 99.0,
            count: units,
            ..Latency::default()
        };
        let client = Outcome {
            units,
            bytes: 0,
            seconds: 1.0,
            errors: 0,
            first_error: None,
            latency_us,
        };
        Sample {
            client,
            observed: 1.0,
            cpu_us: Some(cpu_us),
            machine_us: 2.0 * cpu_us,
            strangers: 0.0,
            switches: Some(1.0),
            memory_at_rest: Some(1e6),
            memory_loaded: Some(2e6),
            descriptors_at_rest: Some(10.0),
            descriptors_loaded: Some(20.0),
            socket_memory: 0.0,
        }
    }
}
