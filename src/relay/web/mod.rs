//! Clients of services of `type http`: their requests, one after another, and
//! the connections to back ends that come and go meanwhile.
//!
//! What bytes mean is the business of [`crate::relay::http1`]. Here they are
//! moved, and what comes of it is carried out:
//!
//! ```text
//!          moving ─► digest ─► http1::session   bytes in, bytes out
//!            │ Outcome
//!            ▼
//!          steer ──► dispatch, connect       a back end for a request
//!            ├─────► pool                    connections between two clients
//!            ├─────► answering               400, 502, 503 ...
//!            └─────► pair                    tunnels
//!          timing ─► answering               408, 504
//! ```

mod answering;
mod digest;
mod exchange;
mod links;
mod moving;
mod pool;
mod steer;
mod timing;

pub(in crate::relay) use answering::Discarding;
pub(in crate::relay) use exchange::Exchange;
pub(in crate::relay) use links::{LinkOwner, Loose};
pub(in crate::relay) use pool::Pool;
