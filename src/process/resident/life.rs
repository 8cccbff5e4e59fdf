//! The lives of a resident program: started, talked with, ended, started again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::process::resident::lines::{Answers, Heard};
use crate::process::resident::{REST, Shared};
use crate::process::spawn::{Program, Streams};

/// The first pause after an end; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Who has lived so long has earned the first pause again.
const SOUND_LIFE: Duration = Duration::from_secs(60);

/// Keeps the program alive until it is dismissed, or its owner has gone.
pub(super) async fn supervise(
    shared: Arc<Shared>,
    mut end: watch::Receiver<bool>,
    patience: Duration,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let reason = live(&shared, &mut end, patience).await;
        shared.away();
        // One that was dismissed may have ended before it was told everything.
        let Some(reason) = reason.filter(|_| !is_over(&end)) else {
            return;
        };
        if began.elapsed() >= SOUND_LIFE {
            pause = FIRST_PAUSE;
        }
        shared.owner.ended(&reason, pause);
        // Only an end of the owner ends the wait early.
        if timeout(pause, over(&mut end)).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Whether the program was dismissed, or its owner has gone.
fn is_over(end: &watch::Receiver<bool>) -> bool {
    *end.borrow() || end.has_changed().is_err()
}

/// Waits for that. Safe to cancel.
async fn over(end: &mut watch::Receiver<bool>) {
    let _ = end.wait_for(|over| *over).await;
}

/// One life of the program: why it ended, `None` if its owner has gone.
async fn live(
    shared: &Shared,
    end: &mut watch::Receiver<bool>,
    patience: Duration,
) -> Option<String> {
    let owner = &shared.owner;
    let line = owner.command_line();
    let started = Program::start(&line, owner.account(), Streams::InputAndOutput);
    let mut program = match started {
        // A daemon that ends without dismissing it, as after a start that
        // failed, does not leave it behind.
        Ok(program) => program.ended_by(Signal::SIGTERM),
        Err(error) => return Some(format!("cannot be started: {error}")),
    };
    let (Some(input), Some(output)) = (program.take_input(), program.take_output()) else {
        return Some("cannot be started: no pipe".to_owned());
    };
    {
        let mut state = shared.lock();
        state.running = true;
        state.greet(owner.greeting());
    }
    let parting = {
        let talking = talk(shared, input, output, end, patience);
        tokio::select! {
            biased;
            parting = talking => parting,
            status = program.ended() => return Some(how_it_ended(status)),
        }
    };
    // Nobody is to wait for answers while it takes its leave.
    shared.away();
    // Both streams are closed by now, which is the polite way to say good-bye.
    if parting != Parting::Flooded
        && let Ok(status) = timeout(patience, program.ended()).await
    {
        return (parting != Parting::Dismissed).then(|| how_it_ended(status));
    }
    program.terminate(patience).await;
    match parting {
        Parting::Dismissed => None,
        Parting::Flooded => Some("flooded its output".to_owned()),
        Parting::Closed => Some("closed its input or output".to_owned()),
    }
}

/// Why there is nothing to talk about any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Parting {
    /// Its owner has gone.
    Dismissed,
    /// It has closed a stream.
    Closed,
    /// It says too much that is no answer.
    Flooded,
}

fn how_it_ended(status: io::Result<std::process::ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(number)) => format!("ended by signal {number}"),
            (None, None) => "ended".to_owned(),
        },
        Err(error) => format!("cannot be waited for: {error}"),
    }
}

/// Feeds the program and hears it, until it closes a stream (then it ends, or
/// is ended) or floods. When its owner goes, it is still told what waits.
async fn talk(
    shared: &Shared,
    mut input: ChildStdin,
    mut output: ChildStdout,
    end: &mut watch::Receiver<bool>,
    patience: Duration,
) -> Parting {
    let mut out = Outgoing::new(shared);
    let mut answers = Answers::default();
    let mut chunk = vec![0; 16 * 1024];
    let mut dismissed_until = None;
    loop {
        if dismissed_until.is_some() {
            out.rested_at = None;
        }
        out.refill();
        let all_told = out.rest().is_empty();
        if all_told && dismissed_until.is_some() {
            return Parting::Dismissed;
        }
        tokio::select! {
            () = over(end), if dismissed_until.is_none() => {
                dismissed_until = Some(tokio::time::Instant::now() + patience);
            }
            () = until(dismissed_until) => return Parting::Dismissed,
            written = input.write(out.rest()), if !all_told => match written {
                Ok(count) => out.sent += count,
                Err(_) => return Parting::Closed,
            },
            () = shared.more.notified(), if all_told => out.rested_at = None,
            () = until(out.rested_at), if all_told => {}
            read = output.read(&mut chunk) => match read {
                Ok(0) | Err(_) => return Parting::Closed,
                Ok(count) => {
                    if !hear(shared, &mut answers, &chunk[..count]) {
                        return Parting::Flooded;
                    }
                }
            },
        }
    }
}

/// Lines on their way to the program. Those that it did not read to their end
/// are counted as dropped.
struct Outgoing<'a> {
    shared: &'a Shared,
    bytes: Vec<u8>,
    sent: usize,
    /// When more is looked for unasked, if lines gather until then.
    rested_at: Option<tokio::time::Instant>,
}

impl<'a> Outgoing<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            bytes: Vec::new(),
            sent: 0,
            rested_at: None,
        }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Takes what waits, when everything before it was sent and the program
    /// was left alone for a while.
    fn refill(&mut self) {
        let rests = |at| tokio::time::Instant::now() < at;
        if self.rest().is_empty() && !self.rested_at.is_some_and(rests) {
            self.bytes.clear();
            self.sent = 0;
            let mut state = self.shared.lock();
            state.take_lines(&mut self.bytes);
            let resting = state.resting;
            drop(state);
            self.rested_at = resting.then(|| tokio::time::Instant::now() + REST);
        }
    }
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        let lines = self.rest().iter().filter(|&&byte| byte == b'\n').count();
        self.shared.dropped.add(lines as u64);
    }
}

/// Waits until `moment`, for ever if there is none.
async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Takes what the program says; whether it may go on.
fn hear(shared: &Shared, answers: &mut Answers, bytes: &[u8]) -> bool {
    answers.hear(bytes, |heard| {
        let Heard { id, text } = heard;
        let reply = shared.lock().open.remove(&id);
        match reply {
            Some(reply) => {
                reply.answer(Ok(text.to_vec()));
                true
            }
            None => false,
        }
    })
}
