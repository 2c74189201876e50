//! Stable digests: the same on every machine and in every version.

use std::fmt::Write as _;

use ring::digest::SHA256;

/// The FNV-1a digest (64 bits) of a sequence of texts. Each length is included, so `ab`, `c` and `a`, `bc` differ.
pub fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    texts.fold(START, |hash, text| add(add(hash, &(text.len() as u64).to_le_bytes()), text.as_bytes()))
}

/// The FNV-1a digest (64 bits) of bytes.
pub fn digest_bytes(bytes: &[u8]) -> u64 {
    add(START, bytes)
}

/// The SHA-256 digest of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    ring::digest::digest(&SHA256, bytes).as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

fn add(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
