//! Endings other than the ordinary one.
