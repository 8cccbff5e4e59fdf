//! The sample helpers of `etc/helpers` at work under the daemon, in every
//! language whose interpreter is there, classic and persistent.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::cases::helpers::{languages, place};
use crate::cases::{Trees, initials};
use crate::harness::{Backend, Client, Level, Process, Proxy, Setup, until};

/// How a helper is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// Started for each client and event.
    Classic,
    /// One process for the service.
    Persistent,
}

/// Runs a case in every language and both forms.
fn in_all(case: impl Fn(&'static str, Form)) {
    for language in languages() {
        case(language, Form::Classic);
        case(language, Form::Persistent);
    }
}

/// The command of a helper; what it is given is a file in the sandbox, where
/// `start` is called.
fn command(name: &str, language: &str) -> String {
    let path = place().join(name).with_extension(language);
    format!("'{}'", path.display())
}

/// A persistent helper that makes the file `ready` when the daemon has greeted it:
/// before, the daemon would choose without it. No helper needs the greeting.
fn resident(command: &str) -> String {
    format!("read -r hello && touch ready && exec {command}")
}

/// Waits until the persistent helper, if there is one, is asked.
fn await_helper(proxy: &Proxy, form: Form) {
    let ready = proxy.sandbox().path().join("ready");
    if form == Form::Persistent {
        until("the helper is greeted", || ready.exists());
        std::fs::remove_file(ready).unwrap();
    }
}

/// A service `shop` with the back ends, kept together by the farm helper. A
/// loaded machine may start a Python slowly.
fn farm(language: &str, form: Form, backends: &[(&str, &Backend)]) -> Setup {
    let farm = command("desktop-farm", language);
    let service = match form {
        Form::Classic => {
            let numbers = 1..=backends.len();
            let asked: String = numbers.map(|n| format!(" %{n}b:%{n}a:%{n}w")).collect();
            format!("dispatchmode externalhandler {farm} dispatch farm.state %r{asked};")
        }
        Form::Persistent => {
            let line = resident(&format!("{farm} persistent farm.state"));
            format!(
                "dispatchmode externalhandler persistent {line}; onevents {line}; \
                 handlertimeout 10000;"
            )
        }
    };
    let hooks = match form {
        Form::Classic => {
            format!("onstart {farm} start farm.state %r %b %e; onend {farm} end farm.state %r %b;")
        }
        Form::Persistent => String::new(),
    };
    backends
        .iter()
        .fold(Setup::new(&service), |setup, (name, backend)| {
            setup.backend(name, backend.server(), &hooks)
        })
}

/// The client with the last byte `last` in its address visits; gives who served.
/// Its session is in the state file while it is there, and no longer when it has
/// gone: so no hook of an earlier visit can come after those of a later one.
fn visit_of(proxy: &Proxy, last: u8) -> String {
    let from = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let mut client = Client::connect_from(from, proxy.address());
    let name = client.line();
    await_place(proxy, &format!("{from} {name} 1"));
    client.finish_sending();
    client.rest();
    await_place(proxy, &format!("{from} {name} 0"));
    name
}

/// Waits until the state file has the line `CLIENT BACKEND SESSIONS`, as `place`
/// says it.
fn await_place(proxy: &Proxy, place: &str) {
    until(&format!("`{place}` is in the state file"), || {
        places(proxy).iter().any(|line| line == place)
    });
}

/// The lines of the state file, each without the time at its end.
fn places(proxy: &Proxy) -> Vec<String> {
    let file = proxy.sandbox().path().join("farm.state");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines.map(|(place, _)| place.to_owned()).collect()
}

/// Stops the daemon, and waits for the hooks that it leaves alone.
fn stop(proxy: &Proxy) {
    proxy.stop();
    until("helpers and hooks have ended", || {
        proxy.sandbox().processes().is_empty()
    });
}

/// The process groups of helpers, in order.
fn helpers_of(proxy: &Proxy) -> BTreeSet<u32> {
    let all = proxy.sandbox().processes().into_iter();
    all.filter(|process| {
        let words = process.command_line();
        words.iter().any(|word| word.contains("desktop-farm"))
    })
    .map(Process::group)
    .collect()
}

/// 7.5 (documented: a program's answer is used).
#[test]
fn the_round_robin_helper_serves_clients_in_turn() {
    in_all(|language, form| {
        let turn = command("roundrobin", language);
        let trees = Trees::new();
        let mode = match form {
            Form::Classic => format!("{turn} turn.state %1b:%1a %2b:%2a %3b:%3a"),
            Form::Persistent => {
                let line = resident(&format!("{turn} --persistent"));
                format!("persistent {line}; handlertimeout 10000")
            }
        };
        let proxy = trees
            .behind(&format!("dispatchmode externalhandler {mode};"))
            .start();
        await_helper(&proxy, form);

        let before = initials(&proxy.visits(4));
        proxy.tell("birch", "down");
        let after = initials(&proxy.visits(3));

        let served = (before.as_str(), after.as_str());
        assert_eq!(served, ("mbcm", "cmc"), "{language}, {form:?}");
        let mut log = proxy.sandbox().syslog.lines();
        log.retain(|line| line.level == Level::Warning);
        assert!(log.is_empty(), "{log:#?}");
    });
}

/// 7.5, 11 (decided).
#[test]
fn a_farm_keeps_each_client_on_its_machine() {
    in_all(|language, form| {
        let trees = Trees::new();
        let backends = [("maple", &trees.maple), ("birch", &trees.birch)];
        let proxy = farm(language, form, &backends).start();
        await_helper(&proxy, form);

        let home = visit_of(&proxy, 2);
        let other = visit_of(&proxy, 3);
        let again = visit_of(&proxy, 2);
        proxy.tell("maple", "down");
        let moved = visit_of(&proxy, 2);
        proxy.tell("maple", "up");
        let stays = visit_of(&proxy, 2);

        let served = initials(&[home, other, again, moved, stays]);
        assert_eq!(served, "mbmbb", "{language}, {form:?}");
        stop(&proxy);
    });
}

/// 7.5 (decided): the handler is asked again after a failed connect.
#[test]
fn a_farm_moves_a_client_whose_machine_refuses_without_losing_it() {
    in_all(|language, form| {
        let mut maple = Backend::banner("maple");
        let birch = Backend::banner("birch");
        let proxy = farm(language, form, &[("maple", &maple), ("birch", &birch)]).start();
        await_helper(&proxy, form);

        let at_home = visit_of(&proxy, 2);
        maple.kill();
        let moved = visit_of(&proxy, 2);

        let names = (at_home.as_str(), moved.as_str());
        assert_eq!(names, ("maple", "birch"), "{language}, {form:?}");
        stop(&proxy);
    });
}

/// Ours (decided): the state file outlives the process.
#[test]
fn a_persistent_farm_knows_its_clients_after_it_was_killed() {
    for language in languages() {
        let trees = Trees::new();
        let backends = [("maple", &trees.maple), ("birch", &trees.birch)];
        let proxy = farm(language, Form::Persistent, &backends).start();
        await_helper(&proxy, Form::Persistent);
        visit_of(&proxy, 2);
        let home = visit_of(&proxy, 3);

        let killed = helpers_of(&proxy);
        for group in &killed {
            killpg(
                Pid::from_raw(i32::try_from(*group).unwrap()),
                Signal::SIGKILL,
            )
            .unwrap();
        }
        await_helper(&proxy, Form::Persistent);
        let again = visit_of(&proxy, 3);

        assert_eq!(killed.len(), 1, "one program serves both");
        assert_eq!((home.as_str(), again.as_str()), ("birch", "birch"));
        stop(&proxy);
    }
}
