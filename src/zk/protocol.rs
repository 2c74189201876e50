//! Numbers of ZooKeeper's protocol (`ZooDefs.OpCode`, `Watcher.Event.EventType`).

/// Request numbers that do not count requests of the caller.
pub const XID_EVENT: i32 = -1;
pub const XID_PING: i32 = -2;
pub const XID_AUTH: i32 = -4;

pub const OP_CREATE: i32 = 1;
pub const OP_DELETE: i32 = 2;
pub const OP_EXISTS: i32 = 3;
pub const OP_GET_DATA: i32 = 4;
pub const OP_SET_DATA: i32 = 5;
pub const OP_GET_ACL: i32 = 6;
pub const OP_SET_ACL: i32 = 7;
pub const OP_SYNC: i32 = 9;
pub const OP_PING: i32 = 11;
pub const OP_GET_CHILDREN: i32 = 12;
pub const OP_CHECK: i32 = 13;
pub const OP_MULTI: i32 = 14;
pub const OP_MULTI_READ: i32 = 22;
pub const OP_AUTH: i32 = 100;
pub const OP_SET_WATCHES: i32 = 101;
pub const OP_SASL: i32 = 102;
pub const OP_ADD_WATCH: i32 = 106;
pub const OP_CLOSE: i32 = -11;
/// The part of a transaction's reply that holds an error.
pub const OP_ERROR: i32 = -1;

/// The name of a request (`ZooDefs.opNames`), for messages.
pub fn name(op: i32) -> &'static str {
    match op {
        OP_CREATE => "create",
        OP_DELETE => "delete",
        OP_EXISTS => "exists",
        OP_GET_DATA => "getData",
        OP_SET_DATA => "setData",
        OP_GET_ACL => "getACL",
        OP_SET_ACL => "setACL",
        OP_SYNC => "sync",
        OP_GET_CHILDREN => "getChildren2",
        OP_MULTI => "multi",
        OP_MULTI_READ => "multiRead",
        OP_SET_WATCHES => "setWatches",
        OP_ADD_WATCH => "addWatch",
        OP_CLOSE => "closeSession",
        _ => "a request",
    }
}

/// `AddWatchMode.PERSISTENT_RECURSIVE`.
pub const WATCH_RECURSIVE: i32 = 1;

/// Codes that end the session on this connection (`KeeperException.Code`).
pub const SESSION_EXPIRED: i32 = -112;
pub const SESSION_MOVED: i32 = -118;

pub const EVENT_CREATED: i32 = 1;
pub const EVENT_DELETED: i32 = 2;
pub const EVENT_DATA_CHANGED: i32 = 3;
pub const EVENT_CHILDREN_CHANGED: i32 = 4;

/// The node in which an ensemble keeps its list of servers.
pub const ENSEMBLE_CONFIG: &str = "/zookeeper/config";
