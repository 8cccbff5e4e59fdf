//! System calls of a balancer, counted by strace.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::contestant::Contestant;
use super::measure::{Task, exercise};
use crate::proc;
use crate::process::{Process, Talk};

/// How long strace may take to attach, and to end, and the balancer to come to
/// rest.
const PATIENCE: Duration = Duration::from_secs(30);

/// A balancer that did nothing for so long has nothing left to do.
const REST: Duration = Duration::from_millis(100);

/// Calls per unit, by name.
pub(crate) type Calls = BTreeMap<String, f64>;

/// Runs the client once, with strace attached to the balancer. None if there
/// is no balancer.
///
/// # Errors
///
/// If strace is missing or may not attach, or the client fails.
pub(crate) fn calls(task: &Task, contestant: &mut Contestant) -> Result<Option<Calls>> {
    await_rest(task, contestant)?;
    let family = contestant.family();
    if family.is_empty() {
        return Ok(None);
    }
    let counts = task.directory.join("strace");
    let mut command = Command::new("strace");
    command.args(["-c", "-f", "-o"]).arg(&counts);
    for pid in &family {
        command.args(["-p", &pid.to_string()]);
    }
    let mut tracer = Process::start(
        "strace",
        &command,
        Talk::Logged,
        &task.directory.join("strace.log"),
    )?;
    await_attached(&mut tracer, &family)?;
    let outcome = exercise(task, contestant)?;
    // Programs that are still to be run belong to the units. And strace would
    // not end while one is being started: a parent that waits for its child
    // to become another program cannot be detached, while that child waits
    // for strace.
    await_rest(task, contestant)?;
    tracer.signal(Signal::INT);
    tracer.wait(Instant::now() + PATIENCE)?;
    read(&counts, outcome.units)
}

/// Waits until neither the balancer nor a program of it does anything.
fn await_rest(task: &Task, contestant: &mut Contestant) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = None;
    loop {
        let family = contestant.family();
        let now = Some((proc::usage(&family), family));
        if now == before {
            return Ok(());
        }
        before = now;
        task.interrupt.check()?;
        contestant.check()?;
        if Instant::now() >= deadline {
            bail!("the balancer does not come to rest");
        }
        std::thread::sleep(REST);
    }
}

fn await_attached(tracer: &mut Process, family: &[u32]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !family.iter().all(|pid| is_traced(*pid)) {
        tracer.check()?;
        if Instant::now() >= deadline {
            bail!("strace does not attach");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Whether all threads of a process are traced.
fn is_traced(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}

fn read(counts: &Path, units: u64) -> Result<Option<Calls>> {
    let text = std::fs::read_to_string(counts).context("no counts of strace")?;
    if units == 0 {
        bail!("nothing was done under strace");
    }
    let per_unit = |(name, count): (String, u64)| (name, count as f64 / units as f64);
    Ok(Some(parse(&text).into_iter().map(per_unit).collect()))
}

/// The table of `strace -c`: share, seconds, microseconds per call, calls,
/// errors if there are any, name.
fn parse(table: &str) -> Vec<(String, u64)> {
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, calls) = (words.last()?, words.get(3)?);
        words.first()?.parse::<f64>().ok()?;
        (*name != "total").then(|| Some(((*name).to_owned(), calls.parse().ok()?)))?
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_strace_is_read_with_and_without_errors() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.600000           6    100000           sendto
 40.00    0.400000           4     90000       100 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    1.000000           5    190000       100 total
";
        assert_eq!(
            parse(table),
            [
                ("sendto".to_owned(), 100_000),
                ("recvfrom".to_owned(), 90_000)
            ]
        );
    }
}
