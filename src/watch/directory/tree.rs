//! Files and directories as nodes. Everything here may block on a slow disk, but never waits for another process: a
//! pipe, a socket or a device is a node whose data cannot be read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::decide::Event;
use crate::log::emit;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Bytes, Members, NodeContent, NodeKind, Reading, Seen, Unreachable, View};
use crate::text::backup::is_backup;
use crate::watch::cache::{Patch, ViewUpdate};
use crate::watch::dirty::{DirtySet, MemberId};
use crate::watch::{MAX_PATH_BYTES, mapped_view};

use super::budget::Budget;

/// The file with the data of the directory it is in.
const OWN_DATA: &str = ".data";

/// The tree below a directory.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    /// Files that were logged as skipped.
    skipped: RefCell<BTreeSet<PathBuf>>,
    /// The last error that concerns no node. What was read meanwhile may be incomplete.
    failure: RefCell<Option<String>>,
}

/// What is at a path.
pub enum FileKind {
    /// Nothing.
    Absent,
    /// Something that is not read, for this reason.
    Unreadable(Arc<str>),
    /// A file, or a link to one.
    File,
    /// A directory, or a link to one within the root.
    Directory,
}

impl Tree {
    /// The tree below `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root, skipped: RefCell::default(), failure: RefCell::default() }
    }

    /// Takes the last error of the process or the system, such as too many open files. What was read since the last
    /// call may be incomplete.
    pub fn take_failure(&self) -> Option<String> {
        self.failure.take()
    }

    /// Why a path cannot be read. An error that does not concern the path is kept for [`Self::take_failure`].
    fn describe(&self, path: &Path, error: &io::Error) -> Arc<str> {
        let reason = format!("{}: {error}", path.display());
        if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) {
            *self.failure.borrow_mut() = Some(reason.clone());
        }
        reason.into()
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Looks up the root.
    ///
    /// # Errors
    /// It does not exist, or is not a directory. The text says what to do.
    pub fn check_root(&self) -> Result<Metadata, Unreachable> {
        let root = self.root.display();
        let (reason, is_final) = match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => return Ok(metadata),
            Ok(_) => (format!("{root} is not a directory"), true),
            Err(error) if is_missing(&error) => {
                let hint = "create it, or correct the registry's url";
                (format!("the directory {root} does not exist; {hint}"), true)
            }
            Err(error) => {
                let is_final = error.kind() == ErrorKind::PermissionDenied;
                (format!("the directory {root} cannot be accessed: {error}"), is_final)
            }
        };
        Err(Unreachable { reason, is_final })
    }

    /// The node that a change at a path on the disk concerns; `None` if there is none.
    pub fn node_path(&self, path: &Path) -> Option<String> {
        let mut node = String::new();
        let mut parts = path.strip_prefix(&self.root).ok()?.iter().peekable();
        while let Some(part) = parts.next() {
            let part = part.to_str()?;
            let is_last = parts.peek().is_none();
            // Kubernetes replaces a directory through a link such as `..data`. Then everything in it changes.
            if is_last && (part == OWN_DATA || part.starts_with("..")) {
                break;
            }
            if !is_node_name(part) {
                return None;
            }
            node.push('/');
            node.push_str(part);
        }
        Some(if node.is_empty() { "/".to_owned() } else { node })
    }

    /// The directories in which a change may concern a subject: those above its top, and those in it. Directories
    /// behind links are left out, because they may be watched under their own names.
    ///
    /// The parts of the subject that are behind links, which no event reports, are added to `linked`.
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
            Subject::Mapped { .. } => {}
            Subject::Members(_) => self.member_folders(&top, None, &mut directories, linked),
            Subject::Keyed { below, .. } => {
                for (name, mut path) in self.children(&top).filter(|(name, _)| subject.is_key(name)) {
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

    /// Adds the directories of members, whose data may change.
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

    /// Reads what is dirty.
    pub fn read_dirty(&self, subject: &Subject, dirty: &DirtySet) -> ViewUpdate {
        if dirty.all {
            return ViewUpdate::Full(self.read_all(subject));
        }
        let mut budget = Budget::new(subject);
        let keys = dirty.keys.iter().map(|key| (Arc::clone(key), self.key(subject, key, &mut budget)));
        let member = |member: &MemberId| {
            let path = subject.members_of(member.key.as_deref().unwrap_or_default()).child(&member.name);
            (member.clone(), self.node(&path))
        };
        ViewUpdate::Partial(Patch { keys: keys.collect(), members: dirty.members.iter().map(member).collect() })
    }

    fn read_all(&self, subject: &Subject) -> View {
        let mut budget = Budget::new(subject);
        match subject {
            Subject::Mapped { .. } => mapped_view(subject),
            Subject::Node(path) => View::Node(match self.node(path) {
                None => Seen::Absent,
                Some(Ok(node)) => Seen::Present(node.data),
                Some(Err(reason)) => Seen::Unreadable(reason),
            }),
            Subject::Members(path) => View::Members(self.members(path, &mut budget)),
            Subject::Keyed { base, .. } => View::Keyed(match self.names(base) {
                Seen::Absent => Seen::Absent,
                Seen::Unreadable(reason) => Seen::Unreadable(reason),
                Seen::Present(names) => {
                    let names = names.iter().filter(|name| subject.is_key(name));
                    let keys = names.map(|key| Some((Arc::from(&**key), self.key(subject, key, &mut budget)?)));
                    let keys: BTreeMap<_, _> = keys.flatten().collect();
                    if budget.is_exceeded() { budget.too_large(base) } else { Seen::Present(keys) }
                }
            }),
        }
    }

    /// The members of a key; `None` if the key does not exist.
    fn key(&self, subject: &Subject, key: &str, budget: &mut Budget) -> Option<Seen<Members>> {
        match self.members(&subject.members_of(key), budget) {
            Seen::Absent => {
                let key = subject.top().child(key);
                (!matches!(self.locate(&key).1, FileKind::Absent)).then_some(Seen::Absent)
            }
            seen => Some(seen),
        }
    }

    fn members(&self, path: &NodePath, budget: &mut Budget) -> Seen<Members> {
        let names = match self.names(path) {
            Seen::Absent => return Seen::Absent,
            Seen::Unreadable(reason) => return Seen::Unreadable(reason),
            Seen::Present(names) => names,
        };
        let mut members = Members::new();
        for name in names {
            if let Some(reading) = self.node(&path.child(&name)) {
                if budget.spend(&reading).is_none() {
                    return budget.too_large(path);
                }
                members.insert(Arc::from(name), reading);
            }
        }
        Seen::Present(members)
    }

    /// The names of a node's children, sorted bytewise.
    pub fn names(&self, path: &NodePath) -> Seen<Vec<String>> {
        let (disk_path, kind) = self.locate(path);
        match kind {
            FileKind::Absent => Seen::Absent,
            FileKind::Unreadable(reason) => Seen::Unreadable(reason),
            FileKind::File => Seen::Present(Vec::new()),
            FileKind::Directory => match self.list(&disk_path) {
                Ok(names) => Seen::Present(names),
                Err(error) if is_missing(&error) => Seen::Absent,
                Err(error) => Seen::Unreadable(self.describe(&disk_path, &error)),
            },
        }
    }

    /// A node; `None` if it does not exist.
    pub fn node(&self, path: &NodePath) -> Option<Reading> {
        let (disk_path, kind) = self.locate(path);
        let (file, kind, is_directory) = match kind {
            FileKind::Absent => return None,
            FileKind::Unreadable(reason) => return Some(Err(reason)),
            FileKind::File => (disk_path, NodeKind::Persistent, false),
            FileKind::Directory if self.has_children(&disk_path) => (disk_path.join(OWN_DATA), NodeKind::Parent, true),
            FileKind::Directory => (disk_path.join(OWN_DATA), NodeKind::Persistent, true),
        };
        // A directory without a file for its data has none.
        let if_missing = is_directory.then(|| Ok(NodeContent { data: Bytes::default(), kind }));
        match self.file_kind(&file) {
            FileKind::Absent => if_missing,
            FileKind::Unreadable(reason) => Some(Err(reason)),
            FileKind::Directory => Some(Err(format!("{}: is a directory", file.display()).into())),
            FileKind::File => match read(&file) {
                Err(error) if is_missing(&error) => if_missing,
                read => Some(match read {
                    Ok(data) => Ok(NodeContent { data, kind }),
                    Err(error) => Err(self.describe(&file, &error)),
                }),
            },
        }
    }

    /// The path of a node on the disk, and what is there. Links are followed, except to a directory outside the root.
    pub fn locate(&self, path: &NodePath) -> (PathBuf, FileKind) {
        let mut disk_path = self.root.clone();
        let mut kind = FileKind::Directory;
        for part in path.as_str().split('/').filter(|part| !part.is_empty()) {
            match kind {
                FileKind::Directory if is_node_name(part) => {}
                FileKind::Unreadable(_) => return (disk_path, kind),
                _ => return (disk_path, FileKind::Absent),
            }
            disk_path.push(part);
            kind = self.file_kind(&disk_path);
        }
        (disk_path, kind)
    }

    fn file_kind(&self, path: &Path) -> FileKind {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => match self.link_target(path) {
                Ok(metadata) => metadata,
                Err(error) => return FileKind::Unreadable(self.describe(path, &error)),
            },
            Ok(metadata) => metadata,
            Err(error) if is_missing(&error) => return FileKind::Absent,
            Err(error) => return FileKind::Unreadable(self.describe(path, &error)),
        };
        if metadata.is_dir() {
            FileKind::Directory
        } else if metadata.is_file() {
            FileKind::File
        } else {
            FileKind::Unreadable(format!("{}: neither a file nor a directory", path.display()).into())
        }
    }

    /// The target of a link: a file anywhere, or a directory within the root.
    fn link_target(&self, link: &Path) -> io::Result<Metadata> {
        let target = fs::canonicalize(link)?;
        let metadata = fs::metadata(&target)?;
        if metadata.is_dir() && !target.starts_with(fs::canonicalize(&self.root)?) {
            return Err(io::Error::other("link to a directory outside of the registry; not followed"));
        }
        Ok(metadata)
    }

    /// The names of the nodes in a directory, sorted bytewise.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            match entry?.file_name().into_string() {
                Ok(name) if is_node_name(&name) => names.push(name),
                // Editors make and remove these all the time.
                Ok(name) if name.starts_with(['.', '#']) || name.ends_with('~') => {}
                Ok(name) => self.log_skipped(directory.join(name), "its name is that of a backup"),
                Err(name) => self.log_skipped(directory.join(name), "its name is not UTF-8"),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Logs once that a file is no node.
    fn log_skipped(&self, file: PathBuf, reason: &'static str) {
        if self.skipped.borrow_mut().insert(file.clone()) {
            emit(Event::NodeSkipped { file, reason });
        }
    }

    /// Whether a directory has nodes in it.
    fn has_children(&self, directory: &Path) -> bool {
        let is_node = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_node_name))
        };
        match fs::read_dir(directory) {
            Ok(mut entries) => entries.any(is_node),
            Err(error) => {
                self.describe(directory, &error);
                false
            }
        }
    }

    fn children(&self, directory: &Path) -> impl Iterator<Item = (String, PathBuf)> {
        let names = self.list(directory).unwrap_or_else(|error| {
            self.describe(directory, &error);
            Vec::new()
        });
        names.into_iter().map(|name| {
            let path = directory.join(&name);
            (name, path)
        })
    }
}

/// Whether a file holds the data of its directory.
pub fn is_own_data(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == OWN_DATA)
}

/// Whether a file of this name is a node: not a hidden file, and not a backup.
fn is_node_name(name: &str) -> bool {
    !name.starts_with('.') && !is_backup(name)
}

/// Whether a path is a link.
pub fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Whether the data of a node may change without an event: the node is a link, or its data is behind one.
fn is_linked(path: &Path) -> bool {
    is_link(path) || is_link(&path.join(OWN_DATA))
}

/// Whether a path is a directory, and not a link to one.
fn is_plain_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Whether a change of mode or owner matters: the path may have become readable, or unreadable. A readable file may be
/// in the middle of being written, so it is read when it is closed.
pub fn attributes_matter(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) || open(path).is_err()
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Opens a regular file. It does not block if something else took its place.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

fn read(file: &Path) -> io::Result<Bytes> {
    let mut data = Vec::new();
    // One byte more than the limit, so that exceeding it shows.
    open(file)?.take(MAX_PATH_BYTES as u64 + 1).read_to_end(&mut data)?;
    Ok(data.into())
}
