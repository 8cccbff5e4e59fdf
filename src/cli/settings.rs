//! `-C`: what was settled when the program was compiled.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::base::limits::{HANDLER_OUTPUT, HOOKS_RUNNING, HOOKS_WAITING, LOOKUPS_RUNNING, Limits};
use crate::cli::arguments::Options;
use crate::cli::locate;
use crate::status::layout;

/// The text of `-C`: one `key value` a line. Flags beside it show their effect.
///
/// Source: documented (the flag); keys and order decided (2.2).
pub(super) fn text(options: &Options, run_dir: &Path) -> String {
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let magic = String::from_utf8_lossy(&layout::MAGIC).into_owned();
    let settings: [(&str, String); 13] = [
        ("version", crate::VERSION.to_owned()),
        ("target", target),
        ("config_default", locate::DEFAULT.to_owned()),
        ("buffer_size", options.buffer_size.to_string()),
        ("dns_ttl", options.dns_ttl.as_secs().to_string()),
        ("workers", options.workers.to_string()),
        ("handler_output_limit", HANDLER_OUTPUT.to_string()),
        ("hooks_running", HOOKS_RUNNING.to_string()),
        ("hooks_waiting", HOOKS_WAITING.to_string()),
        ("lookups_running", LOOKUPS_RUNNING.to_string()),
        ("shm_magic", magic),
        ("shm_layout", format!("{}.{}", layout::MAJOR, layout::MINOR)),
        ("run_dir", run_dir.display().to_string()),
    ];
    let mut text = String::new();
    for (key, value) in settings {
        let _ = writeln!(text, "{key} {value}");
    }
    for name in Limits::NAMES {
        if let Some(limit) = options.limits.by_name(name) {
            let _ = writeln!(text, "limit.{name} {}", seconds(limit));
        }
    }
    text
}

/// Seconds as `--limit` takes them: whole, or with as many decimals as needed.
fn seconds(time: Duration) -> String {
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::parse;

    fn text_of(line: &str) -> String {
        let words = std::iter::once("crossroads").chain(line.split(' '));
        let invocation = parse(words.map(Into::into)).unwrap();
        text(&invocation.options, Path::new("/run/x"))
    }

    #[test]
    fn keys_stand_in_their_order_and_limits_follow() {
        let text = text_of("-C");
        let keys: Vec<&str> = text
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();

        let fixed = "version target config_default buffer_size dns_ttl workers \
                     handler_output_limit hooks_running hooks_waiting lookups_running \
                     shm_magic shm_layout run_dir";
        let limits = Limits::NAMES.iter().map(|name| format!("limit.{name}"));
        let expected: Vec<String> = fixed
            .split_whitespace()
            .map(str::to_owned)
            .chain(limits)
            .collect();
        assert_eq!(keys, expected);
        assert!(text.contains("\nshm_magic XRSTATUS\nshm_layout 1.2\nrun_dir /run/x\n"));
        assert!(text.contains("\nlimit.connect 5\n"));
    }

    #[test]
    fn flags_beside_it_show_their_effect() {
        let text = text_of("-C --limit connect=0.25 -w 3 -g 10");

        assert!(text.contains("\nlimit.connect 0.25\n"));
        assert!(text.contains("\nlimit.grace 10\n"));
        assert!(text.contains("\nworkers 3\n"));
    }

    #[test]
    fn seconds_have_no_more_digits_than_needed() {
        assert_eq!(seconds(Duration::from_secs(10)), "10");
        assert_eq!(seconds(Duration::from_millis(100)), "0.1");
        assert_eq!(seconds(Duration::from_millis(1)), "0.001");
    }
}
