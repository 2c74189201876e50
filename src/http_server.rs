//! What the HTTP servers have in common: they accept a limited number of connections, each with limits on the size and
//! the time of a request, check the host that a request names, and write HTML.
//!
//! A server is a [`Handler`](connection::Handler), and [`accept::accept`] serves it. All of it runs on one thread, in a
//! `LocalSet`.

pub mod accept;
pub mod allowed_hosts;
pub mod answers;
pub mod connection;
pub mod html;
mod limits;
mod write_limit;
