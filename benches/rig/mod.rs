//! An engine that runs between clients and a back end, in one process.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossroads::relay::host::{ListenerId, Order};
use crossroads::relay::{Engine, EngineHandle, EngineSettings, drive};

pub(crate) mod host;

use host::Fixed;

/// An engine that turns in a thread of its own.
pub(crate) struct Rig {
    address: SocketAddr,
    handle: EngineHandle,
    thread_id: i32,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    /// Starts an engine for clients that `host` decides about.
    pub(crate) fn start(host: Fixed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut engine = Engine::new(host, EngineSettings::default()).unwrap();
        engine.add_listener(ListenerId(0), listener.into()).unwrap();
        let handle = engine.handle();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let id = rustix::thread::gettid();
            tell.send(id.as_raw_nonzero().get()).unwrap();
            drive(engine).unwrap();
        });
        Self {
            address,
            handle,
            thread_id: told.recv().unwrap(),
            thread: Some(thread),
        }
    }

    /// The engine's thread, as the system numbers it.
    pub(crate) fn thread_id(&self) -> i32 {
        self.thread_id
    }

    /// What the engine's thread has used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let path = format!("/proc/self/task/{}/schedstat", self.thread_id);
        let text = std::fs::read_to_string(path).unwrap();
        let nanos = text.split_whitespace().next().unwrap();
        Duration::from_nanos(nanos.parse().unwrap())
    }

    /// A client of the engine.
    pub(crate) fn connect(&self) -> TcpStream {
        client_of(self.address)
    }
}

/// A client; what it waits for comes soon, or never.
pub(crate) fn client_of(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle.send(Order::StopAccepting);
        // A connection may still come out of the queue of the listener.
        while let Some(thread) = &self.thread
            && !thread.is_finished()
        {
            self.handle.send(Order::CutAll);
            thread::yield_now();
        }
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || thread::panicking());
    }
}
