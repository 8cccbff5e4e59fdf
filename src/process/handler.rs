//! The external dispatch handler in its classic form: one run for each
//! question, whose first line of output is the answer.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::base::limits::HANDLER_OUTPUT;
use crate::process::account::Account;
use crate::process::question::{Answer, Fault, Question, Reply, Wake, question};
use crate::process::spawn::{Program, Streams};

/// Handlers that run at once; who asks more waits.
///
/// Source: decided (7.5).
pub const HANDLERS_RUNNING: usize = 64;

/// Runs handlers, a bounded number at once.
#[derive(Clone, Debug)]
pub struct Handlers {
    runtime: Handle,
    places: Arc<Semaphore>,
    limit: Duration,
}

impl Handlers {
    /// Handlers that run on `runtime`, each for at most `limit`, in which the
    /// wait for a place counts.
    pub fn new(runtime: Handle, limit: Duration) -> Self {
        Self {
            runtime,
            places: Arc::new(Semaphore::new(HANDLERS_RUNNING)),
            limit,
        }
    }

    /// Runs what `line` gives and calls `wake` when the answer is there. The
    /// line is made at the moment of the run, which may be later: what it says
    /// of back ends is to be fresh. A question that is dropped kills its
    /// handler.
    ///
    /// Source: documented (the answer on standard output), the rest decided
    /// (7.5, 11.1, 11.3).
    pub fn ask(
        &self,
        line: impl FnOnce() -> Vec<u8> + Send + 'static,
        account: Option<Arc<Account>>,
        wake: Wake,
    ) -> Question {
        let (question, reply) = question(wake);
        let places = Arc::clone(&self.places);
        let deadline = Instant::now() + self.limit;
        self.runtime.spawn(async move {
            run(&places, line, account.as_deref(), deadline, reply).await;
        });
        question
    }
}

async fn run(
    places: &Semaphore,
    line: impl FnOnce() -> Vec<u8>,
    account: Option<&Account>,
    deadline: Instant,
    mut reply: Reply,
) {
    let place = tokio::select! {
        // The semaphore is never closed.
        place = timeout_at(deadline, places.acquire()) => place.ok().and_then(Result::ok),
        () = reply.withdrawn() => return,
    };
    if place.is_none() {
        return reply.answer(Err(Fault::TimedOut));
    }
    let mut program = match Program::start(&line(), account, Streams::Output) {
        // A daemon that ends does not run this to its end.
        Ok(program) => program.ended_by(Signal::SIGKILL),
        Err(_) => return reply.answer(Err(Fault::NotStarted)),
    };
    let answer = tokio::select! {
        answer = timeout_at(deadline, read(&mut program)) => {
            answer.unwrap_or(Err(Fault::TimedOut))
        }
        () = reply.withdrawn() => Err(Fault::TimedOut),
    };
    // Whoever it started goes with it, unless it has ended by itself.
    program.signal(Signal::SIGKILL);
    reply.answer(answer);
    // The place is kept until the process is gone, so that it is reaped and
    // the number of processes stays bounded.
    let _ = program.ended().await;
}

/// What the handler says, when it has ended.
async fn read(program: &mut Program) -> Answer {
    let Some(mut output) = program.take_output() else {
        return Err(Fault::NotStarted);
    };
    let mut text = Vec::new();
    // A child of the handler may keep its output open after its end.
    let ended = tokio::select! {
        biased;
        full = read_to_end(&mut output, &mut text) => {
            full?;
            None
        }
        status = program.ended() => Some(status),
    };
    let status = match ended {
        Some(status) => {
            read_what_is_there(&mut output, &mut text).await?;
            status
        }
        None => program.ended().await,
    };
    judge(status.map_err(|_| Fault::NotStarted)?)?;
    Ok(first_line(&text).to_vec())
}

async fn read_to_end(output: &mut ChildStdout, text: &mut Vec<u8>) -> Result<(), Fault> {
    loop {
        match output.read_buf(text).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) if text.len() > HANDLER_OUTPUT => return Err(Fault::TooMuchOutput),
            Ok(_) => {}
        }
    }
}

/// Takes what a handler that has ended left in the pipe, and waits for no more.
async fn read_what_is_there(output: &mut ChildStdout, text: &mut Vec<u8>) -> Result<(), Fault> {
    tokio::select! {
        biased;
        full = read_to_end(output, text) => full,
        () = tokio::task::yield_now() => Ok(()),
    }
}

fn judge(status: ExitStatus) -> Result<(), Fault> {
    match (status.success(), status.signal()) {
        (true, _) => Ok(()),
        (false, Some(_)) => Err(Fault::Killed),
        (false, None) => Err(Fault::BadStatus),
    }
}

/// The first line without the white space around it.
fn first_line(text: &[u8]) -> &[u8] {
    let line = text.split(|&byte| byte == b'\n').next();
    line.unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use crate::process::runner::Runner;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// What a handler of `line` answers within `limit`.
    fn answer(line: &str, limit: Duration) -> Answer {
        let runner = Runner::start().unwrap();
        let handlers = Handlers::new(runner.handle().clone(), limit);
        let (told, hear) = mpsc::channel();
        let wake = Box::new(move || told.send(()).unwrap());
        let line = line.as_bytes().to_vec();
        let question = handlers.ask(|| line, None, wake);
        hear.recv_timeout(DEADLINE).unwrap();
        question.answer().unwrap()
    }

    #[test]
    fn first_line_of_the_output_is_the_answer() {
        for (line, expected) in [
            ("echo birch", "birch"),
            ("printf '  birch \\t\\r\\nmaple\\n'", "birch"),
            ("printf birch", "birch"),
            ("true", ""),
            // Whom it leaves behind is not waited for.
            ("echo birch; (sleep 3; :) & exit 0", "birch"),
        ] {
            assert_eq!(answer(line, DEADLINE), Ok(expected.into()), "{line}");
        }
    }

    #[test]
    fn wrong_answers_have_their_reasons() {
        for (line, fault) in [
            ("echo birch; exit 3", Fault::BadStatus),
            ("echo birch; kill -9 $$", Fault::Killed),
            ("head -c 4097 /dev/zero", Fault::TooMuchOutput),
            ("cat /dev/zero", Fault::TooMuchOutput),
            ("/no/such/program", Fault::BadStatus),
        ] {
            assert_eq!(answer(line, DEADLINE), Err(fault), "{line}");
        }
        let most = answer("head -c 4096 /dev/zero | tr '\\0' x", DEADLINE);
        assert_eq!(most.unwrap().len(), 4_096);
    }

    #[test]
    fn line_is_made_when_a_place_is_free_and_not_before() {
        let around = tempfile::tempdir().unwrap();
        let barrier = around.path().join("barrier");
        nix::unistd::mkfifo(&barrier, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Open for both, so that nobody waits for the other end.
        let mut both = std::fs::OpenOptions::new();
        let mut pipe = both.read(true).write(true).open(&barrier).unwrap();
        let runner = Runner::start().unwrap();
        let handlers = Handlers::new(runner.handle().clone(), DEADLINE);
        let (told, hear) = mpsc::channel();
        let held: Vec<Question> = (0..HANDLERS_RUNNING)
            .map(|_| {
                let (told, line) = (told.clone(), format!("read x < {}", barrier.display()));
                let begun = move || {
                    told.send("begun").unwrap();
                    line.into_bytes()
                };
                handlers.ask(begun, None, Box::new(|| ()))
            })
            .collect();
        for _ in &held {
            assert_eq!(hear.recv_timeout(DEADLINE), Ok("begun"));
        }

        let answered = told.clone();
        let line = move || {
            told.send("made").unwrap();
            b"echo birch".to_vec()
        };
        let wake = Box::new(move || answered.send("answered").unwrap());
        let late = handlers.ask(line, None, wake);
        assert!(hear.try_recv().is_err(), "no place is free");
        std::io::Write::write_all(&mut pipe, b"\n").unwrap();

        assert_eq!(hear.recv_timeout(DEADLINE), Ok("made"));
        assert_eq!(hear.recv_timeout(DEADLINE), Ok("answered"));
        assert_eq!(late.answer(), Some(Ok(b"birch".to_vec())));
    }

    #[test]
    fn handler_that_hangs_is_killed_with_its_group_at_the_limit() {
        let around = tempfile::tempdir().unwrap();
        let alive = around.path().join("alive");
        let line = format!("sleep 1000 & echo $! > {}; wait", alive.display());

        assert_eq!(
            answer(&line, Duration::from_millis(300)),
            Err(Fault::TimedOut)
        );

        await_end(std::fs::read_to_string(alive).unwrap().trim());
    }

    #[test]
    fn handler_does_not_outlive_the_thread_of_programs() {
        let around = tempfile::tempdir().unwrap();
        let alive = around.path().join("alive");
        let line = format!("echo $$ > {}; sleep 1000; true", alive.display());
        let runner = Runner::start().unwrap();
        let handlers = Handlers::new(runner.handle().clone(), DEADLINE);
        let question = handlers.ask(|| line.into_bytes(), None, Box::new(|| ()));
        let begun = std::time::Instant::now();
        let written = || std::fs::read_to_string(&alive).is_ok_and(|text| text.ends_with('\n'));
        while !written() {
            assert!(begun.elapsed() < DEADLINE, "it does not run");
            std::thread::yield_now();
        }

        drop(runner);

        assert_eq!(question.answer(), Some(Err(Fault::NotRunning)));
        await_end(std::fs::read_to_string(alive).unwrap().trim());
    }

    /// Waits until the process is gone, or nothing but a zombie.
    fn await_end(process: &str) {
        let process = format!("/proc/{process}/stat");
        let begun = std::time::Instant::now();
        while std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(begun.elapsed() < DEADLINE, "{process} lives");
            std::thread::yield_now();
        }
    }
}
