//! Support for unit tests, tests of the binary and the benchmark: a real ZooKeeper, waiting, fixed seeds.

pub mod authority;
pub mod client;
pub mod docs;
pub mod examples;
pub mod inside;
pub mod network;
pub mod proxy;
pub mod random;
pub mod wait;
pub mod zookeeper;
