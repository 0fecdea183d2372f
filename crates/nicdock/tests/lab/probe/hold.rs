//! A process outside of a container that is passed a descriptor of it, and hides it.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::io::IoSliceMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Where it has what it is passed: `process`, in the table of all threads; `thread`, in one of a second thread's own; `orphan`, in that of a second
/// thread whose process has lost its first one.
pub fn run(place: &str, path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    match place {
        "process" => obey(&listener),
        "thread" => {
            let work = move || {
                // SAFETY: what the first thread has open it never uses again.
                unsafe { unshare_unsafe(UnshareFlags::FILES) }?;
                obey(&listener)
            };
            std::thread::spawn(work).join().map_err(|_| io::Error::other("the thread has ended"))?
        }
        "orphan" => {
            let first = std::process::id();
            std::thread::spawn(move || {
                let state = || std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap_or_default();
                while !state().contains(") Z ") {
                    std::thread::yield_now();
                }
                let _ = obey(&listener);
                std::process::exit(0);
            });
            // SAFETY: this thread ends and the process does not; nothing of this thread's is used by the other.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
            unreachable!("it has ended")
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// A line of standard input is what to do, and one is answered. Its end is the process's.
fn obey(listener: &UnixListener) -> io::Result<()> {
    let mut held = Vec::new();
    say("listening")?;
    loop {
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            std::process::exit(0);
        }
        let answer = match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
            ("receive", _) => receive(listener).map(|descriptor| {
                held.push(descriptor);
                "has"
            }),
            ("open", path) => std::fs::File::options().read(true).write(true).open(path).map(|file| {
                held.push(file.into());
                "has"
            }),
            ("called", name) => std::fs::write("/proc/self/comm", name).map(|()| "called"),
            ("context", _) => {
                held.last().ok_or(io::ErrorKind::NotFound.into()).and_then(context).map(|()| "context")
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        match answer {
            Ok(answer) => say(answer)?,
            Err(error) => say(&error.to_string())?,
        }
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush())
}

pub fn receive(socket: &UnixListener) -> io::Result<OwnedFd> {
    let (stream, _) = socket.accept()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&stream, &mut [IoSliceMut::new(&mut [0])], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut passed = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(list) => Some(list),
        _ => None,
    });
    passed.next().and_then(|mut list| list.next()).ok_or_else(|| io::Error::other("no descriptor came"))
}

/// By ioctl(2): write(2) is its opener's alone (`ib_safe_file_access()`).
fn context(node: &OwnedFd) -> io::Result<()> {
    // `struct ib_uverbs_ioctl_hdr`: 24 bytes, UVERBS_OBJECT_DEVICE, UVERBS_METHOD_GET_CONTEXT, RDMA_DRIVER_RXE; `RDMA_VERBS_IOCTL`
    // (include/uapi/rdma/rdma_user_ioctl_cmds.h).
    let mut header = [0_u8; 24];
    header[0..2].copy_from_slice(&24_u16.to_ne_bytes());
    header[4..6].copy_from_slice(&3_u16.to_ne_bytes());
    header[16..20].copy_from_slice(&14_u32.to_ne_bytes());
    // SAFETY: the kernel reads and writes the header, which says how long it is.
    let result = unsafe { libc::ioctl(node.as_raw_fd(), 0xc018_1b01, header.as_mut_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
