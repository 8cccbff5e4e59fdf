use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};

use super::*;
use crate::process::runner::Runner;

const DEADLINE: Duration = Duration::from_secs(20);

/// Tells what it hears, a line each.
struct Owner(Mutex<Sender<String>>);

impl Owner {
    fn tell(&self, text: String) {
        let _ = self.0.lock().unwrap().send(text);
    }
}

impl HookOwner for Owner {
    fn account(&self) -> Option<&Account> {
        None
    }

    fn not_run(&self, hook: HookKind, error: &io::Error) {
        self.tell(format!("{} not run: {error}", hook.word()));
    }

    fn overdue(&self, hook: HookKind, _limit: Duration) {
        self.tell(format!("{} overdue", hook.word()));
    }

    fn failed(&self, hook: HookKind, status: i32) {
        self.tell(format!("{} status {status}", hook.word()));
    }
}

struct Rig {
    queue: HookQueue,
    owner: Arc<Owner>,
    heard: Receiver<String>,
    runner: Runner,
    around: tempfile::TempDir,
}

impl Rig {
    fn new(running: usize, waiting: usize) -> Self {
        Self::with(HookLimits {
            running,
            waiting,
            time: DEADLINE,
            kill: DEADLINE,
        })
    }

    fn with(limits: HookLimits) -> Self {
        let runner = Runner::start().unwrap();
        let (sender, heard) = mpsc::channel();
        Self {
            queue: HookQueue::new(runner.handle().clone(), limits),
            owner: Arc::new(Owner(Mutex::new(sender))),
            heard,
            runner,
            around: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str) -> String {
        self.around.path().join(name).display().to_string()
    }

    fn hook(&self, kind: HookKind, line: &str) -> Hook {
        let owner: Arc<dyn HookOwner> = Arc::<Owner>::clone(&self.owner);
        let line = line.as_bytes().to_vec();
        Hook { kind, line, owner }
    }

    /// A hook that waits until `name` can be read from a pipe.
    fn waiting_for(&self, name: &str) -> Hook {
        let pipe = self.file(name);
        if !Path::new(&pipe).exists() {
            nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        self.hook(HookKind::OnStart, &format!("read line < {pipe}"))
    }

    /// A hook that writes `word` at the end of the file `log`.
    fn logging(&self, kind: HookKind, word: &str) -> Hook {
        self.hook(kind, &format!("echo {word} >> {}", self.file("log")))
    }

    fn release(&self, name: &str) {
        fs::write(self.file(name), "go\n").unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Waits until all that was queued has run.
    fn finish(&self) {
        let begun = std::time::Instant::now();
        loop {
            {
                let state = self.queue.0.lock();
                if state.running == 0 && state.waiting == 0 {
                    return;
                }
            }
            assert!(begun.elapsed() < DEADLINE, "hooks do not end");
            std::thread::yield_now();
        }
    }
}

#[test]
fn hooks_of_one_connection_run_in_their_order_and_those_of_others_beside_them() {
    let rig = Rig::new(4, 100);
    rig.queue.push(1, rig.waiting_for("pipe")).unwrap();
    rig.queue
        .push_reserved(1, rig.logging(HookKind::OnEnd, "end_1"));
    rig.queue
        .push(2, rig.logging(HookKind::OnStart, "start_2"))
        .unwrap();
    let begun = std::time::Instant::now();
    while rig.log() != "start_2\n" {
        assert!(begun.elapsed() < DEADLINE);
        std::thread::yield_now();
    }

    rig.release("pipe");
    rig.finish();

    assert_eq!(rig.log(), "start_2\nend_1\n");
    assert!(rig.queue.0.lock().chains.is_empty());
}

#[test]
fn full_queue_takes_no_pair_but_every_reserved_end() {
    let rig = Rig::new(1, 2);
    rig.queue.begin(1, Some(rig.waiting_for("pipe"))).unwrap();
    for chain in [2, 3] {
        let first = rig.logging(HookKind::OnStart, "start");
        rig.queue.begin(chain, Some(first)).unwrap();
    }

    let refused = rig.queue.begin(4, None);
    for chain in [1, 2, 3] {
        let last = rig.logging(HookKind::OnEnd, "end");
        rig.queue.push_reserved(chain, last);
    }
    let failed = rig.queue.push(5, rig.logging(HookKind::OnFail, "fail"));
    rig.release("pipe");
    rig.finish();

    assert_eq!((refused, failed), (Err(Full), Err(Full)));
    let log = rig.log();
    assert_eq!(log.matches("start").count(), 2, "{log}");
    assert_eq!(log.matches("end").count(), 3, "{log}");
    assert_eq!(log.matches("fail").count(), 0, "{log}");
}

#[test]
fn no_more_hooks_run_at_once_than_allowed() {
    let rig = Rig::new(3, 1_000);
    let line = format!(
        "mkdir {0}/in.$$; ls -d {0}/in.* | wc -l >> {0}/log; rmdir {0}/in.$$",
        rig.around.path().display()
    );
    for chain in 0..40 {
        rig.queue
            .push(chain, rig.hook(HookKind::OnStart, &line))
            .unwrap();
    }

    rig.finish();

    let log = rig.log();
    assert_eq!(log.lines().count(), 40);
    let most = log.lines().map(|line| line.trim().parse::<u32>().unwrap());
    assert!(most.max() <= Some(3), "{log}");
}

#[test]
fn exit_status_is_told_when_it_is_not_0() {
    let rig = Rig::new(1, 10);
    for (chain, line) in [(1, "exit 3"), (2, "kill -9 $$"), (3, "exit 0")] {
        rig.queue
            .push(chain, rig.hook(HookKind::OnEnd, line))
            .unwrap();
    }

    rig.finish();

    let heard: Vec<String> = rig.heard.try_iter().collect();
    assert_eq!(heard, ["onend status 3", "onend status 137"]);
}

#[test]
fn hook_over_the_limit_is_terminated_and_then_killed() {
    let rig = Rig::with(HookLimits {
        running: 1,
        waiting: 10,
        time: Duration::from_millis(200),
        kill: Duration::from_millis(200),
    });
    let stubborn = format!(
        "trap 'echo polite >> {}' TERM; while :; do sleep 1; done",
        rig.file("log")
    );
    rig.queue
        .push(1, rig.hook(HookKind::OnStart, &stubborn))
        .unwrap();

    rig.finish();

    assert_eq!(rig.heard.recv_timeout(DEADLINE).unwrap(), "onstart overdue");
    assert_eq!(rig.log(), "polite\n");
}

#[test]
fn stop_waits_for_the_queue_and_counts_what_it_drops() {
    let rig = Rig::new(1, 10);
    rig.queue.begin(1, Some(rig.waiting_for("pipe"))).unwrap();
    rig.queue
        .push(2, rig.logging(HookKind::OnEnd, "late"))
        .unwrap();
    let waited = rig
        .runner
        .handle()
        .block_on(async { timeout(Duration::from_millis(100), rig.queue.emptied()).await });
    assert!(waited.is_err());

    assert_eq!(rig.queue.abandon(), 1);

    rig.runner.handle().block_on(rig.queue.emptied());
    assert_eq!(rig.queue.begin(3, None), Err(Full));
    rig.release("pipe");
    rig.finish();
    assert_eq!(rig.log(), "");
}

#[test]
fn thousands_of_hooks_leave_no_zombie() {
    let rig = Rig::new(8, 10_000);
    for chain in 0..1_000 {
        rig.queue
            .push(chain, rig.hook(HookKind::OnStart, "exit 0"))
            .unwrap();
    }

    rig.finish();

    let children = fs::read_to_string("/proc/self/task").ok();
    assert_eq!(children, None, "a directory");
    let zombies = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next()?, fields.next()?);
        (state == "Z" && parent == std::process::id().to_string()).then_some(stat)
    });
    // Other tests of this process have children too, but none of `sh` for long.
    assert!(zombies.count() < 8);
}

#[test]
fn end_of_the_thread_of_programs_is_no_matter_of_what_waits() {
    let rig = Rig::new(1, 100);
    rig.queue.push(1, rig.waiting_for("pipe")).unwrap();
    rig.queue
        .push(2, rig.logging(HookKind::OnStart, "late"))
        .unwrap();
    let begun = std::time::Instant::now();
    while rig.queue.0.lock().starting > 0 {
        assert!(begun.elapsed() < DEADLINE, "the first does not begin");
        std::thread::yield_now();
    }
    let runner = rig.runner;
    let (done, ended) = mpsc::channel();

    std::thread::spawn(move || {
        drop(runner);
        let _ = done.send(());
    });

    ended.recv_timeout(DEADLINE).unwrap();
    fs::write(rig.around.path().join("pipe"), "go\n").unwrap();
}
