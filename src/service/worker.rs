//! A worker: one thread that turns a relay engine of its own.
//!
//! What its connections wait for, look-ups and handlers, is done elsewhere and
//! comes back through the engine's mailbox.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::UnboundedSender;

use crate::base::event::Event;
use crate::relay::driver::drive;
use crate::relay::engine::{Engine, EngineSettings};
use crate::relay::host::ListenerId;
use crate::relay::mailbox::EngineHandle;
use crate::service::connection::WorkerHost;
use crate::service::running::{RunningService, Shared};

/// What a worker tells the main thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Report {
    /// All listeners of a worker are closed, by a stop or because it ends.
    ListenersClosed,
    /// A worker has ended: its listeners are closed and its connections gone.
    Ended,
}

/// A running worker.
pub struct Worker {
    /// Takes orders for its engine.
    pub engine: EngineHandle,
    thread: JoinHandle<()>,
}

/// What a worker begins with.
pub struct Start {
    /// Its number, from 0.
    pub number: usize,
    /// What all services share.
    pub shared: Arc<Shared>,
    /// All services, in order of the file.
    pub services: Vec<Arc<RunningService>>,
    /// The sockets that this worker listens on.
    pub listeners: Vec<(ListenerId, OwnedFd)>,
    /// How the engine works.
    pub engine: EngineSettings,
    /// Who hears of its end.
    pub reports: UnboundedSender<Report>,
}

impl Worker {
    /// Starts a worker and waits until it can accept.
    ///
    /// # Errors
    ///
    /// What the system says when the thread or its epoll set can't be made.
    pub fn start(start: Start) -> io::Result<Self> {
        let (ready, engine) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name(format!("worker {}", start.number))
            .spawn(move || run(start, &ready))?;
        let engine = engine
            .recv()
            .map_err(|_| io::Error::other("worker ended at once"))??;
        Ok(Self { engine, thread })
    }

    /// Waits for the end of the thread.
    pub fn join(self) {
        // A panic of the thread was reported where it happened.
        let _ = self.thread.join();
    }
}

fn run(start: Start, ready: &mpsc::SyncSender<io::Result<EngineHandle>>) {
    let shared = Arc::clone(&start.shared);
    // Dropped after everything that the worker holds, whatever ends it.
    let _ended = Reported(Report::Ended, start.reports.clone());
    let outcome = catch_unwind(AssertUnwindSafe(|| serve(start, ready)));
    let error = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(_) => io::Error::other("a panic outside of any connection"),
    };
    let what = format!("a worker ended: {error}");
    shared.sink.emit(&Event::Fault { what: &what });
    // Nobody waits any more if the worker had begun to serve.
    let _ = ready.try_send(Err(error));
}

fn serve(start: Start, ready: &mpsc::SyncSender<io::Result<EngineHandle>>) -> io::Result<()> {
    let engine = assemble(start)?;
    // The receiver waits for exactly this message.
    let _ = ready.send(Ok(engine.handle()));
    drive(engine)?;
    Ok(())
}

/// Sends its report when it is dropped: so it is sent also when a worker ends
/// by a panic, and nobody waits for a worker that is gone.
struct Reported(Report, UnboundedSender<Report>);

impl Drop for Reported {
    fn drop(&mut self) {
        // The main thread may be gone already; then nobody needs to know.
        let _ = self.1.send(self.0);
    }
}

fn assemble(start: Start) -> io::Result<Engine<WorkerHost>> {
    let listeners_closed = Reported(Report::ListenersClosed, start.reports);
    let host = WorkerHost::new(
        start.shared,
        &start.services,
        start.number,
        Box::new(move || drop(listeners_closed)),
    );
    let mut engine = Engine::new(host, start.engine)?;
    let handle = engine.handle();
    engine.host_mut().serve(handle);
    for (listener, socket) in start.listeners {
        engine.add_listener(listener, socket)?;
    }
    Ok(engine)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use tokio::runtime;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::timeout;

    use super::*;
    use crate::base::event::EventSink;
    use crate::base::limits::Limits;
    use crate::relay::host::Order;
    use crate::service::running::ServicePrograms;
    use crate::service::testing::{NAMES, by_order, shared};
    use crate::status::testing::segment;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Panics at whatever it hears, also at the report of a panic.
    struct Broken;

    impl EventSink for Broken {
        fn emit(&self, event: &Event<'_>) {
            panic!("scripted fault at {event:?}");
        }
    }

    #[test]
    fn panic_at_every_client_loses_no_place_and_ends_no_worker() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let shared = shared(Arc::new(Broken), Limits::default(), runtime.handle());
        let (_, segment) = segment(&NAMES);
        let service = Arc::new(RunningService::new(
            &by_order("maxconnections 2;"),
            &shared,
            segment,
            |_| ServicePrograms::default(),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut reports) = unbounded_channel();

        let worker = Worker::start(Start {
            number: 0,
            shared,
            services: vec![Arc::clone(&service)],
            listeners: vec![(ListenerId(0), listener.into())],
            engine: EngineSettings::default(),
            reports: sender,
        })
        .unwrap();
        for _ in 0..5 {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(DEADLINE)).unwrap();
            let read = client.read(&mut [0; 8]);
            assert!(
                matches!(read, Ok(0)) || read.unwrap_err().kind() == io::ErrorKind::ConnectionReset
            );
        }
        worker.engine.send(Order::StopAccepting);

        runtime.block_on(async {
            for expected in [Report::ListenersClosed, Report::Ended] {
                let report = timeout(DEADLINE, reports.recv()).await.unwrap();
                assert_eq!(report, Some(expected));
            }
        });
        worker.join();
        assert_eq!(service.gate().active(), 0);
    }

    #[test]
    fn worker_that_panics_reports_its_end_all_the_same() {
        let (sender, mut reports) = unbounded_channel();

        let thread = thread::spawn(move || {
            let _ended = Reported(Report::Ended, sender);
            panic!("scripted fault");
        });

        assert!(thread.join().is_err());
        assert_eq!(reports.blocking_recv(), Some(Report::Ended));
    }
}
