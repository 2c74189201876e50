//! The cache of `get`: a file with the last good answer for each path. It has the nodes as read from the registry, so
//! that a request with another `--min`, `--max` or `--format` can use them too.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::registry_event::{Members, NodeContent, Seen, View};

use super::Wanted;

/// The version of the file format. A file of another version is overwritten.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    paths: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    /// Seconds since 1970.
    at: u64,
    #[serde(flatten)]
    what: What,
}

/// Node data by name, in base64.
type Nodes = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Members(Nodes),
    Keys(BTreeMap<String, Nodes>),
    /// The data of one node, in base64.
    Node(String),
}

/// The cached view of a path and its age, or the reason why there is none.
pub fn load(file: &Path, path: &Wanted, now: SystemTime, max_age: Duration) -> Result<(View, Duration), String> {
    let file_name = file.display();
    let mut kept = read(file).map_err(|why| format!("cannot use the cache {file_name}: {why}"))?;
    let Some(entry) = kept.paths.remove(&path.text) else {
        return Err(format!("the cache {file_name} has no entry for {}", path.text));
    };
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(entry.at));
    let Some(age) = at.and_then(|at| now.duration_since(at).ok()) else {
        return Err(format!("the answer in the cache {file_name} is from the future: has the clock been set back?"));
    };
    if age > max_age {
        let max = humantime::format_duration(max_age);
        return Err(format!("the answer in the cache {file_name} is {} s old; the maximum is {max}", age.as_secs()));
    }
    let view = match entry.what {
        What::Members(nodes) => unpack(nodes).map(|members| View::Members(Seen::Present(members))),
        What::Keys(keys) => keys
            .into_iter()
            .map(|(key, nodes)| Some((Arc::from(key), Seen::Present(unpack(nodes)?))))
            .collect::<Option<_>>()
            .map(|keys| View::Keyed(Seen::Present(keys))),
        What::Node(data) => {
            STANDARD.decode(data).ok().map(|data| View::of_node(&path.subject, Seen::Present(data.into())))
        }
    };
    Ok((view.ok_or_else(|| format!("the answer in the cache {file_name} is damaged"))?, age))
}

/// Stores the answers, and keeps those for other paths. If `good` returns `None` for the members of a path, its cached
/// answer is kept.
pub fn store(
    file: &Path,
    fresh: &[(&Wanted, &View)],
    now: SystemTime,
    good: impl Fn(&Members) -> Option<Members>,
) -> Result<(), String> {
    let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let new: BTreeMap<String, Entry> = fresh
        .iter()
        .filter_map(|(path, view)| Some((path.text.clone(), Entry { at, what: packed(view, &good)? })))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    // A damaged cache is overwritten.
    let mut kept = read(file).unwrap_or(Kept { version: VERSION, paths: BTreeMap::new() });
    kept.paths.extend(new);
    let text = serde_json::to_vec(&kept).map_err(|why| why.to_string())?;
    replace(file, &text).map_err(|why| format!("cannot write {}: {why}", file.display()))
}

fn packed(view: &View, good: impl Fn(&Members) -> Option<Members>) -> Option<What> {
    match view {
        View::Members(Seen::Present(members)) => Some(What::Members(pack(&good(members)?))),
        View::Keyed(Seen::Present(keys)) => {
            let keys: BTreeMap<String, Nodes> = keys
                .iter()
                .filter_map(|(key, seen)| match seen {
                    Seen::Present(members) => Some((key.to_string(), pack(&good(members)?))),
                    _ => None,
                })
                .collect();
            (!keys.is_empty()).then_some(What::Keys(keys))
        }
        View::Mapped { data: Seen::Present(data), .. } => Some(What::Node(STANDARD.encode(data))),
        _ => None,
    }
}

fn pack(members: &Members) -> Nodes {
    let readable = |(name, reading): (&Arc<str>, &crate::model::registry_event::Reading)| {
        reading.as_ref().ok().map(|node| (name.to_string(), STANDARD.encode(&node.data)))
    };
    members.iter().filter_map(readable).collect()
}

fn unpack(nodes: Nodes) -> Option<Members> {
    let node = |data: String| Some(NodeContent::ephemeral(STANDARD.decode(data).ok()?));
    let one = |(name, data): (String, String)| Some((Arc::from(name), Ok(node(data)?)));
    nodes.into_iter().map(one).collect()
}

fn read(file: &Path) -> Result<Kept, String> {
    let bytes = fs::read(file).map_err(|why| why.to_string())?;
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|why| format!("it is damaged: {why}"))?;
    if kept.version == VERSION { Ok(kept) } else { Err(format!("its version is {}, not {VERSION}", kept.version)) }
}

/// Replaces the file atomically, even on a power loss. Only the owner can read it, because data may contain secrets. Its
/// directory is created if it is missing.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Others may list it, as most directories; only the file may hold secrets.
    DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let mut staged = tempfile::Builder::new().prefix(".rosterd-get-").tempfile_in(directory)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(file).map_err(|failed| failed.error)?;
    File::open(directory)?.sync_all()
}
