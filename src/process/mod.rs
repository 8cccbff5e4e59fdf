//! The border to operating-system processes, ours and others'.
//!
//! [`background`] leaves the terminal, [`signals`] hears what the daemon is
//! told from outside, [`identity`] is what the system knows of this process,
//! [`holder`] finds the process that is in the way of a listener, [`pager`]
//! shows text screen by screen.
//!
//! External programs are started by [`spawn`], as an [`account`] where one is
//! given, on the thread of a [`runner`]: [`hooks`] in order and bounded in
//! number, a [`handler`] once for each [`question`], a [`resident`] for the
//! life of its service.

pub mod account;
pub mod background;
pub mod handler;
pub mod holder;
pub mod hooks;
pub mod identity;
pub mod pager;
pub mod question;
pub mod resident;
pub mod runner;
pub mod signals;
pub mod spawn;
