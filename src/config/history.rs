//! `[history]`.

use super::HistoryConfig;
use super::keys::HISTORY;
use super::problem::ValueError;
use super::scalar;
use super::table::{Table, single};

/// The most generations of a file.
const MAX_GENERATIONS: u32 = 1000;

/// Reads `[history]`.
pub fn history(tops: &[Table<'_>]) -> HistoryConfig {
    let table = single(tops, "history").and_then(|value| value.section(&[&HISTORY]));
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let default = HistoryConfig::default();
    let generations = get("generations").and_then(|value| {
        let count = value.count::<u32>("10")?;
        if count > MAX_GENERATIONS {
            let message = format!("`generations` is {count}; the maximum is {MAX_GENERATIONS}");
            value.reject(ValueError::new(message, "write generations = 10; 0 keeps none"));
        }
        usize::try_from(count).ok()
    });
    let max_size = get("max_size").and_then(|value| value.read(scalar::size, "\"64MiB\""));
    HistoryConfig {
        generations: generations.unwrap_or(default.generations),
        max_size: max_size.unwrap_or(default.max_size),
    }
}
