//! `NETLINK_RDMA`: the RDMA core's own configuration interface (`rdma(8)` speaks it), as messages and a socket.
//!
//! Requests are values ([`Request`]), replies are bytes that the parsers turn into values, so that replies can be
//! kept and parsed again on another machine. A kernel without the RDMA core is no error where a list is asked for.
//!
//! ```no_run
//! let socket = nicdock_netlink::rdma::Socket::open()?;
//! for device in socket.devices()? {
//!     println!("{}: {} ({} ports)", device.index, device.name, device.port_count);
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Sources: `include/uapi/rdma/rdma_netlink.h`, `drivers/infiniband/core/nldev.c`.

pub mod abi;
mod chardev;
mod device;
mod port;
mod queue_pairs;
mod request;
mod resources;
mod socket;
mod system;

pub use chardev::{Chardev, DriverId, parse_chardev};
pub use device::{Device, parse_devices};
pub use port::{Port, parse_ports, port_state_name};
pub use queue_pairs::parse_kernel_users;
pub use request::Request;
pub use resources::parse_contexts;
pub use socket::Socket;
pub use system::{NetnsMode, parse_netns_mode};
