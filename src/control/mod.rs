//! The operators' door into a running daemon.
