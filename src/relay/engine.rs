//! The relay engine of one worker.
//!
//! A turn waits for events, at most as long as the next timer allows, and
//! carries out what they bring; nothing in it blocks otherwise. One turn
//! handles at most 32 events, then the pairs that had more to move than
//! their share in the turn before, then timers.

use std::any::Any;
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use crate::relay::accept::{Accepting, Listener};
use crate::relay::arena::Arena;
use crate::relay::buffers::Buffers;
use crate::relay::connection::Relay;
use crate::relay::host::{Host, Order, RelayKey};
use crate::relay::http1::session::Workspace;
use crate::relay::mailbox::{EngineHandle, Mailbox};
use crate::relay::poll::{BATCH, Poll, Token};
use crate::relay::splice::Pipes;
use crate::relay::timer::Wheel;
use crate::relay::web::Exchange;
use crate::relay::web::LinkOwner;
use crate::relay::web::Pool;

/// How an engine is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EngineSettings {
    /// Bytes of the scratch through which everything is copied that is not
    /// spliced; raised to 512 where it is less.
    pub buffer_size: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            buffer_size: 64 * 1024,
        }
    }
}

/// What a turn did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turn {
    /// How many events were handled.
    pub events: usize,
    /// Whether all listeners were told to close and no connection is left.
    pub finished: bool,
}

/// Relays the connections of one worker as its host decides.
///
/// Source: decided (sections 5 and 8.2).
pub struct Engine<H: Host> {
    pub(super) host: H,
    pub(super) core: Core,
    pub(super) relays: Arena<Relay<H::Session>>,
    pub(super) listeners: Vec<Listener>,
    pub(super) accepting: Accepting,
    /// Places of listeners that wait for [`Listener`]'s pause to end.
    pub(super) retries: Vec<usize>,
    /// Those whose turn comes again without an event.
    pub(super) again: Vec<RelayKey>,
    /// Connections to back ends that no client needs now.
    pub(super) pool: Pool,
    /// Whom the step that runs now belongs to.
    pub(super) current: Option<RelayKey>,
    mailbox: Arc<Mailbox>,
    events: Vec<(Token, EventFlags)>,
    orders: Vec<Order>,
    fired: Vec<u32>,
}

/// What all connections of an engine share.
pub(super) struct Core {
    pub(super) poll: Poll,
    pub(super) scratch: Box<[u8]>,
    pub(super) buffers: Buffers,
    pub(super) pipes: Pipes,
    pub(super) wheel: Wheel,
    /// When the events of this turn were taken.
    pub(super) now: Instant,
    /// The ports that the kernel gives to sockets that connect.
    pub(super) ephemeral: RangeInclusive<u16>,
    /// Whose the sockets of back ends are that serve more than one client.
    pub(super) links: Arena<LinkOwner>,
    /// Where a message is taken apart and put together again.
    pub(super) work: Workspace,
    pub(super) out: Vec<u8>,
}

impl Core {
    fn new(size: usize) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            poll: Poll::new()?,
            scratch: vec![0; size].into_boxed_slice(),
            buffers: Buffers::new(size),
            pipes: Pipes::default(),
            wheel: Wheel::new(now),
            now,
            ephemeral: ephemeral_ports(),
            links: Arena::new(),
            work: Workspace::default(),
            out: Vec::new(),
        })
    }
}

/// All unprivileged ports where the kernel does not say.
fn ephemeral_ports() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let text = text.unwrap_or_default();
    let mut ports = text.split_whitespace().map(str::parse::<u16>);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => first..=last,
        _ => 1024..=u16::MAX,
    }
}

impl<H: Host> Engine<H> {
    /// Bytes that each client connection takes in the engine's table, what the
    /// host keeps of it included.
    pub const RECORD_SIZE: usize = size_of::<Relay<H::Session>>();

    /// Bytes that a client has besides, where messages are unpacked.
    pub const EXCHANGE_SIZE: usize = size_of::<Exchange>();

    /// An engine without listeners.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor for the epoll set or the mailbox.
    pub fn new(host: H, settings: EngineSettings) -> io::Result<Self> {
        let core = Core::new(settings.buffer_size.max(512))?;
        let mailbox = Arc::new(Mailbox::new()?);
        let flags = EventFlags::IN | EventFlags::ET;
        core.poll.add(&*mailbox, Token::Mailbox, flags)?;
        Ok(Self {
            host,
            core,
            relays: Arena::new(),
            listeners: Vec::new(),
            accepting: Accepting::Open,
            retries: Vec::new(),
            again: Vec::new(),
            pool: Pool::default(),
            current: None,
            mailbox,
            events: Vec::with_capacity(BATCH),
            orders: Vec::new(),
            fired: Vec::new(),
        })
    }

    /// A way to send orders from elsewhere.
    pub fn handle(&self) -> EngineHandle {
        EngineHandle::new(Arc::clone(&self.mailbox))
    }

    /// The host.
    pub fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    /// Gives the host back; connections that are left are closed unaccounted.
    pub fn into_host(self) -> H {
        self.host
    }

    /// How many client connections the engine holds.
    pub fn connections(&self) -> usize {
        self.relays.len()
    }

    /// Waits for events, `max_wait` at most, and carries them out.
    ///
    /// # Errors
    ///
    /// Only if the epoll set itself fails.
    pub fn turn(&mut self, max_wait: Option<Duration>) -> io::Result<Turn> {
        let mut events = std::mem::take(&mut self.events);
        let waited = self.core.poll.wait(&mut events, self.wait_limit(max_wait));
        self.core.now = Instant::now();
        // Those that come again wait behind everybody who has an event.
        let again = self.again.len();
        for &(token, flags) in &events {
            self.dispatch_event(token, flags);
        }
        let count = events.len();
        self.events = events;
        waited?;
        self.resume_busy(again);
        self.fire_timers();
        self.guarded(Self::retry_listeners);
        self.sweep_pool();
        if self.accepting == Accepting::Draining {
            self.guarded(Self::drain_listeners);
        }
        Ok(self.report(count))
    }

    fn report(&self, events: usize) -> Turn {
        let closed = self.accepting == Accepting::Closed;
        Turn {
            events,
            finished: closed && self.relays.len() == 0,
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let timers = [
            self.core.wheel.next_due(),
            self.next_retry(),
            self.pool.next_due(),
        ];
        timers.into_iter().flatten().min()
    }

    fn wait_limit(&self, max_wait: Option<Duration>) -> Option<Duration> {
        if max_wait == Some(Duration::ZERO) {
            return max_wait;
        }
        if !self.again.is_empty() || self.accepting == Accepting::Draining {
            return Some(Duration::ZERO);
        }
        let timer = self.next_timer();
        let timer = timer.map(|at| at.saturating_duration_since(Instant::now()));
        max_wait.into_iter().chain(timer).min()
    }

    fn dispatch_event(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Relay(key, side) => self.guarded(|engine| {
                engine.current = Some(key);
                engine.on_event(key, side, flags);
            }),
            Token::Link(link) => self.guarded(|engine| engine.on_link(link, flags)),
            Token::Listener(index) => self.guarded(|engine| engine.accept_batch(index as usize)),
            Token::Mailbox => self.read_mailbox(),
        }
    }

    fn read_mailbox(&mut self) {
        let mut orders = std::mem::take(&mut self.orders);
        self.mailbox.take(&mut orders);
        for order in orders.drain(..) {
            self.guarded(|engine| engine.carry_out(order));
        }
        self.orders = orders;
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Continue(key) => {
                self.current = Some(key);
                self.go_on(key);
            }
            Order::Resume(listener) => self.resume(listener),
            Order::StopAccepting => {
                self.stop_accepting();
                self.let_go_of_idle();
            }
            Order::CutAll => self.cut_all(),
        }
    }

    fn cut_all(&mut self) {
        // Or a queue that never runs empty would bring in others for ever.
        self.close_listeners();
        for key in self.relays.keys() {
            self.guarded(|engine| {
                engine.current = Some(key);
                engine.cut(key);
            });
        }
    }

    /// Gives the first `count` of those that come again their turn.
    fn resume_busy(&mut self, count: usize) {
        for index in 0..count {
            let key = self.again[index];
            self.guarded(|engine| {
                engine.current = Some(key);
                engine.on_repeat(key);
            });
        }
        self.again.drain(..count);
    }

    fn fire_timers(&mut self) {
        let mut fired = std::mem::take(&mut self.fired);
        self.core.wheel.advance(self.core.now, &mut fired);
        for index in fired.drain(..) {
            if let Some(key) = self.relays.key_at(index) {
                self.guarded(|engine| {
                    engine.current = Some(key);
                    engine.on_timer(key);
                });
            }
        }
        self.fired = fired;
    }

    /// Runs one step; a panic in it costs the connection it belongs to.
    fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        self.current = None;
        let outcome = catch_unwind(AssertUnwindSafe(|| step(self)));
        if let Err(panic) = outcome {
            if let Some(relay) = self.current.and_then(|key| self.remove(key)) {
                drop(relay.close(&mut self.core, &mut self.host));
            }
            // Whoever is told may be what panicked; the worker goes on.
            let tell = || self.host.fault(message_of(&*panic));
            let _ = catch_unwind(AssertUnwindSafe(tell));
        }
        self.current = None;
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
