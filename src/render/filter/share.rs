//! Functions for gradual changes: the same hosts in each render, and with a higher percentage only more of them.

use tera::{Kwargs, TeraResult, Value};

use super::quote::scalar;
use super::{defined, fail, known_only};

#[cfg(test)]
mod tests;

/// The number of buckets by default, which makes a bucket comparable with a percentage.
const BUCKETS: u32 = 100;

/// `bucket(id=host.name, flag="new_queue")`: the bucket of an id, from 1 to 100, or to `of`. It is that of Unleash's
/// gradual rollout (`normalizedStrategyValue`), where the flag is the group id.
pub fn bucket(kwargs: &Kwargs) -> TeraResult<Value> {
    known_only("bucket", &["id", "flag", "of"], kwargs)?;
    let (id, flag) = (argument("bucket", kwargs, "id")?, argument("bucket", kwargs, "flag")?);
    let of = kwargs.get::<u32>("of")?.unwrap_or(BUCKETS);
    if of == 0 {
        return fail("`bucket` needs an `of` of 1 or more");
    }
    Ok(Value::from(u64::from(murmur3(format!("{flag}:{id}").as_bytes()) % of + 1)))
}

/// `in_share(roster=web, percent=10, flag="new_queue")`: that share of the members, rounded up, in their order. They are
/// chosen by rendezvous hashing (Thaler and Ravishankar, 1998): a member that joins or leaves changes at most one other.
pub fn in_share(kwargs: &Kwargs) -> TeraResult<Value> {
    known_only("in_share", &["roster", "percent", "flag"], kwargs)?;
    let (percent, flag) = (kwargs.must_get::<f64>("percent")?, argument("in_share", kwargs, "flag")?);
    let roster = kwargs.must_get::<&Value>("roster")?;
    defined("in_share", roster)?;
    let Some(members) = roster.as_array() else {
        return fail("`in_share` takes a list of members, or of texts");
    };
    if !(0.0..=100.0).contains(&percent) {
        return fail(format!("`in_share` needs a percent from 0 to 100, but got {percent}"));
    }
    let mut scored = Vec::with_capacity(members.len());
    for (at, member) in members.iter().enumerate() {
        let name = scalar("in_share", member.get_from_path("name").unwrap_or(member))?;
        scored.push((murmur3(format!("{flag}:{name}").as_bytes()), name, at));
    }
    scored.sort_unstable();
    let mut chosen: Vec<usize> = scored.iter().take(share(percent, members.len())).map(|(.., at)| *at).collect();
    chosen.sort_unstable();
    Ok(Value::from(chosen.into_iter().map(|at| members[at].clone()).collect::<Vec<_>>()))
}

/// A share of a number, rounded up.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, and at most `count`"
)]
fn share(percent: f64, count: usize) -> usize {
    // 0.7 % of 1000 is 7.000000000000001 in binary.
    let exact = percent * count as f64 / 100.0;
    ((exact - 1e-9).ceil().max(0.0) as usize).min(count)
}

fn argument(function: &str, kwargs: &Kwargs, name: &str) -> TeraResult<String> {
    let value = kwargs.must_get::<&Value>(name)?;
    defined(function, value)?;
    scalar(function, value)
}

/// `MurmurHash3_x86_32` with the seed 0 (Austin Appleby, `SMHasher`, `src/MurmurHash3.cpp`).
fn murmur3(data: &[u8]) -> u32 {
    let scrambled = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, tail) = data.as_chunks::<4>();
    let hash = words.iter().fold(0_u32, |hash, word| {
        (hash ^ scrambled(u32::from_le_bytes(*word))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let mut word = [0; 4];
    word[..tail.len()].copy_from_slice(tail);
    #[expect(clippy::cast_possible_truncation, reason = "so is the original")]
    let hash = hash ^ scrambled(u32::from_le_bytes(word)) ^ data.len() as u32;
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
