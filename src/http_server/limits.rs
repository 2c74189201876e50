//! What a client may use, of any server.

use std::time::Duration;

/// The time limit for the head of a request, from the beginning of the connection or the end of the last answer.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to read what was written for it: an answer, or an event.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest time between two answers on one connection.
pub const PACE: Duration = Duration::from_millis(5);

/// The shortest time between two connections, also of those that are closed at once.
pub const ACCEPT_PACE: Duration = Duration::from_millis(1);

/// How long the end of a request that was refused early is read and dropped. Closing the connection before that would
/// take the answer from the client.
pub const LINGER: Duration = Duration::from_secs(1);

/// The most bytes that are read and dropped then.
pub const MAX_DROPPED: u64 = 4 * 1024 * 1024;
