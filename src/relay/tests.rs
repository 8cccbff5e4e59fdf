//! The engine with real sockets on loopback and a host that follows a script.

mod ending;
mod placing;
mod reaching;
mod rig;
mod streaming;
mod tapping;
mod unpacking;
