//! The data of `nodemaps`, which maps host names to paths, in the two encodings of Jones's versions.
//!
//! Jones up to 0.6, and the client 0.5.4 on `PyPI`, which is the latest there, use lines: `h1 -> /services/S/views/a`.
//! Jones 1.0 writes JSON: `{"h1": "/services/S/views/a"}`. Each client reads only its own encoding.

use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

const ARROW: &str = " -> ";

/// An encoding of `nodemaps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON object.
    Json,
    /// `NAME -> PATH` lines, without a line end after the last one, which the old client does not accept.
    Arrows,
}

/// Hosts and the paths that they are to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeMaps {
    /// The encoding; `None` if the data was empty.
    pub encoding: Option<Encoding>,
    /// The paths by host name, as written.
    pub hosts: BTreeMap<String, String>,
}

impl NodeMaps {
    /// Parses the data of `nodemaps`. No data is no associations. Of several entries for a host, the last one counts, as
    /// in Python.
    ///
    /// # Errors
    /// It is in neither encoding.
    pub fn parse(data: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(data).map_err(|error| format!("not valid UTF-8: {error}"))?.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.starts_with('{') {
            let hosts = serde_json::from_str(text).map_err(|error| format!("not a JSON object of paths: {error}"))?;
            return Ok(Self { encoding: Some(Encoding::Json), hosts });
        }
        let mut hosts = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((host, path)) = line.trim().split_once(ARROW) else {
                return Err(format!("neither a JSON object nor `NAME -> PATH` lines: line {}", number + 1));
            };
            hosts.insert(host.to_owned(), path.to_owned());
        }
        Ok(Self { encoding: Some(Encoding::Arrows), hosts })
    }

    /// The data in its own encoding, or in this one if it was empty. Hosts are in the order of their names.
    ///
    /// # Errors
    /// The encoding cannot hold the name or the path of a host.
    pub fn write(&self, default: Encoding) -> Result<Vec<u8>, String> {
        match self.encoding.unwrap_or(default) {
            Encoding::Json => {
                let entries = self.hosts.iter().map(|(host, path)| (host.clone(), path.as_str().into()));
                Ok(super::json::bytes(&entries.collect()))
            }
            Encoding::Arrows => {
                let lines: Vec<String> = self.hosts.iter().map(|(host, path)| format!("{host}{ARROW}{path}")).collect();
                let data = lines.join("\n").into_bytes();
                // Jones's clients refuse a line with two arrows.
                let is_read = lines.iter().all(|line| line.matches(ARROW).count() == 1);
                let is_same = Self::parse(&data).is_ok_and(|read| read.hosts == self.hosts);
                (is_same && is_read)
                    .then_some(data)
                    .ok_or_else(|| "a name or path does not fit `NAME -> PATH` lines".to_owned())
            }
        }
    }
}
