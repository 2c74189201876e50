//! What a server says in place of an answer (`KeeperException.Code`).

use std::fmt;

use super::MAX_FRAME;

/// A server's refusal of one request; the connection is none the worse for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerError {
    /// There is no such node.
    NoNode,
    /// The credentials of this session do not allow it.
    NoAuth,
    /// The server does not know the request: it is older than the version that brought it.
    Unimplemented,
    /// The server has too much to do.
    Throttled,
    /// The answer has more bytes than are taken.
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Anything else, by its code.
    Other(i32),
}

impl ServerError {
    /// What the code of an answer means; `None` for 0, which is none.
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => None,
            -6 => Some(Self::Unimplemented),
            -101 => Some(Self::NoNode),
            -102 => Some(Self::NoAuth),
            -127 => Some(Self::Throttled),
            code => Some(Self::Other(code)),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode => f.write_str("there is no such node"),
            Self::NoAuth => f.write_str("not authorized: the node's ACL does not let this agent's credentials read it"),
            Self::Unimplemented => f.write_str("the server does not know this request: it is too old"),
            Self::Throttled => f.write_str("the server has too much to do, and refused the request"),
            // Without the number, which is another one with each change.
            Self::TooLarge { .. } => write!(f, "the answer has more than {} MiB", MAX_FRAME / 1024 / 1024),
            Self::Other(code) => write!(f, "the server refused: {} (code {code})", meaning(*code)),
        }
    }
}

fn meaning(code: i32) -> &'static str {
    match code {
        -1 => "system error",
        -2 => "runtime inconsistency",
        -3 => "data inconsistency",
        -4 => "its own connection was lost",
        -5 => "it could not read the request",
        -7 => "its own operation timed out",
        -8 => "bad arguments",
        -13 => "no quorum of a new configuration",
        -14 => "another reconfiguration is in progress",
        -103 => "bad version",
        -108 => "an ephemeral node can have no children",
        -110 => "the node exists",
        -111 => "the node has children",
        -112 => "the session expired",
        -114 => "invalid ACL",
        -115 => "authentication failed",
        -116 => "the session is closing",
        -118 => "the session moved to another server",
        -119 => "the server is read-only",
        -122 => "wrong session for an ephemeral node",
        -121 => "no such watch",
        -124 => "it asks for SASL authentication",
        _ => "for a reason that has no name here",
    }
}
