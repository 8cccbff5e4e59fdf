//! What /proc tells about balancers and about the machine.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

/// Clock ticks in a second, as /proc counts them on every Linux.
const TICKS: u64 = 100;

/// What some processes have used since they began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    /// Time on a processor, of all threads, and of children that have ended.
    pub(crate) cpu: Duration,
    /// Context switches of all threads, voluntary or not.
    pub(crate) switches: u64,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

/// What some processes hold at this moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Holding {
    /// Memory of the processes themselves, shared pages divided by those that
    /// share them, in bytes. Sockets are the kernel's and not in here. None
    /// where the system does not tell.
    pub(crate) memory: Option<u64>,
    /// Open descriptors.
    pub(crate) descriptors: u64,
}

/// A process and all that descend from it.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = entries("/proc")
        .filter_map(|name| name.parse().ok())
        .filter_map(|pid| Some((pid, fields_of(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| pid),
        );
        next += 1;
    }
    family
}

/// What these processes have used.
pub(crate) fn usage(pids: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for &pid in pids {
        sum.cpu += cpu_of(pid);
    }
    for &pid in pids {
        for thread in threads(pid) {
            let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status"));
            sum.switches += switches(&status.unwrap_or_default());
        }
    }
    sum
}

/// What these processes hold.
pub(crate) fn holding(pids: &[u32]) -> Holding {
    let memory = |pid: &u32| number(&read(*pid, "smaps_rollup"), "Pss").map(|kib| kib * 1024);
    let descriptors = |pid: &u32| entries(&format!("/proc/{pid}/fd")).count() as u64;
    Holding {
        memory: pids.iter().map(memory).sum(),
        descriptors: pids.iter().map(descriptors).sum(),
    }
}

/// How long the processors of the machine have worked since it started, one
/// after the other, in steps of 10 ms.
pub(crate) fn machine_busy() -> Duration {
    busy(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

/// Memory that the kernel holds for all TCP sockets of the machine, in bytes.
pub(crate) fn tcp_memory() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    tcp_pages(&text) * rustix::param::page_size() as u64
}

fn cpu_of(pid: u32) -> Duration {
    let run: Option<Duration> = threads(pid)
        .map(|thread| fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")))
        // A thread that has just ended is no reason to count in ticks.
        .filter_map(Result::ok)
        .map(|text| run_time(&text))
        .reduce(|sum, one| Some(sum? + one?))
        .flatten();
    let fields = fields_of(pid).unwrap_or_default();
    // utime and stime, cutime and cstime: fields 14 to 17 of proc(5).
    run.unwrap_or_else(|| ticks(&fields, 11)) + ticks(&fields, 13)
}

fn threads(pid: u32) -> impl Iterator<Item = String> {
    entries(&format!("/proc/{pid}/task"))
}

fn entries(directory: &str) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// The fields of `stat` behind the name; the first is the state.
fn fields_of(pid: u32) -> Option<Vec<String>> {
    fields(&read(pid, "stat"))
}

fn fields(stat: &str) -> Option<Vec<String>> {
    // A name may hold blanks and brackets.
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String], first: usize) -> Duration {
    let two = fields.iter().skip(first).take(2);
    let ticks: u64 = two.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn run_time(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn switches(status: &str) -> u64 {
    let count = |name| number(status, name).unwrap_or(0);
    count("voluntary_ctxt_switches") + count("nonvoluntary_ctxt_switches")
}

/// The number of a line `NAME: NUMBER`, whatever its unit.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix(':')?;
        rest.split_whitespace().next()?.parse().ok()
    };
    text.lines().find_map(line)
}

fn busy(stat: &str) -> Duration {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let fields = line.unwrap_or_default().split_whitespace();
    // user nice system idle iowait irq softirq; what follows is steal, which
    // nobody here has used, and guests, which are in user already.
    let worked = fields
        .take(7)
        .enumerate()
        .filter(|(place, _)| !matches!(place, 3 | 4));
    let ticks: u64 = worked
        .filter_map(|(_, field)| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn tcp_pages(sockstat: &str) -> u64 {
    let line = sockstat
        .lines()
        .find(|line| line.starts_with("TCP:"))
        .unwrap_or_default();
    let mut words = line
        .split_whitespace()
        .skip_while(|word| *word != "mem")
        .skip(1);
    words
        .next()
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_brackets_does_not_shift_the_fields() {
        let stat = "4211 (a) b) S 1 4211 4211 0 -1 4194560 1 2 3 4 150 50 7 3 20 0";

        let fields = fields(stat).unwrap();

        assert_eq!(fields[0], "S");
        assert_eq!(ticks(&fields, 11), Duration::from_secs(2));
        assert_eq!(ticks(&fields, 13), Duration::from_millis(100));
    }

    #[test]
    fn machine_has_not_worked_while_it_was_idle_or_waited_or_had_no_host() {
        let stat = "cpu  100 10 50 100000 2000 5 35 999 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";

        assert_eq!(busy(stat), Duration::from_secs(2));
    }

    #[test]
    fn switches_of_both_kinds_count() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";

        assert_eq!(switches(status), 42);
    }

    #[test]
    fn memory_is_the_proportional_one() {
        let rollup = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 9000 kB\nPss:     1204 kB\nPss_Dirty: 7 kB\n";

        assert_eq!(number(rollup, "Pss"), Some(1204));
        assert_eq!(number("", "Pss"), None);
    }

    #[test]
    fn pages_of_tcp_are_found() {
        let sockstat =
            "sockets: used 12\nTCP: inuse 5 orphan 0 tw 3 alloc 8 mem 77\nUDP: inuse 1 mem 4\n";

        assert_eq!(tcp_pages(sockstat), 77);
        assert_eq!(tcp_pages(""), 0);
    }

    #[test]
    fn run_time_is_the_first_number() {
        assert_eq!(
            run_time("1500000 20 3\n"),
            Some(Duration::from_micros(1500))
        );
        assert_eq!(run_time(""), None);
    }

    #[test]
    fn own_process_is_seen() {
        let own = std::process::id();
        let before = usage(&[own]);
        let until = std::time::Instant::now() + Duration::from_millis(30);
        while std::time::Instant::now() < until {}

        let used = usage(&[own]) - before;

        assert!(used.cpu > Duration::ZERO, "{used:?}");
        assert!(holding(&[own]).memory.unwrap() > 4096);
        assert!(holding(&[own]).descriptors >= 3);
        assert!(family(1).contains(&own) || !family(own).is_empty());
    }
}
