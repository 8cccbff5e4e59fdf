//! The help: every command and flag on one screen.

use std::fmt::Write as _;

use crate::cli::arguments::flags::{FLAGS, Flag, Takes};

/// The column in which explanations begin.
const COLUMN: usize = 28;

/// Commands with their arguments and what they do, in the order of the help.
///
/// Source: 2.3.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("start", "", "start all services in the background"),
    ("stop", "", "stop the running daemon"),
    ("restart", "", "check the file, stop, then start"),
    ("configtest", "", "check the file, run nothing"),
    ("services", "", "list what is configured"),
    (
        "status",
        "",
        "print state and usage of the running services",
    ),
    (
        "tell",
        "SERVICE BACKEND state STATE",
        "set the state of a back end: available (up),\nunavailable, down or waking; `state` may be left out",
    ),
    (
        "tell",
        "SERVICE BACKEND server HOST:PORT",
        "give a back end another address until the next start",
    ),
    ("sampleconf", "", "print a commented sample configuration"),
    (
        "demo",
        "",
        "show a running balancer without any preparation",
    ),
    (
        "migrate",
        "[-i | --diff] [FILE]",
        "rewrite retired spellings into their new forms",
    ),
    (
        "trafficlog",
        "FILE",
        "show a traffic log or a capture (pcapng)",
    ),
    (
        "throughput",
        "FILE ...",
        "analyse throughput logs: times, slowest requests",
    ),
    ("reload", "", "not in this version"),
];

/// The whole help text.
pub(super) fn text() -> String {
    let mut help = format!(
        "crossroads {}: load balancer and fail-over daemon for TCP and HTTP services\n\n\
         Usage: crossroads [FLAGS] COMMAND [ARGUMENTS]\n\nCommands:\n",
        crate::VERSION
    );
    for (word, arguments, explanation) in COMMANDS {
        entry(
            &mut help,
            format!("{word} {arguments}").trim_end(),
            explanation,
        );
    }
    help.push_str("\nFlags, before or after COMMAND (defaults in brackets):\n");
    for flag in FLAGS.iter().filter(|flag| !flag.text.is_empty()) {
        entry(&mut help, &left_side(flag), flag.text);
    }
    help.push_str(
        "\nThe exit code is 0 when all is done and 1 for everything else.\n\
         Try `crossroads demo`, or begin a configuration with `crossroads sampleconf`.\n",
    );
    help
}

fn left_side(flag: &Flag) -> String {
    let letter = flag
        .letter
        .map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    match flag.takes {
        Takes::Nothing => format!("{letter}--{}", flag.long),
        Takes::One(argument) | Takes::Each(argument) => {
            format!("{letter}--{} {argument}", flag.long)
        }
    }
}

/// One entry; a left side that is too long for its column gets its own line.
fn entry(help: &mut String, left: &str, explanation: &str) {
    let mut left = left;
    for line in explanation.lines() {
        if left.len() + 4 > COLUMN {
            let _ = writeln!(help, "  {left}");
            left = "";
        }
        let width = COLUMN - 2;
        let _ = writeln!(help, "  {left:width$}{line}");
        left = "";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_a_terminal_of_eighty_columns() {
        for line in text().lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line, line.trim_end());
        }
    }

    #[test]
    fn help_names_every_flag_but_the_one_for_tests() {
        let help = text();

        for flag in FLAGS {
            let long = format!("--{}", flag.long);
            assert_eq!(help.contains(&long), flag.long != "limit", "{long}");
        }
        for (word, _, _) in COMMANDS {
            assert!(help.contains(&format!("\n  {word}")), "{word}");
        }
    }
}
