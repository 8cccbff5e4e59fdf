use std::fs;
use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::process::question::Answer;
use crate::process::runner::Runner;

const DEADLINE: Duration = Duration::from_secs(20);

struct Owner {
    line: String,
    told: Mutex<mpsc::Sender<String>>,
}

impl Owner {
    fn say(&self, text: String) {
        let _ = self.told.lock().unwrap().send(text);
    }
}

impl ResidentOwner for Owner {
    fn command_line(&self) -> Vec<u8> {
        self.line.clone().into_bytes()
    }

    fn account(&self) -> Option<&Account> {
        None
    }

    fn greeting(&self) -> Vec<u8> {
        b"hello".to_vec()
    }

    fn ended(&self, reason: &str, pause: Duration) {
        self.say(format!("{reason}, {} ms", pause.as_millis()));
    }

    fn behind(&self) {
        self.say("behind".to_owned());
    }
}

/// A resident program of `line`, and what its owner hears.
fn resident(line: &str) -> (Resident, mpsc::Receiver<String>, Runner) {
    patient(line, Duration::from_millis(300))
}

fn patient(line: &str, patience: Duration) -> (Resident, mpsc::Receiver<String>, Runner) {
    let runner = Runner::start().unwrap();
    let (told, heard) = mpsc::channel();
    let owner = Box::new(Owner {
        line: line.to_owned(),
        told: Mutex::new(told),
    });
    let resident = Resident::start(runner.handle(), owner, patience);
    until("it runs", || resident.0.shared.lock().running);
    (resident, heard, runner)
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn ask(resident: &Resident, text: &str) -> (Question, mpsc::Receiver<()>) {
    let (told, hear) = mpsc::channel();
    let wake = Box::new(move || told.send(()).unwrap_or_default());
    let question = resident.ask(|id| format!("{id} {text}").into_bytes(), wake);
    (question, hear)
}

fn answer_of((question, hear): (Question, mpsc::Receiver<()>)) -> Answer {
    hear.recv_timeout(DEADLINE).unwrap();
    question.answer().unwrap()
}

#[test]
fn questions_are_answered_in_any_order() {
    // Answers the second question before the first.
    let line = "read hello; read a x; read b y; echo $b got $y; echo $a got $x; cat >/dev/null";
    let (resident, _, _runner) = resident(line);

    let first = ask(&resident, "one");
    let second = ask(&resident, "two");

    assert_eq!(answer_of(second), Ok(b"got two".to_vec()));
    assert_eq!(answer_of(first), Ok(b"got one".to_vec()));
    assert_eq!(resident.dropped(), 0);
}

#[test]
fn who_puts_a_question_together_may_tell_something_meanwhile() {
    let (resident, _, _runner) = resident("read hello; read told; read id x; echo $id $told; cat");
    let (done, result) = mpsc::channel();

    // As a service does it: the state of its back ends is under a lock, and a
    // change of that state is told under it.
    std::thread::spawn(move || {
        let (told, hear) = mpsc::channel();
        let wake = Box::new(move || told.send(()).unwrap_or_default());
        let question = resident.ask(
            |id| {
                resident.tell(b"news".to_vec());
                format!("{id} x").into_bytes()
            },
            wake,
        );
        let _ = done.send(answer_of((question, hear)));
    });

    let answer = result.recv_timeout(DEADLINE).unwrap();
    assert_eq!(answer, Ok(b"news".to_vec()));
}

#[test]
fn lines_gather_once_all_were_taken_until_a_quarter_is_full() {
    let mut state = State {
        running: true,
        ..State::default()
    };
    let mut taken = Vec::new();
    state.push(b"first".to_vec()).unwrap();
    assert!(!state.gathers());

    state.take_lines(&mut taken);
    state.push(b"second".to_vec()).unwrap();
    assert!(state.gathers());
    state.push(vec![b'x'; LONGEST_QUEUE / 4]).unwrap();
    assert!(!state.gathers());

    state.take_lines(&mut taken);
    assert!(state.gathers());
    state.take_lines(&mut taken);
    assert!(!state.gathers(), "nothing came meanwhile");
}

/// Of many tries one is quick: a busy machine may delay each, a question that
/// waits with the lines would be late always.
#[test]
fn question_does_not_wait_with_the_lines_that_gather() {
    let line = "read hello; while read first rest; do test $first = told || echo $first yes; done";
    let (resident, _, _runner) = resident(line);
    answer_of(ask(&resident, "are you there")).unwrap();

    let quickest = (0..50).filter_map(|_| {
        resident.tell(b"told".to_vec());
        until("it is told", || resident.0.shared.lock().queued == 0);
        let (gather, asked) = (resident.0.shared.lock().resting, Instant::now());
        answer_of(ask(&resident, "and now")).unwrap();
        gather.then(|| asked.elapsed())
    });
    assert!(quickest.min().unwrap() < REST / 2);
}

#[test]
fn greeting_comes_first_and_lines_keep_their_order() {
    let around = tempfile::tempdir().unwrap();
    let log = around.path().join("log");
    let (resident, _, _runner) = resident(&format!("cat > {}", log.display()));

    for number in 0..100 {
        resident.tell(format!("line {number}").into_bytes());
    }

    let lines = (0..100).map(|number| format!("line {number}\n"));
    let expected: String = std::iter::once("hello\n".to_owned()).chain(lines).collect();
    until("all is written", || {
        fs::read_to_string(&log).is_ok_and(|text| text == expected)
    });
}

#[test]
fn program_that_ends_is_started_again_after_pauses_that_grow() {
    let (resident, heard, _runner) = resident("read hello; read line; exit 7");
    for pause in [100, 200, 400] {
        until("it runs", || resident.0.shared.lock().running);
        let open = ask(&resident, "never answered");
        assert_eq!(answer_of(open), Err(Fault::NotRunning));
        let reason = heard.recv_timeout(DEADLINE).unwrap();
        assert_eq!(reason, format!("exit status 7, {pause} ms"));
    }
}

#[test]
fn program_that_is_away_costs_nobody_time() {
    let (resident, heard, _runner) = resident("exit 1");
    heard.recv_timeout(DEADLINE).unwrap();

    // It may just have been started again; then its end is the answer.
    assert_eq!(answer_of(ask(&resident, "x")), Err(Fault::NotRunning));
}

#[test]
fn program_that_has_closed_a_stream_is_away_while_it_takes_its_time_to_end() {
    let (resident, _, _runner) = patient("exec sleep 1000 >&-", 3 * DEADLINE);

    let answer = answer_of(ask(&resident, "x"));

    assert_eq!(answer, Err(Fault::NotRunning));
}

#[test]
fn program_does_not_outlive_the_thread_of_programs() {
    let around = tempfile::tempdir().unwrap();
    let pid = around.path().join("pid");
    let line = format!("echo $$ > {}; exec sleep 1000", pid.display());
    let (_resident, _, runner) = resident(&line);
    until("it is up", || {
        fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
    });
    let stat = format!("/proc/{}/stat", fs::read_to_string(&pid).unwrap().trim());

    drop(runner);

    until("it is gone, or nothing but a zombie", || {
        !fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
    });
}

#[test]
fn program_that_does_not_read_loses_lines_and_keeps_nobody_waiting() {
    let (resident, heard, _runner) = resident("sleep 1000");
    let long = vec![b'x'; 64 * 1024];

    for _ in 0..40 {
        resident.tell(long.clone());
    }

    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), "behind");
    assert!(resident.dropped() >= 20, "{}", resident.dropped());
    assert!(resident.0.shared.lock().queued <= LONGEST_QUEUE);
    assert_eq!(
        answer_of(ask(&resident, &"y".repeat(64 * 1024))),
        Err(Fault::Behind)
    );
}

#[test]
fn line_that_a_program_dies_before_is_counted_as_dropped() {
    let around = tempfile::tempdir().unwrap();
    let barrier = around.path().join("barrier");
    nix::unistd::mkfifo(&barrier, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (resident, heard, _runner) = resident(&format!("read x < {}; exit 1", barrier.display()));
    let mark = Arc::default();
    resident.mark_dropped(&mark);
    // More than its pipe holds, so that it stays half-way.
    resident.tell(vec![b'x'; 200_000]);
    until("it is on its way", || resident.0.shared.lock().queued == 0);

    fs::write(&barrier, "go\n").unwrap();

    heard.recv_timeout(DEADLINE).unwrap();
    assert_eq!(resident.dropped(), 1);
    assert!(mark.is_set());
}

#[test]
fn program_that_floods_is_killed_and_started_again() {
    let (_resident, heard, _runner) = resident("yes");

    let reason = heard.recv_timeout(DEADLINE).unwrap();

    assert_eq!(reason, "flooded its output, 100 ms");
}

#[test]
fn dismissed_program_is_told_everything_first() {
    let around = tempfile::tempdir().unwrap();
    let log = around.path().join("log");
    let (resident, _, runner) = resident(&format!("cat > {}", log.display()));
    let long = "x".repeat(50_000);
    for _ in 0..10 {
        resident.tell(long.clone().into_bytes());
    }

    runner.handle().block_on(resident.dismiss());

    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().filter(|line| **line == *long).count(), 10);
    assert_eq!(answer_of(ask(&resident, "late")), Err(Fault::NotRunning));
}

#[test]
fn program_that_ends_while_it_is_dismissed_is_not_started_again() {
    let around = tempfile::tempdir().unwrap();
    let (go, starts) = (around.path().join("go"), around.path().join("starts"));
    let line = format!(
        "echo >> {}; while [ ! -e {} ]; do sleep 0.02; done",
        starts.display(),
        go.display()
    );
    let (resident, heard, runner) = patient(&line, 3 * DEADLINE);
    // More than a pipe holds, so that there is still something to tell.
    for _ in 0..10 {
        resident.tell(vec![b'x'; 50_000]);
    }
    resident.0.living.send_replace(true);
    // Whoever was woken by that has his turn before this.
    let turn = runner.handle().spawn(async {});
    until("it is noticed", || turn.is_finished());

    fs::write(&go, "").unwrap();

    let dismissed = runner
        .handle()
        .spawn(async move { resident.dismiss().await });
    until("it is dismissed", || dismissed.is_finished());
    assert_eq!(fs::read_to_string(&starts).unwrap(), "\n");
    assert_eq!(heard.try_recv().ok(), None, "nothing is said of it");
}

#[test]
fn end_of_the_owner_ends_the_program_by_the_end_of_its_input() {
    let around = tempfile::tempdir().unwrap();
    let log = around.path().join("log");
    let line = format!("cat >/dev/null; echo bye > {}", log.display());
    let (resident, heard, _runner) = resident(&line);

    drop(resident);

    until("it says good-bye", || {
        fs::read_to_string(&log).is_ok_and(|text| text == "bye\n")
    });
    assert_eq!(heard.try_recv().ok(), None);
}

#[test]
fn program_that_ignores_the_end_of_its_input_is_killed() {
    let around = tempfile::tempdir().unwrap();
    let pid = around.path().join("pid");
    let line = format!(
        "trap '' TERM; echo $$ > {}; while :; do sleep 1; done",
        pid.display()
    );
    let (resident, _, _runner) = resident(&line);
    until("it is up", || {
        fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
    });
    let stat = format!("/proc/{}/stat", fs::read_to_string(&pid).unwrap().trim());

    drop(resident);

    // While it is going, the system may say ESRCH instead of ENOENT.
    until("it is gone", || fs::read_to_string(&stat).is_err());
}

#[test]
fn questions_that_nobody_waits_for_are_forgotten() {
    let (resident, _, _runner) = resident("cat >/dev/null");

    for _ in 0..10_000 {
        drop(ask(&resident, "x"));
    }

    let open = resident.0.shared.lock().open.len();
    assert!(open < 1_000, "{open}");
}
