//! What it costs to ask a program which back end is to serve a client: one run
//! for each question (classic) against one process that stays (persistent).
//!
//! `cargo bench --bench programs [-- NUMBER]` asks the sample dispatchers in
//! `etc/helpers` NUMBER times (10,000 unless given; a tenth for the classic
//! ones, which are so much slower), first several questions at once, which gives
//! the rate, then one at a time, which gives the delay that a client meets.
//! Those whose interpreter is missing are left out; answers that are none are
//! counted.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench that cannot go on ends"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crossroads::process::account::Account;
use crossroads::process::handler::Handlers;
use crossroads::process::question::{Question, Wake};
use crossroads::process::resident::{Resident, ResidentOwner};
use crossroads::process::runner::Runner;

/// Questions that are open at once when the rate is measured. Classic helpers
/// wait for each other's state file, so more of them would only wait longer.
const CLASSIC_AT_ONCE: usize = 8;
const PERSISTENT_AT_ONCE: usize = 64;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);

fn main() {
    // The runner of benches adds a flag of its own.
    let number = std::env::args().filter_map(|word| word.parse().ok()).next();
    let number: usize = number.unwrap_or(10_000);
    let runner = Runner::start().expect("a thread");
    let around = tempfile::tempdir().expect("a directory");
    println!("{:32} {:>10} {:>10} {:>10}", "", "a second", "p50", "p99");
    for (name, program) in [("sh", "roundrobin.sh"), ("python", "roundrobin.py")] {
        let interpreter = if name == "sh" { "/bin/sh" } else { "python3" };
        if !is_there(interpreter) {
            println!("{name}: left out, there is no {interpreter}");
            continue;
        }
        let program = helpers().join(program);
        let state = around.path().join(name);
        let classic = Asker::classic(&runner, &program, &state);
        let slow = measure(&format!("classic {name}"), &classic, number / 10);
        let persistent = Asker::persistent(&runner, &program);
        let fast = measure(&format!("persistent {name}"), &persistent, number);
        println!(
            "{name}: persistent answers at {:.0} times the rate",
            fast / slow
        );
    }
    let trivial = Asker::Classic(
        Handlers::new(runner.handle().clone(), LIMIT),
        b"echo a".into(),
    );
    measure("classic `echo a`, the floor", &trivial, number / 10);
}

fn helpers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/helpers")
}

fn is_there(program: &str) -> bool {
    let found = std::process::Command::new(program)
        .arg("-c")
        .arg("")
        .status();
    found.is_ok_and(|status| status.success())
}

/// One way to ask.
enum Asker {
    Classic(Handlers, Vec<u8>),
    Persistent(Resident),
}

struct Owner(Vec<u8>);

impl ResidentOwner for Owner {
    fn command_line(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn account(&self) -> Option<&Account> {
        None
    }

    fn greeting(&self) -> Vec<u8> {
        br#"{"v":1,"type":"hello","service":"desk","pid":1,"version":"0","backends":[]}"#.into()
    }

    fn ended(&self, reason: &str, _pause: Duration) {
        println!("ended: {reason}");
    }

    fn behind(&self) {
        println!("does not read");
    }
}

impl Asker {
    fn classic(runner: &Runner, program: &Path, state: &Path) -> Self {
        let line = format!("{} {} a:1 b:1 c:1", program.display(), state.display());
        Self::Classic(Handlers::new(runner.handle().clone(), LIMIT), line.into())
    }

    fn persistent(runner: &Runner, program: &Path) -> Self {
        let owner = Owner(format!("exec {} --persistent", program.display()).into());
        Self::Persistent(Resident::start(runner.handle(), Box::new(owner), LIMIT))
    }

    fn ask(&self, wake: Wake) -> Question {
        match self {
            Self::Classic(handlers, line) => {
                let line = line.clone();
                handlers.ask(|| line, None::<Arc<_>>, wake)
            }
            Self::Persistent(resident) => resident.ask(request, wake),
        }
    }
}

/// A request as a service with three back ends makes it.
fn request(id: u64) -> Vec<u8> {
    let standing = |name| format!(r#"{{"name":"{name}","usable":true,"active":0,"weight":1}}"#);
    let backends = ["a", "b", "c"].map(standing).join(",");
    format!(
        r#"{{"v":1,"type":"dispatch","id":{id},"time":1772528700.25,"service":"desk","connection":{id},"client":"192.0.2.7","tried":[],"backends":[{backends}]}}"#
    )
    .into_bytes()
}

/// Asks `number` times in both ways; prints a row and gives the rate.
fn measure(name: &str, asker: &Asker, number: usize) -> f64 {
    let at_once = match asker {
        Asker::Classic(..) => CLASSIC_AT_ONCE,
        Asker::Persistent(_) => PERSISTENT_AT_ONCE,
    };
    run(asker, at_once, 1);
    let begun = Instant::now();
    let (_, failed) = run(asker, number, at_once);
    let rate = number as f64 / begun.elapsed().as_secs_f64();
    let (mut delays, failed_alone) = run(asker, number, 1);
    if failed + failed_alone > 0 {
        println!("{name}: {} without an answer", failed + failed_alone);
    }
    delays.sort_unstable();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_micros();
    println!(
        "{name:32} {rate:>10.0} {:>7} us {:>7} us",
        at(0.5),
        at(0.99)
    );
    rate
}

/// Asks `number` times, `at_once` at a time; gives how long each answer took,
/// and how many were none.
fn run(asker: &Asker, number: usize, at_once: usize) -> (Vec<Duration>, usize) {
    let mut failed = 0;
    let (told, answered) = mpsc::channel();
    let mut open: Vec<Option<(Question, Instant)>> = Vec::new();
    let mut delays = Vec::with_capacity(number);
    let ask = |place: usize, told: &mpsc::Sender<usize>| {
        let (told, begun) = (told.clone(), Instant::now());
        let question = asker.ask(Box::new(move || told.send(place).unwrap_or_default()));
        (question, begun)
    };
    for place in 0..at_once.min(number) {
        open.push(Some(ask(place, &told)));
    }
    for asked in at_once.min(number)..number + at_once.min(number) {
        let place = answered.recv_timeout(LIMIT).expect("an answer");
        let (question, begun) = open[place].take().expect("an open question");
        delays.push(begun.elapsed());
        failed += usize::from(question.answer().expect("the answer").is_err());
        if asked < number {
            open[place] = Some(ask(place, &told));
        }
    }
    (delays, failed)
}
