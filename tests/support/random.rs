//! Seeds of tests with random inputs: the same in every run, and new ones with `ROSTERD_PROVE`.

use std::env;

use proptest::test_runner::{Config, RngSeed};

/// The seed of every run without `ROSTERD_PROVE` and `ROSTERD_SEED`.
const SEED: u64 = 0x0526_0573;

/// `few`, or `many` with `ROSTERD_PROVE`.
pub fn count<T>(few: T, many: T) -> T {
    if env::var_os("ROSTERD_PROVE").is_some() { many } else { few }
}

/// The seed of one test. It is printed, so that a failure shows it, and `ROSTERD_SEED` repeats it.
pub fn seed() -> u64 {
    let given = env::var("ROSTERD_SEED").ok();
    let given = given.map(|seed| seed.parse().unwrap_or_else(|_| panic!("ROSTERD_SEED={seed} is not a number")));
    let seed = given.unwrap_or_else(|| count(SEED, fastrand::u64(..)));
    println!("to repeat: {}ROSTERD_SEED={seed}", count("", "ROSTERD_PROVE=1 "));
    seed
}

/// The configuration of a property test that tries `few` inputs, or `many` with `ROSTERD_PROVE`. A failing input is not
/// saved to a file; it is added as a test.
pub fn config(few: u32, many: u32) -> Config {
    let rng_seed = RngSeed::Fixed(seed());
    Config { cases: count(few, many), rng_seed, failure_persistence: None, ..Config::default() }
}

/// The random numbers of a test that generates its own inputs.
pub fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed(seed())
}
