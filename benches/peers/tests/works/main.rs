//! The client against the back end, and against back ends that fail.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod ends;
mod failures;
mod harness;
mod works;
