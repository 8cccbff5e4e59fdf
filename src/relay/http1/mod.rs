//! HTTP/1 messages: taken apart, checked, framed and changed.
//!
//! Nothing here does I/O. [`head`] reads a head and says how its body is framed,
//! [`body`] follows a chunked body, and [`rewrite`] applies header directives.
//!
//! What is ambiguous is refused; what is plain goes through untouched.

pub mod body;
pub mod head;
pub mod rewrite;
mod syntax;

#[cfg(test)]
mod tests;
