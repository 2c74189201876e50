//! What the tests stand on: a folder of their own, the agent, and real servers on free loopback ports.

pub mod authority;
pub mod backend;
pub mod client;
pub mod exhibitor;
pub mod eye;
pub mod floor;
pub mod haproxy;
pub mod inside;
pub mod meter;
pub mod network;
pub mod proxy;
pub mod scene;
pub mod site;
pub mod usage;
pub mod wait;
pub mod zookeeper;
