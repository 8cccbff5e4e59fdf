//! A running service, from accept to account, and the revival of its back ends.
