//! What the engine asks and tells whoever owns the decisions.
//!
//! For each client connection the calls come in this order:
//!
//! ```text
//! take_place ─► admit ─► next_backend ─► connected ─► ended
//!     │           │       ▲   │  │  └─► Wait … Order::Continue ─► next_backend
//!     ▼           ▼       │   │  └────► Close ─► (session dropped)
//!  no client:  refused    │   ▼
//! return_place            └─ connect_failed
//!                       at any point before `connected`: abandoned
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::endpoint::{BackendAddr, ClientAddr};
use crate::base::id::BackendId;
use crate::base::outcome::Transfer;
use crate::base::state::ConnectFailure;
use crate::base::tap::ByteTap;
use crate::base::traffic::Traffic;
use crate::relay::http1::rewrite::Editor;

pub use crate::relay::http1::answer::Page;
pub use crate::relay::http1::session::Manner as WebManner;

/// A listener of one engine, as its host numbered it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ListenerId(pub u32);

/// One client connection in one engine. The generation tells a connection from
/// an earlier one that used the same place.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RelayKey {
    /// Place in the slab.
    pub index: u32,
    /// How often that place was used before.
    pub generation: u32,
}

/// Decides what the engine carries out. One host serves one engine, on one
/// thread; none of its calls may block.
pub trait Host {
    /// What the host keeps with a client connection.
    type Session;

    /// Takes a place (service limit and descriptors) for one more client of
    /// `listener`, before it is accepted. `false` pauses the listener until
    /// [`Order::Resume`]; the host has noted that somebody waits *before* it
    /// answers, so that a place freed meanwhile wakes the listener again.
    fn take_place(&mut self, listener: ListenerId) -> bool;

    /// Gives back a place that was taken, but no client was there.
    fn return_place(&mut self, listener: ListenerId);

    /// An accept failed for another cause than that nobody waits; the place has
    /// been given back (by [`Host::return_place`], just before). The engine pauses the listener for a moment by itself.
    fn accept_failed(&mut self, listener: ListenerId, error: &io::Error);

    /// A client was accepted. `None` refuses it: the engine closes the
    /// connection, and the host has given the place back.
    fn admit(&mut self, listener: ListenerId, client: ClientAddr) -> Option<Self::Session>;

    /// Whether the plan of this client may come with a tap; then its first
    /// bytes are kept until that is known.
    fn may_tap(&self, session: &Self::Session) -> bool;

    /// Where to connect next for this client.
    fn next_backend(&mut self, session: &mut Self::Session, key: RelayKey) -> Next;

    /// The attempt that `next_backend` gave came to nothing; the engine asks
    /// `next_backend` again at once.
    fn connect_failed(&mut self, session: &mut Self::Session, failure: AttemptFailure);

    /// The back end is connected; relaying begins as the plan says.
    fn connected(&mut self, session: &mut Self::Session, to: BackendAddr) -> Plan;

    /// The client connection ended before a back end was connected.
    fn abandoned(&mut self, session: Self::Session, why: Abandoned);

    /// Relaying ended. Called exactly once for each `connected`.
    fn ended(&mut self, session: &mut Self::Session, transfer: Transfer);

    /// How the messages of this client are unpacked; `None`: its bytes pass
    /// unread, and none of the calls below is made for it.
    fn web(&self, session: &Self::Session) -> Option<Arc<WebSettings>>;

    /// A request was read. Says whether the back end that is connected, if one
    /// is, serves it; otherwise `next_backend` is asked. `cookies` are the
    /// values of its `Cookie` fields, in order.
    fn route(
        &mut self,
        session: &mut Self::Session,
        cookies: &mut dyn Iterator<Item = &[u8]>,
    ) -> Route;

    /// The request of the last `route` goes once more: its connection ended
    /// without a reply. Its back end comes first.
    fn route_again(&mut self, session: &mut Self::Session);

    /// The head of a request is about to be sent to the back end that was
    /// chosen.
    fn edit_request(&mut self, session: &Self::Session, editor: &mut Editor<'_>);

    /// The head of a final reply is about to be sent to the client.
    fn edit_reply(&mut self, session: &Self::Session, editor: &mut Editor<'_>);

    /// The daemon itself answered a request, for this reason.
    fn answered(&mut self, session: &mut Self::Session, code: u16, why: &'static str);

    /// The client connection ended while no back end was connected and nothing
    /// was owed to it.
    fn left(&mut self, session: Self::Session);

    /// Whether a pipe (two descriptors) may be opened for splicing.
    fn take_pipe(&mut self) -> bool;

    /// A pipe of [`Host::take_pipe`] was closed or could not be opened.
    fn return_pipe(&mut self);

    /// Whether a connection to a back end may be kept that no client needs now.
    fn take_idle(&mut self) -> bool;

    /// A connection of [`Host::take_idle`] serves a client again, or was closed.
    fn return_idle(&mut self);

    /// All listeners are closed, as [`Order::StopAccepting`] or
    /// [`Order::CutAll`] asked; nobody is accepted any more. Called once.
    fn listeners_closed(&mut self);

    /// A panic in one connection's step was caught; that connection is closed.
    /// Its session is lost to the engine and was dropped.
    fn fault(&mut self, what: &str);
}

/// What a host wants to happen with a client next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Connect to the first of these addresses that answers.
    Connect(Attempt),
    /// The host waits for something (a look-up); it sends [`Order::Continue`]
    /// when it can say more. A client that resets meanwhile is abandoned.
    Wait {
        /// When waiting is given up: [`AttemptFailure::OutOfTime`].
        give_up_at: Instant,
    },
    /// Nothing is left to try: close the client connection. The session is
    /// dropped; the host has done its accounting. Where messages are unpacked
    /// the client gets an answer first, as the host is told.
    Close,
}

/// One attempt to reach a back end.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its addresses, at least one, in the order to try.
    pub addresses: Arc<[SocketAddr]>,
    /// When the connect has failed by time-out. Each address gets the time
    /// remaining divided by the number of addresses left.
    pub fail_at: Instant,
    /// When the attempt is given up without being held against the back end.
    pub give_up_at: Instant,
    /// Whose idle connections may serve instead of a new one.
    pub pool: Option<PoolKey>,
}

/// A back end whose idle connections are kept for any client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PoolKey {
    /// The listener of its service.
    pub listener: ListenerId,
    /// Its place in the service.
    pub backend: BackendId,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// To the back end that is connected.
    Stay,
    /// To one that `next_backend` gives.
    Choose,
}

/// How the messages of a service are unpacked.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// How they are read and passed on.
    pub manner: WebManner,
    /// How long a client may say nothing before a back end is chosen.
    pub idle_limit: Option<Duration>,
    /// The same between two requests.
    pub keepalive_limit: Option<Duration>,
    /// How long a head may take, from its first byte.
    pub head_limit: Duration,
    /// How long a back end may take for the head of its reply, from the last
    /// byte of the request that was sent.
    pub response_limit: Option<Duration>,
    /// How long input is thrown away after an answer of the daemon's own.
    pub discard_limit: Duration,
    /// What `Retry-After` says, in seconds.
    pub retry_after: u64,
    /// Pages of the operator's own.
    pub pages: Vec<Page>,
    /// How many idle connections are kept for each back end, if any.
    pub pool_size: usize,
    /// How long each of them is kept.
    pub pool_age: Duration,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub enum AttemptFailure {
    /// The back end's fault: the failure of the last address that was tried.
    Backend(ConnectFailure),
    /// No local port or no route, at every address.
    NoWay {
        /// The last address.
        to: BackendAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// No descriptor or no memory here.
    NoResources(io::Error),
    /// `give_up_at` has come.
    OutOfTime,
}

/// Why a client connection ended before its back end was connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Abandoned {
    /// The client reset its connection.
    ClientReset,
    /// The daemon stops.
    Stopped,
}

/// How a connected pair is relayed.
#[derive(Debug)]
pub struct Plan {
    /// The pair is cut when nothing moved in either direction for so long.
    pub idle_limit: Option<Duration>,
    /// Where the moved bytes are counted while the connection runs.
    pub traffic: Arc<Traffic>,
    /// Who sees every block; the pair is copied then, never spliced.
    pub tap: Option<Box<dyn ByteTap>>,
    /// Where the connection may be kept when this client needs it no more.
    pub pool: Option<PoolKey>,
}

/// What other threads, and tasks of the same one, want of an engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// A session that waits can go on: ask `next_backend` again.
    Continue(RelayKey),
    /// A paused listener may try again.
    Resume(ListenerId),
    /// Accept what waits in the kernel's queues, each queue until it is empty
    /// once and as far as places allow, then close all listeners.
    StopAccepting,
    /// Close the listeners that are left, and end every connection now:
    /// [`crate::base::outcome::Ended::Ordered`].
    CutAll,
}
