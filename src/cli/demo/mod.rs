//! `demo`.

mod backends;
mod scene;
