//! The border to operating-system processes, ours and others'.
