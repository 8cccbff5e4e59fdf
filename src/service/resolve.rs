//! Names of back ends, looked up when needed and cached for a while.
//!
//! The system resolver is asked on threads of the main runtime, at most
//! [`MAX_RUNNING`] at once and one for each name; who needs a name that is
//! being looked up waits for that answer. Failed answers are not kept.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::relay::host::{Order, RelayKey};
use crate::relay::mailbox::EngineHandle;

/// How many look-ups run at once.
pub const MAX_RUNNING: usize = 16;

/// What a name resolves to, in the order of the resolver; never empty.
pub type Addresses = Arc<[IpAddr]>;

/// The answer of one look-up, `None` where there was none in time.
type Answer = Option<Addresses>;

/// Asks the system for the addresses of a name. A parameter, so that tests can
/// say what a name resolves to.
pub type AskSystem = fn(&str) -> std::io::Result<Vec<IpAddr>>;

/// Asks the resolver of the system (getaddrinfo).
///
/// # Errors
///
/// What the resolver says.
pub fn ask_system(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in (name, 0).to_socket_addrs()? {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    Ok(addresses)
}

/// Who waits for the end of a look-up.
enum Waiter {
    Relay(EngineHandle, RelayKey),
    Task(oneshot::Sender<()>),
}

impl Waiter {
    fn wake(self) {
        match self {
            Self::Relay(engine, key) => engine.send(Order::Continue(key)),
            // A probe that gave up meanwhile needs no answer.
            Self::Task(sender) => {
                let _ = sender.send(());
            }
        }
    }
}

/// One look-up, running or ended.
pub struct Lookup(Mutex<Progress>);

enum Progress {
    Queued(Vec<Waiter>),
    Running {
        since: Instant,
        waiters: Vec<Waiter>,
    },
    Ended {
        since: Instant,
        answer: Answer,
    },
}

impl Lookup {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it began to run and what it found, once it has ended.
    pub fn outcome(&self) -> Option<(Instant, Answer)> {
        match &*self.lock() {
            Progress::Ended { since, answer } => Some((*since, answer.clone())),
            _ => None,
        }
    }

    /// Sends `key` an order to go on when the look-up ends.
    pub fn notify(&self, engine: EngineHandle, key: RelayKey) {
        self.add(Waiter::Relay(engine, key));
    }

    /// Waits for the end of the look-up.
    pub async fn ended(&self) {
        let (sender, receiver) = oneshot::channel();
        self.add(Waiter::Task(sender));
        // An error means that the resolver is gone; the answer is then missing.
        let _ = receiver.await;
    }

    fn add(&self, waiter: Waiter) {
        match &mut *self.lock() {
            Progress::Queued(waiters) | Progress::Running { waiters, .. } => waiters.push(waiter),
            Progress::Ended { .. } => waiter.wake(),
        }
    }

    fn begin(&self) {
        let mut progress = self.lock();
        if let Progress::Queued(waiters) = &mut *progress {
            let waiters = std::mem::take(waiters);
            *progress = Progress::Running {
                since: Instant::now(),
                waiters,
            };
        }
    }

    fn end(&self, answer: Answer) {
        let mut progress = self.lock();
        let ended = match &mut *progress {
            Progress::Ended { .. } => return,
            Progress::Queued(waiters) => (Instant::now(), std::mem::take(waiters)),
            Progress::Running { since, waiters } => (*since, std::mem::take(waiters)),
        };
        *progress = Progress::Ended {
            since: ended.0,
            answer,
        };
        drop(progress);
        ended.1.into_iter().for_each(Waiter::wake);
    }
}

enum Entry {
    Known {
        addresses: Addresses,
        until: Instant,
    },
    Asked(Arc<Lookup>),
}

/// What is known of a name.
pub enum Resolved {
    /// Its addresses.
    Known(Addresses),
    /// It is being looked up.
    Asked(Arc<Lookup>),
}

/// The cache of names, for all services and workers.
pub struct Resolver {
    time_to_live: Duration,
    limit: Duration,
    ask: AskSystem,
    runtime: Handle,
    places: Arc<Semaphore>,
    names: Mutex<HashMap<Arc<str>, Entry>>,
}

impl Resolver {
    /// A resolver whose look-ups run on `runtime`, each for at most `limit`, and
    /// whose answers are kept for `time_to_live` (0 = not at all).
    pub fn new(time_to_live: Duration, limit: Duration, ask: AskSystem, runtime: Handle) -> Self {
        Self {
            time_to_live,
            limit,
            ask,
            runtime,
            places: Arc::new(Semaphore::new(MAX_RUNNING)),
            names: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of `name`, or the look-up that finds them.
    pub fn resolve(self: &Arc<Self>, name: &Arc<str>) -> Resolved {
        let mut names = self.lock();
        match names.get(name) {
            Some(Entry::Known { addresses, until }) if Instant::now() < *until => {
                return Resolved::Known(Arc::clone(addresses));
            }
            Some(Entry::Asked(lookup)) => return Resolved::Asked(Arc::clone(lookup)),
            _ => {}
        }
        let lookup = Arc::new(Lookup(Mutex::new(Progress::Queued(Vec::new()))));
        names.insert(Arc::clone(name), Entry::Asked(Arc::clone(&lookup)));
        drop(names);
        self.runtime
            .spawn(Arc::clone(self).look_up(Arc::clone(name), Arc::clone(&lookup)));
        Resolved::Asked(lookup)
    }

    /// Forgets the addresses of `name`: a connect to them failed.
    pub fn forget(&self, name: &str) {
        let mut names = self.lock();
        if matches!(names.get(name), Some(Entry::Known { .. })) {
            names.remove(name);
        }
    }

    async fn look_up(self: Arc<Self>, name: Arc<str>, lookup: Arc<Lookup>) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return;
        };
        lookup.begin();
        let (ask, asked) = (self.ask, Arc::clone(&name));
        let running = tokio::task::spawn_blocking(move || {
            // The place is kept until the resolver answers, however late: a
            // look-up that ran out of time still holds its thread.
            let _place = place;
            ask(&asked)
        });
        let addresses: Vec<IpAddr> = match tokio::time::timeout(self.limit, running).await {
            Ok(Ok(Ok(addresses))) => addresses,
            _ => Vec::new(),
        };
        let answer: Answer = (!addresses.is_empty()).then(|| addresses.into());
        self.keep(&name, answer.clone());
        lookup.end(answer);
    }

    fn keep(&self, name: &Arc<str>, answer: Answer) {
        let mut names = self.lock();
        match answer {
            Some(addresses) if !self.time_to_live.is_zero() => {
                let until = Instant::now() + self.time_to_live;
                names.insert(Arc::clone(name), Entry::Known { addresses, until });
            }
            _ => {
                names.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::runtime;
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn one_address(_: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }

    fn no_address(_: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let result = runtime.block_on(async { timeout(Duration::from_secs(20), test).await });
        runtime.shutdown_background();
        result.unwrap()
    }

    fn resolver(time_to_live: Duration, limit: Duration, ask: AskSystem) -> Arc<Resolver> {
        Arc::new(Resolver::new(time_to_live, limit, ask, Handle::current()))
    }

    async fn asked(resolver: &Arc<Resolver>, name: &str) -> Answer {
        let Resolved::Asked(lookup) = resolver.resolve(&Arc::from(name)) else {
            panic!("the answer was kept");
        };
        lookup.ended().await;
        lookup.outcome().unwrap().1
    }

    fn is_known(resolver: &Arc<Resolver>, name: &str) -> bool {
        matches!(resolver.resolve(&Arc::from(name)), Resolved::Known(_))
    }

    #[test]
    fn answer_is_kept_until_a_connect_to_it_fails() {
        run(async {
            let resolver = resolver(LONG, LONG, one_address);

            let answer = asked(&resolver, "web").await;

            assert_eq!(answer.as_deref(), Some(&[Ipv4Addr::LOCALHOST.into()][..]));
            assert!(is_known(&resolver, "web"));
            resolver.forget("web");
            assert!(!is_known(&resolver, "web"));
        });
    }

    #[test]
    fn answer_is_not_kept_with_a_time_to_live_of_zero_nor_when_it_is_a_failure() {
        run(async {
            let fresh = resolver(Duration::ZERO, LONG, one_address);
            assert!(asked(&fresh, "web").await.is_some());
            assert!(!is_known(&fresh, "web"));

            let failing = resolver(LONG, LONG, no_address);
            assert_eq!(asked(&failing, "web").await, None);
            assert!(!is_known(&failing, "web"));
        });
    }

    #[test]
    fn answer_is_kept_for_its_time_to_live_and_no_longer() {
        run(async {
            let resolver = resolver(Duration::from_millis(30), LONG, one_address);
            asked(&resolver, "web").await;

            // Ends with the time limit of the test if the answer never gets old.
            while is_known(&resolver, "web") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    #[test]
    fn one_name_is_asked_for_once_at_a_time() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        fn counting(_: &str) -> io::Result<Vec<IpAddr>> {
            ASKED.fetch_add(1, Ordering::SeqCst);
            one_address("")
        }
        run(async {
            let resolver = resolver(LONG, LONG, counting);
            let name: Arc<str> = Arc::from("web");
            let (Resolved::Asked(first), Resolved::Asked(second)) =
                (resolver.resolve(&name), resolver.resolve(&name))
            else {
                panic!("nothing can be known yet");
            };

            first.ended().await;
            second.ended().await;

            assert!(Arc::ptr_eq(&first, &second));
            assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn resolver_that_does_not_answer_is_given_up_at_the_limit() {
        static RELEASE: Mutex<()> = Mutex::new(());
        fn hanging(_: &str) -> io::Result<Vec<IpAddr>> {
            drop(RELEASE.lock());
            one_address("")
        }
        let held = RELEASE.lock().unwrap();
        run(async {
            let resolver = resolver(LONG, Duration::from_millis(20), hanging);

            assert_eq!(asked(&resolver, "web").await, None);
        });
        drop(held);
    }

    #[test]
    fn at_most_sixteen_lookups_run_at_once_and_waiting_does_not_count() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        fn gauged(_: &str) -> io::Result<Vec<IpAddr>> {
            let now = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(now, Ordering::SeqCst);
            std::thread::yield_now();
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            one_address("")
        }
        run(async {
            let resolver = resolver(LONG, LONG, gauged);
            let lookups: Vec<_> = (0..100)
                .map(|number| resolver.resolve(&Arc::from(format!("name{number}").as_str())))
                .collect();

            for lookup in lookups {
                let Resolved::Asked(lookup) = lookup else {
                    panic!("nothing can be known yet")
                };
                lookup.ended().await;
                assert!(lookup.outcome().unwrap().1.is_some());
            }

            assert!(MOST.load(Ordering::SeqCst) <= MAX_RUNNING);
        });
    }
}
