use std::time::Duration;

use crate::policy::dispatch::DispatchMode;
use crate::policy::pool::Sample;
use crate::policy::testing::{BIRCH, CLIENT, MAPLE, REFUSED, settings, weighted};
use crate::service::testing::{numbers_of, table, table_for};
use crate::status::layout::RECORD_SIZE;
use crate::status::testing::bytes_of;

use super::slot::NOTHING_MOVED;
use super::*;

fn by_order() -> PoolSettings {
    settings(DispatchMode::ByOrder, weighted([1, 1, 1]))
}

fn active(table: &BackendTable, backend: BackendId) -> u64 {
    table.lock().pool.view(backend).active
}

fn slot(table: &Arc<BackendTable>) -> BackendSlot {
    table.dispatch(CLIENT, &Tried::default()).unwrap().0
}

#[test]
fn change_of_state_is_published_before_anybody_hears_of_it() {
    let (table, diary, key) = table(by_order());

    slot(&table).failed(REFUSED);
    table.tell_state(MAPLE, ShownState::Down);
    table.tell_state(MAPLE, ShownState::Available);

    use ShownState::{Available, Down, Unavailable};
    let expected = [Unavailable, Down, Available].map(Some);
    assert_eq!(diary.states_seen(), expected);
    assert_eq!(numbers_of(key, MAPLE.index()).unwrap().failures, 1);
}

#[test]
fn told_address_is_where_the_next_client_is_sent() {
    let (table, _, _) = table(by_order());
    let (first, before) = table.dispatch(CLIENT, &Tried::default()).unwrap();

    let old = table.tell_server(MAPLE, &Endpoint::parse("backup:81").unwrap());

    let (_second, after) = table.dispatch(CLIENT, &Tried::default()).unwrap();
    assert_eq!(before, Target::from(&old));
    assert_eq!(after, Target::Name(Arc::from("backup"), 81));
    drop(first);
}

#[test]
fn slot_that_is_dropped_at_any_step_gives_its_place_back_and_blames_nobody() {
    let (table, diary, _) = table(by_order());
    let reserved = slot(&table);
    let mut connected = slot(&table);
    connected.connected();
    assert_eq!(active(&table, MAPLE), 2);

    drop(reserved);
    assert_eq!(active(&table, MAPLE), 1);
    drop(connected);

    let view = table.lock().pool.view(MAPLE);
    assert_eq!((view.active, view.total, view.failures), (0, 1, 0));
    assert_eq!(diary.taken(), [""; 0]);
}

#[test]
fn account_that_does_not_fit_the_step_of_a_slot_is_made_up_by_its_end() {
    let (table, _, _) = table(by_order());
    let mut connected = slot(&table);
    connected.connected();
    connected.connected();

    slot(&table).finished(NOTHING_MOVED);
    connected.failed(REFUSED);

    let view = table.lock().pool.view(MAPLE);
    assert_eq!((view.active, view.total, view.failures), (0, 1, 0));
}

#[test]
fn back_end_is_down_from_one_order_of_an_operator_to_the_next() {
    use ShownState::{Available, Down, Unavailable, Waking};
    let (table, _, _) = table(by_order());
    let mut connected = slot(&table);
    connected.connected();
    let late = slot(&table);
    let orders = [Down, Down, Available, Down, Unavailable, Down, Waking, Down];

    for order in orders {
        table.tell_state(MAPLE, order);
        assert_eq!(table.is_down(MAPLE), order == Down, "{order:?}");
    }
    late.failed(REFUSED);
    connected.finished(NOTHING_MOVED);
    table.tell_server(MAPLE, &Endpoint::parse("backup:81").unwrap());

    assert!(table.is_down(MAPLE));
    assert!(!table.is_down(BIRCH));
}

#[test]
fn back_end_that_failed_or_is_probed_is_not_down() {
    let (table, _, _) = table(by_order());

    slot(&table).failed(REFUSED);
    assert!(!table.is_down(MAPLE));
    table.tell_state(MAPLE, ShownState::Waking);
    let (ticket, _) = table.start_probe().unwrap();
    assert!(!table.is_down(MAPLE));
    table.tell_state(MAPLE, ShownState::Down);
    table.probe_ended(ticket, Ok(()));

    assert!(table.is_down(MAPLE));
}

#[test]
fn back_end_is_usable_while_it_is_available_and_below_its_limit() {
    let mut backends = weighted([1, 1, 1]);
    backends[0].limit = crate::policy::testing::limit(1);
    let (table, _, _) = table(settings(DispatchMode::ByOrder, backends));
    assert!(table.is_usable(MAPLE));

    let place = slot(&table);
    assert!(!table.is_usable(MAPLE));
    drop(place);
    assert!(table.is_usable(MAPLE));
    slot(&table).failed(REFUSED);

    assert!(!table.is_usable(MAPLE));
    assert!(table.is_usable(BIRCH));
}

#[test]
fn last_place_at_a_back_end_goes_to_one_of_many_racing_workers() {
    const WORKERS: usize = 4;
    let mut backends = weighted([1, 1, 1]);
    backends
        .iter_mut()
        .for_each(|backend| backend.limit = crate::policy::testing::limit(1));
    let (table, _, _) = table(settings(DispatchMode::RoundRobin, backends));
    let start = std::sync::Barrier::new(WORKERS);

    for _ in 0..200 {
        let slots: Vec<_> = std::thread::scope(|scope| {
            let race = || {
                start.wait();
                table
                    .dispatch(CLIENT, &Tried::default())
                    .map(|(slot, _)| slot)
            };
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(race)).collect();
            workers
                .into_iter()
                .filter_map(|worker| worker.join().unwrap())
                .collect()
        });
        assert_eq!(slots.len(), 3);
    }

    assert_eq!(
        (0..3).map(|id| active(&table, BackendId(id))).sum::<u64>(),
        0
    );
}

#[test]
fn requests_of_all_workers_are_published_beside_the_times_of_plain_connections() {
    let (table, _, key) = table_for(2, by_order());
    for (worker, code) in [(0, 204), (1, 503), (1, 200)] {
        let traffic = table.traffic(MAPLE, worker);
        traffic.count_request();
        traffic.count_reply(code);
        traffic.add_first_byte(Duration::from_micros(100));
    }
    let mut plain = slot(&table);
    plain.connected();
    plain.finished(Sample {
        first_byte: Some(Duration::from_micros(5)),
        ..NOTHING_MOVED
    });

    table.publish(&ServiceNumbers::default(), 1);

    let numbers = numbers_of(key, MAPLE.index()).unwrap();
    assert_eq!((numbers.requests, numbers.replies), (3, [0, 2, 0, 0, 1]));
    assert_eq!(numbers.first_byte_microseconds, 305);
}

#[test]
fn what_was_moved_is_published_with_a_change_that_an_operator_makes() {
    let (table, _, key) = table(by_order());
    let moved = |table: &BackendTable| {
        table.traffic(BIRCH, 0).add_to_client(7);
    };

    moved(&table);
    table.tell_state(BIRCH, ShownState::Down);
    let told = numbers_of(key, BIRCH.index()).unwrap();
    moved(&table);
    table.tell_server(BIRCH, &Endpoint::parse("backup:81").unwrap());
    let elsewhere = numbers_of(key, BIRCH.index()).unwrap();

    assert_eq!((told.bytes_to_client, elsewhere.bytes_to_client), (7, 14));
}

#[test]
fn record_of_a_back_end_for_which_nothing_changed_is_not_written() {
    let (table, _, key) = table(by_order());
    table.publish(&ServiceNumbers::default(), 1);
    let records = || {
        let bytes = bytes_of(key);
        let first = bytes.len() - 3 * RECORD_SIZE;
        let records = bytes[first..].chunks(RECORD_SIZE);
        records.map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let before = records();

    table.traffic(BIRCH, 0).add_to_client(7);
    table.publish(&ServiceNumbers::default(), 1);

    let same = before.iter().zip(records()).map(|(old, new)| *old == new);
    assert_eq!(same.collect::<Vec<_>>(), [true, false, true]);
    let numbers = numbers_of(key, BIRCH.index()).unwrap();
    assert_eq!(numbers.bytes_to_client, 7);
}

#[test]
fn nothing_is_published_once_the_segment_was_removed() {
    let (table, _, key) = table(by_order());

    table.remove_segment();
    table.tell_state(MAPLE, ShownState::Down);
    table.publish(&ServiceNumbers::default(), 1);

    assert!(
        crate::status::read::StatusReader::open(key)
            .unwrap()
            .is_none()
    );
}
