//! Jones: configuration with inheritance in ZooKeeper. A service has a tree of environments, each with a `conf` of its
//! own and a `view`, which is its `conf` over those of its ancestors; `nodemaps` maps hosts to views.

pub mod host_view;
pub mod entry;
pub mod json;
pub mod merge;
pub mod nodemaps;
pub mod path;
pub mod plan;
pub mod proposal;
pub mod tree;
