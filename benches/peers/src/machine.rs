//! What was measured on, for the reports.

use std::fs;

use serde::Serialize;

/// The machine, the programs, and the day.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) date: String,
    /// Name and version of each balancer.
    pub(crate) versions: Vec<(String, String)>,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn describe(versions: Vec<(String, String)>) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            processor: field(&cpuinfo, "model name")
                .unwrap_or("unknown processor")
                .to_owned(),
            cores,
            memory_gib: gib(&meminfo),
            kernel: format!("Linux {}", release.trim()),
            date: jiff::Zoned::now().strftime("%Y-%m-%d").to_string(),
            versions,
        }
    }

    /// The machine in one line.
    pub(crate) fn line(&self) -> String {
        let Self {
            processor,
            cores,
            memory_gib,
            kernel,
            date,
            ..
        } = self;
        format!("{processor}, {cores} cores, {memory_gib:.0} GiB, {kernel}, {date}")
    }

    /// The balancers in one line.
    pub(crate) fn programs(&self) -> String {
        let known = self.versions.iter().filter(|(name, _)| name != "direct");
        let text =
            |(name, version): &(String, String)| match version.split(' ').next() == Some(name) {
                true => version.clone(),
                false => format!("{name}: {version}"),
            };
        known.map(text).collect::<Vec<_>>().join(", ")
    }
}

/// The value of a line `NAME : VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        Some(
            line.strip_prefix(name)?
                .trim_start()
                .strip_prefix(':')?
                .trim(),
        )
    };
    text.lines().find_map(value)
}

fn gib(meminfo: &str) -> f64 {
    let kib =
        field(meminfo, "MemTotal").and_then(|value| value.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0.0) / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_before_versions_that_do_not_name_them() {
        let versions = [
            ("a", "crossroads 3.0.0"),
            ("direct", "-"),
            ("pen", "pen 0.34"),
        ];
        let versions = versions.map(|(name, version)| (name.to_owned(), version.to_owned()));

        let machine = Machine::describe(versions.to_vec());

        assert_eq!(machine.programs(), "a: crossroads 3.0.0, pen 0.34");
    }

    #[test]
    fn fields_have_blanks_before_the_colon() {
        assert_eq!(
            field(
                "vendor_id\t: x\nmodel name\t: Fast CPU @ 2 GHz\n",
                "model name"
            ),
            Some("Fast CPU @ 2 GHz")
        );
        assert_eq!(gib("MemTotal:       25165824 kB\n"), 24.0);
    }
}
