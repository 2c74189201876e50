//! The socket file. It has its mode before anybody can connect, and only the process that created it removes it.

use std::fs::{DirBuilder, Metadata, Permissions, set_permissions, symlink_metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::config::StatusConfig;
use crate::decide::Event;
use crate::error::Setback;
use crate::error::os::unwritable;
use crate::log::emit;

#[cfg(test)]
mod tests;

/// The maximum number of connections that wait in the kernel.
const BACKLOG: u32 = 64;

/// An open socket of this process. Its file is removed on drop.
#[derive(Debug)]
pub struct BoundSocket {
    /// The listener.
    pub listener: UnixListener,
    path: PathBuf,
    /// Device and inode, to recognize a file that replaced this one.
    id: (u64, u64),
}

impl BoundSocket {
    /// Opens the socket, and creates its directory if necessary. A socket file that nobody listens on is replaced.
    ///
    /// # Errors
    /// Another process listens on it, another file has its name, or the system refuses.
    pub async fn open(config: &StatusConfig) -> Result<Self, Setback> {
        let path = &config.socket;
        let tried = || format!("open the control socket {}", path.display());
        if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
            let tried = || format!("create {} for the control socket", directory.display());
            let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
            // Independent of the umask, because other users open the socket.
            made.and_then(|()| set_permissions(directory, Permissions::from_mode(0o755)))
                .map_err(|why| io_error(tried(), &why))?;
        }
        remove_stale(path).await?;
        let listener = listen(path).map_err(|why| io_error(tried(), &why))?;
        let meta = symlink_metadata(path).map_err(|why| io_error(tried(), &why))?;
        let bound = Self { listener, path: path.clone(), id: id(&meta) };
        if let Some(group) = config.group
            && let Err(why) = chown(path, None, Some(group))
        {
            emit(Event::SocketError {
                reason: format!("cannot set the group of {} to {group}: {why}", path.display()),
            });
        }
        Ok(bound)
    }

    /// Whether the file still is this socket.
    pub fn exists(&self) -> bool {
        symlink_metadata(&self.path).is_ok_and(|meta| id(&meta) == self.id)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.exists()
            && let Err(why) = std::fs::remove_file(&self.path)
        {
            emit(Event::SocketError { reason: format!("cannot remove {}: {why}", self.path.display()) });
        }
    }
}

fn id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Nobody can connect before `listen`.
    set_permissions(path, Permissions::from_mode(0o660))?;
    socket.listen(BACKLOG)
}

/// Removes the socket file of an agent that no longer runs, and nothing else.
async fn remove_stale(path: &Path) -> Result<(), Setback> {
    let tried = || format!("replace {}", path.display());
    let meta = match symlink_metadata(path) {
        Ok(meta) => meta,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(io_error(tried(), &why)),
    };
    if !meta.file_type().is_socket() {
        let hint = "move the file away, or set another `socket` in [status]";
        return Err(Setback::new(tried(), "it is not a socket").hint(hint));
    }
    match UnixStream::connect(path).await {
        Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|why| io_error(tried(), &why))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        // An error also counts: the other agent may be too busy to accept.
        Ok(_) | Err(_) => {
            let hint = "give each agent its own [agent] name or [status] socket";
            Err(Setback::new(tried(), "another agent is listening on it").hint(hint))
        }
    }
}

fn io_error(tried: String, why: &io::Error) -> Setback {
    let setback = Setback::new(tried, why);
    let way = "set `socket` in [status], --socket or $ROSTERD_SOCKET to a path in a directory that rosterd may write";
    match unwritable(why, way) {
        Some(hint) => setback.hint(hint),
        None => setback,
    }
}
