//! Commands and flags that need no running daemon.

use std::time::Duration;

use nix::sys::signal::Signal;
use regex::Regex;

use crate::harness::{Client, Deadline, Process, Sandbox, mounted};

/// A file whose only service is called `name`.
fn file_with(name: &str) -> String {
    format!("service {name} {{ port 8080; backend maple {{ server 10.0.0.5:80; }} }}\n")
}

/// Which service `services` lists.
fn listed(sandbox: &Sandbox, flags: &[&str]) -> String {
    let run = sandbox.program().args(flags).args(["services", "-t"]).run();
    run.clean().split('\t').next().unwrap().to_owned()
}

/// C01 (documented).
#[test]
fn the_file_of_flag_c_wins_over_the_one_in_prefix_etc() {
    let mut sandbox = Sandbox::new();
    sandbox.install("prefix/bin/crossroads");
    sandbox.write("prefix/etc/crossroads.conf", file_with("installed"));
    sandbox.write("named.conf", file_with("named"));

    assert_eq!(listed(&sandbox, &["-c", "named.conf"]), "named");
    assert_eq!(listed(&sandbox, &["-cnamed.conf"]), "named");
    assert_eq!(listed(&sandbox, &[]), "installed");
}

/// C01 (documented).
#[test]
fn the_file_in_prefix_etc_wins_over_the_one_in_etc() {
    let mut sandbox = Sandbox::new();
    sandbox.install("prefix/bin/crossroads");
    sandbox.write("etc/crossroads.conf", file_with("system"));
    let Some(wrapper) = mounted(&[(&sandbox.path().join("etc"), "/etc")]) else {
        return;
    };
    sandbox.wrap(wrapper);

    assert_eq!(listed(&sandbox, &[]), "system");
    sandbox.write("prefix/etc/crossroads.conf", file_with("installed"));
    assert_eq!(listed(&sandbox, &[]), "installed");
}

/// 2.7 (decided).
#[test]
fn a_missing_file_is_reported_with_every_place_looked_at() {
    let mut sandbox = Sandbox::new();
    sandbox.install("prefix/bin/crossroads");
    sandbox.write("etc/unrelated", "");
    let Some(wrapper) = mounted(&[(&sandbox.path().join("etc"), "/etc")]) else {
        return;
    };
    sandbox.wrap(wrapper);

    let run = sandbox.program().args(["configtest"]).run();

    let stderr = run.failed();
    assert!(stderr.contains("/prefix/etc/crossroads.conf"), "{stderr}");
    assert!(stderr.contains("/etc/crossroads.conf"), "{stderr}");
}

/// C59 (decided).
#[test]
fn usage_errors_are_one_line_with_a_pointer_to_help() {
    let sandbox = Sandbox::new();
    sandbox.write("shop.conf", file_with("shop"));
    for words in [
        &["--no-such-flag", "status"][..],
        &["-w", "0", "status"],
        &["-w", "1025", "status"],
        &["-B", "1023", "start"],
        &["-l", "nowhere", "start"],
        &["-W", "W17", "configtest"],
        &["-t", "-x", "status"],
        &["--limit", "nonsense=3", "start"],
        &["--limit", "connect=0", "start"],
        &["tell", "shop"],
        &["tell", "shop", "maple", "Up"],
        &["configtest", "surplus"],
        &["no-such-command"],
        &["-c"],
    ] {
        let run = sandbox.program().args(["-cshop.conf"]).args(words).run();
        let text = run.usage_error();
        assert!(!text.is_empty(), "{words:?}");
    }
}

/// C59 (decided).
#[test]
fn reload_says_that_it_is_not_in_this_version() {
    let run = Sandbox::new().program().args(["reload"]).run();

    assert_eq!(run.failed_with_one_line(), "reload: not in this version");
}

/// 2.3 (decided).
#[test]
fn without_a_command_the_usage_goes_to_stderr() {
    let sandbox = Sandbox::new();

    let bare = sandbox.program().run();
    let asked = sandbox.program().args(["-h"]).run();

    assert!(bare.failed().contains("configtest"), "{bare:#?}");
    assert!(asked.clean().contains("configtest"), "{asked:#?}");
}

/// 2.2 (the flag documented, its effect inferred, the number decided).
#[test]
fn the_version_is_printed_alone() {
    let sandbox = Sandbox::new();

    assert_eq!(
        sandbox.program().args(["-V"]).run().clean(),
        "crossroads 3.0.0\n"
    );
    let both = sandbox.program().args(["-V", "-h"]).run();
    assert!(
        both.clean().contains("configtest"),
        "of -h and -V the first acts: {both:#?}"
    );
}

/// 2.2 (documented; keys decided).
#[test]
fn compile_time_settings_are_printed_key_by_key() {
    let run = Sandbox::new()
        .program()
        .args(["-C", "--limit", "connect=2.5"])
        .run();

    let keys: Vec<&str> = run
        .clean()
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "version",
            "target",
            "config_default",
            "buffer_size",
            "dns_ttl",
            "workers",
            "handler_output_limit",
            "hooks_running",
            "hooks_waiting",
            "lookups_running",
            "shm_magic",
            "shm_layout",
            "run_dir",
            "limit.connect",
            "limit.failover",
            "limit.head",
            "limit.discard",
            "limit.handler",
            "limit.hook",
            "limit.hook_kill",
            "limit.probe",
            "limit.name_retry",
            "limit.control",
            "limit.start",
            "limit.grace",
            "limit.stop_hooks",
            "limit.stop_wait",
            "limit.heartbeat",
            "limit.record",
            "limit.log_repeat",
        ]
    );
    assert!(
        run.stdout.contains("\nlimit.connect 2.5\n"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("\nbuffer_size 65536\n"),
        "{}",
        run.stdout
    );
}

/// 2.2 (documented; the form decided).
#[test]
fn the_parsed_configuration_is_written_in_binary_form() {
    let sandbox = Sandbox::new();
    sandbox.write("shop.conf", file_with("shop"));

    let binary = sandbox.program().args(["-b", "-c", "shop.conf"]).run();
    let json = sandbox
        .program()
        .args(["services", "-j", "-c", "shop.conf"])
        .run();

    binary.clean();
    let written = &binary.bytes;
    assert_eq!(&written[..8], b"XRCONF01");
    let length = u32::from_le_bytes(written[8..12].try_into().unwrap()) as usize;
    assert_eq!(length, written.len() - 12);
    assert_eq!(
        std::str::from_utf8(&written[12..]).unwrap().trim_end(),
        json.clean().trim_end()
    );
}

/// 2.3 (documented; "passes" decided).
#[test]
fn the_sample_configuration_passes_configtest() {
    let sandbox = Sandbox::new();

    let sample = sandbox.program().args(["sampleconf"]).run();
    sandbox.write("sample.conf", sample.clean());
    let run = sandbox
        .program()
        .args(["configtest", "-c", "sample.conf"])
        .run();

    assert!(run.clean().contains(": configuration is ok ("), "{run:#?}");
}

/// A file with retired spellings, comments and odd layout.
const RETIRED: &str = "/* shop */ service shop {   # front\n\tport 8080;\n\
    \tsessiontimeout   9 ; // nine\n\tdispatchmode bysessions;\n\ttype stickyhttp;\n\
    \tbackend maple { server 10.0.0.5:80; }\n}\n";

/// The same file in new spellings.
const RENEWED: &str = "/* shop */ service shop {   # front\n\tport 8080;\n\
    \tconnectiontimeout   9 ; // nine\n\tdispatchmode byconnections;\n\ttype http;\n\
    \tbackend maple { server 10.0.0.5:80; }\n}\n";

/// C60 (decided).
#[test]
fn migrate_prints_the_file_in_new_spellings_and_changes_nothing_else() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("old.conf", RETIRED);

    let run = sandbox.program().args(["migrate", "old.conf"]).run();
    sandbox.write("new.conf", run.ok());
    let check = sandbox
        .program()
        .args(["configtest", "-c", "new.conf"])
        .run();

    assert_eq!(run.stdout, RENEWED);
    let places: Vec<&str> = run
        .stderr
        .lines()
        .filter_map(|line| line.split_once(": `"))
        .map(|(place, _)| place)
        .collect();
    assert_eq!(
        places,
        ["old.conf:3:2", "old.conf:4:15", "old.conf:5:7"],
        "{run:#?}"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap(), RETIRED);
    assert!(!check.stderr.contains("W01"), "{check:#?}");
    check.ok();
}

/// C60 (decided).
#[test]
fn migrate_shows_a_unified_diff() {
    let sandbox = Sandbox::new();
    sandbox.write("old.conf", RETIRED);

    let run = sandbox
        .program()
        .args(["migrate", "--diff", "old.conf"])
        .run();

    let text = run.ok();
    assert!(text.starts_with("--- "), "{text}");
    assert!(text.contains("\n+++ ") && text.contains("\n@@ "), "{text}");
    let changed = |sign: &str| text.lines().filter(|line| line.starts_with(sign)).count() - 1;
    assert_eq!((changed("-"), changed("+")), (3, 3), "{text}");
    assert!(text.contains("\n-\tdispatchmode bysessions;\n"), "{text}");
    assert!(
        text.contains("\n+\tdispatchmode byconnections;\n"),
        "{text}"
    );
}

/// C60 (decided).
#[test]
fn migrate_in_place_replaces_the_file_once() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let sandbox = Sandbox::new();
    let file = sandbox.write("old.conf", RETIRED);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();

    sandbox
        .program()
        .args(["migrate", "-i", "old.conf"])
        .run()
        .ok();
    let first = file.metadata().unwrap();
    sandbox
        .program()
        .args(["migrate", "-i", "old.conf"])
        .run()
        .ok();

    assert_eq!(std::fs::read_to_string(&file).unwrap(), RENEWED);
    assert_eq!(first.mode() & 0o7777, 0o640);
    assert_eq!(
        file.metadata().unwrap().ino(),
        first.ino(),
        "nothing to change, not replaced"
    );
}

/// 2.3 (decided).
#[test]
fn migrate_refuses_a_faulty_file_and_both_flags_together() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.conf", "service shop { sessiontimeout x; }");
    sandbox.write("old.conf", RETIRED);

    let faulty = sandbox.program().args(["migrate", "bad.conf"]).run();
    let both = sandbox
        .program()
        .args(["migrate", "-i", "--diff", "old.conf"])
        .run();

    assert!(faulty.failed().contains("error[E07]"), "{faulty:#?}");
    both.usage_error();
}

/// C61 (decided).
#[test]
fn demo_answers_a_request_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.write("tmp/.keep", "");
    let temporary = sandbox.path().join("tmp");
    let mut demo = sandbox
        .program()
        .args(["demo"])
        .env("TMPDIR", &temporary)
        .spawn();

    let lines = demo.stdout_until(|line| line.contains("http://127.0.0.1:"));
    let address = Regex::new(r"http://(127\.0\.0\.1:\d+)").unwrap();
    let address = address.captures(&lines.concat()).unwrap()[1]
        .parse()
        .unwrap();
    let mut client = Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n");
    let (reply, _) = client.rest();
    let processes = sandbox.processes();
    demo.signal(Signal::SIGINT);
    let run = demo.finish(Deadline::after(Duration::from_secs(10)));

    assert!(
        reply.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&reply)
    );
    run.ok();
    let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "only what the case put there: {left:?}");
    assert_eq!(objects_of(&processes), Vec::<String>::new());
}

/// The shared memory objects whose header names one of `processes`.
fn objects_of(processes: &[Process]) -> Vec<String> {
    let entries = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let objects = entries.map(|entry| entry.path()).filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("crossroads."))
    });
    objects
        .filter(|path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            let pid = bytes
                .get(28..32)
                .map(|pid| u32::from_ne_bytes(pid.try_into().unwrap()));
            processes.iter().any(|process| Some(process.0) == pid)
        })
        .map(|path| path.display().to_string())
        .collect()
}
