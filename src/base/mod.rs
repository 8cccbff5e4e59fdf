//! Words that every room uses: names, quantities, addresses, events, times.
//!
//! Nothing here decides anything, opens anything or knows another room.

pub(crate) mod bits;
pub mod calendar;
pub mod change;
pub mod clock;
pub mod endpoint;
pub mod event;
pub mod id;
pub mod limits;
pub mod moment;
pub mod name;
pub mod outcome;
pub mod quantity;
pub mod random;
pub mod record;
pub mod state;
pub mod tap;
pub mod template;
pub mod text;
pub mod traffic;
