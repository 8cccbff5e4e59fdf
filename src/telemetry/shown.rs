//! What is shown as text in JSON.

use std::fmt::Display;

use serde::{Serialize, Serializer};

/// A value that is a string in JSON, as it is displayed; written without a
/// string of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<T>(pub(super) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}
