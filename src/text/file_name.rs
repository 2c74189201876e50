//! Names as parts of file names.

/// A name without the characters that a file name may not have: each other byte becomes `%` and its number.
pub fn escaped(name: &str) -> String {
    name.bytes().map(escape).collect()
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
        return char::from(byte).to_string();
    }
    format!("%{byte:02x}")
}
