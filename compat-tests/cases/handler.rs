//! `dispatchmode externalhandler`: a program chooses, once for each client.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cases::Trees;
use crate::harness::{Backend, Client, Level, Process, Proxy, Setup, until};

/// A service of maple, birch and cedar whose handler is the shell script
/// `script`, called with `arguments`.
fn chosen_by(trees: &Trees, script: &str, arguments: &str) -> Setup {
    let setup = trees.behind("dispatchmode externalhandler sh ./pick ARGUMENTS;");
    with_script(setup, script, arguments)
}

fn with_script(mut setup: Setup, script: &str, arguments: &str) -> Setup {
    setup.sandbox().write("pick", script);
    setup.replacing("ARGUMENTS", arguments)
}

/// The warnings about a handler, once all that was said has arrived.
fn warnings(proxy: &Proxy) -> Vec<String> {
    // Lines arrive in order, and this is one of them.
    proxy.tell("maple", "down");
    proxy.sandbox().syslog.await_line("shop maple: ");
    let lines = proxy.sandbox().syslog.matching("shop: handler: ");
    assert!(lines.iter().all(|line| line.level == Level::Warning));
    lines.into_iter().map(|line| line.text).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// C25 (documented).
#[test]
fn the_backend_that_a_handler_names_serves_the_client() {
    let trees = Trees::new();
    let proxy = chosen_by(&trees, "echo birch\n", "").start();

    assert_eq!(proxy.visits(3), ["birch", "birch", "birch"]);
    assert_eq!(warnings(&proxy), Vec::<String>::new());
}

/// 7.5 (decided): case and white space do not matter where the name is clear.
#[test]
fn the_answer_is_the_first_line_without_white_space_in_any_case() {
    let trees = Trees::new();
    let script = "printf '  BIRCH\\t\\r\\nmaple\\n'\n";
    let proxy = chosen_by(&trees, script, "").start();

    assert_eq!(proxy.visit(), "birch");
}

/// C26 (decided): every bad answer has one warning with its reason, and
/// `roundrobin` stands in.
#[test]
fn bad_answers_are_warned_of_once_and_replaced_by_roundrobin() {
    for (script, reason) in [
        ("true", "empty answer"),
        ("echo; echo birch", "empty answer"),
        ("echo birhc", "no such back end"),
        ("echo birch maple", "no such back end"),
        ("echo birch; exit 3", "exit status not 0"),
        ("echo birch; kill -9 $PPID", "ended by a signal"),
        (
            "head -c 5120 /dev/zero | tr '\\0' x",
            "more than 4096 bytes of output",
        ),
        (
            "head -c 1048576 /dev/zero",
            "more than 4096 bytes of output",
        ),
        ("yes birch", "more than 4096 bytes of output"),
        ("sleep 1000", "no answer in time"),
        ("echo birch; exec >&-; sleep 1000", "no answer in time"),
        ("exec ./missing", "exit status not 0"),
        ("exec ./pick", "exit status not 0"),
        ("echo cedar", "back end not usable"),
    ] {
        let trees = Trees::new();
        let proxy = chosen_by(&trees, &format!("{script}\n"), "")
            .limit("handler", 0.5)
            .start();
        proxy.tell("cedar", "down");

        let served = proxy.visits(3);

        assert_eq!(served, ["maple", "birch", "maple"], "{script}");
        let text = format!("shop: handler: {reason}, using roundrobin");
        assert_eq!(warnings(&proxy), [text], "{script}");
    }
}

/// C27 (inferred).
#[test]
fn a_command_over_several_lines_is_one_line_with_single_blanks() {
    let trees = Trees::new();
    let mut setup = trees.behind(
        "dispatchmode externalhandler\n        sh ./pick\n\t  --from %r   # no comment\n  %1b:%1w;",
    );
    setup
        .sandbox()
        .write("pick", "echo \"$# $*\" >> calls\necho maple\n");
    let proxy = setup.start();

    proxy.visit();

    let calls = read(&proxy.sandbox().path().join("calls"));
    // The shell takes what follows `#` as a comment; we do not.
    assert_eq!(calls, "2 --from 127.0.0.1\n");
}

/// C28 (documented) and C53 (decided).
#[test]
fn a_handler_is_told_names_weights_and_who_is_usable_now() {
    let (maple, birch) = (Backend::banner("maple"), Backend::banner("birch"));
    let mut setup =
        Setup::new("dispatchmode externalhandler sh ./pick '%s %r: %1b=%1a*%1w %2b=%2a*%2w %%b';");
    setup.sandbox().write(
        "pick",
        "echo \"$1\" >> calls\ncase $1 in *maple=1*) echo maple;; *) echo birch;; esac\n",
    );
    let proxy = setup
        .backend("maple", maple.server(), "maxconnections 1;")
        .backend("birch", birch.server(), "weight 3;")
        .start();

    let (first, name) = proxy.greeted();
    assert_eq!(name, "maple");
    assert_eq!(proxy.visit(), "birch");

    let calls = read(&proxy.sandbox().path().join("calls"));
    let expected = "shop 127.0.0.1: maple=1*1 birch=1*3 %b\n\
                    shop 127.0.0.1: maple=0*1 birch=1*3 %b\n";
    assert_eq!(calls, expected);
    drop(first);
}

/// 7.5 (decided).
#[test]
fn after_a_failed_connect_the_handler_is_asked_again_with_fresh_values() {
    let (maple, birch) = (Backend::dead("maple"), Backend::banner("birch"));
    let mut setup = Setup::new("dispatchmode externalhandler sh ./pick %1b:%1a %2b:%2a;");
    setup.sandbox().write(
        "pick",
        "echo \"$*\" >> calls\nfor one; do case $one in *:1) echo \"${one%:1}\"; exit;; esac; done\n",
    );
    let proxy = setup
        .backend("maple", maple.server(), "")
        .backend("birch", birch.server(), "")
        .start();

    assert_eq!(proxy.visit(), "birch");

    let calls = read(&proxy.sandbox().path().join("calls"));
    assert_eq!(calls, "maple:1 birch:1\nmaple:0 birch:1\n");
    assert_eq!(warnings(&proxy), Vec::<String>::new());
}

/// 7.5 (decided): a handler that insists on a back end that failed.
#[test]
fn each_backend_is_tried_once_whatever_the_handler_says() {
    let (maple, birch) = (Backend::dead("maple"), Backend::dead("birch"));
    let mut setup = Setup::new("dispatchmode externalhandler sh ./pick;");
    setup.sandbox().write("pick", "echo >> calls\necho maple\n");
    let proxy = setup
        .backend("maple", maple.server(), "retries 9;")
        .backend("birch", birch.server(), "retries 9;")
        .start();

    proxy.connect().assert_closed_without_data();

    let calls = read(&proxy.sandbox().path().join("calls"));
    assert_eq!(calls.lines().count(), 2);
    assert_eq!(
        warnings(&proxy),
        ["shop: handler: back end already tried, using roundrobin"]
    );
    proxy.await_idle();
    assert_eq!(proxy.number("maple", "failures"), 1);
    assert_eq!(proxy.number("birch", "failures"), 1);
}

/// 7.5 (decided).
#[test]
fn without_candidates_no_handler_is_run() {
    let trees = Trees::new();
    let proxy = chosen_by(&trees, "echo >> calls\necho maple\n", "").start();
    for backend in ["maple", "birch", "cedar"] {
        proxy.tell(backend, "down");
    }

    proxy.connect().assert_closed_without_data();

    assert_eq!(read(&proxy.sandbox().path().join("calls")), "");
}

/// The purpose of it (documented): state over connections, kept by the program.
#[test]
fn a_handler_can_keep_state_over_connections() {
    let trees = Trees::new();
    let script = "n=$(cat state 2>/dev/null || echo 0)\nshift \"$n\"\n\
                  echo $(( (n + 2) % 3 )) > state\necho \"$1\"\n";
    let proxy = chosen_by(&trees, script, "%1b %2b %3b").start();

    let served = proxy.visits(4);

    assert_eq!(served, ["maple", "cedar", "birch", "maple"]);
}

/// 11.1 (decided).
#[test]
fn a_handler_that_hangs_delays_only_its_own_client_and_is_killed_with_its_group() {
    let trees = Trees::new();
    let script = "case $1 in 127.0.0.2) sleep 1000 & echo $! > sleeper; wait;; esac\necho birch\n";
    let proxy = chosen_by(&trees, script, "%r")
        .limit("handler", 4.0)
        .start();
    let sleeper = proxy.sandbox().path().join("sleeper");
    let begun = Instant::now();
    let mut slow = Client::connect_from([127, 0, 0, 2].into(), proxy.address());
    until("the handler hangs", || read(&sleeper).ends_with('\n'));

    let served = proxy.visits(5);

    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "the others waited"
    );
    assert_eq!(served, ["birch"; 5]);
    assert_eq!(slow.line(), "maple", "roundrobin at the limit");
    let sleeper = Process(read(&sleeper).trim().parse().unwrap());
    until("the whole group is gone", || !sleeper.is_alive());
    assert_eq!(
        warnings(&proxy),
        ["shop: handler: no answer in time, using roundrobin"]
    );
}

/// Section 5 (decided): a client that is gone needs no answer.
#[test]
fn a_handler_whose_client_resets_is_killed() {
    let trees = Trees::new();
    let script = "echo $$ > handler\nsleep 1000\n";
    let proxy = chosen_by(&trees, script, "").start();
    let pid = proxy.sandbox().path().join("handler");
    let client = proxy.connect();
    until("the handler runs", || read(&pid).ends_with('\n'));

    client.reset();

    let handler = Process(read(&pid).trim().parse().unwrap());
    until("the handler is gone", || !handler.is_alive());
    proxy.await_idle();
    assert_eq!(warnings(&proxy), Vec::<String>::new());
}

/// 8.2 (decided): what a client sends while its handler thinks is not lost.
#[test]
fn early_bytes_reach_the_backend_that_a_slow_handler_names() {
    let trees = Trees::new();
    let mut setup = chosen_by(&trees, "read line < ./barrier\necho cedar\n", "");
    let barrier = setup.sandbox().path().join("barrier");
    nix::unistd::mkfifo(&barrier, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let proxy = setup.start();
    let mut client = proxy.connect();
    client.send("early\n");

    std::fs::write(&barrier, "go\n").unwrap();

    assert_eq!(client.line(), "cedar");
    assert_eq!(client.line(), "early");
}

/// 7.5 (decided): no more than 64 handlers at once; the others wait.
#[test]
fn many_clients_at_once_are_all_served_by_a_bounded_number_of_handlers() {
    let trees = Trees::new();
    let script = "mkdir in.$$\nls -d in.* | wc -l >> counts\nsleep 0.05\nrmdir in.$$\necho birch\n";
    let proxy = chosen_by(&trees, script, "").start();

    let mut clients: Vec<Client> = (0..150).map(|_| proxy.connect()).collect();

    assert!(clients.iter_mut().all(|client| client.line() == "birch"));
    let counts = read(&proxy.sandbox().path().join("counts"));
    let most = counts.lines().filter_map(|line| line.trim().parse().ok());
    let most: u32 = most.max().unwrap();
    assert!(most <= 64, "{most} handlers at once");
}

/// 4.7, C26 (decided): faults of the configuration itself.
#[test]
fn faulty_handler_lines_are_errors_of_the_configuration() {
    for (line, code) in [
        ("dispatchmode externalhandler;", "E06"),
        ("dispatchmode externalhandler persistent;", "E06"),
        ("dispatchmode externalhandler /p %4b;", "E38"),
        ("dispatchmode externalhandler /p %b;", "W12"),
        ("dispatchmode externalhandler persistent /p %r;", "W12"),
        ("onevents /p %1a;", "W12"),
        ("handlertimeout 0;", "E08"),
    ] {
        let trees = Trees::new();
        let run = trees.behind(line).write().run(["configtest"]);
        assert!(
            run.stderr.contains(&format!("[{code}]")),
            "{line}: {}",
            run.stderr
        );
    }
}
