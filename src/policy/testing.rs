//! What the tests of this room share.

use proptest::test_runner::{Config, RngAlgorithm, RngSeed};

/// Property tests with a fixed seed and a bounded number of cases, so that a
/// run can be repeated and leaves no file behind.
pub(crate) fn property_config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(0x0c10_55f0_ad5e_ed00),
        ..Config::default()
    }
}
