//! Folders of nicdock's state.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nicdock_sys::closing::Closing;

/// Makes a folder with those above it. One that is there gets this mode, too: an earlier nicdock left it to its caller's umask.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    if Closing::Modes.is_left_open() || fs::metadata(path)?.mode() & 0o7777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// For everybody to read: `nicdock leases` and `nicdock plan` are not root's alone.
pub const PUBLIC: u32 = 0o755;

/// Specs with their environments, and the sockets by which a container is started.
pub const PRIVATE: u32 = 0o700;
