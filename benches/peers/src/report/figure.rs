//! The figures of a measurement that are reported.

use super::{Entry, WorkResult};
use crate::compare::{Sample, Unit};
use crate::stats::Summary;

/// A figure of a measurement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Figure {
    /// Units per second.
    Rate,
    /// Processor time of the balancer for a unit, in microseconds; for idle
    /// connections for a second.
    Cpu,
    /// The same of the whole machine.
    Machine,
    P50,
    P99,
    P999,
    /// Context switches of the balancer for a unit.
    Switches,
    /// Failures that clients saw.
    Errors,
    /// Memory before the first client, in MiB.
    Rest,
    /// Memory at the end of the measurement, in MiB.
    Memory,
    /// Growth of the memory in the measurement, in MiB.
    Growth,
    /// Growth of the kernel's memory for sockets, in MiB.
    Sockets,
    /// Memory for each idle connection, in bytes.
    PerConnection,
    /// Descriptors for each idle connection.
    Descriptors,
}

const MIB: f64 = 1_048_576.0;

impl Figure {
    /// What the tables of a work show.
    pub(crate) fn shown(work: &WorkResult) -> Vec<Self> {
        if work.unit == Unit::Idle {
            return vec![
                Self::Rest,
                Self::PerConnection,
                Self::Descriptors,
                Self::Sockets,
                Self::Cpu,
            ];
        }
        let mut shown = vec![
            Self::Rate,
            Self::Cpu,
            Self::Machine,
            Self::P50,
            Self::P99,
            Self::P999,
            Self::Switches,
        ];
        if work.load.stalled.is_some() {
            shown.extend([Self::Growth, Self::Sockets]);
        }
        if work.group == "growth" {
            shown.push(Self::Memory);
        }
        let failed = |sample: &Sample| sample.client.errors > 0;
        if work
            .entries
            .iter()
            .any(|entry| entry.rounds.iter().flatten().any(failed))
        {
            shown.push(Self::Errors);
        }
        shown
    }

    /// What ours and theirs are compared by.
    pub(crate) fn compared(work: &WorkResult) -> &'static [Self] {
        match work.unit {
            Unit::Idle => &[Self::PerConnection, Self::Rest],
            _ => &[Self::Cpu, Self::Rate, Self::P50, Self::P99],
        }
    }

    /// The head of its column.
    pub(crate) fn title(self, unit: Unit) -> &'static str {
        match (self, unit) {
            (Self::Rate, Unit::MiB) => "MiB/s",
            (Self::Rate, _) => "per s",
            (Self::Cpu, Unit::Idle) => "CPU us/s",
            (Self::Cpu, _) => "CPU us",
            (Self::Machine, _) => "machine us",
            (Self::P50, _) => "p50 us",
            (Self::P99, _) => "p99 us",
            (Self::P999, _) => "p99.9 us",
            (Self::Switches, _) => "switches",
            (Self::Errors, _) => "errors",
            (Self::Rest, _) => "at rest MiB",
            (Self::Memory, _) => "memory MiB",
            (Self::Growth, _) => "growth MiB",
            (Self::Sockets, _) => "sockets MiB",
            (Self::PerConnection, _) => "bytes each",
            (Self::Descriptors, _) => "descriptors each",
        }
    }

    /// Its value in one sample, if there is one.
    pub(crate) fn of(self, sample: &Sample, work: &WorkResult) -> Option<f64> {
        let client = &sample.client;
        let units = match work.unit {
            Unit::Idle => client.seconds,
            _ => client.units as f64,
        };
        let each = |sum: f64| (units > 0.0).then(|| sum / units);
        let latency = |value: f64| (client.latency_us.count > 0).then_some(value);
        // Those that are still open at the end.
        let open = (client.units > 0).then_some(client.units as f64);
        match self {
            Self::Rate => (work.unit != Unit::Idle).then(|| client.units as f64 / client.seconds),
            Self::Cpu => each(sample.cpu_us?),
            Self::Machine => each(sample.machine_us),
            Self::P50 => latency(client.latency_us.p50),
            Self::P99 => latency(client.latency_us.p99),
            Self::P999 => latency(client.latency_us.p999),
            Self::Switches => each(sample.switches?),
            Self::Errors => Some(client.errors as f64),
            Self::Rest => Some(sample.memory_at_rest? / MIB),
            Self::Memory => Some(sample.memory_loaded? / MIB),
            Self::Growth => Some((sample.memory_loaded? - sample.memory_at_rest?) / MIB),
            Self::Sockets => Some(sample.socket_memory / MIB),
            Self::PerConnection => Some((sample.memory_loaded? - sample.memory_at_rest?) / open?),
            Self::Descriptors => {
                Some((sample.descriptors_loaded? - sample.descriptors_at_rest?) / open?)
            }
        }
    }

    /// What cannot be told from nothing.
    pub(crate) fn noise(self) -> f64 {
        match self {
            // A few pages, divided by thousands of connections.
            Self::PerConnection => 32.0,
            _ => 0.0,
        }
    }

    /// Over all rounds of an entry.
    pub(crate) fn summary(self, entry: &Entry, work: &WorkResult) -> Option<Summary> {
        Summary::of(
            entry
                .rounds
                .iter()
                .flatten()
                .filter_map(|sample| self.of(sample, work)),
        )
    }
}
