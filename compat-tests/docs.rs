//! The words of the manual pages, README and samples against the program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole crate is a test; what it cannot read must end it"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crossroads::base::limits::Limits;
use crossroads::config::directives::{ARGUMENTS_NOT_IN_EFFECT, Argument, DIRECTIVES, Directive};
use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs the program in the root of the package.
fn crossroads(args: &[&str]) -> Output {
    let binary = std::env::var_os("CROSSROADS_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_crossroads").into(), PathBuf::from);
    Command::new(binary)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap()
}

/// The usage text.
fn help() -> String {
    String::from_utf8(crossroads(&["-h"]).stdout).unwrap()
}

/// All matches of the first group of `pattern`.
fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// The commands that the usage text lists.
fn commands() -> BTreeSet<String> {
    let help = help();
    let (_, rest) = help.split_once("\nCommands:\n").unwrap();
    let (list, _) = rest.split_once("\n\n").unwrap();
    found(r"(?m)^  ([a-z]+)\b", list)
}

/// The words that a manual page sets in bold type, without escapes.
fn bold_words(page: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for line in page.lines() {
        let macros = [".B ", ".BR ", ".BI "];
        if let Some(rest) = macros.iter().find_map(|start| line.strip_prefix(start)) {
            words.extend(rest.split_whitespace().map(str::to_owned));
        }
    }
    words.extend(found(r"\\fB([^\\ ]+)", page));
    words
}

#[test]
fn every_directive_has_its_entry_in_the_manual_page_of_the_language() {
    let words = bold_words(&read("man/crossroads.conf.7"));

    let missing: Vec<&str> = DIRECTIVES
        .iter()
        .map(|directive| directive.word)
        .filter(|word| !words.contains(*word))
        .collect();

    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_command_of_the_usage_text_has_its_entry_in_the_manual_page() {
    let words = bold_words(&read("man/crossroads.1"));

    let missing: Vec<String> = commands()
        .into_iter()
        .filter(|command| !words.contains(command))
        .collect();

    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_flag_of_the_usage_text_is_in_the_manual_page() {
    let page = read("man/crossroads.1").replace("\\-", "-");
    let help = help();
    let flags = found(r"(?m)^  (-\w), --", &help);
    let long = found(r"(--[a-z][a-z-]*)", &help);
    assert!(flags.len() >= 15, "{flags:?}");

    let missing: Vec<String> = flags
        .into_iter()
        .chain(long)
        .filter(|flag| !page.contains(flag))
        .collect();

    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_limit_that_can_be_set_is_in_the_manual_page() {
    let words = bold_words(&read("man/crossroads.1"));

    let missing: Vec<&&str> = Limits::NAMES
        .iter()
        .filter(|name| !words.contains(&name.replace('_', "\\_")) && !words.contains(**name))
        .collect();

    assert_eq!(missing, Vec::<&&str>::new());
}

#[test]
fn every_command_that_the_readme_shows_exists() {
    let known = commands();
    let lines = found(
        r"(?m)(?:^ {4}(?:\$ )?|`)crossroads ([^`\n#]*)",
        &read("README.md"),
    );
    assert!(lines.len() >= 5, "{lines:?}");

    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let shown = words.iter().any(|word| known.contains(*word));
        let only_flags = words.iter().all(|word| word.starts_with('-'));
        assert!(shown || only_flags, "README.md shows `crossroads {line}`");
    }
}

#[test]
fn every_configuration_that_the_readme_shows_passes_configtest() {
    let directory = tempfile::tempdir().unwrap();
    let readme = read("README.md");
    let samples: Vec<String> = indented_blocks(&readme)
        .into_iter()
        .filter(|block| block.starts_with("service "))
        .collect();
    assert!(!samples.is_empty(), "README.md shows a configuration");

    for sample in samples {
        let file = directory.path().join("readme.conf");
        std::fs::write(&file, &sample).unwrap();
        assert_passes(&file);
    }
}

/// The blocks of a Markdown text that are indented by four blanks, without
/// their indentation.
fn indented_blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(code) => {
                let block = blocks.last_mut().unwrap();
                block.push_str(code);
                block.push('\n');
            }
            None if line.trim().is_empty() => {}
            None => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

#[test]
fn every_sample_in_etc_passes_configtest() {
    let samples = samples();
    assert!(!samples.is_empty(), "etc/ holds samples");

    for sample in samples {
        assert_passes(&sample);
    }
}

/// The samples: every `*.conf` in etc/, and of a directory there its
/// `crossroads.conf`, which includes its neighbours.
fn samples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("etc")).unwrap();
    let candidates = entries.map(|entry| entry.unwrap().path()).map(|path| {
        if path.is_dir() {
            path.join("crossroads.conf")
        } else {
            path
        }
    });
    candidates
        .filter(|path| path.is_file() && path.extension().is_some_and(|end| end == "conf"))
        .collect()
}

/// Asserts that `configtest` finds neither an error nor a warning.
#[track_caller]
fn assert_passes(file: &Path) {
    let output = crossroads(&["-c", file.to_str().unwrap(), "configtest"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{stderr}", file.display());
    assert!(
        !stderr.contains(": warning["),
        "{}:\n{stderr}",
        file.display()
    );
}

#[test]
fn every_file_that_the_readme_names_exists() {
    let named = found(
        r"`((?:etc|man|compat-tests|fuzz|benches|grammar)/[^`\s]*)`",
        &read("README.md"),
    );

    let missing: Vec<String> = named
        .into_iter()
        .filter(|name| !root().join(name).exists())
        .collect();

    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_case_of_the_suite_names_its_evidence() {
    let test = Regex::new(r"(?m)((?:^///.*\n)*)^#\[test\]\nfn (\w+)").unwrap();
    let evidence = Regex::new(r"\b(documented|inferred|decided)\b").unwrap();
    let cases = std::fs::read_dir(root().join("compat-tests/cases")).unwrap();
    for path in cases.map(|entry| entry.unwrap().path()) {
        // The harness's own cases show nothing about the program.
        if path.file_stem().is_some_and(|name| name == "harness") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for case in test.captures_iter(&text) {
            assert!(
                evidence.is_match(&case[1]),
                "{}: {} does not say documented, inferred or decided",
                path.display(),
                &case[2]
            );
        }
    }
}

#[test]
fn every_case_that_the_known_differences_name_exists() {
    let text = read("compat-tests/known-differences.md");
    let named = found(r"`([a-z_]+::[a-z_0-9]+)`", &text);
    assert!(named.len() >= 5, "{named:?}");

    let missing: Vec<String> = named
        .into_iter()
        .filter(|name| {
            let (file, case) = name.split_once("::").unwrap();
            let path = root().join(format!("compat-tests/cases/{file}.rs"));
            let cases = std::fs::read_to_string(path).unwrap_or_default();
            !cases.contains(&format!("\nfn {case}()"))
        })
        .collect();

    assert_eq!(missing, Vec::<String>::new());
}

/// The conformance cases of the specification (section 17) that concern what is
/// in this version. Those left out are about HTTP, hooks, the external handler,
/// access lists and traffic logs.
fn conformance_cases() -> impl Iterator<Item = String> {
    let numbers = (1..=24).chain(29..=38).chain(57..=74).chain(76..=77);
    numbers.map(|number| format!("C{number:02}"))
}

#[test]
fn every_conformance_case_of_this_version_has_a_case_here() {
    let cases = std::fs::read_dir(root().join("compat-tests/cases")).unwrap();
    let comments: String = cases
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.starts_with("///"))
        .collect();
    let named = found(r"\b(C\d\d)\b", &comments);

    let missing: Vec<String> = conformance_cases()
        .filter(|case| !named.contains(case))
        .collect();

    assert_eq!(missing, Vec::<String>::new());
}
