//! Access lists: who may connect, and files that are read again.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use crate::harness::{Backend, Client, Deadline, Level, Proxy, Setup, in_own_network, until};

/// Who serves a client that comes from `from`, or nobody.
#[track_caller]
fn served(proxy: &Proxy, from: &str) -> Option<String> {
    served_at(proxy.address(), from)
}

#[track_caller]
fn served_at(to: SocketAddr, from: &str) -> Option<String> {
    let from: IpAddr = from.parse().unwrap();
    let mut client = Client::connect_from(from, to);
    let name = client.try_line().ok();
    if name.is_none() {
        client.assert_closed_without_data();
    }
    name
}

/// Asserts who is admitted and who is refused.
#[track_caller]
fn assert_admits(proxy: &Proxy, admitted: &[&str], refused: &[&str]) {
    for client in admitted {
        assert_eq!(served(proxy, client).as_deref(), Some("maple"), "{client}");
    }
    for client in refused {
        assert_eq!(served(proxy, client), None, "{client}");
    }
}

/// A service `shop` with the one back end maple and these statements. File names
/// in them count from the sandbox, where the program is run.
fn shop(maple: &Backend, statements: &str) -> Setup {
    Setup::new(statements)
        .backend("maple", maple.server(), "")
        .flags(["-W", "no-W18"])
}

/// Sends SIGHUP and waits for one more line that contains `part`.
#[track_caller]
fn hangup(proxy: &Proxy, part: &str) {
    let syslog = &proxy.sandbox().syslog;
    let before = syslog.matching(part).len();
    proxy.process().signal(Signal::SIGHUP);
    syslog.await_lines(part, before + 1);
}

/// Replaces a file at once, as editors do.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

/// Numbers of the lists: filters of allow and deny, refused by deny and allow.
fn numbers(proxy: &Proxy) -> [u64; 4] {
    let status = proxy.status();
    let shop = status.service("shop");
    [
        "allow_filters",
        "deny_filters",
        "refused_deny",
        "refused_allow",
    ]
    .map(|name| shop.number(name))
}

/// C48, first example (documented in other figures): the deny list comes first,
/// then the allow list; the numbers and lines (13.3, 14.2: decided).
#[test]
fn a_denied_address_of_an_allowed_network_is_refused() {
    in_own_network(&["172.16.4.8", "172.16.4.9", "10.2.3.4"], || {
        let maple = Backend::banner("maple");
        let proxy = shop(
            &maple,
            "allowfrom 172.16.4/24; denyfrom 172.16.4.9; verbosity on;",
        )
        .start();

        assert_admits(&proxy, &["172.16.4.8"], &["172.16.4.9", "10.2.3.4"]);

        let syslog = &proxy.sandbox().syslog;
        syslog.await_exactly(Level::Info, "shop: 172.16.4.9 refused by the deny list");
        syslog.await_exactly(Level::Info, "shop: 10.2.3.4 not on the allow list");
        syslog.await_exactly(Level::Info, "shop: connection 0000001 from 172.16.4.8");
        proxy.await_idle();
        assert_eq!(numbers(&proxy), [1, 1, 1, 1]);
        assert_eq!(proxy.shop_number("accepted"), 1);
        assert_eq!(maple.accepted(), 1, "nobody was connected for the others");
    });
}

/// C48, second example (decided, against a published text).
#[test]
fn an_allowed_address_of_a_denied_network_is_refused() {
    in_own_network(&["172.16.4.9", "172.16.4.10", "192.0.2.1"], || {
        let maple = Backend::banner("maple");
        let statements = "allowfrom 172.16.4.9 127.0.0.1; denyfrom 172.16.4/24;";
        let proxy = shop(&maple, statements).start();

        assert_admits(
            &proxy,
            &["127.0.0.1"],
            &["172.16.4.9", "172.16.4.10", "192.0.2.1"],
        );
    });
}

/// 12.2 (documented): one list alone.
#[test]
fn a_deny_list_alone_admits_everybody_else() {
    let maple = Backend::banner("maple");
    let proxy = shop(&maple, "denyfrom 127.0.0.9 127.0.7/24;").start();

    assert_admits(
        &proxy,
        &["127.0.0.1", "127.0.0.8", "127.0.8.0"],
        &["127.0.0.9", "127.0.7.0", "127.0.7.255"],
    );
}

/// 12.1, 12.2 (documented): forty addresses and filters in all the short forms.
#[test]
fn forty_addresses_are_told_apart_by_filters_of_all_forms() {
    let maple = Backend::banner("maple");
    let statements = "allowfrom 127.1 127.2/16 127.3.4 127.4.128/17 127.5.6.7 127.5.6.8/30 \
                      127.6.1.2/24; allowfrom 127.7.0.0/31; denyfrom 127.1.1 127.2.2.2;";
    let proxy = shop(&maple, statements).start();

    let admitted = "127.1.0.0 127.1.0.255 127.1.2.0 127.1.255.255 127.2.0.1 127.2.2.1 \
        127.2.2.3 127.2.255.255 127.3.4.0 127.3.4.200 127.3.4.255 127.4.128.0 127.4.200.1 \
        127.4.255.255 127.5.6.7 127.5.6.8 127.5.6.11 127.6.1.0 127.6.1.255 127.7.0.0 127.7.0.1";
    let refused = "127.0.0.1 127.0.255.255 127.1.1.0 127.1.1.77 127.1.1.255 127.2.2.2 \
        127.3.3.255 127.3.5.0 127.3.0.4 127.4.0.1 127.4.127.255 127.5.6.6 127.5.6.12 127.5.7.7 \
        127.6.0.255 127.6.2.0 127.7.0.2 127.7.1.0 127.8.0.0 127.255.255.254";
    let words = |text: &'static str| text.split(' ').filter(|word| !word.is_empty()).collect();
    let (admitted, refused): (Vec<&str>, Vec<&str>) = (words(admitted), words(refused));
    assert_admits(&proxy, &admitted, &refused);

    proxy.await_idle();
    assert_eq!(numbers(&proxy), [8, 2, 4, 16]);
    assert_eq!(proxy.shop_number("accepted"), 21);
}

/// C51 (decided): a client of IPv4 is one of IPv4, also behind a listener of
/// both families.
#[test]
fn families_are_kept_apart_behind_a_listener_for_both() {
    in_own_network(&["2001:db8::7", "2001:db9::7"], || {
        let maple = Backend::banner("maple");
        let statements = "bindto ::; allowfrom 2001:db8::/32 127.0.0.1;";
        let proxy = shop(&maple, statements).flags(["-a"]).start();
        let visit = |address: &str| {
            let ip: IpAddr = address.parse().unwrap();
            served_at(SocketAddr::new(ip, proxy.port()), address).is_some()
        };

        let admitted = [
            "2001:db8::7",
            "::1",
            "2001:db9::7",
            "127.0.0.1",
            "127.0.0.2",
        ]
        .map(visit);

        assert_eq!(admitted, [true, false, false, true, false]);
        let lines = proxy.sandbox().syslog.await_lines("starting shop", 2);
        assert!(lines[0].text.contains(" from 2001:db8::7 to "), "{lines:?}");
        assert!(lines[1].text.contains(" from 127.0.0.1 to "), "{lines:?}");
    });
}

/// 14.2, 14.3 (decided): `status` shows sizes, times and refusals, for people
/// and for programs.
#[test]
fn status_shows_the_lists_and_whom_they_refused() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "allowfile friends; denyfrom 127.0.0.9;");
    setup.sandbox().write("friends", "127/8 10/8\n::1 # us\n");
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let before = now();
    let proxy = setup.start();

    assert_admits(&proxy, &["127.0.0.1"], &["127.0.0.9"]);

    proxy.await_idle();
    assert_eq!(numbers(&proxy), [3, 1, 1, 0]);
    let read = proxy.shop_number("allow_read");
    assert!((before..=now()).contains(&read), "{before} {read}");
    assert_eq!(proxy.shop_number("deny_read"), 0, "it has no file");
    let text = proxy.run(["status"]).clean().to_owned();
    assert!(text.contains("refused 1"), "{text}");
    assert!(text.contains("allow 3 filters (read "), "{text}");
    assert!(text.contains("deny 1 filter"), "{text}");
}

/// C49 (documented; W05 decided), first part.
#[test]
fn a_missing_file_is_an_empty_list_at_the_start() {
    let maple = Backend::banner("maple");
    let proxy = shop(&maple, "allowfile friends;").write();

    let run = proxy.run(["start"]);

    assert!(run.ok().is_empty());
    assert!(run.stderr.contains("warning[W05]"), "{}", run.stderr);
    assert!(
        run.stderr.contains("every client may connect"),
        "{}",
        run.stderr
    );
    assert_admits(&proxy, &["127.0.0.1", "127.0.0.9"], &[]);
    let line = "shop: allow list read from friends is empty";
    proxy.sandbox().syslog.await_exactly(Level::Warning, line);
}

/// C49 (documented), second part: the file replaces the filters of its side.
#[test]
fn a_file_replaces_the_filters_of_its_side() {
    in_own_network(&["11.1.1.1"], || {
        let maple = Backend::banner("maple");
        let mut setup = shop(&maple, "allowfrom 11/8; allowfile friends;").flags(["-W", "no-W06"]);
        setup.sandbox().write("friends", "127.0.0.1\n");
        let proxy = setup.start();

        assert_admits(&proxy, &["127.0.0.1"], &["11.1.1.1"]);

        let line = "shop: allow list read from friends, 1 filters";
        proxy.sandbox().syslog.await_exactly(Level::Notice, line);
    });
}

/// 12.3 (decided): a faulty file keeps the service from starting, with its line.
#[test]
fn a_faulty_file_is_an_error_at_the_start() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "denyfile enemies;");
    setup.sandbox().write("enemies", "10/8\n 10/9\n");
    let proxy = setup.write();

    for command in ["configtest", "start"] {
        let run = proxy.run([command]);
        let told = run.failed();
        assert!(told.contains("enemies:2:2: error[E41]"), "{told}");
        assert!(told.contains("write `10.0/9`"), "{told}");
    }
}

/// C50 (documented): new clients meet the new list, connected ones stay.
/// `killall` comes down to the same signal; see
/// `daemon::the_process_is_called_crossroads_whatever_the_program_file_is_called` for the name.
///
/// The file has a relative name, which counts from where `start` was called
/// (decided).
#[test]
fn an_edited_file_holds_for_new_clients_after_sighup() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "allowfile lists/friends; denyfrom 127.0.0.9;");
    let file = setup.sandbox().write("lists/friends", "127.0.0/24\n");
    let proxy = setup.start();
    let mut running = Client::connect_from([127, 0, 0, 2].into(), proxy.address());
    running.line();

    fs::write(&file, "127.0.1/24\n127.0.0.9\n").unwrap();
    assert_admits(&proxy, &["127.0.0.2"], &["127.0.1.2"]);
    hangup(
        &proxy,
        "shop: allow list read from lists/friends, 2 filters",
    );

    assert_admits(&proxy, &["127.0.1.2"], &["127.0.0.2", "127.0.0.9"]);
    running.assert_echo("undisturbed");
    proxy.await_lists([2, 1]);
}

/// C55 (decided; `restart` documented): what a file that gives no list means.
#[test]
fn a_file_that_has_gone_is_faulty_or_empty_at_sighup() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "allowfile friends;");
    setup.sandbox().write("friends", "127.0.0.1\n");
    let proxy = setup.start();
    let file = proxy.sandbox().path().join("friends");
    let syslog = &proxy.sandbox().syslog;

    fs::remove_file(&file).unwrap();
    let gone = "shop: allow list not read from friends: no such file or directory, old list kept";
    hangup(&proxy, gone);
    syslog.await_exactly(Level::Error, gone);
    assert_admits(&proxy, &["127.0.0.1"], &["127.0.0.9"]);

    fs::write(&file, "127.0.0.9\n  localhost # us\n").unwrap();
    let faulty = "shop: allow list not read from friends:2:3: `localhost` is not an address; \
                  names are not looked up; write the address, old list kept";
    hangup(&proxy, faulty);
    syslog.await_exactly(Level::Error, faulty);
    assert_admits(&proxy, &["127.0.0.1"], &["127.0.0.9"]);
    proxy.await_lists([1, 0]);

    fs::write(&file, "").unwrap();
    let empty = "shop: allow list read from friends is empty";
    hangup(&proxy, empty);
    syslog.await_exactly(Level::Warning, empty);
    assert_admits(&proxy, &["127.0.0.1", "127.0.0.9"], &[]);
    proxy.await_lists([0, 0]);

    replace(&file, "127.0.0.1\n");
    hangup(&proxy, "1 filters");
    assert_admits(&proxy, &["127.0.0.1"], &["127.0.0.9"]);

    fs::remove_file(&file).unwrap();
    let run = proxy.run(["restart"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("warning[W05]"), "{}", run.stderr);
    assert_admits(&proxy, &["127.0.0.1", "127.0.0.9"], &[]);
}

/// 12.3 (decided): the sides are read independently, and so are the services.
#[test]
fn a_faulty_file_holds_up_no_other_list() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "allowfile friends; denyfile enemies;")
        .service("mail", "denyfile others;")
        .backend("maple", maple.server(), "");
    let friends = setup.sandbox().write("friends", "127/8");
    setup.sandbox().write("enemies", "127.0.0.9");
    setup.sandbox().write("others", "127.0.0.7");
    let proxy = setup.start();

    fs::remove_file(friends).unwrap();
    proxy.sandbox().write("enemies", "127.0.0.8 127.0.0.9");
    proxy.sandbox().write("others", "127.0.0.6 127.0.0.7");
    hangup(&proxy, "mail: deny list read from");

    let syslog = &proxy.sandbox().syslog;
    syslog.await_line("shop: allow list not read from");
    assert_admits(&proxy, &["127.0.0.7"], &["127.0.0.8", "127.0.0.9"]);
    assert_eq!(served_at(proxy.address_of("mail"), "127.0.0.6"), None);
    assert!(served_at(proxy.address_of("mail"), "127.0.0.8").is_some());
}

/// 12.3 (decided): whatever stands where a file should be, the daemon neither
/// waits for it nor fills its memory with it; the old list stays.
#[test]
fn what_is_no_file_is_refused_at_sighup_and_nothing_waits_for_it() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "denyfile enemies;");
    let file = setup.sandbox().write("enemies", "127.0.0.9");
    let proxy = setup.start();
    let become_endless = || std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    let become_fifo = || nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let become_directory = || fs::create_dir(&file).unwrap();
    let become_other: [(&dyn Fn(), &str); 3] = [
        (&become_endless, "larger than 64 MiB"),
        (&become_fifo, "not a regular file"),
        (&become_directory, "is a directory"),
    ];

    for (change, reason) in become_other {
        fs::remove_file(&file).unwrap();
        change();
        hangup(&proxy, &format!("{reason}, old list kept"));
        assert_admits(&proxy, &["127.0.0.1"], &["127.0.0.9"]);
    }
}

/// 14.3 (decided): what was read again is shown though no client comes.
#[test]
fn lists_that_are_read_again_at_rest_are_shown() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "denyfile enemies;");
    let file = setup.sandbox().write("enemies", "127.0.0.9");
    let proxy = setup.start();
    proxy.await_lists([0, 1]);

    // More than once: at first the start is still being published.
    for size in 2..5 {
        let filters: String = (1..=size).map(|host| format!("127.0.1.{host} ")).collect();
        fs::write(&file, filters).unwrap();
        hangup(
            &proxy,
            &format!("deny list read from enemies, {size} filters"),
        );

        proxy.await_lists([0, size]);
    }
}

/// Section 15, 12.3 (decided): a daemon without access files takes SIGHUP as
/// nothing, and one that drains reads its lists all the same.
#[test]
fn sighup_neither_ends_a_daemon_without_files_nor_one_that_drains() {
    let maple = Backend::banner("maple");
    let idle = shop(&maple, "denyfrom 127.0.0.9;").start();
    let process = idle.process();
    process.signal(Signal::SIGHUP);
    assert_admits(&idle, &["127.0.0.1"], &["127.0.0.9"]);
    assert_eq!(idle.process(), process);

    let mut setup = shop(&maple, "denyfile enemies;");
    let file = setup.sandbox().write("enemies", "127.0.0.9");
    let proxy = setup.flags(["-g", "60"]).start();
    let (mut client, _) = proxy.greeted();
    let process = proxy.process();
    process.signal(Signal::SIGTERM);
    until("the listener is closed", || {
        Client::try_connect(proxy.address()).is_err()
    });

    fs::write(&file, "127.0.0.9 127.0.0.8").unwrap();
    process.signal(Signal::SIGHUP);

    proxy.sandbox().syslog.await_line("deny list read from");
    proxy.sandbox().syslog.await_line(", 2 filters");
    client.assert_echo("undisturbed");
    client.finish_sending();
    client.rest();
    process.await_end();
}

/// 12.3 (decided): a list may be as long as the limit of 1048576 filters, and is
/// read again while clients are served at once.
#[test]
fn a_list_of_a_million_filters_is_read_again_beside_the_traffic() {
    let maple = Backend::banner("maple");
    let mut setup = shop(&maple, "denyfile enemies;");
    let file = setup.sandbox().write("enemies", "127.0.0.9");
    let long: String = (0..1_048_576_u32)
        .map(|n| {
            format!(
                "{}.{}.{}.{}\n",
                10 + (n >> 19),
                n >> 11 & 255,
                n >> 3 & 255,
                n % 8 * 2
            )
        })
        .collect();
    let proxy = setup.start();

    replace(&file, &long);
    let slowest = hangup_beside_traffic(&proxy, "1048576 filters");

    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert_admits(&proxy, &["127.0.0.9"], &[]);
    proxy.await_lists([0, 1_048_576]);
    replace(&file, &format!("{long}127.0.0.9\n"));
    hangup_beside_traffic(&proxy, "more than 1048576 filters in a list, old list kept");
    assert_admits(&proxy, &["127.0.0.9"], &[]);
}

/// Sends SIGHUP and serves clients until a line contains `part`: gives how long
/// the slowest client took. A long list takes its time without optimisation.
#[track_caller]
fn hangup_beside_traffic(proxy: &Proxy, part: &str) -> Duration {
    let deadline = Deadline::after(Duration::from_secs(180));
    let mut slowest = Duration::ZERO;
    proxy.process().signal(Signal::SIGHUP);
    while proxy.sandbox().syslog.matching(part).is_empty() {
        assert!(!deadline.passed(), "no line with {part:?}");
        let begun = Instant::now();
        assert_eq!(proxy.visit(), "maple");
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

impl Proxy {
    /// Waits until `status` shows these sizes of the allow and deny list.
    #[track_caller]
    fn await_lists(&self, sizes: [u64; 2]) {
        until(&format!("lists of {sizes:?}"), || {
            numbers(self)[..2] == sizes
        });
    }
}
