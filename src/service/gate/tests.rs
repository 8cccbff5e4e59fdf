use std::sync::Barrier;
use std::thread;

use super::*;

/// No wait of a test lasts longer.
const DEADLINE: Duration = Duration::from_secs(10);

fn gate(limit: u32, descriptors: u64) -> Gate {
    let budget = Descriptors::new(descriptors + Descriptors::RESERVE, 0);
    Gate::new(
        ConnectionLimit::new(limit),
        Arc::new(budget),
        Duration::from_secs(60),
    )
}

#[test]
fn what_is_lacking_is_said_and_nothing_is_kept() {
    let full = gate(1, 100);
    assert_eq!(full.try_take(), Ok(()));
    assert_eq!(full.try_take(), Err(NoPlace::ServiceFull));
    assert_eq!(full.descriptors.free.load(Ordering::SeqCst), 98);

    let bare = gate(0, 3);
    assert_eq!(bare.try_take(), Ok(()));
    assert_eq!(bare.try_take(), Err(NoPlace::OutOfDescriptors));
    assert_eq!(bare.active(), 1);
    assert_eq!(bare.descriptors.free.load(Ordering::SeqCst), 1);
}

#[test]
fn pipes_leave_half_of_the_descriptors_to_clients() {
    let gate = gate(0, 9);

    assert!(gate.descriptors.try_take_pipe());
    assert!(gate.descriptors.try_take_pipe());
    assert!(!gate.descriptors.try_take_pipe());

    assert_eq!(gate.try_take(), Ok(()));
    assert_eq!(gate.try_take(), Ok(()));
    gate.give_back();
    gate.give_back();
    gate.descriptors.give_back_pipe();
    assert!(gate.descriptors.try_take_pipe());
}

#[test]
fn warning_is_due_once_an_episode() {
    let episode = Episode::new(Duration::from_secs(60));
    assert!(episode.begins(|| false));
    assert!(!episode.begins(|| false));

    let short = Episode::new(Duration::ZERO);
    assert!(short.begins(|| false));
    assert!(short.begins(|| false));
}

#[test]
fn episode_that_lasts_is_reported_no_second_time_however_long() {
    let episode = Episode::new(Duration::ZERO);
    assert!(episode.begins(|| true));
    assert!(!episode.begins(|| true));

    episode.ends();

    assert!(episode.begins(|| true));
}

#[test]
fn end_that_came_before_the_report_is_not_forgotten() {
    let episode = Episode::new(Duration::ZERO);
    assert!(episode.begins(|| false));

    assert!(episode.begins(|| true));
}

#[test]
fn full_service_that_nobody_waits_for_silences_no_warning() {
    let gate = gate(1, 100);
    assert_eq!(gate.try_take(), Ok(()));
    gate.give_back();

    assert_eq!(gate.try_take(), Ok(()));

    assert!(gate.begins_episode(NoPlace::ServiceFull));
    assert!(!gate.begins_episode(NoPlace::ServiceFull));
}

/// A worker's listener that takes orders for nobody else.
fn listener(number: u32) -> Waiter {
    (EngineHandle::alone(), ListenerId(number))
}

/// Waits until `listener` is told to try again; `false`: it was forgotten.
fn is_resumed(listener: &Waiter) -> bool {
    let begun = Instant::now();
    while listener.0.taken().is_empty() {
        if begun.elapsed() > DEADLINE {
            return false;
        }
        thread::yield_now();
    }
    true
}

#[test]
fn who_found_no_place_is_told_once_when_one_is_given_back() {
    let gate = gate(1, 100);
    let (first, second) = (listener(1), listener(2));
    assert_eq!(gate.take(&first), Ok(()));
    assert_eq!(gate.take(&second), Err(NoPlace::ServiceFull));

    gate.give_back();

    assert_eq!(first.0.taken(), []);
    assert_eq!(second.0.taken(), [Order::Resume(ListenerId(2))]);
    assert_eq!(gate.take(&first), Ok(()));
    gate.give_back();
    assert_eq!(second.0.taken(), []);
}

#[test]
fn descriptors_of_one_service_wake_who_waits_at_another() {
    let budget = Arc::new(Descriptors::new(2 + Descriptors::RESERVE, 0));
    let [shop, mail] =
        [(); 2].map(|()| Gate::new(ConnectionLimit::NONE, Arc::clone(&budget), Duration::ZERO));
    let waiting = listener(2);
    assert_eq!(shop.take(&listener(1)), Ok(()));
    assert_eq!(mail.take(&waiting), Err(NoPlace::OutOfDescriptors));

    shop.give_back();

    assert_eq!(waiting.0.taken(), [Order::Resume(ListenerId(2))]);
    assert_eq!(mail.take(&waiting), Ok(()));
}

#[test]
fn waiter_is_woken_though_what_it_lacks_changed_while_it_looked() {
    let budget = Arc::new(Descriptors::new(4 + Descriptors::RESERVE, 0));
    let [shop, mail] = [1, 0].map(|limit| {
        Gate::new(
            ConnectionLimit::new(limit),
            Arc::clone(&budget),
            Duration::ZERO,
        )
    });
    let (waiting, other) = (listener(1), listener(2));
    assert_eq!(shop.take(&other), Ok(()));
    let changed = std::cell::Cell::new(false);

    let taken = shop.take_while(&waiting, || {
        if !changed.replace(true) {
            shop.give_back();
            assert_eq!(mail.take(&other), Ok(()));
            assert_eq!(mail.take(&other), Ok(()));
        }
    });

    assert_eq!(taken, Err(NoPlace::OutOfDescriptors));
    assert_eq!(waiting.0.taken(), []);
    mail.give_back();
    assert_eq!(waiting.0.taken(), [Order::Resume(ListenerId(1))]);
}

#[test]
fn last_place_goes_to_one_of_many_racing_workers() {
    const WORKERS: usize = 8;
    for _ in 0..200 {
        let gate = gate(1, 100);
        let start = Barrier::new(WORKERS);

        let taken = thread::scope(|scope| {
            let race = |number| {
                let (gate, start) = (&gate, &start);
                scope.spawn(move || {
                    let listener = listener(number);
                    start.wait();
                    gate.take(&listener).is_ok()
                })
            };
            let workers: Vec<_> = (0..WORKERS as u32).map(race).collect();
            workers
                .into_iter()
                .filter_map(|w| w.join().ok())
                .filter(|&took| took)
                .count()
        });

        assert_eq!(taken, 1);
        assert_eq!(gate.active(), 1);
    }
}

#[test]
fn no_waiter_is_forgotten_whatever_is_lacking_at_the_moment() {
    const ROUNDS: usize = 2_000;
    // One place in each service and descriptors for one client in all: what a
    // worker lacks changes between two looks.
    let budget = Arc::new(Descriptors::new(2 + Descriptors::RESERVE, 0));
    let gates =
        [(); 2].map(|()| Gate::new(ConnectionLimit::new(1), Arc::clone(&budget), Duration::ZERO));
    let start = Barrier::new(4);
    let work = |number: usize| {
        let (gate, listener) = (&gates[number % 2], listener(number as u32));
        for _ in 0..ROUNDS {
            // A waiter that is forgotten is woken by no later client of another.
            start.wait();
            while gate.take(&listener).is_err() {
                assert!(is_resumed(&listener), "worker {number} waits for ever");
            }
            gate.give_back();
        }
    };

    thread::scope(|scope| {
        let work = &work;
        for number in 0..4 {
            scope.spawn(move || work(number));
        }
    });

    assert_eq!(gates.map(|gate| gate.active()), [0, 0]);
    assert_eq!(budget.free.load(Ordering::SeqCst), 2);
}
