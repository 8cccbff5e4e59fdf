//! Events turned into text, and the ways that text goes.
//!
//! An [`Event`](crate::base::event::Event) becomes lines in [`lines`] (pure),
//! [`log`] holds back what traffic repeats, [`queue`] takes lines without
//! ever blocking, and a thread each writes them, a [`batch`] at a time, to
//! [`syslog`] and, with `-f`, to the [`console`]. For resident programs events become JSON in [`story`].
//! Logs of the traffic itself are written by [`blocks`] and read by [`read`]; both
//! know their [`layout`].
//!
//! ```text
//! emit ─► lines ─► repeats ─┬─► queue ─► batch ─► thread ─► syslog socket
//!                           └─► queue ─► batch ─► thread ─► stderr
//! ```

pub mod batch;
pub mod blocks;
pub mod console;
pub mod layout;
pub mod level;
pub mod lines;
pub mod log;
pub mod queue;
pub mod read;
pub mod repeats;
mod shown;
pub mod story;
pub mod syslog;
