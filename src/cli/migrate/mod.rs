//! `migrate`.

mod replace;
