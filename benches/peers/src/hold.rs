//! A program that does not outlive the one that started it.
//!
//! Balancers do not notice when the comparison is killed. This process asks
//! the kernel for a SIGTERM in that case and then becomes the balancer, with
//! the same process id.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// What to become.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Process id of the one that started this.
    #[arg(long)]
    parent: i32,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    words: Vec<OsString>,
}

/// Becomes the program; returns only if that fails.
///
/// # Errors
///
/// If the parent has gone, or the program cannot be run.
pub(crate) fn run(options: &Options) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have gone before the kernel was asked.
    if rustix::process::getppid().map(Pid::as_raw_pid) != Some(options.parent) {
        bail!("process {} has gone", options.parent);
    }
    // Only the comparison itself goes before all others.
    if rustix::process::getpriority_process(None)? < 0 {
        rustix::process::setpriority_process(None, 0)?;
    }
    let [program, arguments @ ..] = options.words.as_slice() else {
        bail!("no program to run");
    };
    Err(Command::new(program).args(arguments).exec())
        .with_context(|| format!("cannot run {}", program.to_string_lossy()))
}
