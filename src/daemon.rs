//! Builds the rooms, joins them, and drains them at the end.
