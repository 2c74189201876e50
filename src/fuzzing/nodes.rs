//! Nodes from any bytes, in a text form that a person can read and a fuzzer can mutate.

/// The separator between two nodes.
pub const NODE: &str = "\n----\n";

/// The separator between a node's name and its data.
pub const DATA: &str = "\n=>\n";

/// Splits any bytes into at least one node with its name and its data.
pub fn nodes(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut nodes = Vec::new();
    let mut rest = Some(bytes);
    while let Some(bytes) = rest {
        let (node, others) = cut(bytes, NODE.as_bytes());
        let (name, data) = cut(node, DATA.as_bytes());
        nodes.push((String::from_utf8_lossy(name).into_owned(), data.unwrap_or_default().to_vec()));
        rest = others;
    }
    nodes
}

/// Whether a character ends a line somewhere, or is a control character, by a list that is independent of the agent's.
pub fn is_breaking(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

/// The parts before and after the first `mark`.
fn cut<'a>(bytes: &'a [u8], mark: &[u8]) -> (&'a [u8], Option<&'a [u8]>) {
    match bytes.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&bytes[..at], Some(&bytes[at + mark.len()..])),
        None => (bytes, None),
    }
}
