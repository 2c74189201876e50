//! Whatever answers on a server's port: no bytes bring the agent down.

use super::frame::{Frame, Frames};
use super::jute::Decoder;
use super::requests::result;

/// Takes any bytes in, in pieces as small as the first one says: each frame is whole, and read no further than it goes.
///
/// # Panics
/// Or it is not.
pub fn answers(bytes: &[u8]) {
    let step = usize::from(bytes.first().copied().unwrap_or_default()) + 1;
    let (mut frames, mut taken) = (Frames::default(), 0);
    'all: for piece in bytes.chunks(step) {
        frames.room().extend_from_slice(piece);
        loop {
            match frames.next() {
                Ok(Some(Frame::Content(frame))) => {
                    taken += 4 + frame.len();
                    read(frame);
                }
                Ok(Some(Frame::Head { head, length })) => {
                    assert!(head.len() < length);
                    taken += 4 + head.len();
                }
                Ok(None) => break,
                Err(_) => break 'all,
            }
        }
    }
    assert!(taken <= bytes.len(), "{taken} of {}", bytes.len());
    // All of it as one answer too: a frame's length is seldom right by chance.
    read(bytes);
}

/// As each thing that an answer may be.
fn read(bytes: &[u8]) {
    let mut parts = Decoder(bytes);
    while result(&mut parts).is_ok() {}
    let mut stats = Decoder(bytes);
    while stats.stat().is_ok() {}
    let mut names = Decoder(bytes);
    if let Ok(count) = names.count() {
        assert!(count <= bytes.len());
        _ = (0..count).map(|_| names.text()).collect::<Result<Vec<_>, _>>();
    }
}
