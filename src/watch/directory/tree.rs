//! Files and directories as nodes. Everything here may take its time on a slow disk, but none may wait for somebody else: a
//! pipe, a socket or a device is a node whose data cannot be read, and is never opened for waiting.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;

use crate::decide::Event;
use crate::log::emit;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Bytes, Members, Reading, Seen, View};
use crate::watch::MAX_PATH_BYTES;
use crate::watch::cache::{Patch, ViewUpdate};
use crate::watch::dirty::{DirtySet, MemberId};

use super::budget::Budget;

/// Where a directory's own data is.
const OWN_DATA: &str = ".data";

/// The tree below a directory.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    /// Names that are no UTF-8, and were said to be skipped.
    skipped: RefCell<BTreeSet<PathBuf>>,
}

/// What stands at a place.
pub enum Kind {
    /// Nothing.
    Absent,
    /// Something that is not read: why.
    Refused(Arc<str>),
    /// A file, or a link to one.
    File,
    /// A directory, or a link to one within the root.
    Directory,
}

impl Tree {
    /// The tree below `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root, skipped: RefCell::default() }
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Looks at the root.
    ///
    /// # Errors
    /// It is missing, or is no directory: what to do.
    pub fn check_root(&self) -> Result<Metadata, String> {
        let root = self.root.display();
        match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => Ok(metadata),
            Ok(_) => Err(format!("dir:{root}: {root} is no directory")),
            Err(error) if is_missing(&error) => Err(format!(
                "dir:{root}: the directory {root} does not exist; create it, or correct the registry's url"
            )),
            Err(error) => Err(format!("dir:{root}: look at the directory {root}: {error}")),
        }
    }

    /// The path of the node that a change at a path on the disk concerns; `None` when it concerns none.
    pub fn node_path(&self, path: &Path) -> Option<String> {
        let mut place = String::new();
        let mut parts = path.strip_prefix(&self.root).ok()?.iter().peekable();
        while let Some(part) = parts.next() {
            let part = part.to_str()?;
            let is_last = parts.peek().is_none();
            // `..data` and its like are how Kubernetes swaps a whole directory: what links through it changes with it.
            if is_last && (part == OWN_DATA || part.starts_with("..")) {
                break;
            }
            if !is_node_name(part) {
                return None;
            }
            place.push('/');
            place.push_str(part);
        }
        Some(if place.is_empty() { "/".to_owned() } else { place })
    }

    /// The directories in which a change may concern a subject: those above its top, and those in it. None that is reached
    /// through a link, because it has another name already or may get one, and a watched directory may only have one.
    ///
    /// What in the subject is behind links is added to `linked`: of that comes no event.
    pub fn directories(&self, subject: &Subject, linked: &mut DirtySet) -> Vec<PathBuf> {
        let mut directories = vec![self.root.clone()];
        let mut top = self.root.clone();
        for part in subject.top().as_str().split('/').filter(|part| !part.is_empty()) {
            top.push(part);
            if !is_plain_folder(&top) {
                linked.all |= is_linked(&top);
                return directories;
            }
            directories.push(top.clone());
        }
        match subject {
            Subject::Node(_) => linked.all |= is_linked(&top),
            Subject::Members(_) => self.member_folders(&top, None, &mut directories, linked),
            Subject::Keyed { below, .. } => {
                for (name, mut path) in self.children(&top) {
                    let key: Arc<str> = Arc::from(name);
                    let parts = std::iter::once(None).chain(below.iter().map(Some));
                    let is_plain = parts.into_iter().all(|part| {
                        path.extend(part.map(|part| &**part));
                        let is_plain = is_plain_folder(&path);
                        if is_plain {
                            directories.push(path.clone());
                        } else if is_link(&path) {
                            linked.keys.insert(Arc::clone(&key));
                        }
                        is_plain
                    });
                    if is_plain {
                        self.member_folders(&path, Some(&key), &mut directories, linked);
                    }
                }
            }
        }
        directories
    }

    /// The directories of members, whose own data may change.
    fn member_folders(
        &self,
        holder: &Path,
        key: Option<&Arc<str>>,
        directories: &mut Vec<PathBuf>,
        linked: &mut DirtySet,
    ) {
        for (name, path) in self.children(holder) {
            if is_linked(&path) {
                linked.members.insert(MemberId { key: key.cloned(), name: Arc::from(name) });
            }
            if is_plain_folder(&path) {
                directories.push(path);
            }
        }
    }

    /// Reads again what is dirty.
    pub fn reread(&self, subject: &Subject, dirty: &DirtySet) -> ViewUpdate {
        if dirty.all {
            return ViewUpdate::Full(self.whole(subject));
        }
        let mut budget = Budget::of(subject);
        let keys = dirty.keys.iter().map(|key| (Arc::clone(key), self.key(subject, key, &mut budget)));
        let member = |place: &MemberId| {
            let path = subject.members_of(place.key.as_deref().unwrap_or_default()).child(&place.name);
            (place.clone(), self.datum(&path))
        };
        ViewUpdate::Partial(Patch { keys: keys.collect(), members: dirty.members.iter().map(member).collect() })
    }

    fn whole(&self, subject: &Subject) -> View {
        let mut budget = Budget::of(subject);
        match subject {
            Subject::Node(path) => View::Node(match self.datum(path) {
                None => Seen::Absent,
                Some(Ok(data)) => Seen::Present(data),
                Some(Err(why)) => Seen::Unreadable(why),
            }),
            Subject::Members(path) => View::Members(self.members(path, &mut budget)),
            Subject::Keyed { base, .. } => View::Keyed(match self.names(base) {
                Seen::Absent => Seen::Absent,
                Seen::Unreadable(why) => Seen::Unreadable(why),
                Seen::Present(names) => {
                    let keys = names.iter().map(|key| Some((Arc::from(&**key), self.key(subject, key, &mut budget)?)));
                    let keys: BTreeMap<_, _> = keys.flatten().collect();
                    if budget.is_overdrawn() { budget.too_large(base) } else { Seen::Present(keys) }
                }
            }),
        }
    }

    /// What a key holds; `None` when there is no such key.
    fn key(&self, subject: &Subject, key: &str, budget: &mut Budget) -> Option<Seen<Members>> {
        match self.members(&subject.members_of(key), budget) {
            Seen::Absent => {
                let key = subject.top().child(key);
                (!matches!(self.place(&key).1, Kind::Absent)).then_some(Seen::Absent)
            }
            seen => Some(seen),
        }
    }

    fn members(&self, path: &NodePath, budget: &mut Budget) -> Seen<Members> {
        let names = match self.names(path) {
            Seen::Absent => return Seen::Absent,
            Seen::Unreadable(why) => return Seen::Unreadable(why),
            Seen::Present(names) => names,
        };
        let mut members = Members::new();
        for name in names {
            if let Some(reading) = self.datum(&path.child(&name)) {
                if budget.take(&reading).is_none() {
                    return budget.too_large(path);
                }
                members.insert(Arc::from(name), reading);
            }
        }
        Seen::Present(members)
    }

    /// The names of a node's children, sorted bytewise.
    pub fn names(&self, path: &NodePath) -> Seen<Vec<String>> {
        let (place, kind) = self.place(path);
        match kind {
            Kind::Absent => Seen::Absent,
            Kind::Refused(why) => Seen::Unreadable(why),
            Kind::File => Seen::Present(Vec::new()),
            Kind::Directory => match self.list(&place) {
                Ok(names) => Seen::Present(names),
                Err(error) if is_missing(&error) => Seen::Absent,
                Err(error) => Seen::Unreadable(refusal(&place, &error)),
            },
        }
    }

    /// A node's own data; `None` when there is no such node.
    pub fn datum(&self, path: &NodePath) -> Option<Reading> {
        let (place, kind) = self.place(path);
        let (file, if_missing) = match kind {
            Kind::Absent => return None,
            Kind::Refused(why) => return Some(Err(why)),
            Kind::File => (place, None),
            Kind::Directory => (place.join(OWN_DATA), Some(Ok(Bytes::default()))),
        };
        match self.kind(&file) {
            Kind::Absent => if_missing,
            Kind::Refused(why) => Some(Err(why)),
            Kind::Directory => Some(Err(format!("{}: is a directory", file.display()).into())),
            Kind::File => match read(&file) {
                Err(error) if is_missing(&error) => if_missing,
                read => Some(read.map_err(|error| refusal(&file, &error))),
            },
        }
    }

    /// Where a node is on the disk, and what stands there. Links are subscription, but no directory is left through one.
    pub fn place(&self, path: &NodePath) -> (PathBuf, Kind) {
        let mut place = self.root.clone();
        let mut kind = Kind::Directory;
        for part in path.as_str().split('/').filter(|part| !part.is_empty()) {
            match kind {
                Kind::Directory if is_node_name(part) => {}
                Kind::Refused(_) => return (place, kind),
                _ => return (place, Kind::Absent),
            }
            place.push(part);
            kind = self.kind(&place);
        }
        (place, kind)
    }

    fn kind(&self, path: &Path) -> Kind {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => match self.target(path) {
                Ok(metadata) => metadata,
                Err(error) => return Kind::Refused(refusal(path, &error)),
            },
            Ok(metadata) => metadata,
            Err(error) if is_missing(&error) => return Kind::Absent,
            Err(error) => return Kind::Refused(refusal(path, &error)),
        };
        if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File
        } else {
            Kind::Refused(format!("{}: is neither a file nor a directory", path.display()).into())
        }
    }

    /// What a link leads to: a file anywhere, or a directory within the root.
    fn target(&self, link: &Path) -> io::Result<Metadata> {
        let target = fs::canonicalize(link)?;
        let metadata = fs::metadata(&target)?;
        if metadata.is_dir() && !target.starts_with(fs::canonicalize(&self.root)?) {
            return Err(io::Error::other(
                "is a link to a directory outside of the registry, which is not subscription",
            ));
        }
        Ok(metadata)
    }

    /// The names of nodes in a directory, sorted bytewise.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            match entry?.file_name().into_string() {
                Ok(name) if is_node_name(&name) => names.push(name),
                Ok(_) => {}
                Err(name) => {
                    let path = directory.join(name);
                    if self.skipped.borrow_mut().insert(path.clone()) {
                        emit(Event::NodeSkipped { file: path });
                    }
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn children(&self, directory: &Path) -> impl Iterator<Item = (String, PathBuf)> {
        let names = self.list(directory).unwrap_or_default();
        names.into_iter().map(|name| {
            let path = directory.join(&name);
            (name, path)
        })
    }
}

/// Whether a file holds the data of the directory that it is in.
pub fn is_own_data(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == OWN_DATA)
}

/// Whether a file of this name is a node: not hidden, and no editor's backup.
fn is_node_name(name: &str) -> bool {
    !name.starts_with('.') && !name.ends_with('~')
}

/// Whether a link stands at a path.
pub fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Whether a node's own data may change without an event: it is a link, or its data is in one.
fn is_linked(path: &Path) -> bool {
    is_link(path) || is_link(&path.join(OWN_DATA))
}

/// Whether a directory stands here by itself, and not through a link.
fn is_plain_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Whether a change of mode or owner is news: something may be readable now, or no more. A file may also be in the
/// middle of being written, so one that can be read is left to its closing.
pub fn is_mode_news(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) || open(path).is_err()
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Opens a regular file. Whatever else may have come in its place is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("is no file")) }
}

fn read(file: &Path) -> io::Result<Bytes> {
    let mut data = Vec::new();
    // One byte more than may be: then it counts as too much.
    open(file)?.take(MAX_PATH_BYTES as u64 + 1).read_to_end(&mut data)?;
    Ok(data.into())
}

fn refusal(path: &Path, error: &io::Error) -> Arc<str> {
    format!("{}: {error}", path.display()).into()
}
