//! What any bytes from a server's port must not do: make the decoder panic, or read past the end.

use super::frame::{Frame, Frames};
use super::jute::Decoder;
use super::requests::node_result;
use super::{acl, multi};

/// Decodes any bytes, in pieces as long as the first byte says.
///
/// # Panics
/// A frame is not what was put in.
pub fn replies(bytes: &[u8]) {
    let step = usize::from(bytes.first().copied().unwrap_or_default()) + 1;
    let (mut frames, mut consumed) = (Frames::default(), 0);
    'all: for piece in bytes.chunks(step) {
        frames.buffer().extend_from_slice(piece);
        loop {
            match frames.next() {
                Ok(Some(Frame::Complete(frame))) => {
                    consumed += 4 + frame.len();
                    decode(frame);
                }
                Ok(Some(Frame::Oversized { header, length })) => {
                    assert!(header.len() < length);
                    consumed += 4 + header.len();
                }
                Ok(None) => break,
                Err(_) => break 'all,
            }
        }
    }
    assert!(consumed <= bytes.len(), "{consumed} of {}", bytes.len());
    // Also all bytes as one reply, because the length of a frame is seldom right by chance.
    decode(bytes);
}

/// Decodes bytes as each kind of record.
fn decode(bytes: &[u8]) {
    let mut results = Decoder(bytes);
    while node_result(&mut results).is_ok() {}
    _ = multi::results(&mut Decoder(bytes));
    _ = acl::entries(&mut Decoder(bytes));
    let mut stats = Decoder(bytes);
    while stats.stat().is_ok() {}
    let mut names = Decoder(bytes);
    if let Ok(count) = names.count() {
        assert!(count <= bytes.len());
        _ = (0..count).map(|_| names.text()).collect::<Result<Vec<_>, _>>();
    }
}
