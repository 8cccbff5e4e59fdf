//! When the numbers of the services are written into shared memory.
//!
//! While anything changes there is a round every 150 ms, in which services
//! without a mark are passed over. When nothing has changed for a round the
//! publisher lies down; the first mark gets it up again, and once a second it
//! gives a sign of life. A daemon at rest wakes up for nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::base::change::Sleeper;
use crate::service::running::RunningService;
use crate::status::owner;

/// How often numbers that change are renewed: at least every 200 ms (14.3), with
/// room for a round that comes late.
const INTERVAL: Duration = Duration::from_millis(150);

/// How often a daemon at rest gives a sign of life (14.3).
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a round has found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// Something had changed, or may still be changing.
    Lively,
    /// Nothing had.
    Quiet,
}

/// Publishes `services` until it is dropped.
pub(super) async fn publish(services: Vec<Arc<RunningService>>, sleeper: Arc<Sleeper>) {
    let mut beat = 0;
    let round = || round(&services, &mut beat);
    let marked = || services.iter().any(|service| service.is_marked());
    pace(&sleeper, round, marked).await;
}

/// Publishes what has changed, and the sign of life if it is due.
fn round(services: &[Arc<RunningService>], beat: &mut u64) -> Round {
    let now = owner::boottime_seconds();
    let due = std::mem::replace(beat, now) != now;
    let mut found = Round::Quiet;
    for service in services {
        if service.publish_changes(now) {
            found = Round::Lively;
        } else if due {
            service.table().heartbeat(now);
        }
    }
    found
}

/// Calls `round` when it is time to; `marked` says whether something changed
/// since the last one.
async fn pace(sleeper: &Sleeper, mut round: impl FnMut() -> Round, marked: impl Fn() -> bool) {
    let woken = Arc::new(Notify::new());
    let wake = Arc::clone(&woken);
    sleeper.wakes_by(move || wake.notify_one());
    loop {
        if round() == Round::Lively {
            sleep(INTERVAL).await;
            continue;
        }
        sleeper.lies_down();
        let disturbed = marked() || timeout(HEARTBEAT, woken.notified()).await.is_ok();
        sleeper.gets_up();
        if disturbed {
            // What changes first is seldom all that changes.
            sleep(INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::time::Instant;

    use super::*;
    use crate::base::change::ChangeMark;

    /// The milliseconds at which rounds begin until `until`, for a service that
    /// is marked at `marks`.
    async fn rounds(marks: &[u64], until: u64) -> Vec<u64> {
        let start = Instant::now();
        let sleeper = Arc::new(Sleeper::default());
        let mark = ChangeMark::new(Arc::clone(&sleeper));
        let (begun, settling) = (RefCell::new(Vec::new()), Cell::new(false));
        let round = || {
            begun.borrow_mut().push(start.elapsed().as_millis() as u64);
            let marked = mark.take();
            match settling.replace(marked) || marked {
                true => Round::Lively,
                false => Round::Quiet,
            }
        };
        let marking = async {
            for at in marks {
                tokio::time::sleep_until(start + Duration::from_millis(*at)).await;
                mark.set();
            }
        };
        let publishing = pace(&sleeper, round, || mark.is_set());
        let both = async { tokio::join!(marking, publishing) };
        let _ = timeout(Duration::from_millis(until), both).await;
        begun.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn daemon_at_rest_wakes_once_a_second() {
        let begun = rounds(&[], 10_500).await;

        assert_eq!(begun.len(), 11, "{begun:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn change_is_published_within_an_interval_and_once_more_a_round_later() {
        let begun = rounds(&[400], 900).await;

        assert_eq!(begun, [0, 550, 700, 850]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_all_the_time_is_published_every_interval() {
        let marks: Vec<u64> = (0..300).map(|turn| turn * 10).collect();

        let begun = rounds(&marks, 3_000).await;

        assert!(
            begun.windows(2).all(|pair| pair[1] - pair[0] <= 150),
            "{begun:?}"
        );
        assert!(begun.len() >= 20, "{begun:?}");
    }
}
