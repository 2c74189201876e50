//! Error codes of a server (`KeeperException.Code`).

use std::fmt;

use super::MAX_FRAME;

/// Why a server did not do what one request asked for. The connection stays usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerError {
    /// The node does not exist.
    NoNode,
    /// The node exists already.
    NodeExists,
    /// The node has another version.
    BadVersion,
    /// The credentials of this session do not suffice.
    NoAuth,
    /// The server is too old to know the request.
    Unimplemented,
    /// The server requires authentication, and closes the session.
    AuthRequired,
    /// The server is overloaded.
    Throttled,
    /// The reply is larger than [`MAX_FRAME`]. It was skipped.
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Any other code.
    Other(i32),
}

impl ServerError {
    /// The meaning of a code; `None` for 0, which is success.
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => None,
            -6 => Some(Self::Unimplemented),
            -101 => Some(Self::NoNode),
            -103 => Some(Self::BadVersion),
            -110 => Some(Self::NodeExists),
            -102 => Some(Self::NoAuth),
            -124 => Some(Self::AuthRequired),
            -127 => Some(Self::Throttled),
            code => Some(Self::Other(code)),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode => f.write_str("no such node"),
            Self::NodeExists => f.write_str("the node exists"),
            Self::BadVersion => f.write_str("the node was changed in the meantime"),
            Self::NoAuth => {
                f.write_str("not authorized: the node's ACL does not allow this agent's credentials to read it")
            }
            Self::Unimplemented => f.write_str("the server is too old for this request"),
            Self::AuthRequired => f.write_str("the server requires authentication"),
            Self::Throttled => f.write_str("the server is overloaded and refused the request"),
            // Without the length: it differs with each change of the node, and the message would be logged each time.
            Self::TooLarge { .. } => write!(f, "the reply exceeds {} MiB", MAX_FRAME / 1024 / 1024),
            Self::Other(code) => write!(f, "server error: {} (code {code})", meaning(*code)),
        }
    }
}

fn meaning(code: i32) -> &'static str {
    match code {
        -1 => "system error",
        -2 => "runtime inconsistency",
        -3 => "data inconsistency",
        -4 => "connection loss within the ensemble",
        -5 => "marshalling error",
        -7 => "operation timeout",
        -8 => "bad arguments",
        -13 => "no quorum of the new configuration is connected",
        -14 => "another reconfiguration is in progress",
        -108 => "ephemeral nodes cannot have children",
        -111 => "the node has children",
        -112 => "session expired",
        -114 => "invalid ACL",
        -115 => "authentication failed",
        -116 => "the session is closing",
        -118 => "the session moved to another server",
        -119 => "the server is read-only",
        -122 => "wrong session for an ephemeral node",
        -121 => "no such watch",
        _ => "unknown error",
    }
}
