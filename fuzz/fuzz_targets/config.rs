//! A configuration file of any bytes: reading it gives a configuration or
//! errors, one of the two, and what is found can be shown.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use crossroads::config::diagnostic::{Colours, Which};
use crossroads::config::{LoadOptions, load};
use libfuzzer_sys::fuzz_target;

/// The file of this process; a configuration is read by its name, since it may
/// include others.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::temp_dir().join(format!("crossroads-fuzz-{}.conf", std::process::id()))
});

fuzz_target!(|bytes: &[u8]| {
    fs::write(&*FILE, bytes).expect("the temporary directory takes a file");
    let loaded = load(&FILE, &LoadOptions::default());
    assert_eq!(loaded.config.is_none(), loaded.report.errors() > 0);
    let shown = loaded.report.render(Colours::Never, Which::All);
    assert_eq!(shown.is_empty(), loaded.report.diagnostics().is_empty());
});
