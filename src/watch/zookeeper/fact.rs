//! What a server's answer says of a node, and what only of the server.

use std::sync::Arc;

use zookeeper_client::Error;

use crate::sighting::{Bytes, Reading};

use super::session::Trouble;

/// What the answer for one node says of it; `None` when it is not there.
///
/// # Errors
/// It says nothing of the node: see [`fact`].
pub fn reading(answer: Result<Vec<u8>, Error>) -> Result<Option<Reading>, Trouble> {
    match answer {
        Ok(data) => Ok(Some(Ok(Bytes::from(data)))),
        Err(Error::NoNode) => Ok(None),
        Err(error) => Ok(Some(Err(fact(&error)?))),
    }
}

/// Why a node cannot be read, in words: this session may not, or the client does not take its name.
///
/// # Errors
/// Any other refusal says something of the server at this moment (it is throttled, it could not write its answer) and
/// nothing of the node. It is tried again soon, and nobody takes the node for a broken one.
pub fn fact(error: &Error) -> Result<Arc<str>, Trouble> {
    match error {
        Error::NoAuth => Ok("no permission: the node's ACL gives this session no read".into()),
        Error::BadArguments(why) => Ok(format!("its name cannot be asked for: {why}").into()),
        error => Err(refused(error)),
    }
}

/// A refusal of a whole request.
pub fn refused(error: &Error) -> Trouble {
    Trouble::Refused(format!("the server refused the reading: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_facts_about_a_node_are_booked_on_it() {
        assert_eq!(reading(Ok(b"x".to_vec())), Ok(Some(Ok(Bytes::from(&b"x"[..])))));
        assert_eq!(reading(Err(Error::NoNode)), Ok(None));
        let why = "no permission: the node's ACL gives this session no read";
        assert_eq!(reading(Err(Error::NoAuth)), Ok(Some(Err(why.into()))));
        assert_eq!(
            reading(Err(Error::BadArguments(&"no path"))),
            Ok(Some(Err("its name cannot be asked for: no path".into())))
        );
        for error in [
            Error::Throttled,
            Error::MarshallingError,
            Error::RuntimeInconsistent,
            Error::QuotaExceeded,
            Error::UnexpectedErrorCode(-999),
        ] {
            let why = format!("the server refused the reading: {error}");
            assert_eq!(reading(Err(error)), Err(Trouble::Refused(why)));
        }
    }
}
