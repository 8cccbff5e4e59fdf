//! Input as the session takes it: heads changed, bodies as they are.

use std::time::Instant;

use crate::relay::buffers::Buffers;
use crate::relay::engine::Core;
use crate::relay::flow::Behind;
use crate::relay::host::{Host, Route};
use crate::relay::http1::head::is_worth_reading;
use crate::relay::http1::rewrite::Editor;
use crate::relay::http1::session::{FromBackend, FromClient, Session, Workspace};
use crate::relay::pair::{Cut, Pair};
use crate::relay::side::Side;
use crate::relay::web::exchange::{Exchange, Outcome, show};
use crate::relay::web::moving::Did;

/// A body up to so many bytes is sent in one piece with its head.
const JOINED_BODY: usize = 16 * 1024;

/// What was made of some input.
struct Digest {
    /// So many bytes of it were taken.
    taken: usize,
    /// So many of them, the last ones, are to be sent as they are.
    body: usize,
    did: Did,
}

impl Exchange {
    /// Feeds the session with what is held, or with the `read` bytes in the
    /// scratch, and sends what comes of it.
    pub(super) fn digest<H: Host>(
        &mut self,
        from: Side,
        read: usize,
        pair: &mut Pair,
        session: &mut H::Session,
        core: &mut Core,
        host: &mut H,
    ) -> Result<Did, Cut> {
        let mut held = std::mem::take(&mut self.held[from]);
        let Core {
            scratch,
            out,
            work,
            buffers,
            poll,
            now,
            ..
        } = core;
        let is_held = !held.is_empty();
        if is_held {
            let fresh = &scratch[..read];
            held.extend_from_slice(fresh);
            let complete = held.len() >= self.settings.manner.limits.bytes;
            if self.starved[from] && !complete && !is_worth_reading(fresh) {
                self.held[from] = held;
                return Ok(Did::Something);
            }
        }
        let input = if is_held { &held[..] } else { &scratch[..read] };
        out.clear();
        let digest = match from {
            Side::Client => self.take_request(input, pair, session, (work, out), host, buffers),
            Side::Backend => self.take_reply(input, pair, session, (work, out), host, *now),
        };
        let body = &input[digest.taken - digest.body..digest.taken];
        let behind_body = match from {
            Side::Backend if self.is_last_of_client(pair) => Behind::More,
            _ => Behind::Unknown,
        };
        let behind_head = match body {
            [] => behind_body,
            _ => Behind::More,
        };
        let sent = pair
            .send(from, (out, behind_head), buffers, poll)
            .and_then(|()| pair.send(from, (body, behind_body), buffers, poll));
        let left = &input[digest.taken..];
        if is_held {
            let taken = digest.taken;
            held.drain(..taken);
            match held.is_empty() {
                true => buffers.give_back(held),
                false => self.held[from] = held,
            }
        } else if !left.is_empty() {
            self.held[from] = buffers.keep(left);
        }
        sent?;
        Ok(digest.did)
    }

    fn take_request<H: Host>(
        &mut self,
        input: &[u8],
        pair: &mut Pair,
        session: &mut H::Session,
        (work, out): (&mut Workspace, &mut Vec<u8>),
        host: &mut H,
        buffers: &mut Buffers,
    ) -> Digest {
        let manner = &{ self.settings.manner };
        self.starved[Side::Client] = false;
        let mut digest = Digest {
            taken: 0,
            body: 0,
            did: Did::Something,
        };
        loop {
            let rest = &input[digest.taken..];
            match self.session.client(rest, manner, work) {
                Err(fault) => {
                    digest.did = Did::Came(match self.session.reads_head() {
                        true => Outcome::Refuse(fault),
                        false => Outcome::Spoilt(Some(fault)),
                    });
                    return digest;
                }
                // Some clients send one behind a body; it begins no request.
                Ok(FromClient::More) if matches!(rest, b"\r\n" | b"\n") => {
                    digest.taken += rest.len();
                    return digest;
                }
                Ok(FromClient::More) => {
                    self.starved[Side::Client] = true;
                    return digest;
                }
                Ok(FromClient::Rest | FromClient::Raw) => return digest,
                Ok(FromClient::Choose) => {
                    let mut cookies = Session::cookies(work, rest);
                    let route = host.route(session, &mut cookies);
                    drop(cookies);
                    if route == Route::Choose || !pair.has_backend() {
                        digest.did = Did::Came(Outcome::Choose);
                        return digest;
                    }
                    if !self.held[Side::Backend].is_empty() || !pair.is_quiet(Side::Backend) {
                        // Whatever it is, it is no reply to this request.
                        pair.flows[Side::Backend].readable = true;
                        return digest;
                    }
                    let edit = |editor: &mut Editor<'_>| host.edit_request(session, editor);
                    let head = self.session.forward(rest, manner, work, edit, out);
                    show(pair, Side::Client, &rest[..head]);
                    if self.session.request().is_repeatable() {
                        buffers.give_back(std::mem::take(&mut self.repeat));
                        self.repeat = buffers.keep(&rest[..head]);
                    }
                    pair.ledger.note_request();
                    self.answered = false;
                    digest.taken += head;
                }
                Ok(FromClient::Body(bytes)) => {
                    show(pair, Side::Client, &rest[..bytes]);
                    digest.taken += bytes;
                    if join(out, &rest[..bytes]) {
                        continue;
                    }
                    digest.body = bytes;
                    return digest;
                }
            }
        }
    }

    fn take_reply<H: Host>(
        &mut self,
        input: &[u8],
        pair: &mut Pair,
        session: &mut H::Session,
        (work, out): (&mut Workspace, &mut Vec<u8>),
        host: &mut H,
        now: Instant,
    ) -> Digest {
        let manner = &{ self.settings.manner };
        self.starved[Side::Backend] = false;
        if !std::mem::replace(&mut self.answered, true) && self.session.awaits_reply() {
            let waited = now.saturating_duration_since(self.asked);
            pair.ledger.note_reply_begins(waited);
        }
        let mut digest = Digest {
            taken: 0,
            body: 0,
            did: Did::Something,
        };
        loop {
            let rest = &input[digest.taken..];
            let edit = |editor: &mut Editor<'_>| host.edit_reply(session, editor);
            match self.session.backend(rest, manner, work, edit, out) {
                Err(fault) => {
                    self.tainted = true;
                    digest.did = Did::Came(match self.session.has_replied() {
                        true => Outcome::Broken,
                        false => Outcome::BadReply(fault),
                    });
                    return digest;
                }
                Ok(FromBackend::More) => {
                    self.starved[Side::Backend] = true;
                    return digest;
                }
                Ok(FromBackend::Raw) => return digest,
                Ok(FromBackend::Complete) => {
                    self.tainted |= !rest.is_empty();
                    return digest;
                }
                Ok(FromBackend::Unsolicited) => {
                    self.tainted = true;
                    digest.did = Did::Came(Outcome::BackendGone);
                    return digest;
                }
                Ok(FromBackend::Head { bytes, code }) => {
                    show(pair, Side::Backend, &rest[..bytes]);
                    pair.ledger.note_reply(code);
                    digest.taken += bytes;
                }
                Ok(FromBackend::Body(bytes)) => {
                    show(pair, Side::Backend, &rest[..bytes]);
                    digest.taken += bytes;
                    if join(out, &rest[..bytes]) {
                        continue;
                    }
                    digest.body = bytes;
                    return digest;
                }
            }
        }
    }
}

/// Whether `body` was joined to the head in `out`, rather than worth a piece of
/// its own.
fn join(out: &mut Vec<u8>, body: &[u8]) -> bool {
    let joined = body.is_empty() || !out.is_empty() && body.len() <= JOINED_BODY;
    if joined {
        out.extend_from_slice(body);
    }
    joined
}
