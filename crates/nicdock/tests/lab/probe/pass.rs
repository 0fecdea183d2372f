//! A container that passes a descriptor out.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Opens a node and gets a context by it.
pub fn context(path: &std::path::Path) -> io::Result<std::fs::File> {
    let mut file = open(path)?;
    // `struct ib_uverbs_get_context_resp`: two numbers, which the kernel writes where it is told.
    let answer: &'static mut [u32; 2] = Box::leak(Box::new([0; 2]));
    // `IB_USER_VERBS_CMD_GET_CONTEXT` is 0; the words of what is sent and of the answer (include/uapi/rdma/ib_user_verbs.h).
    let mut words = Vec::new();
    words.extend(0_u32.to_ne_bytes());
    words.extend(4_u16.to_ne_bytes());
    words.extend(2_u16.to_ne_bytes());
    words.extend((answer.as_mut_ptr() as u64).to_ne_bytes());
    file.write_all(&words)?;
    Ok(file)
}

fn open(path: &std::path::Path) -> io::Result<std::fs::File> {
    std::fs::File::options().read(true).write(true).open(path)
}

/// Sends one away by each of these sockets: that of its node, by which it has got a `context` or not (`node`), or a mere `handle` on it, an
/// ordinary `socket`, its standard `input`, or a file or folder by its path.
pub fn run(what: &str, paths: &[&str]) -> io::Result<()> {
    let node = || -> io::Result<_> {
        let found = std::fs::read_dir("/dev/infiniband")?.flatten().next();
        Ok(found.ok_or(io::ErrorKind::NotFound)?.path())
    };
    let passed: OwnedFd = match what {
        "context" => context(&node()?)?.into(),
        "node" => open(&node()?)?.into(),
        "input" => io::stdin().as_fd().try_clone_to_owned()?,
        // By which nothing can be read, but which opens the node once more.
        "handle" => rustix::fs::open(&node()?, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())?,
        path if path.starts_with('/') => std::fs::File::open(path)?.into(),
        _ => std::net::UdpSocket::bind("127.0.0.1:0")?.into(),
    };
    for path in paths {
        let stream = UnixStream::connect(path)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
        let descriptors = [passed.as_fd()];
        ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&descriptors));
        let flags = rustix::net::SendFlags::empty();
        rustix::net::sendmsg(&stream, &[io::IoSlice::new(b"x")], &mut ancillary, flags)?;
    }
    Ok(())
}
