//! What a client may use.

use std::time::Duration;

/// The maximum number of connections. One more is closed at once.
pub const MAX_CONNECTIONS: usize = 16;

/// The maximum number of streams of events, which leaves connections for everything else.
pub const MAX_STREAMS: usize = 8;

/// The maximum size of the head of a request, in bytes. It is the least that hyper can be set to.
pub const MAX_HEAD: usize = 8 * 1024;

/// The time limit of a snapshot. The event loop answers at once, unless it hangs.
pub const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(5);

/// After this time without a turn of the event loop, the agent is not alive.
pub const STALLED_AFTER: Duration = Duration::from_secs(5);

/// The longest life of a stream of events. The client then connects again, and continues where it was. A client that is
/// gone without a word holds its stream no longer than this.
pub const STREAM_LIFE: Duration = Duration::from_mins(5);

/// How often a stream of events shows that it is alive.
pub const STREAM_HEARTBEAT: Duration = Duration::from_secs(15);
