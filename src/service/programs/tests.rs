use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::base::id::ConnectionCounter;
use crate::base::limits::Limits;
use crate::base::text::Text;
use crate::policy::testing::MAPLE;
use crate::process::hooks::HookLimits;
use crate::service::running::{RunningService, ServicePrograms};
use crate::service::testing::{Diary, NAMES, by_order, service_numbers_of, shared};
use crate::status::testing::segment;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Programs of which no hook finds room.
fn programs() -> Programs {
    let runner = Runner::start().unwrap();
    let runtime = runner.handle().clone();
    let no_hooks = HookLimits {
        running: 0,
        waiting: 0,
        ..HookLimits::new(DEADLINE, DEADLINE)
    };
    Programs {
        hooks: HookQueue::new(runtime.clone(), no_hooks),
        handlers: Handlers::new(runtime, DEADLINE),
        runner,
        machine: Arc::new(Machine {
            host: "balancer".to_owned(),
            process: 1,
            clock: Clock::local(),
        }),
    }
}

/// A program may lose what it was told long after the connection that it is of.
#[test]
fn service_is_published_when_its_programs_lose_something() {
    let programs = programs();
    let mut config = by_order("");
    config.backends[MAPLE.index()].on_fail = Some(Text::from("true"));
    config.on_events = Some(Text::from("exit 0"));
    let (key, segment) = segment(&NAMES);
    let diary = Diary::of_segment(key);
    let ingredients = Ingredients {
        config: &config,
        verbose: false,
        programs: &programs,
        account: None,
        sink: Arc::<Diary>::clone(&diary),
    };
    let residents = Residents::start(&ingredients, Duration::ZERO);
    let limits = Limits::default();
    let shared = shared(diary, limits, programs.runner.handle());
    let service = RunningService::new(&config, &shared, segment, |table| {
        ServicePrograms::new(&ingredients, table, residents, &limits)
    });
    let quiet = || while service.publish_changes(1) {};
    quiet();

    let hooks = service.programs().hooks.as_ref().unwrap();
    let connection = ConnectionCounter::default().next();
    hooks.failed(MAPLE, connection, Ipv4Addr::LOCALHOST.into());
    assert!(service.is_marked());
    quiet();
    assert_eq!(service_numbers_of(key).hooks_dropped, 1);

    let residents = &service.programs().residents;
    let begun = Instant::now();
    while !service.is_marked() {
        assert!(begun.elapsed() < DEADLINE, "nothing is lost");
        residents.events.as_ref().unwrap().tell(b"news".to_vec());
        std::thread::yield_now();
    }
    quiet();
    assert!(service_numbers_of(key).helper_dropped > 0);
}
