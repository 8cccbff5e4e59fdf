//! What an account that is not root may do, and what it is told.

use std::os::unix::fs::PermissionsExt;

use crate::cases::Trees;
use crate::cases::remains::as_nobody;
use crate::harness::{in_own_network, root_only};

/// 2.6 (decided): a port below 1024 is refused with the reason and what helps;
/// nothing is left behind. In a network of its own, where the bound between
/// the two kinds of ports is the usual one and the port is free.
#[test]
fn a_port_below_1024_is_refused_to_others_with_a_remedy() {
    if !root_only("another account") {
        return;
    }
    in_own_network(&[], || {
        let trees = Trees::new();
        let proxy = trees.behind("").write();
        let port = format!("port {};", proxy.port());
        proxy.rewrite(&proxy.config_text().replacen(&port, "port 80;", 1));

        let run = as_nobody(&proxy, "start");

        let text = run.failed_with_one_line();
        let start = "service shop: cannot listen on 127.0.0.1:80: permission denied";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("CAP_NET_BIND_SERVICE"), "{text}");
        assert!(!proxy.segment().exists());
        assert_eq!(proxy.sandbox().processes(), []);
    });
}

/// 2.8 (decided): an account without the variable and without a directory of
/// its own cannot use a RUNDIR of root.
#[test]
fn a_run_directory_of_another_account_is_refused() {
    if !root_only("a directory of another account") {
        return;
    }
    let trees = Trees::new();
    let proxy = trees.behind("").write();
    let run_dir = proxy.sandbox().run_dir();
    std::fs::create_dir(&run_dir).unwrap();
    std::fs::set_permissions(&run_dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&run_dir, Some(1), Some(1)).unwrap();

    let run = proxy.run(["start"]);

    run.failed_with_one_line();
    assert!(!proxy.segment().exists());
    assert_eq!(proxy.sandbox().processes(), []);
}

/// 4.15, 11.4 (decided): it fails closed, and says so before anything runs.
#[test]
fn a_useraccount_without_the_rights_for_it_keeps_the_daemon_from_starting() {
    if !root_only("another account") {
        return;
    }
    let trees = Trees::new();
    let proxy = trees.behind("useraccount root;").write();

    let run = as_nobody(&proxy, "start");

    let text = run.failed_with_one_line();
    assert!(
        text.starts_with("service shop: cannot run programs as 'root' without the rights of root"),
        "{text}"
    );
    assert!(!proxy.segment().exists());
    assert_eq!(proxy.sandbox().processes(), []);
}
