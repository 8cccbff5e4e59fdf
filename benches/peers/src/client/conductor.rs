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
    thread::scope(|scope| {
        let (ready, readiness) = channel();
        let (found, tallies) = channel();
        let mut threads = Vec::new();
        for thread in 0..options.threads {
            let part = Part {
                thread,
                threads: options.threads,
            };
            let (start, starts) = channel();
            let plan = plan.share(thread, options.threads);
            let shared = &shared;
            let stage = Stage {
                ready: ready.clone(),
                starts,
                found: found.clone(),
            };
            let handle = scope.spawn(move || work(plan, shared, part, stage));
            threads.push(Thread { start, handle });
        }
        drop((ready, found));
        let crew = Crew {
            readiness,
            tallies,
            threads,
        };
        let conductor = Conductor {
            options,
            plan: &plan,
            shared: &shared,
        };
        conductor.conduct(crew)
    })
}

/// What a thread says to the main one, and hears of it.
struct Stage {
    ready: Sender<()>,
    /// One window; afterwards the connections stay open until this ends.
    starts: Receiver<Window>,
    found: Sender<Tally>,
}

/// The other ends of the stages of all threads.
struct Crew<'scope> {
    readiness: Receiver<()>,
    tallies: Receiver<Tally>,
    threads: Vec<Thread<'scope>>,
}

struct Thread<'scope> {
    start: Sender<Window>,
    handle: ScopedJoinHandle<'scope, Result<(), ClientError>>,
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
fn work(plan: Plan, shared: &Shared, part: Part, stage: Stage) -> Result<(), ClientError> {
    let Stage {
        ready,
        starts,
        found,
    } = stage;
    // Without it, requests at a fixed rate are up to 50 us late.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let mut engine = Engine::new(plan, shared)?;
    engine.rehearse()?;
    let _ = ready.send(());
    drop(ready);
    if let Ok(window) = starts.recv() {
        engine.load(window, part)?;
        let _ = found.send(engine.tally);
        drop(found);
        // The connections are the engine's and stay as they are.
        let _ = starts.recv();
    }
    Ok(())
}

/// What the main thread needs to know.
struct Conductor<'a> {
    options: &'a Options,
    plan: &'a Plan,
    shared: &'a Shared,
}

impl Conductor<'_> {
    fn conduct(&self, crew: Crew<'_>) -> Result<(), ClientError> {
        let ready = crew.readiness.iter().count();
        let (starts, handles): (Vec<_>, Vec<_>) = crew
            .threads
            .into_iter()
            .map(|thread| (thread.start, thread.handle))
            .unzip();
        let mut result = Ok(());
        if ready == handles.len() {
            result = self.perform(&starts, &crew.tallies);
        }
        // Threads which wait for something end by this.
        drop(starts);
        for handle in handles {
            handle.join().map_err(|_| ClientError::Panic)??;
        }
        result
    }

    /// Has the threads put the load on, and reports what they found.
    fn perform(
        &self,
        starts: &[Sender<Window>],
        tallies: &Receiver<Tally>,
    ) -> Result<(), ClientError> {
        say("ready")?;
        let window = keep_time(self.options, self.shared, starts)?;
        let (mut sum, mut count) = (Tally::new()?, 0);
        for tally in tallies {
            sum.add(tally);
            count += 1;
        }
        if count < starts.len() {
            // The threads that are missing say why when they are joined.
            return Ok(());
        }
        let seconds = window.end.saturating_sub(window.begin) as f64 / 1e9;
        let report = sum.report(self.plan.unit, seconds);
        let line =
            serde_json::to_string(&report).map_err(|error| ClientError::Print(error.into()))?;
        say(&line)?;
        match self.options.linger {
            true => await_end_of_input(),
            false => Ok(()),
        }
    }
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
        if has_input_ended(limit.as_ref())? {
            return Ok(Wait::InputEnded);
        }
    }
}

/// Waits for the end of the standard input.
fn await_end_of_input() -> Result<(), ClientError> {
    while !has_input_ended(None)? {}
    Ok(())
}

/// Waits up to a limit for input, which means nothing, or its end.
fn has_input_ended(limit: Option<&Timespec>) -> Result<bool, ClientError> {
    let stdin = stdio::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut watched, limit) {
        Ok(0) | Err(Errno::INTR) => Ok(false),
        Ok(_) => {
            let mut dropped = [0; 64];
            Ok(matches!(
                rustix::io::read(stdin, &mut dropped),
                Ok(0) | Err(_)
            ))
        }
        Err(error) => Err(ClientError::Input(error.into())),
    }
}

fn say(line: &str) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(ClientError::Print)
}
