//! The state of a service in shared memory: written by the daemon, read by
//! everybody else.
//!
//! * [`layout`]: the bytes, and the assertions that hold them in place.
//! * `map`: creating, mapping, opening and removing the object.
//! * [`publish`]: the one writer.
//! * [`read`]: readers, of an object or of bytes.
//! * [`owner`]: whether the daemon behind a segment is still there.
//! * [`snapshot`]: the plain data that both sides talk in.
//!
//! Nothing here prints, and nothing here decides what a state means.

mod decode;
pub mod layout;
mod map;
pub mod owner;
pub mod publish;
pub mod read;
pub mod snapshot;

pub use map::object_name;

#[cfg(test)]
pub(crate) mod testing;
