//! Golden files of the configuration language.
//!
//! `configs/invalid/NAME.conf` must give exactly `NAME.stderr`;
//! `configs/valid/NAME.conf` must give no error, and exactly `NAME.stderr` if
//! that file exists, else nothing at all. `CROSSROADS_BLESS=1` rewrites the
//! `.stderr` files that are there, and those of the invalid ones.
//!
//! Evidence: decided (3.7), but for what a single file says at its top.

#![allow(
    clippy::unwrap_used,
    reason = "a golden file that cannot be read fails its test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crossroads::config::diagnostic::{Code, Colours, Severity, Which};
use crossroads::config::directives::{BOOLEANS, DIRECTIVES, MODES, RETIRED_ARGUMENTS};
use crossroads::config::{LoadOptions, Loaded, Privilege, Purpose, load};

fn directory(kind: &str) -> PathBuf {
    Path::new("compat-tests/configs").join(kind)
}

fn configurations(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(kind)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "conf"))
        .collect();
    files.sort();
    files
}

/// Root sees other warnings; a file whose name says so is read as root. W14 is
/// about the modes of files, which a checkout does not keep.
fn loaded(path: &Path) -> Loaded {
    let as_root = path.to_string_lossy().contains("-as-root");
    let options = LoadOptions {
        purpose: Purpose::ConfigTest,
        privilege: if as_root {
            Privilege::Root
        } else {
            Privilege::User
        },
        silenced: vec![Code::W14],
    };
    load(path, &options)
}

/// The report, with the names of the files without their directory.
fn rendered(path: &Path, loaded: &Loaded) -> String {
    let directory = format!("{}/", path.parent().unwrap().display());
    let text = loaded.report.render(Colours::Never, Which::All);
    text.replace(&directory, "")
}

#[test]
fn broken_configurations_give_their_golden_reports() {
    let bless = std::env::var_os("CROSSROADS_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in configurations("invalid") {
        let golden = path.with_extension("stderr");
        let text = rendered(&path, &loaded(&path));
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if bless && text != expected {
            fs::write(&golden, &text).unwrap();
        } else if text != expected {
            wrong.push(format!(
                "{}\n--- expected\n{expected}--- found\n{text}",
                path.display()
            ));
        }
        assert!(!text.is_empty(), "{} finds nothing", path.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn valid_configurations_have_no_errors_and_few_warnings() {
    for path in configurations("valid") {
        let loaded = loaded(&path);
        let golden = path.with_extension("stderr");
        let text = rendered(&path, &loaded);
        if golden.exists() && std::env::var_os("CROSSROADS_BLESS").is_some() {
            fs::write(&golden, &text).unwrap();
        }

        let golden = fs::read_to_string(golden);

        assert_eq!(loaded.report.errors(), 0, "{text}");
        assert!(loaded.config.is_some(), "{}", path.display());
        match golden {
            Ok(golden) => assert_eq!(text, golden, "{}", path.display()),
            Err(_) => assert_eq!(loaded.report.warnings(), 0, "{text}"),
        }
    }
}

#[test]
fn every_code_occurs_in_a_golden_report() {
    let mut texts = String::new();
    for kind in ["invalid", "valid"] {
        for path in configurations(kind) {
            texts += &fs::read_to_string(path.with_extension("stderr")).unwrap_or_default();
        }
    }
    // What cannot lie in a directory of small files is tested beside the code.
    let elsewhere = [Code::E42, Code::E43, Code::W14];
    let missing: Vec<&Code> = Code::ALL
        .iter()
        .filter(|code| !texts.contains(&format!("[{code}]")) && !elsewhere.contains(code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn there_are_enough_golden_files() {
    assert!(configurations("invalid").len() >= 60);
    assert!(configurations("valid").len() >= 25);
}

#[test]
fn valid_configurations_use_every_directive_and_every_modifier() {
    let mut words = BTreeSet::new();
    for path in configurations("valid") {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        words.extend(text.split(|c| !is_letter(c)).map(str::to_owned));
    }
    let modifiers = [
        "over", "of", "strict", "lax", "any", "http", "deep", "shallow",
    ];
    let wanted = DIRECTIVES
        .iter()
        .map(|row| row.word)
        .chain(MODES.iter().copied())
        .chain(BOOLEANS.iter().copied())
        .chain(RETIRED_ARGUMENTS.iter().map(|(_, old, _)| *old))
        .chain(modifiers)
        .chain(["include", "define"]);
    let missing: Vec<&str> = wanted.filter(|word| !words.contains(*word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn report_counts_what_it_shows() {
    for path in configurations("invalid") {
        let loaded = loaded(&path);
        let text = loaded.report.render(Colours::Never, Which::All);
        let errors = text
            .lines()
            .filter(|line| line.contains(": error[E"))
            .count();

        assert_eq!(errors, loaded.report.errors(), "{}", path.display());
        assert_eq!(loaded.config.is_none(), errors > 0, "{}", path.display());
        for found in loaded.report.diagnostics() {
            assert_eq!(
                found.code.is_warning(),
                found.severity() == Severity::Warning
            );
        }
    }
}
