//! IPv6, and back ends that are given by name.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cases::Trees;
use crate::harness::{
    Backend, Blackhole, Client, Level, Port, Sandbox, Setup, mounted, root_only, until,
};

/// 1.2, 4.5 (decided): `::` listens on IPv6 and IPv4 alike, and an IPv4 client
/// counts as such.
#[test]
fn a_listener_on_all_addresses_serves_both_families() {
    let trees = Trees::new();
    let proxy = trees.behind("bindto ::;").flags(["-a"]).start();

    let mut four = Client::connect(SocketAddr::from(([127, 0, 0, 1], proxy.port())));
    let first = four.line();
    let mut six = Client::connect(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), proxy.port()));
    let second = six.line();

    assert_eq!([first, second], ["maple", "birch"]);
    four.assert_echo("four");
    six.assert_echo("six");
    let lines = proxy.sandbox().syslog.await_lines("starting shop", 2);
    assert!(
        lines[0]
            .text
            .starts_with("starting shop from 127.0.0.1 to "),
        "{lines:?}"
    );
    assert!(
        lines[1].text.starts_with("starting shop from ::1 to "),
        "{lines:?}"
    );
    let status = proxy.status();
    assert_eq!(status.service("shop").text("bindto"), "::");
    let expected = format!("shop: listening on [::]:{}, 3 back ends", proxy.port());
    proxy
        .sandbox()
        .syslog
        .await_exactly(Level::Notice, &expected);
}

/// 4.16 (decided): an IPv6 address stands in brackets.
#[test]
fn a_backend_can_have_an_ipv6_address() {
    let ip: IpAddr = Ipv6Addr::LOCALHOST.into();
    let maple = Backend::serving_at(ip, Arc::new(Port::reserve()), |mut peer| {
        peer.send("maple\n");
        peer.echo();
    });
    let proxy = Setup::new("").backend("maple", maple.server(), "").start();

    let (mut client, name) = proxy.greeted();

    assert_eq!(name, "maple");
    client.assert_echo("over six");
    let status = proxy.status();
    let expected = format!("[::1]:{}", maple.address().port());
    assert_eq!(
        status.service("shop").backend("maple").text("server"),
        expected
    );
}

/// 2.5 (decided): in `tell`, too.
#[test]
fn an_ipv6_address_can_be_told() {
    let trees = Trees::new();
    let ip: IpAddr = Ipv6Addr::LOCALHOST.into();
    let six = Backend::serving_at(ip, Arc::new(Port::reserve()), |mut peer| {
        peer.send("six\n");
        peer.echo();
    });
    let proxy = Setup::new("")
        .backend("maple", trees.maple.server(), "")
        .start();

    let run = proxy.run(["tell", "shop", "maple", "server", &six.server()]);

    assert_eq!(
        run.clean(),
        format!("shop maple: {} -> {}\n", trees.maple.server(), six.server())
    );
    assert_eq!(proxy.visit(), "six");
}

/// 4.5 (decided): a listener on one address is not met at another.
#[test]
fn a_listener_on_one_address_is_only_there() {
    let trees = Trees::new();
    let proxy = trees.behind("bindto 127.0.0.5;").start();
    let at = |last: u8| SocketAddr::from(([127, 0, 0, last], proxy.port()));

    assert_eq!(Client::connect(at(5)).line(), "maple");
    assert!(Client::try_connect(at(1)).is_err());
}

/// Files that make names resolve by a hosts file of the case alone.
struct Names {
    hosts: std::path::PathBuf,
    wrapper: Vec<std::ffi::OsString>,
}

impl Names {
    /// `None`, with the reason printed, where the machine does not allow it.
    fn new(sandbox: &Sandbox, hosts: &str) -> Option<Self> {
        if !root_only("files in /etc are replaced") {
            return None;
        }
        let hosts = sandbox.write("names/hosts", hosts);
        let switch = sandbox.write("names/nsswitch.conf", "hosts: files\n");
        for file in [&hosts, &switch] {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        let wrapper = mounted(&[(&hosts, "/etc/hosts"), (&switch, "/etc/nsswitch.conf")])?;
        Some(Self { hosts, wrapper })
    }

    /// What the names mean from now on.
    fn rewrite(&self, hosts: &str) {
        // In place: the file that is mounted is this one, not its name.
        std::fs::write(&self.hosts, hosts).unwrap();
    }
}

/// 4.16 (documented): a back end may be a host name.
#[test]
fn a_backend_can_be_given_by_name() {
    let trees = Trees::new();
    let port = trees.maple.address().port();
    let mut setup = Setup::new("").backend("maple", format!("maple.test:{port}"), "");
    let Some(names) = Names::new(setup.sandbox(), "127.0.0.1 maple.test\n") else {
        return;
    };

    let proxy = setup.wrap(names.wrapper).start();

    assert_eq!(proxy.visits(2), ["maple", "maple"]);
    let status = proxy.status();
    let server = status
        .service("shop")
        .backend("maple")
        .text("server")
        .to_owned();
    assert_eq!(server, format!("maple.test:{port}"));
}

/// C62 (decided).
#[test]
fn a_name_that_does_not_resolve_is_tried_again_until_it_does() {
    let trees = Trees::new();
    let port = trees.maple.address().port();
    let mut setup = Setup::new("dispatchmode byorder;")
        .backend("maple", format!("maple.test:{port}"), "retries 5;")
        .backend("birch", trees.birch.server(), "")
        .limit("name_retry", 0.5);
    let Some(names) = Names::new(setup.sandbox(), "127.0.0.1 localhost\n") else {
        return;
    };
    let proxy = setup.wrap(names.wrapper.clone()).start();

    assert_eq!(proxy.visit(), "birch");
    assert_eq!(proxy.state("maple"), "unavailable");
    assert_eq!(proxy.reason("maple"), "name does not resolve");
    names.rewrite("127.0.0.1 localhost maple.test\n");
    proxy.await_state("maple", "available");

    assert_eq!(proxy.visit(), "maple");
    proxy.sandbox().syslog.await_exactly(
        Level::Warning,
        "shop maple: available -> unavailable (name does not resolve)",
    );
}

/// 4.16 (documented; dropping at a failed connect decided): answers are cached,
/// and a cached one is dropped when it leads nowhere.
#[test]
fn a_cached_name_is_looked_up_again_after_a_failed_connect() {
    let port = Arc::new(Port::reserve());
    let at = |last: u8, name: &'static str| {
        Backend::serving_at(
            [127, 0, 0, last].into(),
            Arc::clone(&port),
            move |mut peer| {
                peer.send(format!("{name}\n"));
                peer.echo();
            },
        )
    };
    let (mut old, _new) = (at(2, "old"), at(3, "new"));
    let birch = Backend::banner("birch");
    let mut setup = Setup::new("dispatchmode byorder;")
        .backend(
            "maple",
            format!("maple.test:{}", port.number()),
            "retries 5;",
        )
        .backend("birch", birch.server(), "");
    let Some(names) = Names::new(setup.sandbox(), "127.0.0.2 maple.test\n") else {
        return;
    };
    let proxy = setup.wrap(names.wrapper.clone()).start();
    assert_eq!(proxy.visit(), "old");

    names.rewrite("127.0.0.3 maple.test\n");
    assert_eq!(proxy.visit(), "old", "the answer is cached");
    old.kill();
    assert_eq!(proxy.visit(), "birch", "the cached answer leads nowhere");

    assert_eq!(proxy.visit(), "new");
}

/// C63 (decided), first part: each address gets its share of the connect limit.
#[test]
fn the_second_address_of_a_name_is_tried_in_time() {
    let port = Arc::new(Port::reserve());
    let _first = Blackhole::at([127, 0, 0, 2].into(), Arc::clone(&port));
    let second = Backend::serving_at([127, 0, 0, 3].into(), Arc::clone(&port), |mut peer| {
        peer.send("second\n");
    });
    let mut setup = Setup::new("")
        .backend("maple", format!("maple.test:{}", port.number()), "")
        .limit("connect", 4.0);
    let hosts = "127.0.0.2 maple.test\n127.0.0.3 maple.test\n";
    let Some(names) = Names::new(setup.sandbox(), hosts) else {
        return;
    };
    let proxy = setup.wrap(names.wrapper).start();

    let begun = Instant::now();
    let name = proxy.connect().line();
    let taken = begun.elapsed();

    assert_eq!(name, "second");
    assert!(taken >= Duration::from_millis(1900), "{taken:?}");
    assert!(taken < Duration::from_millis(3000), "{taken:?}");
    assert_eq!(second.accepted(), 1);
    assert_eq!(proxy.number("maple", "failures"), 0);
}

/// 4.16 (decided): a name that does not resolve never ends a start, also when
/// it is the only back end there is.
#[test]
fn a_start_does_not_depend_on_names() {
    let trees = Trees::new();
    let mut setup = Setup::new("").backend("maple", "maple.test:80", "");
    let Some(names) = Names::new(setup.sandbox(), "127.0.0.1 localhost\n") else {
        return;
    };
    let proxy = setup.wrap(names.wrapper).start();

    proxy.connect().assert_closed_without_data();

    until("maple is unavailable", || {
        proxy.reason("maple") == "name does not resolve"
    });
    proxy
        .run(["tell", "shop", "maple", "server", &trees.maple.server()])
        .clean();
    proxy.tell("maple", "up");
    assert_eq!(proxy.visit(), "maple");
}

/// 2.2 (flag documented, 0 decided): with `-d 0` a name is looked up for every
/// connect.
#[test]
fn without_caching_a_name_is_looked_up_each_time() {
    let port = Arc::new(Port::reserve());
    let at = |last: u8, name: &'static str| {
        Backend::serving_at(
            [127, 0, 0, last].into(),
            Arc::clone(&port),
            move |mut peer| {
                peer.send(format!("{name}\n"));
                peer.echo();
            },
        )
    };
    let _backends = (at(2, "old"), at(3, "new"));
    let mut setup = Setup::new("")
        .backend("maple", format!("maple.test:{}", port.number()), "")
        .flags(["-d", "0"]);
    let Some(names) = Names::new(setup.sandbox(), "127.0.0.2 maple.test\n") else {
        return;
    };
    let proxy = setup.wrap(names.wrapper.clone()).start();
    assert_eq!(proxy.visit(), "old");

    names.rewrite("127.0.0.3 maple.test\n");

    assert_eq!(proxy.visit(), "new");
}

/// 4.16 (decided): `tell ... server` takes names, too.
#[test]
fn a_name_can_be_told() {
    let trees = Trees::new();
    let port = trees.birch.address().port();
    let mut setup = Setup::new("").backend("maple", trees.maple.server(), "");
    let Some(names) = Names::new(setup.sandbox(), "127.0.0.1 birch.test\n") else {
        return;
    };
    let proxy = setup.wrap(names.wrapper).start();

    let server = format!("birch.test:{port}");
    proxy
        .run(["tell", "shop", "maple", "server", &server])
        .clean();

    assert_eq!(proxy.visit(), "birch");
}
