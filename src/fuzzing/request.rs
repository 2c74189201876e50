//! Any bytes as a request to a running agent: parsed, and then the same when serialized and parsed again, or refused.

use crate::control::protocol::Request;

/// Whatever these bytes contain, they are a valid request or are refused.
///
/// # Panics
/// If that does not hold.
pub fn any(bytes: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(bytes) else { return };
    let again = serde_json::to_vec(&request).expect("a request is text");
    let again: Request = serde_json::from_slice(&again).expect("what is written can be read");
    assert_eq!((again.v, again.body), (request.v, request.body));
}
