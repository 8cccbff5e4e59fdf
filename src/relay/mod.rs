//! Moves bytes from one socket to another and says how it ended.
//!
//! The room decides nothing: it asks and tells its [`host::Host`], in words of
//! `base` only.

pub mod host;
