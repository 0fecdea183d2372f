//! BPF programs on a control group of version 2: which device a process may open, which socket it may make.
//!
//! Several programs may be attached to one cgroup (`BPF_F_ALLOW_MULTI`): an access is allowed only if all agree,
//! so these can only narrow what an engine's own program allows (kernel/bpf/cgroup.c,
//! `__cgroup_bpf_check_dev_permission`, `__cgroup_bpf_run_lsm_current`).
#![allow(unsafe_code)]

mod instruction;
pub mod tcx;

pub use instruction::{Instruction, op};

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

// include/uapi/linux/bpf.h
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;
const BPF_MAP_TYPE_PROG_ARRAY: u32 = 3;

/// What a program decides: `enum bpf_prog_type` and `enum bpf_attach_type` (include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `BPF_PROG_TYPE_CGROUP_DEVICE`
    Device,
    /// `BPF_PROG_TYPE_LSM` on `BPF_LSM_CGROUP` (Linux 6.0), attached to the function with this id in the kernel's BTF.
    Lsm(u32),
}

impl Hook {
    fn types(self) -> (u32, u32) {
        match self {
            Self::Device => (15, 6),
            Self::Lsm(_) => (29, 43),
        }
    }
}

/// `BPF_DEVCG_ACC_*` and `BPF_DEVCG_DEV_*`.
pub const ACCESS_MKNOD: u32 = 1;
pub const DEVICE_CHAR: u32 = 2;

/// `union bpf_attr`, the part of `BPF_PROG_LOAD`.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// `union bpf_attr`, the part of `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The part of `BPF_MAP_CREATE`.
#[repr(C)]
struct MapAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// The part of `BPF_MAP_*_ELEM`.
#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The part of `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[repr(C)]
struct PinAttr {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// The part of `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The part of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

fn bpf_mut<T>(command: libc::c_long, attr: &mut T) -> io::Result<()> {
    // SAFETY: `attr` is the kernel's layout for `command`, which it may write to.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn bpf<T>(command: libc::c_long, attr: &T) -> io::Result<i32> {
    // SAFETY: `attr` is the kernel's layout for `command`, and its pointers are valid for the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap_or(i32::MAX)) }
}

/// Loads a program. Errors: `EPERM` without `CAP_BPF`/`CAP_SYS_ADMIN`, `EINVAL` when the verifier refuses.
pub fn load(hook: Hook, program: &[Instruction]) -> io::Result<OwnedFd> {
    let (prog_type, attach_type) = hook.types();
    let (license, attach_type, attach_btf_id) = match hook {
        Hook::Device => (c"Apache-2.0", 0, 0),
        // The kernel takes no other (bpf_lsm_verify_prog()); this program is offered under the GPL too.
        Hook::Lsm(function) => (c"Dual MIT/GPL", attach_type, function),
    };
    let attr = LoadAttr {
        prog_type,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"nicdock\0\0\0\0\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: attach_type,
        prog_btf_fd: 0,
        func_info_rec_size: 0,
        func_info: 0,
        func_info_cnt: 0,
        line_info_rec_size: 0,
        line_info: 0,
        line_info_cnt: 0,
        attach_btf_id,
    };
    bpf_descriptor(BPF_PROG_LOAD, &attr)
}

/// `union bpf_attr`, the part of `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
}

/// The programs of one kind on one cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    pub ids: Vec<u32>,
    /// `BPF_F_ALLOW_MULTI`, `BPF_F_ALLOW_OVERRIDE` or neither: as whoever was first wanted it.
    flags: u32,
}

/// More than the kernel lets be attached (`BPF_CGROUP_MAX_PROGS`).
const MOST: usize = 64;

/// How many programs of this kind are attached to the cgroup directory open as `cgroup`.
pub fn count(hook: Hook, cgroup: BorrowedFd<'_>) -> io::Result<u32> {
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type: hook.types().1,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: 0,
        prog_cnt: 0,
    };
    // The kernel writes the number into the structure.
    bpf_mut(BPF_PROG_QUERY, &mut attr)?;
    Ok(attr.prog_cnt)
}

/// The device programs of the cgroup directory open as `cgroup` itself. (Those of the LSM are not told without a list of flags:
/// `__cgroup_bpf_query()`.)
pub fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Attached> {
    let hook = Hook::Device;
    let mut ids = vec![0_u32; MOST];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type: hook.types().1,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: u32::try_from(MOST).unwrap_or(0),
    };
    // The kernel writes the number into the structure, and the ids where it points.
    bpf_mut(BPF_PROG_QUERY, &mut attr)?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(Attached { ids, flags: attr.attach_flags })
}

fn change(
    command: libc::c_long,
    hook: Hook,
    cgroup: BorrowedFd<'_>,
    program: &OwnedFd,
    attach_flags: u32,
    old: Option<&OwnedFd>,
) -> io::Result<()> {
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: hook.types().1,
        attach_flags,
        replace_bpf_fd: old.map_or(0, |old| old.as_raw_fd().cast_unsigned()),
    };
    bpf(command, &attr).map(drop)
}

/// Attaches a program to the cgroup directory open as `cgroup`; it stays as long as the cgroup.
pub fn attach(hook: Hook, cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    change(BPF_PROG_ATTACH, hook, cgroup, program, BPF_F_ALLOW_MULTI, None)
}

/// Attaches `new` in the place of `old`, with no moment in between; the flags stay as whoever attached the first program
/// wanted them (`__cgroup_bpf_attach()`: a lone program is replaced by the next, one of many by name).
pub fn replace(
    hook: Hook,
    cgroup: BorrowedFd<'_>,
    there: &Attached,
    old: &OwnedFd,
    new: &OwnedFd,
) -> io::Result<()> {
    let many = there.flags & BPF_F_ALLOW_MULTI != 0;
    let (flags, old) = if many { (there.flags | BPF_F_REPLACE, Some(old)) } else { (there.flags, None) };
    change(BPF_PROG_ATTACH, hook, cgroup, new, flags, old)
}

/// Takes a program off.
pub fn detach(hook: Hook, cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    change(BPF_PROG_DETACH, hook, cgroup, program, 0, None)
}

/// A handle on the program with this id. Errors: `ENOENT` when there is none any more.
pub fn program(id: u32) -> io::Result<OwnedFd> {
    bpf_descriptor(BPF_PROG_GET_FD_BY_ID, &IdAttr { id, next_id: 0, open_flags: 0 })
}

/// The id of a program.
pub fn id(program: &OwnedFd) -> io::Result<u32> {
    // The beginning of `struct bpf_prog_info`: type and id.
    let mut info = [0_u32; 2];
    let mut attr =
        InfoAttr { bpf_fd: program.as_raw_fd().cast_unsigned(), info_len: 8, info: info.as_mut_ptr() as u64 };
    bpf_mut(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info[1])
}

/// An array with room for one program, for [`Instruction::go_on`].
pub fn array() -> io::Result<OwnedFd> {
    let attr = MapAttr {
        map_type: BPF_MAP_TYPE_PROG_ARRAY,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        map_flags: 0,
    };
    bpf_descriptor(BPF_MAP_CREATE, &attr)
}

/// Puts a program into an array.
pub fn put(array: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    let (key, mut value) = (0_u32, program.as_raw_fd().cast_unsigned());
    bpf(BPF_MAP_UPDATE_ELEM, &element(array, &key, &mut value)).map(drop)
}

/// The id of the program in an array.
pub fn held(array: &OwnedFd) -> io::Result<u32> {
    let (key, mut value) = (0_u32, 0_u32);
    bpf_mut(BPF_MAP_LOOKUP_ELEM, &mut element(array, &key, &mut value))?;
    Ok(value)
}

fn element(array: &OwnedFd, key: &u32, value: &mut u32) -> ElementAttr {
    ElementAttr {
        map_fd: array.as_raw_fd().cast_unsigned(),
        unused: 0,
        key: std::ptr::from_ref(key) as u64,
        value: std::ptr::from_mut(value) as u64,
        flags: 0,
    }
}

/// Keeps a program or an array alive under a name in a bpffs. An array is emptied when the last descriptor and name of it go, though
/// programs still use it (`bpf_fd_array_map_clear()` of kernel/bpf/arraymap.c).
pub fn pin(object: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let bpf_fd = object.as_raw_fd().cast_unsigned();
    bpf(BPF_OBJ_PIN, &PinAttr { pathname: path.as_ptr() as u64, bpf_fd, file_flags: 0 }).map(drop)
}

/// What is kept under a name; `None` if nothing is.
pub fn pinned(path: &Path) -> io::Result<Option<OwnedFd>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    match bpf_descriptor(BPF_OBJ_GET, &PinAttr { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 }) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Runs a command that makes a descriptor.
fn bpf_descriptor<T>(command: libc::c_long, attr: &T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
