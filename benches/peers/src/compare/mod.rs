//! The comparison: works, rounds, turns.

mod contestant;
mod measure;
mod options;
mod rounds;
mod servers;
mod sink;
mod specs;
mod trace;
mod variants;
mod works;

use std::fs;
use std::io::Write;

use anyhow::{Context, Result, ensure};

pub(crate) use measure::Sample;
#[cfg(test)]
pub(crate) use measure::{Latency, Outcome};
pub(crate) use options::{Effort, Options};
pub(crate) use specs::SPECS;
pub(crate) use trace::Calls;
pub(crate) use works::{Load, Unit};

use self::works::Spec;
use crate::interrupt::Interrupt;
use crate::limits;
use crate::machine::Machine;
use crate::peer::{self, Peer};
use crate::report::{self, Results};

/// Measures what the options say, and reports.
///
/// # Errors
///
/// If the options make no sense, on a signal, and if a file cannot be written.
/// What a balancer cannot do is no error but a part of the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        return list();
    }
    let (effort, specs) = (options.effort()?, options.specs()?);
    // All that is started inherits it.
    let limit = limits::raise_descriptors().context("cannot raise the limit of descriptors")?;
    let specs = affordable(specs, limit);
    // Counters must be read at once when the client says so. Where this is not
    // permitted more measurements have to be repeated.
    let _ = rustix::process::nice(-10);
    let interrupt = Interrupt::watch()?;
    let contenders = options.contenders()?;
    ensure!(!contenders.is_empty(), "no balancer to measure");
    ensure!(!specs.is_empty(), "no work to measure");
    fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot create {}", options.out.display()))?;
    let versions = contenders
        .iter()
        .map(|(peer, version)| (peer.name().to_owned(), version.clone()));
    let mut results = Results {
        machine: Machine::describe(versions.collect()),
        effort,
        seed: options.seed,
        works: Vec::new(),
    };
    // Whoever reads it may go away: `run | head`.
    let mut output = std::io::stdout();
    let machine = &results.machine;
    writeln!(output, "{}\n{}", machine.line(), machine.programs())?;
    let peers: Vec<Peer> = contenders.into_iter().map(|(peer, _)| peer).collect();
    for spec in specs {
        let work = rounds::work(spec, &peers, options, &interrupt)
            .with_context(|| format!("work {}", spec.name))?;
        output.write_all(report::text(&work).as_bytes())?;
        results.works.push(work);
        // After each work, so that little is lost if one fails.
        report::write(&results, &options.out)?;
    }
    writeln!(output, "\nreports in {}", options.out.display())?;
    Ok(())
}

/// The works for which there are descriptors enough; says which are left out.
fn affordable(mut specs: Vec<&'static Spec>, limit: u64) -> Vec<&'static Spec> {
    specs.retain(|spec| {
        let needed = peer::descriptors(spec.clients());
        if needed > limit {
            let name = spec.name;
            eprintln!(
                "peers: without {name}: it needs {needed} open descriptors, \
                and the hard limit is {limit} (ulimit -Hn)"
            );
        }
        needed <= limit
    });
    specs
}

fn list() -> Result<()> {
    for spec in SPECS {
        let Spec {
            name, group, about, ..
        } = spec;
        writeln!(std::io::stdout(), "{name:<16} {group:<9} {about}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_beyond_the_limit_of_descriptors_are_left_out() {
        let all: Vec<_> = SPECS.iter().collect();
        let most = all.iter().map(|spec| spec.clients()).max().unwrap();
        let limit = peer::descriptors(most);

        assert_eq!(affordable(all.clone(), limit).len(), all.len());
        assert_eq!(affordable(all.clone(), limit - 1).len(), all.len() - 1);
        assert!(affordable(all, 1024).is_empty());
    }
}
