//! The arrows between rooms and the words that a room must not use.
//!
//! This reads the source as text: comments, string literals and test code are
//! taken out, and what is left is searched for paths that begin with `crate::`
//! or with `super::` beyond the room. That is not a compiler, but it finds what
//! people write.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole crate is a test; what it cannot read must end it"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Each room, and the rooms that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("policy", &["base"]),
    ("relay", &["base"]),
    ("process", &["base"]),
    ("config", &["policy", "base"]),
    ("status", &["policy", "base"]),
    ("telemetry", &["status", "policy", "base"]),
    (
        "service",
        &["config", "policy", "relay", "process", "status", "base"],
    ),
    (
        "control",
        &["service", "telemetry", "status", "policy", "base"],
    ),
    (
        "cli",
        &[
            "daemon",
            "control",
            "status",
            "telemetry",
            "config",
            "process",
            "policy",
            "base",
        ],
    ),
    (
        "daemon",
        &[
            "control",
            "service",
            "telemetry",
            "config",
            "policy",
            "relay",
            "process",
            "status",
            "base",
        ],
    ),
    ("main", &["cli"]),
];

/// The only files that may hold `unsafe` code.
const UNSAFE_FILES: &[&str] = &[
    "src/status/map.rs",
    "src/process/background.rs",
    "src/process/spawn.rs",
];

/// Rooms and what must not be said in them, as regular expressions. An empty
/// room means all rooms, `!room` all but that one.
const BANNED: &[(&str, &str, &str)] = &[
    (
        "policy",
        r"\b(Instant|SystemTime)::now\b",
        "time is a parameter",
    ),
    ("policy", r"\btokio\b", "policy is pure"),
    ("policy", r"\brand::", "randomness is a parameter"),
    (
        "policy",
        r"\b(TcpStream|TcpListener|UdpSocket|UnixStream)\b",
        "policy has no sockets",
    ),
    (
        "policy",
        r"\bstatic\s+(mut\s+)?[A-Z_]+\s*:",
        "policy has no state of its own",
    ),
    ("base", r"\btokio\b", "base is vocabulary"),
    (
        "!process",
        r"\bprocess::(Command\b|\{[^}]*\bCommand\b)",
        "programs are started by the room process",
    ),
    ("", r"\bstatic\s+mut\b", "what changes has an owner"),
    ("", r"#\[ignore\]", "an ignored test says why"),
];

/// One source file without comments, strings and test code.
struct Source {
    /// Path from the root of the package.
    path: String,
    room: String,
    /// How many modules deep its code is below the crate: 1 in `src/base/mod.rs`.
    depth: usize,
    /// The code, test code blanked out.
    code: String,
    /// The code with its tests.
    with_tests: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let with_tests = without_comments_and_strings(text);
        let (room, depth) = room_and_depth(path);
        Self {
            path: path.to_owned(),
            room,
            depth,
            code: without_tests(&with_tests),
            with_tests,
        }
    }

    /// The modules at the root of the crate that this file names.
    fn named(&self) -> BTreeSet<String> {
        let ups = vec!["super::"; self.depth].concat();
        let starts = ["crate::".to_owned(), "crossroads::".to_owned(), ups];
        starts
            .iter()
            .flat_map(|start| names_after(&self.code, start))
            .collect()
    }
}

/// `src/policy/dispatch/random.rs` is in the room `policy`, 3 deep.
fn room_and_depth(path: &str) -> (String, usize) {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let parts: Vec<&str> = stem.split('/').filter(|part| *part != "mod").collect();
    (parts[0].to_owned(), parts.len())
}

/// The identifiers that follow `start` as a path, also in braces.
fn names_after(code: &str, start: &str) -> Vec<String> {
    let word = Regex::new(r"^\s*([a-z_]+)").unwrap();
    let mut names = Vec::new();
    for (place, _) in code.match_indices(start) {
        let before = code[..place].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || "_:".contains(letter)) {
            continue;
        }
        let rest = &code[place + start.len()..];
        let branches = match rest.strip_prefix('{') {
            Some(group) => top_level(group),
            None => vec![rest],
        };
        names.extend(
            branches
                .iter()
                .filter_map(|text| Some(word.captures(text)?[1].to_owned())),
        );
    }
    names
}

/// The parts of a `{...}` group, which begins behind its brace, at its own level.
fn top_level(group: &str) -> Vec<&str> {
    let (mut parts, mut level, mut begin) = (Vec::new(), 0, 0);
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => level += 1,
            '}' if level == 0 => {
                parts.push(&group[begin..place]);
                break;
            }
            '}' => level -= 1,
            ',' if level == 0 => {
                parts.push(&group[begin..place]);
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts
}

/// Blanks out comments and the insides of string and character literals.
fn without_comments_and_strings(text: &str) -> String {
    let token = Regex::new(concat!(
        r#"(?s)//[^\n]*|/\*.*?\*/"#,
        r##"|b?r#+".*?"#+|b?r"[^"]*"|b?"(?:[^"\\]|\\.)*""##,
        r"|b?'(?:[^'\\\n]|\\[^\n]{1,9}?)'"
    ))
    .unwrap();
    token.replace_all(text, " \"\" ").into_owned()
}

/// Cuts out every item behind `#[cfg(test)]`, up to its `;` or its last brace.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some(place) = rest.find(MARK) {
        kept.push_str(&rest[..place]);
        rest = &rest[place + MARK.len()..];
        rest = &rest[end_of_item(rest)..];
    }
    kept + rest
}

fn end_of_item(text: &str) -> usize {
    let mut level = 0;
    for (place, letter) in text.char_indices() {
        match letter {
            ';' if level == 0 => return place + 1,
            '{' | '(' | '[' => level += 1,
            ')' | ']' => level -= 1,
            '}' => {
                level -= 1;
                if level == 0 {
                    return place + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// All files below `place`, from the root of the package.
fn files_below(place: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut open = vec![root.join(place)];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn read(place: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = files_below(place).into_iter().map(|path| {
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        Source::new(&name, &std::fs::read_to_string(&path).unwrap())
    });
    let sources: Vec<Source> = sources.collect();
    let tests = files_of_tests(&sources);
    sources
        .into_iter()
        .filter(|source| !is_below(&source.path, &tests))
        .collect()
}

/// The modules, as paths without `.rs`, that are declared behind
/// `#[cfg(test)]`.
fn files_of_tests(sources: &[Source]) -> Vec<String> {
    let declared = Regex::new(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+);").unwrap();
    let mut tests = Vec::new();
    for source in sources {
        let stem = source.path.strip_suffix(".rs").unwrap();
        let place = stem.strip_suffix("/mod").unwrap_or(stem);
        for found in declared.captures_iter(&source.with_tests) {
            tests.push(format!("{place}/{}", &found[1]));
        }
    }
    tests
}

fn is_below(path: &str, modules: &[String]) -> bool {
    modules.iter().any(|module| {
        path.strip_prefix(module.as_str())
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    })
}

/// What is wrong with the arrows of `source`, a line for each finding.
fn wrong_arrows(source: &Source) -> Vec<String> {
    let allowed = ARROWS.iter().find(|(room, _)| *room == source.room);
    let Some((_, allowed)) = allowed else {
        return vec![format!("{}: `{}` is no room", source.path, source.room)];
    };
    let is_room = |name: &str| ARROWS.iter().any(|(room, _)| *room == name);
    source
        .named()
        .into_iter()
        .filter(|name| is_room(name) && *name != source.room && !allowed.contains(&name.as_str()))
        .map(|name| format!("{}: `{}` must not name `{name}`", source.path, source.room))
        .collect()
}

/// The banned words in `source`, a line for each.
fn banned_words(source: &Source) -> Vec<String> {
    let applies = |room: &str| match room.strip_prefix('!') {
        Some(but) => source.room != but,
        None => room.is_empty() || source.room == room,
    };
    BANNED
        .iter()
        .filter(|(room, word, _)| applies(room) && Regex::new(word).unwrap().is_match(&source.code))
        .map(|(_, word, why)| format!("{}: `{word}`: {why}", source.path))
        .collect()
}

#[track_caller]
fn assert_none(findings: &[String]) {
    let text = findings.iter().fold(String::new(), |mut text, finding| {
        writeln!(text, "{finding}").unwrap();
        text
    });
    assert!(findings.is_empty(), "\n{text}");
}

#[test]
fn rooms_name_only_the_rooms_that_their_arrows_lead_to() {
    let findings: Vec<String> = read("src")
        .iter()
        .filter(|source| source.room != "lib")
        .flat_map(wrong_arrows)
        .collect();

    assert_none(&findings);
}

#[test]
fn rooms_do_not_use_their_banned_words() {
    let findings: Vec<String> = read("src").iter().flat_map(banned_words).collect();

    assert_none(&findings);
}

#[test]
fn unsafe_code_is_only_where_it_may_be() {
    let word = Regex::new(r"\bunsafe\b|\bunsafe_code\b").unwrap();
    let findings: Vec<String> = read("src")
        .iter()
        .filter(|source| !UNSAFE_FILES.contains(&source.path.as_str()))
        .filter(|source| word.is_match(&source.with_tests))
        .map(|source| source.path.clone())
        .collect();

    assert_none(&findings);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let blocks = Regex::new(r"\bunsafe\s*(\{|impl\b|fn\b)").unwrap();
    for file in UNSAFE_FILES {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            continue;
        };
        let count = blocks
            .find_iter(&without_comments_and_strings(&text))
            .count();
        let reasons = text.matches("// SAFETY:").count();
        assert!(
            reasons >= count,
            "{file}: {count} unsafe, {reasons} SAFETY comments"
        );
    }
}

#[test]
fn no_test_is_ignored_without_a_reason() {
    let bare = Regex::new(r"#\[ignore\]").unwrap();
    let findings: Vec<String> = ["src", "compat-tests"]
        .iter()
        .flat_map(|place| files_below(place))
        .filter(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            bare.is_match(&without_comments_and_strings(&text))
        })
        .map(|path| path.display().to_string())
        .collect();

    assert_none(&findings);
}

#[test]
fn the_search_finds_every_way_of_naming_a_room() {
    for (path, text) in [
        ("src/policy/pool.rs", "use crate::service::Table;"),
        (
            "src/policy/pool.rs",
            "use crate::{base::name, service::{Table, running}};",
        ),
        (
            "src/policy/pool.rs",
            "fn x() { super::super::service::run() }",
        ),
        ("src/policy/mod.rs", "use super::service;"),
        (
            "src/policy/dispatch/random.rs",
            "use super::super::super::service::x;",
        ),
        ("src/main.rs", "fn main() { crossroads::service::run() }"),
    ] {
        let source = Source::new(path, text);
        assert_eq!(wrong_arrows(&source).len(), 1, "{path}: {text}");
    }
}

#[test]
fn the_search_is_not_deceived_by_comments_strings_tests_and_inner_modules() {
    for (path, text) in [
        ("src/policy/pool.rs", "// crate::service::Table\nfn x() {}"),
        (
            "src/policy/pool.rs",
            "/* crate::service */ const X: &str = \"crate::service\";",
        ),
        (
            "src/policy/pool.rs",
            "#[cfg(test)]\nmod tests { use crate::service::X; fn y() {} }",
        ),
        (
            "src/policy/pool.rs",
            "#[cfg(test)]\nuse crate::service::X;\nuse crate::base::name;",
        ),
        (
            "src/policy/pool.rs",
            "use super::service_limit; use super::dispatch::service;",
        ),
        (
            "src/service/table.rs",
            "use crate::service::gate; use crate::{policy, base::id};",
        ),
        (
            "src/policy/pool.rs",
            "const QUOTE: char = '\"'; const Y: &str = \"crate::relay\";",
        ),
    ] {
        let source = Source::new(path, text);
        assert_eq!(
            wrong_arrows(&source),
            Vec::<String>::new(),
            "{path}: {text}"
        );
    }
}

#[test]
fn the_search_finds_banned_words() {
    for (path, text) in [
        ("src/policy/pool.rs", "let now = Instant::now();"),
        ("src/policy/sub/deep.rs", "use tokio::sync::Mutex;"),
        (
            "src/policy/pool.rs",
            "static COUNT: AtomicU64 = AtomicU64::new(0);",
        ),
        ("src/cli/demo.rs", "use std::process::{Command, ExitCode};"),
        ("src/daemon.rs", "std::process::Command::new(x)"),
        (
            "src/cli/demo.rs",
            "use std::process; fn x() { process::Command::new(y); }",
        ),
        ("src/cli/demo.rs", "use std::{io, process::Command};"),
    ] {
        let source = Source::new(path, text);
        assert_eq!(banned_words(&source).len(), 1, "{path}: {text}");
    }
    let clap = Source::new(
        "src/cli/arguments.rs",
        "use clap::Command; fn x(s: &'static str) {}",
    );
    assert_eq!(banned_words(&clap), Vec::<String>::new());
}
