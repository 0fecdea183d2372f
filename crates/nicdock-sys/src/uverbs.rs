//! uverbs: an RDMA device, opened as a program opens it, through the write() ABI that every driver has.
//!
//! libibverbs knows this too, with a library for each driver; there is none for usNIC. Nothing is destroyed one by
//! one: closing the node destroys what was made through it, in the right order (`uverbs_destroy_ufile_hw()`).
#![allow(unsafe_code)]

pub mod abi;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use abi::{ANSWER_LEN, Answer, DeviceAttributes, PortAttributes, Request, UsnicQueuePair};
use rustix::fs::{CWD, FileType, Mode, OFlags};

/// The numbers of a character device.
pub type DeviceNumber = (u32, u32);

/// An open node. Its fields are dropped in this order: memory outlives the registration that pins it.
pub struct Uverbs {
    events: Option<OwnedFd>,
    node: OwnedFd,
    registered: Vec<Box<[Page]>>,
}

#[derive(Clone)]
#[repr(align(4096))]
struct Page {
    _bytes: [u8; 4096],
}

/// A protection domain of an open node.
#[derive(Clone, Copy, Debug)]
pub struct ProtectionDomain(u32);

/// A completion queue of an open node.
#[derive(Clone, Copy, Debug)]
pub struct CompletionQueue(u32);

impl Uverbs {
    /// Opens the node and checks that it is the one meant.
    ///
    /// Errors (`ib_uverbs_open()`): `EPERM` from the device cgroup, or when the device is in another RDMA network
    /// namespace; `ENXIO`, `EIO`, `ENODEV` when there is no device behind the node (any more).
    pub fn open(path: &Path, device: DeviceNumber) -> io::Result<Self> {
        // Should this not be a node at all, opening it must not wait for anybody.
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let node = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&node)?;
        let number = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
        if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice || number != device {
            return Err(rustix::io::Errno::NODEV.into());
        }
        Ok(Self { events: None, node, registered: Vec::new() })
    }

    /// GET_CONTEXT; `driver` is what this device's driver asks for.
    pub fn get_context(&mut self, driver: &[u8]) -> io::Result<()> {
        let answer = self.send(&Request::get_context(driver))?;
        let events = i32::try_from(answer.async_fd()).map_err(|_| io::ErrorKind::InvalidData)?;
        // SAFETY: the kernel has just made this descriptor for us (ib_uverbs_get_context()); nobody else has it.
        self.events = Some(unsafe { OwnedFd::from_raw_fd(events) });
        Ok(())
    }

    pub fn query_device(&self) -> io::Result<DeviceAttributes> {
        Ok(self.send(&Request::query_device())?.device())
    }

    /// `port` counts from 1.
    pub fn query_port(&self, port: u8) -> io::Result<PortAttributes> {
        Ok(self.send(&Request::query_port(port))?.port())
    }

    pub fn alloc_pd(&self) -> io::Result<ProtectionDomain> {
        Ok(ProtectionDomain(self.send(&Request::alloc_pd())?.handle()))
    }

    /// Registers that many bytes of fresh memory, in whole pages.
    ///
    /// Errors: `EPERM` when nothing may be pinned (`can_do_mlock()`), `ENOMEM` beyond RLIMIT_MEMLOCK.
    pub fn reg_mr(&mut self, pd: ProtectionDomain, bytes: usize) -> io::Result<()> {
        // Touched here: what is pinned is there already, and a lack of memory is not taken for a limit.
        let memory = vec![Page { _bytes: [0; 4096] }; bytes.div_ceil(size_of::<Page>())].into_boxed_slice();
        let length = size_of_val(&*memory) as u64;
        let start = memory.as_ptr().expose_provenance() as u64;
        // Kept also if that fails: it is freed only after the node is closed.
        self.registered.push(memory);
        self.send(&Request::reg_mr(pd.0, start, length)).map(drop)
    }

    pub fn create_cq(&self, entries: u32) -> io::Result<CompletionQueue> {
        Ok(CompletionQueue(self.send(&Request::create_cq(entries))?.handle()))
    }

    /// A UD queue pair on usNIC for what arrives at `socket`, a bound UDP socket.
    ///
    /// Errors of `usnic_ib_create_qp()`: see [`crate::probe`], which explains each.
    pub fn create_usnic_qp(
        &self,
        pd: ProtectionDomain,
        send: CompletionQueue,
        receive: CompletionQueue,
        socket: BorrowedFd<'_>,
    ) -> io::Result<UsnicQueuePair> {
        let socket = socket.as_raw_fd().unsigned_abs();
        Ok(self.send(&Request::create_usnic_qp(pd.0, send.0, receive.0, socket))?.usnic_qp())
    }

    /// Writes a command; the kernel answers into memory of ours before write(2) returns.
    fn send(&self, request: &Request) -> io::Result<Answer> {
        let mut answer = Box::new([0_u8; ANSWER_LEN]);
        let message = request.message(answer.as_mut_ptr().expose_provenance() as u64);
        // The address leaves in the message, so the compiler must expect that write(2) changes what is there.
        let written = rustix::io::write(&self.node, &message)?;
        if written != message.len() {
            return Err(io::Error::other("the kernel took only a part of the command"));
        }
        Ok(Answer(answer))
    }
}
