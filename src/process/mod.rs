//! The border to operating-system processes, ours and others'.
//!
//! [`background`] leaves the terminal, [`signals`] hears what the daemon is
//! told from outside, [`identity`] is what the system knows of this process,
//! [`holder`] finds the process that is in the way of a listener.

pub mod background;
pub mod holder;
pub mod identity;
pub mod signals;
