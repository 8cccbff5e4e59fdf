//! One measurement: a client against one balancer, and what that one used.

use std::path::PathBuf;
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::contestant::Contestant;
use super::options::Effort;
use super::servers::Trouble;
use super::works::Load;
use crate::interrupt::Interrupt;
use crate::lines::Lines;
use crate::proc::{self, Holding, Usage};
use crate::process::{self, Process, Talk};

/// How long a client may take beyond what it was told.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the client says at the end.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) units: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) latency_us: Latency,
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) count: u64,
}

/// What one measurement found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) client: Outcome,
    /// Time between the two readings of all counters, in seconds: that of the
    /// client, if the machine was not too busy for prompt readings.
    pub(crate) observed: f64,
    /// Processor time of the balancer, in microseconds; none without one.
    pub(crate) cpu_us: Option<f64>,
    /// Processor time of the whole machine, in microseconds.
    pub(crate) machine_us: f64,
    /// The part of it that neither the balancer nor client, back end and this
    /// program had, as a share of all that the machine can do.
    pub(crate) strangers: f64,
    /// Context switches of the balancer.
    pub(crate) switches: Option<f64>,
    /// Of the balancer before the client came, in bytes.
    pub(crate) memory_at_rest: Option<f64>,
    /// Of the balancer at the end of the measurement, in bytes.
    pub(crate) memory_loaded: Option<f64>,
    pub(crate) descriptors_at_rest: Option<f64>,
    pub(crate) descriptors_loaded: Option<f64>,
    /// By how much the kernel's memory for all sockets has grown, in bytes.
    pub(crate) socket_memory: f64,
}

impl Sample {
    /// Whether the counters were read so late, or early, that they belong to
    /// another stretch of time than what the client counted.
    pub(crate) fn is_askew(&self) -> bool {
        let length = self.client.seconds;
        (self.observed - length).abs() > (0.03 * length).max(0.002)
    }
}

/// What is measured, and how.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) load: Load,
    pub(crate) effort: Effort,
    pub(crate) client_threads: u32,
    pub(crate) directory: PathBuf,
    pub(crate) interrupt: Interrupt,
}

/// Measures one balancer once.
///
/// # Errors
///
/// If the client cannot do its work at all, or the balancer ends.
pub(crate) fn measure(
    task: &Task,
    contestant: &mut Contestant,
    mut trouble: Trouble<'_>,
) -> Result<Sample> {
    contestant.check()?;
    let family = contestant.family();
    let (rest, sockets) = (proc::holding(&family), proc::tcp_memory());
    let mut client = Client::start(task, contestant)?;
    client.expect("ready")?;
    client.expect("begin")?;
    let own = [client.process.pid(), std::process::id()];
    let before = Moment::of(&family, &[trouble.processes(), own.to_vec()].concat());
    client.expect_while("end", || trouble.tick())?;
    // Servers that were started meanwhile are others than before; what the
    // killed ones had used is now in the account of this program.
    let after = Moment::of(&family, &[trouble.processes(), own.to_vec()].concat());
    let loaded = proc::holding(&family);
    let readings = Readings {
        before,
        after,
        rest,
        loaded,
        socket_memory: proc::tcp_memory() as f64 - sockets as f64,
    };
    let outcome = client.outcome()?;
    trouble.end()?;
    contestant.check()?;
    let presence = match family.is_empty() {
        true => Presence::None,
        false => Presence::Balancer,
    };
    Ok(readings.sample(outcome, presence))
}

/// Lets a client work without measuring anything; for a tracer.
///
/// # Errors
///
/// As [`measure`].
pub(crate) fn exercise(task: &Task, contestant: &mut Contestant) -> Result<Outcome> {
    let mut client = Client::start(task, contestant)?;
    for word in ["ready", "begin", "end"] {
        client.expect(word)?;
    }
    let outcome = client.outcome()?;
    contestant.check()?;
    Ok(outcome)
}

/// Counters at one moment.
struct Moment {
    at: Instant,
    usage: Usage,
    /// Of client, back end and this program.
    others: Usage,
    machine: Duration,
}

impl Moment {
    fn of(family: &[u32], others: &[u32]) -> Self {
        let (at, machine) = (Instant::now(), proc::machine_busy());
        Self {
            at,
            usage: proc::usage(family),
            others: proc::usage(others),
            machine,
        }
    }
}

/// Whether there is a balancer at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Presence {
    Balancer,
    None,
}

/// All counters around one measurement.
struct Readings {
    before: Moment,
    after: Moment,
    rest: Holding,
    loaded: Holding,
    socket_memory: f64,
}

impl Readings {
    fn sample(&self, client: Outcome, presence: Presence) -> Sample {
        let there = |value: f64| (presence == Presence::Balancer).then_some(value);
        let used = self.after.usage - self.before.usage;
        let machine = self.after.machine.saturating_sub(self.before.machine);
        let observed = self.after.at.saturating_duration_since(self.before.at);
        let known = used.cpu + (self.after.others - self.before.others).cpu;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let all = observed.as_secs_f64() * cores as f64;
        Sample {
            client,
            observed: observed.as_secs_f64(),
            cpu_us: there(used.cpu.as_secs_f64() * 1e6),
            machine_us: machine.as_secs_f64() * 1e6,
            strangers: machine.saturating_sub(known).as_secs_f64() / all,
            switches: there(used.switches as f64),
            memory_at_rest: self.rest.memory.and_then(|bytes| there(bytes as f64)),
            memory_loaded: self.loaded.memory.and_then(|bytes| there(bytes as f64)),
            descriptors_at_rest: there(self.rest.descriptors as f64),
            descriptors_loaded: there(self.loaded.descriptors as f64),
            socket_memory: self.socket_memory,
        }
    }
}

/// A running client.
struct Client {
    process: Process,
    lines: Lines,
    deadline: Instant,
    // At its end the client closes its connections and ends.
    input: Option<ChildStdin>,
}

impl Client {
    fn start(task: &Task, contestant: &Contestant) -> Result<Self> {
        let mut command = Command::new(process::OWN);
        command.arg("client").args(arguments(task, contestant));
        let log = task.directory.join("client.log");
        let mut process = Process::start("the client", &command, Talk::Piped, &log)?;
        let lines = Lines::new(process.output()?, task.interrupt.clone());
        let length = Duration::from_secs_f64(task.effort.seconds + task.effort.warm);
        let deadline = Instant::now() + length + PATIENCE;
        let input = process.input();
        Ok(Self {
            process,
            lines,
            deadline,
            input,
        })
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        self.expect_while(word, || Ok(()))
    }

    fn expect_while(&mut self, word: &str, meanwhile: impl FnMut() -> Result<()>) -> Result<()> {
        let line = self.lines.next_while(self.deadline, meanwhile);
        match line.with_context(|| format!("waiting for `{word}` of the client"))? {
            Some(line) if line == word => Ok(()),
            Some(line) => bail!("the client says `{line}`, not `{word}`"),
            None => bail!("the client has ended: {}", self.process.log_tail()),
        }
    }

    fn outcome(mut self) -> Result<Outcome> {
        let line = self
            .lines
            .next(self.deadline)
            .context("waiting for the client's result")?;
        let Some(line) = line else {
            bail!("the client has ended: {}", self.process.log_tail());
        };
        let outcome = serde_json::from_str(&line);
        let outcome = outcome.with_context(|| format!("the client's result `{line}`"))?;
        drop(self.input.take());
        self.process.wait(self.deadline)?;
        Ok(outcome)
    }
}

fn arguments(task: &Task, contestant: &Contestant) -> Vec<String> {
    let Load {
        kind,
        connections,
        rate,
        size,
        stalled,
        headers,
    } = task.load;
    let mut words = vec![
        ("--to", contestant.address().to_string()),
        ("--work", kind.to_owned()),
        ("--connections", connections.to_string()),
        ("--seconds", task.effort.seconds.to_string()),
        ("--warm", task.effort.warm.to_string()),
        ("--threads", task.client_threads.to_string()),
    ];
    words.extend(rate.map(|rate| ("--rate", rate.to_string())));
    words.extend(size.map(|size| ("--size", size.to_string())));
    words.extend(stalled.map(|stalled| ("--stalled", stalled.to_string())));
    words.extend(
        headers
            .iter()
            .map(|header| ("--header", (*header).to_owned())),
    );
    // What it holds is looked at before it goes.
    std::iter::once("--linger".to_owned())
        .chain(
            words
                .into_iter()
                .flat_map(|(flag, value)| [flag.to_owned(), value]),
        )
        .collect()
}
