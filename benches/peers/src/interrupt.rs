//! Control-C and SIGTERM, noticed where the comparison waits.
//!
//! The first signal lets it stop in order, so that no process stays behind;
//! the second one ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether somebody wants the comparison to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches the signals of this process from now on.
    ///
    /// # Errors
    ///
    /// If the system refuses a handler.
    pub(crate) fn watch() -> Result<Self> {
        let wanted = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_default(signal, Arc::clone(&wanted.0))
                .and_then(|_| flag::register(signal, Arc::clone(&wanted.0)))
                .context("cannot watch signals")?;
        }
        Ok(wanted)
    }

    /// # Errors
    ///
    /// If a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}
