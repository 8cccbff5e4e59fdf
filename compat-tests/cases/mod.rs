//! The cases, by feature. Each names its evidence and the conformance cases of
//! the specification (section 17) that it shows.

mod harness;
