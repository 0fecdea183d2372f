//! The write() ABI of uverbs as bytes (include/uapi/rdma/ib_user_verbs.h, drivers/infiniband/hw/usnic/usnic_abi.h).
//!
//! A command is `struct ib_uverbs_cmd_hdr`, the address at which the kernel shall answer, the command's own fields, and
//! what the driver asks for behind them. Everything is in the byte order of the machine.

/// Room for an answer and what a driver adds to it. Drivers' `ib_copy_to_udata()` does not look at how much room there is,
/// so it is more than any driver answers.
pub const ANSWER_LEN: usize = 1024;
/// Zeroes behind a command for drivers that read fields of their own there: `ib_copy_from_udata()` does not look at
/// the length either, and zero asks every driver for nothing.
const DRIVER_ROOM: usize = 64;

/// Numbers of `enum ib_uverbs_write_cmds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    GetContext = 0,
    QueryDevice = 1,
    QueryPort = 2,
    AllocPd = 3,
    RegMr = 9,
    CreateCq = 18,
    CreateQp = 24,
}

/// A command without its header and answer's address: what the driver gets is behind the core's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    command: Command,
    fields: Vec<u8>,
}

/// `IB_ACCESS_LOCAL_WRITE`.
const LOCAL_WRITE: u32 = 1;
/// `IB_QPT_UD`.
const UNRELIABLE_DATAGRAM: u8 = 4;
/// `USNIC_TRANSPORT_IPV4_UDP`.
const IPV4_UDP: u32 = 2;
/// `comp_channel` of a completion queue that nobody waits for.
const NO_CHANNEL: u32 = u32::MAX;

impl Request {
    /// `driver` is the driver's part; more zeroes than it knows harm none.
    pub fn get_context(driver: &[u8]) -> Self {
        Self::new(Command::GetContext).bytes(driver).padded()
    }

    pub fn query_device() -> Self {
        Self::new(Command::QueryDevice)
    }

    pub fn query_port(port: u8) -> Self {
        Self::new(Command::QueryPort).bytes(&[port, 0, 0, 0, 0, 0, 0, 0])
    }

    pub fn alloc_pd() -> Self {
        Self::new(Command::AllocPd).padded()
    }

    /// Memory at its own address, for the NIC to read and write.
    pub fn reg_mr(pd: u32, start: u64, length: u64) -> Self {
        let fields = Self::new(Command::RegMr).long(start).long(length).long(start);
        fields.word(pd).word(LOCAL_WRITE).padded()
    }

    pub fn create_cq(entries: u32) -> Self {
        Self::new(Command::CreateCq).long(0).word(entries).word(0).word(NO_CHANNEL).word(0)
    }

    /// A UD queue pair that receives what arrives for the UDP socket `socket` (`struct usnic_ib_create_qp_cmd`).
    pub fn create_usnic_qp(pd: u32, send_cq: u32, recv_cq: u32, socket: u32) -> Self {
        const WORK_REQUESTS: u32 = 32;
        let handles = Self::new(Command::CreateQp).long(0).word(pd).word(send_cq).word(recv_cq).word(0);
        let sizes = handles.word(WORK_REQUESTS).word(WORK_REQUESTS).word(0).word(0).word(0);
        sizes.bytes(&[0, UNRELIABLE_DATAGRAM, 0, 0]).word(IPV4_UDP).word(socket)
    }

    /// The bytes to write, for an answer of [`ANSWER_LEN`] at `answer`.
    pub fn message(&self, answer: u64) -> Vec<u8> {
        // struct ib_uverbs_cmd_hdr counts in words of 32 bits.
        const HEADER_AND_ADDRESS: usize = 16;
        let words = |bytes: usize| u16::try_from(bytes / 4).unwrap_or(u16::MAX);
        let mut message = Vec::with_capacity(HEADER_AND_ADDRESS + self.fields.len());
        message.extend((self.command as u32).to_ne_bytes());
        message.extend(words(HEADER_AND_ADDRESS + self.fields.len()).to_ne_bytes());
        message.extend(words(ANSWER_LEN).to_ne_bytes());
        message.extend(answer.to_ne_bytes());
        message.extend(&self.fields);
        message
    }

    fn new(command: Command) -> Self {
        Self { command, fields: Vec::new() }
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.fields.extend(bytes);
        self
    }

    fn word(self, value: u32) -> Self {
        self.bytes(&value.to_ne_bytes())
    }

    fn long(self, value: u64) -> Self {
        self.bytes(&value.to_ne_bytes())
    }

    fn padded(self) -> Self {
        self.bytes(&[0; DRIVER_ROOM])
    }
}

/// What the kernel wrote.
pub struct Answer(pub Box<[u8; ANSWER_LEN]>);

/// Of `struct ib_uverbs_query_device_resp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceAttributes {
    pub vendor_id: u32,
    pub vendor_part_id: u32,
    pub ports: u8,
}

/// Of `struct ib_uverbs_query_port_resp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortAttributes {
    /// `enum ib_port_state`: 1 DOWN, 2 INIT, 3 ARMED, 4 ACTIVE, 5 ACTIVE_DEFER.
    pub state: u8,
    /// `enum ib_mtu`: 1 is 256 bytes, 5 is 4096.
    pub active_mtu: u8,
    /// `enum rdma_link_layer`: 1 InfiniBand, 2 Ethernet.
    pub link_layer: u8,
}

/// A queue pair of usNIC, and the VF that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsnicQueuePair {
    pub number: u32,
    pub vf: u32,
}

impl Answer {
    fn word(&self, at: usize) -> u32 {
        let bytes = &self.0[at..at + 4];
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// The descriptor of asynchronous events that GET_CONTEXT made.
    pub fn async_fd(&self) -> u32 {
        self.word(0)
    }

    /// `pd_handle` and `cq_handle`, the first fields of their answers.
    pub fn handle(&self) -> u32 {
        self.word(0)
    }

    pub fn device(&self) -> DeviceAttributes {
        DeviceAttributes { vendor_id: self.word(40), vendor_part_id: self.word(44), ports: self.0[171] }
    }

    pub fn port(&self) -> PortAttributes {
        PortAttributes { state: self.0[26], active_mtu: self.0[28], link_layer: self.0[37] }
    }

    /// `qpn` of `struct ib_uverbs_create_qp_resp`; `vfid`, the first field of `struct usnic_ib_create_qp_resp` behind it.
    pub fn usnic_qp(&self) -> UsnicQueuePair {
        UsnicQueuePair { number: self.word(4), vf: self.word(32) }
    }
}

#[cfg(test)]
mod tests;
