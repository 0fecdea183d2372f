//! Making files as another user while every capability that others need stays (setfsuid(2)).
#![allow(unsafe_code)]

use crate::request::User;

/// Does `work` with the file system's user and group being `user`'s; the caller is root, and is root again afterwards.
///
/// On a file system of a user namespace's own nobody makes files who has no number there (`EOVERFLOW`; fs/namei.c, `may_o_create()`).
pub fn within<T>(user: User, work: impl FnOnce() -> T) -> T {
    // SAFETY: neither call touches memory; both are of this thread's credentials alone.
    unsafe {
        libc::setfsgid(user.gid);
        libc::setfsuid(user.uid);
    }
    let done = work();
    // SAFETY: as above.
    unsafe {
        libc::setfsuid(0);
        libc::setfsgid(0);
    }
    done
}
