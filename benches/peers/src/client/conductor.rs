//! The main thread: starts the engines, keeps the time, prints.

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio;

use super::engine::Engine;
use super::load::Part;
use super::plan::Plan;
use super::shared::Shared;
use super::tally::{Tally, Window};
use super::{ClientError, Options};
use crate::limits;

/// Puts load on the address and prints the report.
///
/// # Errors
///
/// [`ClientError`] if the work cannot be done at all; single exchanges which
/// fail are counted.
pub(crate) fn run(options: &Options) -> Result<(), ClientError> {
    let plan = Plan::new(options)?;
    check_descriptors(&plan)?;
    let shared = Shared::new().map_err(ClientError::Watch)?;
    let (window, tally) = thread::scope(|scope| {
        let (ready, readiness) = channel();
        let mut threads = Vec::new();
        for thread in 0..options.threads {
            let part = Part {
                thread,
                threads: options.threads,
            };
            let (start, starts) = channel();
            let plan = plan.share(thread, options.threads);
            let (ready, shared) = (ready.clone(), &shared);
            let handle = scope.spawn(move || work(plan, shared, part, ready, &starts));
            threads.push(Thread { start, handle });
        }
        drop(ready);
        conduct(options, &shared, &readiness, threads)
    })?;
    let seconds = window.end.saturating_sub(window.begin) as f64 / 1e9;
    let report = tally.report(plan.unit, seconds);
    let line = serde_json::to_string(&report).map_err(|error| ClientError::Print(error.into()))?;
    say(&line)
}

struct Thread<'scope> {
    start: Sender<Window>,
    handle: ScopedJoinHandle<'scope, Result<Option<Tally>, ClientError>>,
}

/// Descriptors beside the connections.
const OTHERS: u64 = 64;

fn check_descriptors(plan: &Plan) -> Result<(), ClientError> {
    let limit = limits::raise_descriptors().map_err(ClientError::Limit)?;
    let wanted = u64::from(plan.connections) + u64::from(plan.stalled);
    if wanted + OTHERS > limit {
        return Err(ClientError::Descriptors { wanted, limit });
    }
    Ok(())
}

/// One thread; no tally if the others were not ready.
fn work(
    plan: Plan,
    shared: &Shared,
    part: Part,
    ready: Sender<()>,
    starts: &Receiver<Window>,
) -> Result<Option<Tally>, ClientError> {
    // Without it, requests at a fixed rate are up to 50 us late.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let mut engine = Engine::new(plan, shared)?;
    engine.rehearse()?;
    let _ = ready.send(());
    drop(ready);
    match starts.recv() {
        Ok(window) => engine.load(window, part).map(Some),
        Err(_) => Ok(None),
    }
}

fn conduct(
    options: &Options,
    shared: &Shared,
    readiness: &Receiver<()>,
    threads: Vec<Thread<'_>>,
) -> Result<(Window, Tally), ClientError> {
    let ready = readiness.iter().count();
    let (starts, handles): (Vec<_>, Vec<_>) = threads
        .into_iter()
        .map(|thread| (thread.start, thread.handle))
        .unzip();
    let mut window = Window { begin: 0, end: 0 };
    if ready == handles.len() {
        say("ready")?;
        window = keep_time(options, shared, &starts)?;
    }
    // Threads which wait for the start end by this.
    drop(starts);
    let mut sum = Tally::new()?;
    for handle in handles {
        let tally = handle.join().map_err(|_| ClientError::Panic)??;
        tally.into_iter().for_each(|tally| sum.add(tally));
    }
    Ok((window, sum))
}

/// Starts the threads, and says when the measured time begins and ends.
fn keep_time(
    options: &Options,
    shared: &Shared,
    starts: &[Sender<Window>],
) -> Result<Window, ClientError> {
    let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
    let begin = shared.now() + nanoseconds(options.warm);
    let end = begin + nanoseconds(options.seconds);
    let mut window = Window { begin, end };
    shared.set_end(end);
    for start in starts {
        // A thread that is gone says why when it is joined.
        let _ = start.send(window);
    }
    let kept = [(begin, "begin"), (end, "end")]
        .into_iter()
        .try_for_each(|(time, word)| {
            if wait_until(shared, time)? == Wait::InputEnded {
                shared.stop().map_err(ClientError::Watch)?;
            }
            say(word)
        });
    if let Err(error) = kept {
        // The threads must not go on, or nobody could join them.
        shared.stop().map_err(ClientError::Watch)?;
        return Err(error);
    }
    window.end = shared.end();
    Ok(window)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wait {
    Over,
    InputEnded,
}

/// Waits for a time, or for the end of the standard input.
fn wait_until(shared: &Shared, time: u64) -> Result<Wait, ClientError> {
    loop {
        let left = time.min(shared.end()).saturating_sub(shared.now());
        if left == 0 {
            return Ok(Wait::Over);
        }
        let limit = Timespec::try_from(Duration::from_nanos(left)).ok();
        let stdin = stdio::stdin();
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut watched, limit.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                let mut dropped = [0; 64];
                if matches!(rustix::io::read(stdin, &mut dropped), Ok(0) | Err(_)) {
                    return Ok(Wait::InputEnded);
                }
            }
            Err(error) => return Err(ClientError::Input(error.into())),
        }
    }
}

fn say(line: &str) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(ClientError::Print)
}
