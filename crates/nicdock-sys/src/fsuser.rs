//! Making files as another user while every capability that others need stays (setfsuid(2)).
#![allow(unsafe_code)]

/// Does `work` with the file system's user and group being these; the caller is root, and is root again afterwards.
///
/// On a file system of a user namespace's own nobody makes files who has no number there (`EOVERFLOW`; fs/namei.c, `may_o_create()`).
pub fn within<T>(uid: u32, gid: u32, work: impl FnOnce() -> T) -> T {
    // SAFETY: neither call touches memory; both are of this thread's credentials alone.
    unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
    }
    let done = work();
    // SAFETY: as above.
    unsafe {
        libc::setfsuid(0);
        libc::setfsgid(0);
    }
    done
}
