//! `status` and the shared memory that it reads.

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{Client, Golden, Proxy, Setup};

/// A shop whose numbers are known: maple and birch have served a client each and
/// are down, cedar has an open connection.
fn shop_of_known_numbers(trees: &Trees) -> (Proxy, Client) {
    let proxy = Setup::new("maxconnections 300; dispatchmode bysize over 4;")
        .backend("maple", trees.maple.server(), "maxconnections 1;")
        .backend("birch", trees.birch.server(), "weight 2; maxconnections 5;")
        .backend("cedar", trees.cedar.server(), "")
        .flags(["-a"])
        .start();
    super::accounted_visits(&proxy, 2);
    proxy.tell("maple", "down");
    proxy.tell("birch", "down");
    let (client, name) = proxy.greeted();
    assert_eq!(name, "cedar");
    crate::harness::until("the numbers are published", || {
        proxy.number("cedar", "active") == 1 && proxy.number("cedar", "bytes_to_client") == 6
    });
    (proxy, client)
}

/// The text of a status without what differs from run to run.
fn golden(proxy: &Proxy, trees: &Trees, text: &str) -> Golden {
    Golden::of(text)
        .replacing(&trees.maple.address().port(), "MAPLE")
        .replacing(&trees.birch.address().port(), "BIRCH")
        .replacing(&trees.cedar.address().port(), "CEDAR")
        .replacing(&format!("port {}", proxy.port()), "port SHOP")
        .replacing(&format!("pid {}", proxy.process().0), "pid PID")
}

/// 14.1 (decided).
#[test]
fn the_table_of_status_is_as_specified() {
    let trees = Trees::new();
    let (proxy, _client) = shop_of_known_numbers(&trees);

    let run = proxy.run(["status"]);

    golden(&proxy, &trees, run.clean())
        .replacing_all(r"(?m)\b\d+s ", "Ns ")
        .replacing_all(r"\b0\.\d{3} ", "0.MMM ")
        .assert_equals("status.txt");
}

/// 14.2 (decided).
#[test]
fn the_tab_separated_lines_of_status_are_as_specified() {
    let trees = Trees::new();
    let (proxy, _client) = shop_of_known_numbers(&trees);

    let run = proxy.run(["status", "-t"]);

    golden(&proxy, &trees, run.clean())
        .replacing_all(r"\b\d{10}\b", "SINCE")
        .replacing_all(r"\t\d+\.\d{6}\t(\d+\.\d{6}\tSINCE)", "\tSECONDS\t$1")
        .replacing_all(r"(?m)\t\d+\.\d{6}(\t\d+)$", "\tSECONDS$1")
        .assert_equals("status-t.txt");
}

/// 14.2 (decided).
#[test]
fn the_json_of_status_has_the_specified_fields_in_order() {
    let trees = Trees::new();
    let (proxy, _client) = shop_of_known_numbers(&trees);

    let run = proxy.run(["status", "-j"]);

    golden(&proxy, &trees, run.clean())
        .replacing(&format!("\"port\":{}", proxy.port()), "\"port\":SHOP")
        .replacing(&format!("\"pid\":{}", proxy.process().0), "\"pid\":PID")
        .replacing_all(r"\b\d{10}\b", "SINCE")
        .replacing_all(r"_seconds\x22:0\.\d+", "_seconds\":SECONDS")
        .replacing_all(r"\x22seconds\x22:0\.\d+", "\"seconds\":SECONDS")
        .assert_equals("status-j.txt");
}

/// 14.2 (decided).
#[test]
fn the_xml_of_status_has_the_fields_as_attributes() {
    let trees = Trees::new();
    let (proxy, _client) = shop_of_known_numbers(&trees);

    let run = proxy.run(["status", "-x"]);

    golden(&proxy, &trees, run.clean())
        .replacing(&format!("port=\"{}\"", proxy.port()), "port=\"SHOP\"")
        .replacing(&format!("pid=\"{}\"", proxy.process().0), "pid=\"PID\"")
        .replacing_all(r"\b\d{10}\b", "SINCE")
        .replacing_all(r"seconds=\x220\.\d+\x22", "seconds=\"SECONDS\"")
        .assert_equals("status-x.txt");
}

/// 14.2 (decided).
#[test]
fn a_service_that_does_not_run_has_a_line_of_its_own() {
    let trees = Trees::new();
    let proxy = trees.behind("").write();

    let text = proxy.run(["status"]);
    let terse = proxy.run(["status", "-t"]);
    let json = proxy.status();

    assert_eq!(text.clean(), "shop: not running\n");
    let dashes = "\t-".repeat(21);
    assert_eq!(terse.clean(), format!("shop\t-\t-\tstopped{dashes}\n"));
    assert!(!json.service("shop").running());
}

/// 14.4 (decided): a stopped daemon still counts as live.
#[test]
fn status_works_while_the_daemon_is_stopped() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let before = proxy.status();
    let daemon = proxy.process();
    daemon.freeze();

    let frozen = proxy.status();
    let silent = {
        let limits = ["--limit", "heartbeat=0.001", "status"];
        crate::harness::eventually("the heartbeat gets old", || {
            let run = proxy.run(limits);
            run.stdout.contains("no sign of life for").then_some(run)
        })
    };
    daemon.signal(Signal::SIGCONT);

    assert!(frozen.service("shop").running());
    assert_eq!(
        frozen.service("shop").number("pid"),
        before.service("shop").number("pid")
    );
    silent.clean();
    assert_eq!(proxy.visits(3).len(), 3);
}

/// C74 (decided).
#[test]
fn a_record_that_stays_in_the_middle_of_a_change_is_shown_with_a_mark() {
    let trees = Trees::new();
    let proxy = trees.behind("").limit("record", 0.3).start();
    let daemon = proxy.process();
    daemon.freeze();
    let segment = proxy.segment();
    let sequence = u64::from_ne_bytes(segment.read(crate::harness::FIRST_BACKEND));
    let set = |value: u64| {
        segment.tamper(crate::harness::FIRST_BACKEND, &value.to_ne_bytes());
    };

    set(sequence | 1);
    let text = proxy.run(["status"]);
    let json = proxy.run(["status", "-j"]);
    set(sequence);
    daemon.signal(Signal::SIGCONT);

    assert!(text.clean().contains(" available?  "), "{text:#?}");
    assert!(json.clean().contains("\"available?\""), "{json:#?}");
    assert!(!proxy.run(["status"]).clean().contains('?'));
}

/// 2.8, 14.3 (decided).
#[test]
fn the_object_has_the_specified_name_mode_and_size() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let segment = proxy.segment();

    assert_eq!(
        segment.mode_and_owner(),
        (0o600, nix::unistd::geteuid().as_raw())
    );
    assert_eq!(segment.size(), 768 + 3 * 512);
    assert_eq!(&segment.read::<8>(0), b"XRSTATUS");
    let pid = u32::from_ne_bytes(segment.read(crate::harness::PID));
    assert_eq!(pid, proxy.process().0);
}

/// 4.11 (documented; the fixed number decided): without `shmkey` the key comes
/// from the port.
#[test]
fn without_shmkey_the_key_is_the_port_ored_with_a_fixed_number() {
    let trees = Trees::new();
    let setup = trees.behind("");
    let proxy = setup.write();
    let key = 0x5852_0000 | u32::from(proxy.port());
    proxy.sandbox().own_key(key);
    let text = proxy
        .config_text()
        .replace(&format!("shmkey {};", proxy.key()), "");
    proxy.rewrite(&text);

    proxy.start();

    assert!(crate::harness::Segment::of(key).exists());
    assert!(!proxy.segment().exists());
}

/// 14.1 (decided).
#[test]
fn a_changed_file_is_mentioned_on_stderr() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    proxy.rewrite(&format!("{}\n# changed\n", proxy.config_text()));

    let run = proxy.run(["status"]);

    assert!(run.ok().starts_with("shop: type any"), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    assert!(run.stderr.starts_with("crossroads: "), "{run:#?}");
}

/// 14.1 (decided): a daemon can be seen although its file was broken meanwhile.
#[test]
fn status_goes_on_after_the_file_was_broken() {
    let trees = Trees::new();
    let proxy = trees.behind("").start();
    let text = proxy.config_text();
    proxy.rewrite(&text.replace("backend cedar {", "backend cedar { wieght 2;"));

    let run = proxy.run(["status"]);

    proxy.rewrite(&text);
    assert!(run.ok().starts_with("shop: type any"), "{run:#?}");
    assert!(run.stderr.contains("error[E02]"), "{run:#?}");
}

/// 14.5, 14.3 (decided): two hundred commands at once under load; each is
/// answered, and what one set, it then sees.
#[test]
fn two_hundred_tells_and_status_at_once_are_all_answered() {
    let trees = Trees::new();
    let mut setup = Setup::new("").backend("maple", trees.maple.server(), "");
    for number in 0..20 {
        setup = setup.backend(&format!("b{number}"), trees.birch.server(), "");
    }
    let proxy = std::sync::Arc::new(setup.start());
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load = {
        let (proxy, ended) = (std::sync::Arc::clone(&proxy), std::sync::Arc::clone(&ended));
        std::thread::spawn(move || {
            let mut served = 0_u64;
            while !ended.load(std::sync::atomic::Ordering::SeqCst) {
                proxy.visit();
                served += 1;
            }
            served
        })
    };

    let operators: Vec<_> = (0..20)
        .map(|number| {
            let proxy = std::sync::Arc::clone(&proxy);
            std::thread::spawn(move || operate(&proxy, &format!("b{number}")))
        })
        .collect();
    for operator in operators {
        operator.join().unwrap();
    }
    ended.store(true, std::sync::atomic::Ordering::SeqCst);
    let served = load.join().unwrap();

    proxy.await_idle();
    let status = proxy.status();
    let backends = status.service("shop").backends();
    let total: u64 = backends.iter().map(|backend| backend.number("total")).sum();
    assert_eq!(total, served);
    assert!(served > 0);
}

/// Five times: an order, and a look at what it did.
fn operate(proxy: &Proxy, backend: &str) {
    for state in ["down", "up", "down", "unavailable", "down"] {
        proxy.tell(backend, state);
        let expected = if state == "up" { "available" } else { state };
        assert_eq!(proxy.state(backend), expected, "{backend}");
    }
}

/// 14.1 (decided).
#[test]
fn several_services_are_listed_in_the_order_of_the_file() {
    let trees = Trees::new();
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .service("desk", "")
        .backend("birch", trees.birch.server(), "")
        .service("attic", "")
        .backend("cedar", trees.cedar.server(), "")
        .start();

    assert_eq!(proxy.status().names(), ["shop", "desk", "attic"]);
}
