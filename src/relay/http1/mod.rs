//! HTTP/1 messages: taken apart, checked, framed and changed.
//!
//! Nothing here does I/O. [`head`] reads a head and says how its body is framed,
//! [`body`] follows a chunked body, [`rewrite`] applies header directives, and
//! [`session`] joins them to the life of one client connection: bytes in,
//! orders out.
//!
//! What is ambiguous is refused; what is plain goes through untouched.

pub mod answer;
pub mod body;
pub mod head;
pub mod rewrite;
pub mod session;
mod syntax;

#[cfg(test)]
mod tests;
