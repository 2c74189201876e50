//! Frames: a length and so many bytes. Pure, so that any bytes can be tried on it.

use super::MAX_FRAME;

#[cfg(test)]
mod tests;

/// The most bytes that are read past for the sake of the connection; more is nothing that a ZooKeeper says. The first
/// bytes of a TLS record or of an HTTP answer, read as a length, are more.
const MAX_SKIPPED: usize = 32 * MAX_FRAME;

/// How much of a frame that is read past is kept: a reply's header.
const HEAD: usize = 16;

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole frame.
    Content(&'a [u8]),
    /// The first bytes of a frame with more of them than are taken; the others are read past.
    Head {
        /// The bytes.
        head: &'a [u8],
        /// How many there are in all.
        length: usize,
    },
}

/// Cuts what comes in into frames.
#[derive(Debug, Default)]
pub struct Frames {
    /// What has come in and was not handed out.
    buffer: Vec<u8>,
    /// The bytes of `buffer` that were handed out.
    taken: usize,
    /// The bytes that are still to come of a frame that is read past.
    skip: usize,
}

impl Frames {
    /// Where to put what comes in next, with room for at least some bytes.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        // As it comes in, not as the length says: a length costs nothing to write.
        let more = self.buffer.len().clamp(8 * 1024, 512 * 1024);
        self.buffer.reserve(more);
        if self.buffer.is_empty() && self.buffer.capacity() > 1024 * 1024 {
            // A large first reading need not be paid for as long as the session lasts.
            self.buffer = Vec::with_capacity(more);
        }
        &mut self.buffer
    }

    /// The next frame, once enough has come in.
    ///
    /// # Errors
    /// A length that no server sends.
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, usize> {
        let skipped = self.skip.min(self.buffer.len() - self.taken);
        self.skip -= skipped;
        self.taken += skipped;
        let Some((length, rest)) = self.buffer[self.taken..].split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_SKIPPED {
            return Err(length);
        }
        if length > MAX_FRAME {
            if rest.len() < HEAD {
                return Ok(None);
            }
            let start = self.taken + 4;
            self.taken = start + HEAD;
            self.skip = length - HEAD;
            return Ok(Some(Frame::Head { head: &self.buffer[start..start + HEAD], length }));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.taken + 4;
        self.taken = start + length;
        Ok(Some(Frame::Content(&self.buffer[start..self.taken])))
    }
}
