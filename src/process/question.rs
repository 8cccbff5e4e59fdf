//! A question to an external program, and the promise that it is answered: by
//! the program, or by what went wrong with it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// What came of a question: the line of the program, or why there is none.
pub type Answer = Result<Vec<u8>, Fault>;

/// Called once, from another thread, when the answer is there.
pub type Wake = Box<dyn FnOnce() + Send>;

/// Why a program gave no answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// It could not be started.
    NotStarted,
    /// It took too long.
    TimedOut,
    /// It wrote more than an answer.
    TooMuchOutput,
    /// It ended with another exit status than 0.
    BadStatus,
    /// A signal ended it.
    Killed,
    /// It is not running at the moment.
    NotRunning,
    /// It has not read what it was told before.
    Behind,
}

impl Fault {
    /// The words for a log line.
    ///
    /// Source: decided (13.3, REASON of a handler).
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotStarted => "cannot be started",
            Self::TimedOut => "no answer in time",
            Self::TooMuchOutput => "more than 4096 bytes of output",
            Self::BadStatus => "exit status not 0",
            Self::Killed => "ended by a signal",
            Self::NotRunning => "not running",
            Self::Behind => "does not read its requests",
        }
    }
}

struct Slot {
    state: Mutex<State>,
}

enum State {
    Open(Wake),
    Answered(Answer),
    Taken,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The asker's side. Dropping it withdraws the question.
pub struct Question {
    slot: Arc<Slot>,
    /// Its end is what the other side sees.
    _asking: oneshot::Sender<Infallible>,
}

/// The program's side. Dropped without an answer it says
/// [`Fault::NotRunning`].
pub(super) struct Reply {
    slot: Arc<Slot>,
    asking: oneshot::Receiver<Infallible>,
    answered: bool,
}

/// A question and the way to answer it; `wake` is called when that was done.
pub(super) fn question(wake: Wake) -> (Question, Reply) {
    let (sender, asking) = oneshot::channel();
    let slot = Arc::new(Slot {
        state: Mutex::new(State::Open(wake)),
    });
    let question = Question {
        slot: Arc::clone(&slot),
        _asking: sender,
    };
    let reply = Reply {
        slot,
        asking,
        answered: false,
    };
    (question, reply)
}

impl Question {
    /// The answer, once it is there; only the first call that finds it gets it.
    pub fn answer(&self) -> Option<Answer> {
        let mut state = self.slot.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Answered(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }
}

impl Reply {
    /// Waits until nobody wants the answer any more. Safe to cancel.
    pub(super) async fn withdrawn(&mut self) {
        // Nothing is ever sent: an end is all that can come.
        let _ = (&mut self.asking).await;
    }

    /// Whether nobody wants the answer any more.
    pub(super) fn is_withdrawn(&mut self) -> bool {
        self.asking.try_recv() == Err(TryRecvError::Closed)
    }

    /// Gives the answer.
    pub(super) fn answer(mut self, answer: Answer) {
        self.put(answer);
    }

    fn put(&mut self, answer: Answer) {
        self.answered = true;
        let before = std::mem::replace(&mut *self.slot.lock(), State::Answered(answer));
        if let State::Open(wake) = before {
            wake();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            self.put(Err(Fault::NotRunning));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counted() -> (Arc<AtomicU32>, Wake) {
        let count = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&count);
        let wake = move || {
            counting.fetch_add(1, Ordering::SeqCst);
        };
        (count, Box::new(wake))
    }

    #[test]
    fn answer_wakes_once_and_is_taken_once() {
        let (woken, wake) = counted();
        let (question, reply) = question(wake);
        assert_eq!(question.answer(), None);

        reply.answer(Ok(b"birch".to_vec()));

        assert_eq!(woken.load(Ordering::SeqCst), 1);
        assert_eq!(question.answer(), Some(Ok(b"birch".to_vec())));
        assert_eq!(question.answer(), None);
    }

    #[test]
    fn reply_that_is_lost_is_an_answer_too() {
        let (woken, wake) = counted();
        let (question, reply) = question(wake);

        drop(reply);

        assert_eq!(woken.load(Ordering::SeqCst), 1);
        assert_eq!(question.answer(), Some(Err(Fault::NotRunning)));
    }

    #[test]
    fn dropped_question_is_withdrawn() {
        let (_, wake) = counted();
        let (question, mut reply) = question(wake);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();

        drop(question);

        runtime.block_on(reply.withdrawn());
    }
}
