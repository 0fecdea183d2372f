//! BPF programs of traffic control that hang on the device itself (tcx, Linux 6.6).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{BPF_PROG_QUERY, bpf, bpf_mut};

const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;

/// Programs that one place can have (`BPF_MPROG_MAX`, kernel/bpf/mprog.c).
const MOST: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ingress,
    Egress,
}

impl Place {
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// `BPF_TCX_INGRESS`, `BPF_TCX_EGRESS`.
    fn attach_type(self) -> u32 {
        match self {
            Self::Ingress => 46,
            Self::Egress => 47,
        }
    }
}

/// `union bpf_attr`, the part of `BPF_PROG_QUERY` with what Linux 6.6 added.
#[repr(C)]
#[derive(Default)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// `union bpf_attr`, the part of `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Default)]
struct Detach {
    target_ifindex: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
    relative_fd: u32,
    expected_revision: u64,
}

/// `union bpf_attr`, the part of `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct GetById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The ids of the programs on an interface of the caller's network namespace; none where the kernel has no tcx.
pub fn attached(place: Place, ifindex: u32) -> io::Result<Vec<u32>> {
    let mut ids = [0u32; MOST];
    let mut query = Query {
        target_ifindex: ifindex,
        attach_type: place.attach_type(),
        prog_ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(MOST).unwrap_or_default(),
        ..Query::default()
    };
    match bpf_mut(BPF_PROG_QUERY, &mut query) {
        Ok(()) => Ok(ids.into_iter().take(query.count as usize).collect()),
        // Before Linux 6.6 the place is unknown, or the structure longer than the kernel's; without BPF there is no call.
        Err(error) => match error.raw_os_error() {
            Some(libc::EINVAL | libc::E2BIG | libc::ENOENT | libc::ENOSYS) => Ok(Vec::new()),
            _ => Err(error),
        },
    }
}

/// Takes a program away. Errors: `EBUSY` when it is held by a BPF link, which some process has.
pub fn detach(place: Place, ifindex: u32, id: u32) -> io::Result<()> {
    let fd = bpf(BPF_PROG_GET_FD_BY_ID, &GetById { id, next_id: 0, open_flags: 0 })?;
    // SAFETY: the kernel has just made this descriptor for us.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let attr = Detach {
        target_ifindex: ifindex,
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: place.attach_type(),
        ..Detach::default()
    };
    bpf(BPF_PROG_DETACH, &attr).map(drop)
}
