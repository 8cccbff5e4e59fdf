//! `status` and the shared memory that it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cases::Trees;
use crate::harness::{Client, Deadline, Golden, Proxy, Setup};

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
        .replacing_all(r"(?m)\t\d+\.\d{6}(\t\d+\t\d+)$", "\tSECONDS$1")
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
    let dashes = "\t-".repeat(22);
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

/// 14.5, 14.3 (decided): two hundred commands at once under load are all
/// answered, although the daemon serves fewer requests at a time than that.
#[test]
fn two_hundred_tells_and_status_at_once_are_all_answered() {
    let trees = Trees::new();
    let names: Vec<String> = (0..100).map(|number| format!("b{number}")).collect();
    let setup = Setup::new("").backend("maple", trees.maple.server(), "");
    let proxy = names
        .iter()
        .fold(setup, |setup, name| {
            setup.backend(name, trees.birch.server(), "")
        })
        .start();
    let load = Load::on(&proxy);

    let commands: Vec<_> = names
        .iter()
        .flat_map(|name| [vec!["tell", "shop", name, "down"], vec!["status", "-j"]])
        .map(|words| proxy.command(words).within(Duration::from_secs(60)).spawn())
        .collect();
    for command in commands {
        command
            .finish(Deadline::after(Duration::from_secs(60)))
            .clean();
    }
    let served = load.end();

    proxy.await_idle();
    let status = proxy.status();
    let backends = status.service("shop").backends();
    assert!(
        backends[1..]
            .iter()
            .all(|backend| backend.state() == "down")
    );
    let total: u64 = backends.iter().map(|backend| backend.number("total")).sum();
    assert_eq!(total, served);
    assert!(served > 0);
}

/// 14.5, step 4 (decided): a status that begins after a `tell` has ended shows
/// what it set, while others do the same.
#[test]
fn a_status_after_a_tell_shows_what_was_told() {
    let trees = Trees::new();
    let proxy = Arc::new(trees.behind("").start());
    let load = Load::on(&proxy);

    let operators = ["maple", "birch", "cedar"].map(|backend| {
        let proxy = Arc::clone(&proxy);
        std::thread::spawn(move || operate(&proxy, backend))
    });
    for operator in operators {
        operator.join().unwrap();
    }

    assert!(load.end() > 0);
}

/// Ten times: an order, and a look at what it did.
fn operate(proxy: &Proxy, backend: &str) {
    for state in ["down", "available", "down", "unavailable", "available"].repeat(2) {
        proxy.tell(backend, state);
        assert_eq!(proxy.state(backend), state, "{backend}");
    }
}

/// Clients that come one after the other until they are told to end.
struct Load {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Load {
    fn on(proxy: &Proxy) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, address) = (Arc::clone(&ended), proxy.address());
        let thread = std::thread::spawn(move || {
            let mut served = 0;
            while !seen.load(Ordering::SeqCst) {
                let mut client = Client::connect(address);
                served += u64::from(client.try_line().is_ok());
                client.finish_sending();
                client.rest();
            }
            served
        });
        Self { ended, thread }
    }

    /// How many of them were served.
    fn end(self) -> u64 {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
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
