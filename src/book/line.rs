//! A line of a file: a checksum, a space, and JSON without a line break in it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The line for a value, with its end.
pub fn write(value: &impl Serialize) -> Vec<u8> {
    // Maps with text for keys, texts and numbers: there is nothing in them that JSON cannot say.
    let json = serde_json::to_vec(value).unwrap_or_default();
    let mut line = format!("{:08x} ", crc32(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    line
}

/// The value of a line without its end; `None` when it is not as it was written.
pub fn read<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    // A fuzzer would hardly ever come by a right one.
    (cfg!(fuzzing) || sum == crc32(json)).then(|| serde_json::from_slice(json).ok()).flatten()
}

/// CRC-32 as Ethernet and gzip have it (IEEE 802.3), a byte at a time.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one_and_every_change_of_a_line_is_seen() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let line = write(&["a\nb", "\u{2028}"]);
        let (end, line) = line.split_last().unwrap();
        assert_eq!((*end, line.contains(&b'\n')), (b'\n', false));
        assert_eq!(read::<Vec<String>>(line), Some(vec!["a\nb".to_owned(), "\u{2028}".to_owned()]));
        for at in (0..line.len()).filter(|at| *at != 8) {
            let mut broken = line.to_vec();
            broken[at] ^= 1;
            assert_eq!(read::<Vec<String>>(&broken), None, "{at}");
            assert_eq!(read::<Vec<String>>(&line[..at]), None, "{at}");
        }
    }
}
