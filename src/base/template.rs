//! Command lines and header texts with `%` specifiers (section 10).
