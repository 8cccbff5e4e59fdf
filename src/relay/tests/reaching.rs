//! Reaching a back end.
