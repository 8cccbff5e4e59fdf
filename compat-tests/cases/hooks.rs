//! Hooks: which run, in which order, how many, as whom, and what becomes of
//! them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::harness::{Backend, Client, Level, Proxy, Sandbox, Setup, pace, root_only, until};

/// The lines of a file, none if it does not exist.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Statements for all three hooks, which write a line each into `log`.
fn logging(log: &Path) -> String {
    let log = log.display();
    let hook = |word: &str| format!("on{word} echo {word} %b %r >> {log};");
    [hook("start"), hook("end"), hook("fail")].concat()
}

/// Address number `number` of those that all lead to this machine.
fn address(number: usize) -> IpAddr {
    let [.., high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low).into()
}

/// A client from `address` is served and gone.
fn visit_from(proxy: &Proxy, address: IpAddr) {
    let mut client = Client::connect_from(address, proxy.address());
    client.line();
}

/// A pipe that holds up who reads it, until a line is written for him.
struct Barrier {
    path: PathBuf,
    pipe: File,
}

impl Barrier {
    fn new(sandbox: &Sandbox) -> Self {
        let path = sandbox.path().join("barrier");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        // Open for both, so that nobody waits for the other end.
        let pipe = OpenOptions::new().read(true).write(true).open(&path);
        let pipe = pipe.unwrap();
        Self { path, pipe }
    }

    /// A shell command that waits.
    fn wait(&self) -> String {
        format!("read line < {}", self.path.display())
    }

    fn release(&mut self, count: usize) {
        self.pipe.write_all(&vec![b'\n'; count]).unwrap();
    }
}

/// C29 (documented; the order inferred): a client that is passed on.
#[test]
fn failed_backends_run_onfail_before_the_serving_one_runs_onstart_and_onend() {
    let (maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let mut setup = Setup::new("dispatchmode byorder;");
    let log = setup.sandbox().path().join("log");
    let hooks = logging(&log);
    let proxy = setup
        .backend("maple", maple.server(), &hooks)
        .backend("birch", birch.server(), &hooks)
        .start();

    let (client, name) = proxy.greeted();
    assert_eq!(name, "birch");
    until("onstart ran", || lines(&log).len() == 2);
    drop(client);

    until("onend ran", || lines(&log).len() == 3);
    let expected = [
        "fail maple 127.0.0.1",
        "start birch 127.0.0.1",
        "end birch 127.0.0.1",
    ];
    assert_eq!(lines(&log), expected);
    assert_eq!(proxy.state("maple"), "unavailable");
}

/// 11.2 (decided): a thousand connections of a moment each, at a rate that the
/// queue holds.
#[test]
fn a_thousand_short_connections_have_every_hook_once_and_in_order() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("");
    let log = setup.sandbox().path().join("log");
    let proxy = setup
        .backend("maple", maple.server(), &logging(&log))
        .start();

    for batch in 0..10 {
        for number in 0..100 {
            visit_from(&proxy, address(batch * 100 + number));
        }
        let so_far = (batch + 1) * 200;
        until("the hooks of a batch have run", || {
            lines(&log).len() == so_far
        });
    }

    let mut by_client: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines(&log) {
        let words: Vec<_> = line.split(' ').collect();
        let hooks = by_client.entry(words[2].to_owned()).or_default();
        hooks.push(words[0].to_owned());
    }
    assert_eq!(by_client.len(), 1_000);
    assert!(by_client.values().all(|hooks| hooks == &["start", "end"]));
    proxy.await_idle();
    assert_eq!(proxy.shop_number("hooks_dropped"), 0);
}

/// C54 (decided): more connections than the queue takes. Those that end while
/// the queue is full still get their `onend`.
#[test]
fn pairs_beyond_the_queue_are_dropped_together_counted_and_said_once() {
    const CLIENTS: usize = 1_400;
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("");
    let log = setup.sandbox().path().join("log");
    let mut barrier = Barrier::new(setup.sandbox());
    let hooks = format!(
        "onstart {} && echo start %r >> {log}; onend echo end %r >> {log};",
        barrier.wait(),
        log = log.display()
    );
    let proxy = setup.backend("maple", maple.server(), &hooks).start();

    for number in 0..CLIENTS {
        // Traffic does not wait for hooks.
        visit_from(&proxy, address(number));
    }
    proxy.await_idle();
    let dropped = usize::try_from(proxy.shop_number("hooks_dropped")).unwrap();
    barrier.release(CLIENTS);

    // 64 run and 1024 wait; an end waits as soon as its connection is over.
    assert!(dropped % 2 == 0 && dropped > 400, "{dropped}");
    let served = CLIENTS - dropped / 2;
    until("all others have run", || lines(&log).len() == 2 * served);
    let mut by_client: HashMap<String, Vec<String>> = HashMap::new();
    for line in lines(&log) {
        let (hook, client) = line.split_once(' ').unwrap();
        let hooks = by_client.entry(client.to_owned()).or_default();
        hooks.push(hook.to_owned());
    }
    assert_eq!(by_client.len(), served);
    assert!(by_client.values().all(|hooks| hooks == &["start", "end"]));
    let said = proxy.sandbox().syslog.matching("hook queue full");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].level, Level::Warning);
    assert_eq!(
        said[0].text,
        "shop maple: hook queue full, onstart and onend dropped"
    );
    let line = format!("  dropped {dropped} hooks\n");
    assert!(proxy.run(["status"]).ok().contains(&line));
}

/// 11.1 (decided).
#[test]
fn a_hook_that_outlives_its_connection_holds_nothing_open() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("");
    let log = setup.sandbox().path().join("log");
    let mut barrier = Barrier::new(setup.sandbox());
    let onstart = format!(
        "onstart ls -l /proc/$$/fd > {0}.tmp && mv {0}.tmp {0} && {1};",
        log.display(),
        barrier.wait()
    );
    let proxy = setup.backend("maple", maple.server(), &onstart).start();

    let (client, _) = proxy.greeted();
    until("the hook runs", || log.exists());
    client.finish_sending();
    let (rest, _) = { client }.rest();

    assert_eq!(rest, b"");
    until("the back end sees the end", || maple.open() == 0);
    let open: Vec<String> = lines(&log);
    let targets = open.iter().filter_map(|line| line.split_once(" -> "));
    let targets: Vec<&str> = targets.map(|(_, target)| target).collect();
    assert_eq!(
        targets
            .iter()
            .filter(|target| **target == "/dev/null")
            .count(),
        3
    );
    assert!(
        targets.iter().all(|target| !target.starts_with("socket:")),
        "{open:?}"
    );
    barrier.release(1);
    proxy.await_idle();
}

/// 11.1 and 13.3 (decided).
#[test]
fn an_exit_status_is_logged_where_the_backend_is_verbose() {
    let (maple, birch) = (Backend::banner("maple"), Backend::banner("birch"));
    let proxy = Setup::new("dispatchmode byorder;")
        .backend(
            "maple",
            maple.server(),
            "verbosity on; onstart exit 3; onend exit 0;",
        )
        .backend("birch", birch.server(), "onstart exit 4;")
        .start();

    assert_eq!(proxy.visit(), "maple");
    proxy.tell("maple", "down");
    assert_eq!(proxy.visit(), "birch");

    let syslog = &proxy.sandbox().syslog;
    syslog.await_exactly(Level::Info, "shop maple: onstart exit status 3");
    proxy.await_idle();
    assert_eq!(syslog.matching("exit status").len(), 1);
}

/// 11.1 (decided).
#[test]
fn a_hook_over_its_limit_is_terminated_with_its_group_and_then_killed() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("");
    let log = setup.sandbox().path().join("log");
    let script = format!(
        "trap 'echo polite >> {}' TERM\nsleep 1000 &\nwhile :; do wait; done\n",
        log.display()
    );
    let script = setup.sandbox().write("stubborn", script);
    let onstart = format!("onstart sh {};", script.display());
    let proxy = setup
        .backend("maple", maple.server(), &onstart)
        .limit("hook", 0.3)
        .limit("hook_kill", 0.3)
        .start();

    proxy.visit();

    let syslog = &proxy.sandbox().syslog;
    syslog.await_exactly(Level::Warning, "shop maple: onstart over 0.3 s, terminated");
    let daemon = proxy.process();
    until("hook and sleeper are gone", || {
        proxy.sandbox().processes() == [daemon]
    });
    assert_eq!(lines(&log), ["polite"]);
}

/// C07 (decided): the end of a daemon is the end of its connections.
#[test]
fn a_stop_runs_onend_of_the_connections_that_it_cuts() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("");
    let log = setup.sandbox().path().join("log");
    let proxy = setup
        .backend("maple", maple.server(), &logging(&log))
        .start();
    let (client, _) = proxy.greeted();

    proxy.stop();

    // It was begun; the daemon does not wait for its end.
    until("onend has ended", || lines(&log).len() == 2);
    assert_eq!(
        lines(&log),
        ["start maple 127.0.0.1", "end maple 127.0.0.1"]
    );
    drop(client);
}

/// 2.6 (decided).
#[test]
fn a_stop_does_not_wait_long_for_hooks_and_says_what_it_drops() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("");
    let mut barrier = Barrier::new(setup.sandbox());
    let hooks = format!("onstart {}; onend true;", barrier.wait());
    let proxy = setup
        .backend("maple", maple.server(), &hooks)
        .limit("stop_hooks", 0.3)
        .start();
    proxy.visits(3);
    proxy.await_idle();

    proxy.stop();

    let syslog = &proxy.sandbox().syslog;
    syslog.await_exactly(Level::Warning, "3 hooks dropped by the stop");
    barrier.release(3);
    until("the running ones end by themselves", || {
        proxy.sandbox().processes().is_empty()
    });
}

/// 2.6 (decided): an order that comes while hooks wait cuts that short, too.
#[test]
fn more_signals_cut_the_wait_for_hooks_short() {
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("");
    let mut barrier = Barrier::new(setup.sandbox());
    let hooks = format!("onstart {}; onend true;", barrier.wait());
    let proxy = setup
        .backend("maple", maple.server(), &hooks)
        .limit("stop_hooks", 600.0)
        .start();
    let daemon = proxy.process();
    proxy.visits(3);
    proxy.await_idle();
    // The first of several begins the stop, the second may find it with its
    // connections; none but a later one meets the wait for hooks.
    until("it waits no longer", || {
        daemon.signal(Signal::SIGTERM);
        !daemon.is_alive()
    });

    let syslog = &proxy.sandbox().syslog;
    syslog.await_exactly(Level::Warning, "3 hooks dropped by the stop");
    barrier.release(3);
    until("the running ones end by themselves", || {
        proxy.sandbox().processes().is_empty()
    });
}

/// 11.2 (decided): none for probes and refused connects without a client.
#[test]
fn probes_run_no_hooks() {
    let mut maple = Backend::banner("maple");
    let mut setup = Setup::new("revivinginterval 1;");
    let log = setup.sandbox().path().join("log");
    let proxy = setup
        .backend("maple", maple.server(), &logging(&log))
        .start();
    maple.kill();
    proxy.connect().assert_closed_without_data();
    until("onfail ran", || lines(&log) == ["fail maple 127.0.0.1"]);

    maple.revive();
    proxy.await_state("maple", "available");

    pace(Duration::from_millis(200));
    assert_eq!(lines(&log), ["fail maple 127.0.0.1"]);
}

/// 11.4 (decided).
#[test]
fn useraccount_gives_programs_its_user_groups_and_environment() {
    if !root_only("programs run as another account") {
        return;
    }
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("useraccount nobody;");
    setup.sandbox().open_to_all();
    let log = setup.sandbox().write("log", "");
    std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let onstart = format!(
        "onstart echo $(id -un) $(id -Gn) $USER $LOGNAME >> {};",
        log.display()
    );
    let proxy = setup.backend("maple", maple.server(), &onstart).start();

    proxy.visit();

    until("the hook has run", || !lines(&log).is_empty());
    let line = lines(&log).remove(0);
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[0], "nobody", "{line}");
    assert!(!words[1..].contains(&"root"), "{line}");
    assert!(line.ends_with(" nobody nobody"), "{line}");
}

/// 11.4 (decided): it fails closed.
#[test]
fn a_hook_that_cannot_become_its_account_is_not_run() {
    if !root_only("a daemon that is root only in name") {
        return;
    }
    let maple = Backend::banner("maple");
    let mut setup = Setup::new("useraccount nobody;")
        // Root of a world of its own, in which there is no other account.
        .wrap(["unshare", "--map-root-user"]);
    let log = setup.sandbox().path().join("log");
    let proxy = setup
        .backend("maple", maple.server(), &logging(&log))
        .write();
    if proxy.run(["configtest"]).code != Some(0) {
        eprintln!("skipped: this machine forbids worlds of one's own");
        return;
    }
    proxy.start();

    assert_eq!(proxy.visit(), "maple", "traffic goes on");

    let line = proxy.sandbox().syslog.await_line("cannot run onstart");
    assert_eq!(line.level, Level::Error);
    assert!(
        line.text.starts_with("shop maple: cannot run onstart: "),
        "{line:?}"
    );
    proxy.await_idle();
    assert!(!log.exists(), "nothing was run");
}

/// 4.15 (decided).
#[test]
fn start_fails_where_useraccount_cannot_be_had() {
    let maple = Backend::banner("maple");
    let proxy = Setup::new("useraccount no_such_account;")
        .backend("maple", maple.server(), "onstart true;")
        .write();

    let run = proxy.run(["start"]);

    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("error[E39]"), "{}", run.stderr);
}

/// 11.5 (decided): a client chooses its bytes, and nothing that a shell sees.
#[test]
fn nothing_but_the_address_of_a_client_reaches_a_shell_line() {
    let maple = Backend::echo();
    let mut setup = Setup::new("bindto ::;");
    let place = setup.sandbox().path().to_owned();
    let log = place.join("log");
    let hook = format!(
        "onstart cd {} && echo '%r %b %s %1b %1a %h' >> log;",
        place.display()
    );
    let proxy = setup.backend("maple", maple.server(), &hook).start();
    let hostile = "$(touch pwned) `touch pwned` ; touch pwned | touch pwned\n%r%b\0\u{1b}[2J";
    let ipv6 = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, proxy.address().port()));

    for to in [proxy.address(), ipv6] {
        let mut client = Client::connect(to);
        client.send(hostile);
        client.finish_sending();
        assert_eq!(client.rest().0, hostile.as_bytes());
    }

    until("both hooks have run", || lines(&log).len() == 2);
    let mut found = lines(&log);
    found.sort();
    let host = found[0].rsplit(' ').next().unwrap().to_owned();
    assert!(
        found[0].starts_with("127.0.0.1 maple shop maple 1 "),
        "{found:?}"
    );
    assert!(found[1].starts_with("::1 maple shop maple 1 "), "{found:?}");
    assert!(
        host.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    );
    assert!(!place.join("pwned").exists());
}

/// 11.1 (decided): `CROSSROADS_MANY_HOOKS=10000` for as many connections.
#[test]
fn many_hooks_leave_neither_zombies_nor_descriptors() {
    let many = std::env::var("CROSSROADS_MANY_HOOKS").ok();
    let many = many.and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let maple = Backend::banner("maple");
    let proxy = Setup::new("")
        .backend("maple", maple.server(), "onstart true; onend true;")
        .start();
    let daemon = proxy.process();
    proxy.visits(20);
    let children = |state: &str| {
        let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            let fields: Vec<&str> = rest.split(' ').collect();
            let ours = fields[1] == daemon.0.to_string();
            (ours && (state.is_empty() || fields[0] == state)).then_some(())
        });
        all.count()
    };
    until("the first hooks have ended", || children("") == 0);
    proxy.await_idle();
    let before = daemon.descriptors();

    let begun = std::time::Instant::now();
    for done in (0..many).step_by(100) {
        proxy.visits(100);
        // The queue is not to overflow here.
        until("hooks keep up", || children("") < 40);
        assert!(children("Z") < 64, "zombies after {done}");
    }

    println!(
        "{many} connections with two hooks each: {:?}",
        begun.elapsed()
    );
    until("all hooks have ended", || children("") == 0);
    proxy.await_idle();
    assert_eq!(daemon.descriptors(), before);
    assert_eq!(proxy.shop_number("hooks_dropped"), 0);
}
