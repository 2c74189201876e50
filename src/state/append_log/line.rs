//! One line of a log: a checksum, a space, and JSON without line breaks.

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(test)]
mod tests;

/// Formats a value as a line, including its end.
pub fn write(value: &impl Serialize) -> Vec<u8> {
    // Maps with string keys, strings and numbers always serialize.
    let json = serde_json::to_vec(value).unwrap_or_default();
    let mut line = format!("{:08x} ", crc32(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    line
}

/// Parses a line without its end; `None` if it is not as it was written.
pub fn read<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    // A fuzzer would hardly ever find a correct checksum.
    (cfg!(fuzzing) || sum == crc32(json)).then(|| serde_json::from_slice(json).ok()).flatten()
}

/// CRC-32 (IEEE 802.3) as in Ethernet and gzip, one byte at a time.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "below 256; there is no other conversion in a constant")]
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};
