//! Surroundings of one's own: networks and files that only one case sees.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Deadline, Sandbox, binary_under_test};

/// Says to the test that runs in a new network that it is inside.
const INSIDE: &str = "CROSSROADS_OWN_NETWORK";

/// Whether this is root; a case that needs it says so and is skipped otherwise.
pub(crate) fn root_only(why: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root: {why}");
    }
    root
}

/// Runs the body of the current test in a network of its own, where `addresses`
/// exist besides those of the loopback interface and nothing else is reachable.
///
/// The test is run once more, alone, in a child that has left the network of
/// the machine; only there `body` runs.
pub(crate) fn in_own_network(addresses: &[&str], body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    // Who is not root can be it in a world of users of his own.
    let flags: &[&str] = if nix::unistd::geteuid().is_root() {
        &["--net"]
    } else {
        &["--map-root-user", "--net"]
    };
    if !can_unshare(flags) {
        return;
    }
    let thread = std::thread::current();
    let test = thread.name().expect("a test has a name");
    let mut script = "ip link set lo up".to_owned();
    for address in addresses {
        script += &format!(" && ip addr add {address} dev lo");
    }
    script += " && exec \"$@\"";
    let program = std::env::current_exe().expect("the running test");
    let sandbox = Sandbox::new();
    let run = sandbox
        .other_program("unshare")
        .args(flags)
        .args(["sh", "-c", &script, "sh"])
        .args([program])
        .args([test, "--exact", "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .env("CROSSROADS_UNDER_TEST", binary_under_test())
        .within(Deadline::usual().left() * 3)
        .run();
    assert!(
        run.code == Some(0) && run.stdout.contains("1 passed"),
        "{}{}",
        run.stdout,
        run.stderr
    );
}

/// A wrapper that runs a program where the file or directory `original` is
/// replaced by `replacement`, for each pair; `None` when the machine forbids it.
pub(crate) fn mounted(pairs: &[(&Path, &str)]) -> Option<Vec<OsString>> {
    if !can_unshare(&["--mount"]) {
        return None;
    }
    let mut script = String::new();
    for (replacement, original) in pairs {
        let replacement = replacement.to_str().expect("a path of text");
        script += &format!("mount --bind '{replacement}' '{original}' && ");
    }
    script += "exec \"$@\"";
    Some(
        ["unshare", "--mount", "sh", "-c", &script, "sh"]
            .map(Into::into)
            .to_vec(),
    )
}

fn can_unshare(flags: &[&str]) -> bool {
    let can = Command::new("unshare")
        .args(flags)
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !can {
        eprintln!(
            "skipped: this machine does not allow `unshare {}`",
            flags.join(" ")
        );
    }
    can
}
