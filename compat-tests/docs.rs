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
use crossroads::config::directives::{Argument, DIRECTIVES, Directive};
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
        if path
            .file_stem()
            .is_some_and(|name| name == "harness" || name == "http_harness")
        {
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

/// The entries of the manual page of the language: the word of each, and its
/// text without the marks of troff. Words that share a text each have it.
fn entries() -> Vec<(String, String)> {
    let page = read("man/crossroads.conf.7");
    let head = Regex::new(r"^\.B ([a-z]+)\n(?:\.TQ\n)?").unwrap();
    let marks = Regex::new(r"\\f[A-Z]|(?m)^\.[A-Z]+ ?|\\").unwrap();
    let mut entries = Vec::new();
    for mut entry in page.split("\n.TP\n").skip(1) {
        let mut words = Vec::new();
        while let Some(found) = head.captures(entry) {
            words.push(found[1].to_owned());
            entry = &entry[found[0].len()..];
        }
        let text = marks.replace_all(entry, "").into_owned();
        entries.extend(words.into_iter().map(|word| (word, text.clone())));
    }
    entries
}

/// Asserts that each directive has an entry that `agrees` with its row of the
/// table, and that each entry of its word agrees with one of its rows.
#[track_caller]
fn assert_entries_agree(agrees: impl Fn(&Directive, &str) -> bool) {
    let entries = entries();
    let rows = || DIRECTIVES.iter().filter(|row| row.replaced_by.is_none());
    let fits =
        |row: &Directive, (word, text): &(String, String)| word == row.word && agrees(row, text);
    let without_entry = rows()
        .filter(|row| !entries.iter().any(|entry| fits(row, entry)))
        .map(|row| row.word);
    let without_row = entries
        .iter()
        .filter(|(word, _)| rows().any(|row| word == row.word))
        .filter(|entry| !rows().any(|row| fits(row, entry)))
        .map(|(word, _)| word.as_str());
    let wrong: BTreeSet<&str> = without_entry.chain(without_row).collect();
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn ranges_of_the_manual_page_are_those_of_the_table() {
    assert_entries_agree(|row, text| match row.argument {
        Argument::Number(from, to) => text.contains(&format!("{from} to {to}")),
        _ => true,
    });
}

#[test]
fn words_of_the_manual_page_are_those_of_the_table() {
    assert_entries_agree(|row, text| match row.argument {
        Argument::Word(words) => words.iter().all(|word| text.contains(word)),
        _ => true,
    });
}

#[test]
fn the_manual_page_of_the_language_is_found_in_section_5_too() {
    assert_eq!(
        read("man/crossroads.conf.5"),
        ".so man7/crossroads.conf.7\n"
    );
}

#[test]
fn the_readme_sets_up_a_newcomer_with_two_commands() {
    let readme = read("README.md");
    let block = indented_blocks(&readme)
        .into_iter()
        .find(|block| block.contains("-- demo"))
        .unwrap();

    assert_eq!(block, "cargo run --release -- demo\ncargo test\n");
}

/// The conformance cases of the specification (section 17).
fn conformance_cases() -> impl Iterator<Item = String> {
    (1..=77).map(|number| format!("C{number:02}"))
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
