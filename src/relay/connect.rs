//! From an admitted client to a connected back end.
//!
//! The engine asks its host for an attempt, tries the addresses of it in order
//! and, when none answers, asks again. A connect that succeeds at once, as on
//! the same machine, costs no event: the first bytes of the client are sent,
//! and the answer to that tells whether the connection stands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, connect, getsockname, send, socket_with,
    sockopt,
};

use crate::base::endpoint::BackendAddr;
use crate::base::state::{ConnectFailure, Reason};
use crate::relay::engine::Core;
use crate::relay::flow::write;
use crate::relay::host::{Attempt, AttemptFailure};
use crate::relay::pair::{Cut, Pair};
use crate::relay::side::Side;

/// An attempt in the middle of its addresses.
#[derive(Debug)]
pub(super) struct Connecting {
    attempt: Attempt,
    /// How many addresses were begun.
    begun: u32,
    /// When the address that is being tried has used up its share.
    share_ends: Instant,
    /// What the last address that was the back end's fault said.
    failure: Option<ConnectFailure>,
    /// What the last address that was not its fault said.
    no_way: Option<Box<(SocketAddr, Errno)>>,
}

/// How far an attempt came.
#[derive(Debug)]
pub(super) enum Dial {
    /// A connection stands.
    Connected(BackendAddr),
    /// One is on its way; [`Connecting::wakes_at`] says how long it may take.
    Pending,
    /// It came to nothing.
    Failed(AttemptFailure),
}

impl Connecting {
    pub(super) fn new(attempt: Attempt, now: Instant) -> Self {
        Self {
            attempt,
            begun: 0,
            share_ends: now,
            failure: None,
            no_way: None,
        }
    }

    /// When [`Connecting::timed_out`] has to be asked.
    pub(super) fn wakes_at(&self) -> Instant {
        self.share_ends.min(self.attempt.give_up_at)
    }

    /// Tries addresses until one connects, is on its way, or none is left.
    /// `early` is what the client has sent and the pair does not hold yet.
    pub(super) fn dial(&mut self, pair: &mut Pair, early: usize, core: &mut Core) -> Dial {
        loop {
            let now = Instant::now();
            if let Some(failure) = self.out_of_time(now) {
                return Dial::Failed(failure);
            }
            let Some(&to) = self.attempt.addresses.get(self.begun as usize) else {
                return Dial::Failed(self.verdict());
            };
            let left = self.attempt.addresses.len() as u32 - self.begun;
            self.begun += 1;
            self.share_ends = now + self.attempt.fail_at.duration_since(now) / left;
            let first = first_length(pair, early);
            match begin(to, &core.ephemeral, first) {
                Ok(socket) => {
                    pair.set_backend(Some(socket), core);
                    pair.expect_first(first);
                }
                Err(errno) => {
                    self.note(to, errno);
                    if is_shortage(errno) {
                        return Dial::Failed(AttemptFailure::NoResources(errno.into()));
                    }
                    continue;
                }
            }
            match self.send_first(pair, early, core) {
                Some(dial) => return dial,
                None => pair.set_backend(None, core),
            }
        }
    }

    /// The socket that is being connected had an event, or its address time is
    /// over; goes on with the next address when it has failed.
    pub(super) fn proceed(&mut self, pair: &mut Pair, core: &mut Core) -> Dial {
        match self.send_first(pair, 0, core) {
            Some(dial) => dial,
            None => {
                pair.set_backend(None, core);
                self.dial(pair, 0, core)
            }
        }
    }

    /// The time that was given to the address or the attempt may be over.
    pub(super) fn timed_out(&mut self, pair: &mut Pair, core: &mut Core, now: Instant) -> Dial {
        if now < self.wakes_at() {
            return Dial::Pending;
        }
        // The answer may have come in the same turn.
        match self.send_first(pair, 0, core) {
            Some(Dial::Pending) => {
                if self.share_ends <= now {
                    self.failure = Some(TIMED_OUT);
                }
                pair.set_backend(None, core);
                self.dial(pair, 0, core)
            }
            Some(dial) => dial,
            None => {
                pair.set_backend(None, core);
                self.dial(pair, 0, core)
            }
        }
    }

    /// Sends the first bytes, or none, to learn whether the connection stands.
    /// `None`: this address has failed, which is noted.
    fn send_first(&mut self, pair: &mut Pair, early: usize, core: &mut Core) -> Option<Dial> {
        let to = *self
            .attempt
            .addresses
            .get(self.begun.checked_sub(1)? as usize)?;
        match first_bytes(pair, early, core) {
            Ok(true) => Some(Dial::Connected(BackendAddr(to))),
            Ok(false) => Some(match pair.watch(Side::Backend, &core.poll) {
                Ok(()) => Dial::Pending,
                Err(_) => Dial::Failed(AttemptFailure::NoResources(Errno::NOSPC.into())),
            }),
            Err(errno) => {
                self.note(to, errno);
                None
            }
        }
    }

    /// The earlier of the two limits decides what a lack of time means.
    fn out_of_time(&self, now: Instant) -> Option<AttemptFailure> {
        let Attempt {
            fail_at,
            give_up_at,
            ..
        } = self.attempt;
        if now >= give_up_at && give_up_at <= fail_at {
            Some(AttemptFailure::OutOfTime)
        } else if now >= fail_at {
            Some(AttemptFailure::Backend(self.failure.unwrap_or(TIMED_OUT)))
        } else {
            None
        }
    }

    fn note(&mut self, to: SocketAddr, errno: Errno) {
        if matches!(errno, Errno::ADDRNOTAVAIL | Errno::NETUNREACH) {
            self.no_way = Some(Box::new((to, errno)));
        } else {
            self.failure = Some(ConnectFailure::from(&errno.into()));
        }
    }

    /// What it means that no address is left.
    fn verdict(&self) -> AttemptFailure {
        match (self.failure, self.no_way.as_deref()) {
            (None, Some(&(to, errno))) => AttemptFailure::NoWay {
                to: BackendAddr(to),
                error: errno.into(),
            },
            (failure, _) => AttemptFailure::Backend(failure.unwrap_or(ConnectFailure {
                reason: Reason::Other,
                errno: 0,
            })),
        }
    }
}

/// The connect limit was reached; the kernel has said nothing.
const TIMED_OUT: ConnectFailure = ConnectFailure {
    reason: Reason::TimedOut,
    errno: 0,
};

/// Whether an error says that this machine has run out of something.
fn is_shortage(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS
    )
}

/// Opens a socket and sends it on its way; `first` bytes wait for it.
fn begin(to: SocketAddr, ephemeral: &RangeInclusive<u16>, first: usize) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    if first > 0 {
        // They can carry what ends the handshake. Only a matter of speed.
        let _ = sockopt::set_tcp_quickack(&socket, false);
    }
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    // A socket can meet itself when its own port is the one it calls; only a
    // port that the kernel hands out can be both.
    if ephemeral.contains(&to.port()) && calls_itself(&socket, to) {
        return Err(Errno::CONNREFUSED);
    }
    Ok(socket)
}

fn calls_itself(socket: &OwnedFd, to: SocketAddr) -> bool {
    let own = getsockname(socket).ok().map(SocketAddr::try_from);
    let Some(Ok(own)) = own else { return false };
    let to_ip = match to.ip() {
        // Connecting to "any address" reaches this machine's loopback.
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    own.port() == to.port() && own.ip() == to_ip
}

/// Sends `bytes`: how many, and whether the connection stands.
fn send_or_ask(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<(usize, bool), Errno> {
    if bytes.is_empty() {
        // Sending nothing asks just as well.
        return match send(socket, &[], SendFlags::NOSIGNAL) {
            Ok(_) => Ok((0, true)),
            Err(Errno::AGAIN) => Ok((0, false)),
            Err(errno) => Err(errno),
        };
    }
    match write(socket, bytes, SendFlags::empty()) {
        (0, Some(errno)) => Err(errno),
        (sent, _) => Ok((sent, sent > 0)),
    }
}

/// How many bytes are sent as soon as the connection stands.
fn first_length(pair: &Pair, early: usize) -> usize {
    match pair.flows[Side::Client].rest.unwritten().len() {
        0 => early,
        held => held,
    }
}

/// Whether the connection stands; then the client's first bytes, if any, are
/// on their way. If not yet, they are kept in the pair.
fn first_bytes(pair: &mut Pair, early: usize, core: &mut Core) -> Result<bool, Errno> {
    let flow = &pair.flows[Side::Client];
    let held = !flow.rest.is_empty();
    let bytes = if held {
        flow.rest.unwritten()
    } else {
        &core.scratch[..early]
    };
    let length = bytes.len();
    let socket = pair
        .socket(Side::Backend)
        .map_err(|_: Cut| Errno::NOTCONN)?;
    let (sent, stands) = send_or_ask(socket, bytes)?;
    pair.count(Side::Client, sent);
    let flow = &mut pair.flows[Side::Client];
    if held {
        flow.rest.advance(sent, &mut core.buffers);
    } else {
        flow.rest
            .keep(&core.scratch[sent..early], &mut core.buffers);
    }
    flow.blocked = !stands || sent < length;
    Ok(stands)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn connecting(fail_ms: u64, give_up_ms: u64, now: Instant) -> Connecting {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let attempt = Attempt {
            addresses: Arc::from([address]),
            fail_at: now + Duration::from_millis(fail_ms),
            give_up_at: now + Duration::from_millis(give_up_ms),
            pool: None,
        };
        Connecting::new(attempt, now)
    }

    #[test]
    fn earlier_limit_decides_what_lack_of_time_means() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let both = connecting(100, 100, now).out_of_time(later);
        assert!(matches!(both, Some(AttemptFailure::OutOfTime)));
        let fails_first = connecting(100, 200, now).out_of_time(later);
        assert!(matches!(
            fails_first,
            Some(AttemptFailure::Backend(TIMED_OUT))
        ));
        assert!(connecting(100, 200, now).out_of_time(now).is_none());
    }

    #[test]
    fn socket_that_meets_itself_counts_as_refused() {
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let own = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        connect(&socket, &own).unwrap();
        assert!(calls_itself(&socket, own));

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let other = begin(to, &(0..=u16::MAX), 0).unwrap();
        assert!(!calls_itself(&other, to));
    }

    #[test]
    fn no_way_needs_every_address() {
        let now = Instant::now();
        let to = "127.0.0.1:1".parse().unwrap();
        let mut connecting = connecting(100, 100, now);
        connecting.note(to, Errno::NETUNREACH);
        assert!(matches!(connecting.verdict(), AttemptFailure::NoWay { .. }));

        connecting.note(to, Errno::CONNREFUSED);
        connecting.note(to, Errno::NETUNREACH);
        assert!(matches!(
            connecting.verdict(),
            AttemptFailure::Backend(ConnectFailure {
                reason: Reason::Refused,
                ..
            })
        ));
    }
}
