//! A byte stream to a server, and the frames in it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ServerError;
use super::frame::{Frame, Frames};
use super::jute::{Decoder, Encoder, Malformed};

/// A TCP connection, or TLS over one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream, and the bytes received but not used yet.
pub struct Transport {
    pub stream: Box<dyn Stream>,
    pub frames: Frames,
}

/// Why no frame could be exchanged.
pub enum TransportError {
    /// The server closed the connection.
    Closed,
    /// The bytes are not a frame, or not the expected record.
    Malformed,
    /// The stream failed.
    Io(io::Error),
}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for TransportError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Transport {
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, frames: Frames::default() }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Encoder) -> io::Result<()> {
        self.send_bytes(&frame.frame()).await
    }

    /// Sends frames.
    pub async fn send_bytes(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames).await?;
        self.stream.flush().await
    }

    /// Receives the next frame.
    pub async fn receive(&mut self) -> Result<Vec<u8>, TransportError> {
        loop {
            match self.frames.next() {
                Err(_) | Ok(Some(Frame::Oversized { .. })) => return Err(TransportError::Malformed),
                Ok(Some(Frame::Complete(bytes))) => return Ok(bytes.to_vec()),
                Ok(None) => {}
            }
            if self.stream.read_buf(self.frames.buffer()).await? == 0 {
                return Err(TransportError::Closed);
            }
        }
    }

    /// Receives the reply to a request. Events before it are dropped: no watch of this connection is set yet.
    pub async fn reply(&mut self, xid: i32) -> Result<Result<Vec<u8>, ServerError>, TransportError> {
        loop {
            let frame = self.receive().await?;
            let mut reply = Decoder(&frame);
            let (reply_xid, _zxid, code) = (reply.int()?, reply.long()?, reply.int()?);
            if reply_xid == xid {
                return Ok(ServerError::from_code(code).map_or_else(|| Ok(reply.0.to_vec()), Err));
            }
        }
    }
}
