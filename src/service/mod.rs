//! A running service, from accept to account, and the revival of its back ends.
//!
//! One client connection passes through ten steps; each consumes what the step
//! before it made, so none can be skipped or repeated, and the guards
//! ([`gate::ServicePermit`], [`table::BackendSlot`]) undo themselves:
//!
//! | # | step | where | what it makes |
//! |---|---|---|---|
//! | 1 | accept | [`gate`], the engine | a place, then the client's socket |
//! | 2 | admit | [`access`], [`connection`] | a session that holds the permit |
//! | 3 | look | the engine (only `type http`), [`web`] | a request, and whom it asks for |
//! | 4, 5 | dispatch, reserve | [`table`] | a [`table::BackendSlot`] |
//! | 6 | connect | [`resolve`], the engine | the back end's socket |
//! | 7 | announce | [`connection`] | `Event::Started` |
//! | 8 | relay | the engine | a `Transfer` |
//! | 9 | account | [`connection`] | figures, `Event::Ended`, places free again |
//! | 10 | publish | [`running`] | numbers in shared memory |
//!
//! What external programs say and hear is put together in [`programs`].
//!
//! Wake-up calls ([`revival`]) use step 6 only. The room does not know who
//! reads its events: it hands them to an `EventSink`.

pub mod access;
pub mod connection;
pub mod gate;
pub mod listener;
pub mod programs;
pub mod resolve;
pub mod revival;
pub mod running;
pub mod table;
pub mod web;
pub mod worker;

#[cfg(test)]
mod testing;
