//! The real binary against real servers, one file a feature.

#[macro_use]
mod web;

mod block;
mod chaos;
mod chef;
mod config_errors;
mod connect;
mod container;
mod control;
mod cost;
mod docs;
mod drift;
mod each;
mod ensemble;
mod events;
mod examples;
mod exec;
mod faults;
mod first_steps;
mod formats;
mod generate;
mod get_agent;
mod guard;
mod haproxy;
mod harness;
mod hints;
mod history;
mod isolate;
mod jones;
mod jones_pages;
mod jones_reading;
mod last_good;
mod leader;
mod lock;
mod main_job;
mod metrics;
mod migrate;
mod not_members;
mod once;
mod page;
mod prime_chroot;
mod puppet;
mod quickstart;
mod register;
mod reloads;
mod saved;
mod selection;
mod serve;
mod service_manager;
mod signals;
#[allow(dead_code, reason = "the unit tests use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod unit_checks;
mod units;
mod web_registry;
mod zookeeper_client;
