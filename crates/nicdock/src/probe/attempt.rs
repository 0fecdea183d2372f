//! The steps, one after the other, on one device. What fails stops what depends on it; all is closed at the end.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use super::driver::context_request;
use super::found::Target;
use super::judge;
use super::meaning::{Circumstances, meaning};
use super::record::Record;
use super::report::{DeviceReport, Step};
use super::surroundings::{self, Folder, Netdev, Node, Process};
use nicdock_core::usnic::{LIBFABRIC_MEMLOCK, memory_registration_is_broken};
use nicdock_sys::uverbs::{ProtectionDomain, Uverbs};

/// Whether memory is registered on a usNIC whose driver is expected to crash at that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Only where the driver is known to do it.
    WhereSafe,
    Always,
}

/// Entries of a completion queue.
const ENTRIES: u32 = 32;
/// What is registered on other devices than usNIC: enough to see that it can be.
const ONE_PAGE: u64 = 4096;

/// Goes through every step.
pub fn attempt(target: &Target, process: &Process, memory: Memory) -> DeviceReport {
    let folder = Folder::of(target);
    let mut run = Run { target, process, folder, node: None, netdev: None, record: Record::default() };
    run.sysfs();
    let node_is_right = run.node();
    let opened = run.open(node_is_right);
    let context = run.context(opened);
    run.query(context.as_ref());
    run.addresses();
    run.record.verdict(Step::Memlock, judge::memlock(process, run.folder.usnic));
    run.make(context, memory);
    run.record.report(target)
}

struct Run<'a> {
    target: &'a Target,
    process: &'a Process,
    folder: Folder,
    node: Option<Node>,
    netdev: Option<Netdev>,
    record: Record,
}

impl Run<'_> {
    fn sysfs(&mut self) {
        match self.folder.read_as_libraries_do() {
            Ok(count) => {
                self.record.works(Step::Sysfs, format!("the {count} files by which libraries find it"));
            }
            Err((path, error)) => {
                let text = format!(
                    "{} cannot be read, and libraries do not find the device without it: is all of it shown in this container?",
                    path.display()
                );
                self.record.fails(Step::Sysfs, error.raw_os_error(), text);
            }
        }
    }

    fn node(&mut self) -> bool {
        match surroundings::node(&self.target.node) {
            Ok(node) => {
                let verdict = judge::node(self.target, &node);
                self.node = Some(node);
                self.record.verdict(Step::Node, verdict)
            }
            Err(error) => self.result::<()>(Step::Node, Err(error)).is_some(),
        }
    }

    fn open(&mut self, node_is_right: bool) -> Option<Uverbs> {
        if !node_is_right {
            self.record.needs(Step::Open, Step::Node);
            return None;
        }
        let opened = Uverbs::open(&self.target.node, self.target.number);
        self.result(Step::Open, opened.map(|node| (node, format!("as uid {}", self.process.uid))))
    }

    fn context(&mut self, opened: Option<Uverbs>) -> Option<Uverbs> {
        let Some(mut uverbs) = opened else {
            self.record.needs(Step::GetContext, Step::Open);
            return None;
        };
        let result = uverbs.get_context(&context_request(self.folder.driver().as_deref()));
        let abi = self.folder.driver_abi().unwrap_or_else(|| "unknown".into());
        self.result(Step::GetContext, result.map(|()| (uverbs, format!("ABI {abi} of the driver"))))
    }

    fn query(&mut self, context: Option<&Uverbs>) {
        let Some(uverbs) = context else {
            self.record.needs(Step::QueryDevice, Step::GetContext);
            self.record.needs(Step::QueryPort, Step::GetContext);
            return;
        };
        let device = uverbs.query_device().map(|device| {
            let text =
                format!("{:04x}:{:04x}, ports: {}", device.vendor_id, device.vendor_part_id, device.ports);
            (device.ports, text)
        });
        let count = self.result(Step::QueryDevice, device).unwrap_or(1).max(1);
        let ports: io::Result<Vec<_>> =
            (1..=count).map(|number| Ok((number, uverbs.query_port(number)?))).collect();
        match ports {
            Ok(ports) => {
                self.record.verdict(Step::QueryPort, judge::ports(&ports, self.folder.usnic));
            }
            Err(error) => drop(self.result::<()>(Step::QueryPort, Err(error))),
        }
    }

    fn addresses(&mut self) {
        let gids = self.folder.gids();
        let name = self.folder.netdev_name(gids.first().map(|(index, _)| *index));
        let netdev = name.as_deref().map_or(Ok(None), surroundings::netdev);
        let known = netdev.as_ref().ok().cloned().flatten();
        let verdict =
            if self.folder.usnic { judge::usnic_gid(&gids, known.as_ref()) } else { judge::gids(&gids) };
        self.record.verdict(Step::Gid, verdict);
        match (netdev, name) {
            (Err(error), _) => drop(self.result::<()>(Step::Netdev, Err(error))),
            (Ok(_), None) if self.folder.usnic => {
                self.record.fails(
                    Step::Netdev,
                    None,
                    "the driver does not tell the netdev's name (iface)".into(),
                );
            }
            (Ok(_), None) => self.record.skip(Step::Netdev, "the port has no netdev".into()),
            (Ok(netdev), Some(name)) if self.folder.usnic => {
                self.record.verdict(Step::Netdev, judge::usnic_netdev(&name, netdev.as_ref()));
            }
            (Ok(Some(netdev)), Some(_)) => self.record.works(Step::Netdev, judge::netdev_text(&netdev)),
            (Ok(None), Some(name)) => self.record.skip(
                Step::Netdev,
                format!("{name} is in another network namespace: verbs work without it, rdma_cm does not"),
            ),
        }
        self.netdev = known;
    }

    /// Protection domain, memory, and on usNIC a queue pair.
    fn make(&mut self, context: Option<Uverbs>, memory: Memory) {
        let Some(mut uverbs) = context else {
            self.record.needs(Step::AllocPd, Step::GetContext);
            self.record.needs(Step::RegMr, Step::AllocPd);
            self.queue_pair(None, None);
            return;
        };
        let pd = uverbs.alloc_pd().map(|pd| (pd, "a protection domain".into()));
        let pd = self.result(Step::AllocPd, pd);
        self.memory(&mut uverbs, pd, memory);
        self.queue_pair(Some(&uverbs), pd);
    }

    fn memory(&mut self, uverbs: &mut Uverbs, pd: Option<ProtectionDomain>, memory: Memory) {
        let Some(pd) = pd else { return self.record.needs(Step::RegMr, Step::AllocPd) };
        if self.folder.usnic
            && memory == Memory::WhereSafe
            && memory_registration_is_broken(&self.process.kernel)
        {
            let text = format!(
                "usnic_verbs of kernels after 6.12 is known to crash here, and the process could never be killed (this is {}): no \
                 program can use the NIC on such a kernel; --memory tries all the same",
                self.process.kernel
            );
            return self.record.dare_not(Step::RegMr, text);
        }
        let bytes = self.memory_size();
        let text = format!("{} registered", judge::limit(Some(bytes)));
        let registered = uverbs.reg_mr(pd, usize::try_from(bytes).unwrap_or(usize::MAX));
        self.result(Step::RegMr, registered.map(|()| ((), text)));
    }

    fn queue_pair(&mut self, context: Option<&Uverbs>, pd: Option<ProtectionDomain>) {
        if !self.folder.usnic {
            for step in [Step::CreateCq, Step::UdpSocket, Step::CreateQp] {
                self.record.skip(step, "usNIC only".into());
            }
            return;
        }
        let queues = match context {
            None => {
                self.record.needs(Step::CreateCq, Step::GetContext);
                None
            }
            Some(uverbs) => {
                let queues =
                    uverbs.create_cq(ENTRIES).and_then(|send| Ok((send, uverbs.create_cq(ENTRIES)?)));
                self.result(Step::CreateCq, queues.map(|queues| (queues, "two completion queues".into())))
            }
        };
        let socket = self.udp_socket();
        let (Some(uverbs), Some(pd), Some((send, receive)), Some(socket)) =
            (context, pd, queues, socket.as_ref())
        else {
            let missing = if pd.is_none() {
                Step::AllocPd
            } else if queues.is_none() {
                Step::CreateCq
            } else {
                Step::UdpSocket
            };
            return self.record.needs(Step::CreateQp, missing);
        };
        let made = uverbs.create_usnic_qp(pd, send, receive, socket.as_fd());
        let text = |qp: nicdock_sys::uverbs::abi::UsnicQueuePair| {
            format!("queue pair {} on VF {}", qp.number, qp.vf)
        };
        self.result(Step::CreateQp, made.map(|qp| ((), text(qp))));
    }

    fn udp_socket(&mut self) -> Option<UdpSocket> {
        let Some(address) = self.netdev.as_ref().and_then(|netdev| judge::ipv4(netdev).first().copied())
        else {
            self.record.needs(Step::UdpSocket, Step::Netdev);
            return None;
        };
        let bound = UdpSocket::bind((address, 0)).and_then(|socket| {
            let text = format!("bound to {}", socket.local_addr()?);
            Ok((socket, text))
        });
        self.result(Step::UdpSocket, bound)
    }

    fn memory_size(&self) -> u64 {
        if self.folder.usnic { LIBFABRIC_MEMLOCK } else { ONE_PAGE }
    }

    /// Tells what came, or explains the error.
    fn result<T>(&mut self, step: Step, result: io::Result<(T, String)>) -> Option<T> {
        match result {
            Ok((value, text)) => {
                self.record.works(step, text);
                Some(value)
            }
            Err(error) => {
                let errno = error.raw_os_error();
                let text = errno.map_or_else(|| error.to_string(), |number| self.explain(step, number));
                self.record.fails(step, errno, text);
                None
            }
        }
    }

    fn explain(&self, step: Step, errno: i32) -> String {
        let abi = self.folder.driver_abi();
        let known = Circumstances {
            process: self.process,
            device: &self.target.name,
            usnic: self.folder.usnic,
            node: self.node.as_ref(),
            node_path: &self.target.node,
            abi: abi.as_deref(),
            netdev: self.netdev.as_ref().map(|netdev| netdev.name.as_str()),
            address: self.netdev.as_ref().and_then(|netdev| judge::ipv4(netdev).first().copied()),
            memory: self.memory_size(),
        };
        meaning(step, errno, &known)
    }
}
