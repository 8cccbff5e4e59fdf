//! The configuration language: text in, a [`model::Config`] or diagnostics out.

pub mod model;
