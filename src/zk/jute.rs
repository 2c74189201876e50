//! Jute, the encoding of ZooKeeper: big-endian numbers, and a length before bytes (-1 for null).

use crate::model::version::Zxid;

use super::Stat;

/// The bytes are not the expected record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Encodes one frame. [`Encoder::frame`] fills in its length.
#[derive(Debug)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// An empty frame.
    pub fn new() -> Self {
        Self(vec![0; 4])
    }

    /// A frame with the header of a request.
    pub fn request(xid: i32, op: i32) -> Self {
        let mut frame = Self::new();
        frame.int(xid);
        frame.int(op);
        frame
    }

    pub fn int(&mut self, n: i32) {
        self.0.extend_from_slice(&n.to_be_bytes());
    }

    pub fn long(&mut self, n: i64) {
        self.0.extend_from_slice(&n.to_be_bytes());
    }

    pub fn bool(&mut self, yes: bool) {
        self.0.push(u8::from(yes));
    }

    /// Bytes, or a string. A length beyond 31 bits is left to the server to refuse.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.int(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.0.extend_from_slice(bytes);
    }

    /// Keeps only the first bytes of the body.
    #[cfg(test)]
    pub fn truncated(mut self, length: usize) -> Self {
        self.0.truncate(4 + length);
        self
    }

    /// The complete frame.
    pub fn frame(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// Decodes the body of a frame, from its beginning on.
#[derive(Debug)]
pub struct Decoder<'a>(pub &'a [u8]);

impl<'a> Decoder<'a> {
    fn split(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (first, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.split(N)?.try_into().map_err(|_| Malformed)
    }

    pub fn int(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn long(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub fn bool(&mut self) -> Result<bool, Malformed> {
        let [byte] = self.array()?;
        Ok(byte != 0)
    }

    /// Bytes; null counts as empty.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        match self.int()? {
            -1 => Ok(&[]),
            length => self.split(usize::try_from(length).map_err(|_| Malformed)?),
        }
    }

    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// The length of a list. A length greater than the number of bytes left is malformed, so it is safe to allocate.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        match self.int()? {
            -1 => Ok(0),
            count => usize::try_from(count).ok().filter(|count| *count <= self.0.len()).ok_or(Malformed),
        }
    }

    pub fn stat(&mut self) -> Result<Stat, Malformed> {
        let (czxid, mzxid) = (Zxid(self.long()?), Zxid(self.long()?));
        let (_ctime, mtime_ms) = (self.long()?, self.long()?);
        let (version, cversion, _aversion) = (self.int()?, self.int()?, self.int()?);
        let ephemeral_owner = self.long()?;
        let data_length = usize::try_from(self.int()?).unwrap_or(0);
        let num_children = usize::try_from(self.int()?).unwrap_or(0);
        let pzxid = Zxid(self.long()?);
        Ok(Stat { czxid, mzxid, pzxid, mtime_ms, version, cversion, ephemeral_owner, data_length, num_children })
    }
}
