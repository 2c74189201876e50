//! Jones: configuration with inheritance in ZooKeeper. A service has a tree of environments, each with a `conf` of its
//! own and a `view`, which is its `conf` over those of its ancestors; `nodemaps` maps hosts to views.
//!
//! Everything but [`store`], [`trial`] and [`web`] is pure. [`store`] reads and writes the nodes of a service, [`trial`]
//! runs the checks of a change, and [`web`] serves all of it over HTTP.

pub mod acl;
pub mod canary;
pub mod check;
pub mod diff;
pub mod entry;
pub mod host_view;
pub mod hosts;
pub mod json;
pub mod merge;
pub mod nodemaps;
pub mod outside;
pub mod past;
pub mod path;
pub mod pins;
pub mod plan;
pub mod proposal;
pub mod records;
mod schema;
pub mod shape;
pub mod store;
pub mod tree;
pub mod trial;
pub mod web;
pub mod words;
