//! Frames: a length and that many bytes. Pure, so that any bytes can be tested.

use super::MAX_FRAME;

#[cfg(test)]
mod tests;

/// The longest frame that is skipped to save the connection. No ZooKeeper server announces more. The first bytes of a
/// TLS record or an HTTP response, read as a length, are more.
const MAX_SKIPPED: usize = 32 * MAX_FRAME;

/// How many bytes of a skipped frame are kept: the header of a reply.
const HEADER: usize = 16;

/// A received frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A complete frame.
    Complete(&'a [u8]),
    /// The beginning of a frame longer than [`MAX_FRAME`]. The rest is skipped.
    Oversized {
        /// Its first bytes.
        header: &'a [u8],
        /// Its length in bytes.
        length: usize,
    },
}

/// Splits received bytes into frames.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// How many bytes of `buffer` were returned as frames.
    consumed: usize,
    /// How many bytes of an oversized frame are still to be skipped.
    skip: usize,
}

impl Frames {
    /// The buffer to append received bytes to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        // By what was received, not by what a length announces: announcing costs a hostile server nothing.
        let more = self.buffer.len().clamp(8 * 1024, 512 * 1024);
        self.buffer.reserve(more);
        if self.buffer.is_empty() && self.buffer.capacity() > 1024 * 1024 {
            // A large first read must not hold its memory as long as the session lasts.
            self.buffer = Vec::with_capacity(more);
        }
        &mut self.buffer
    }

    /// The next frame, once enough bytes were received.
    ///
    /// # Errors
    /// The frame announces this length, which no server sends.
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, usize> {
        let skipped = self.skip.min(self.buffer.len() - self.consumed);
        self.skip -= skipped;
        self.consumed += skipped;
        let Some((length, rest)) = self.buffer[self.consumed..].split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_SKIPPED {
            return Err(length);
        }
        let start = self.consumed + 4;
        if length > MAX_FRAME {
            if rest.len() < HEADER {
                return Ok(None);
            }
            self.consumed = start + HEADER;
            self.skip = length - HEADER;
            return Ok(Some(Frame::Oversized { header: &self.buffer[start..start + HEADER], length }));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.consumed = start + length;
        Ok(Some(Frame::Complete(&self.buffer[start..self.consumed])))
    }
}
