//! Against a kernel that has an RDMA core and `rdma_rxe`, in its init network namespace with an `rxe1` on `eth1`, as
//! `cargo xtask lab` has them. Changes what it finds and puts it back.

use std::fs::File;
use std::os::fd::AsFd;

use nicdock_netlink::rdma::{Device, DriverId, NetnsMode, Request, Socket, parse_chardev};

/// `EOPNOTSUPP`, `EEXIST`, `EINVAL`, `ENODEV`.
const EOPNOTSUPP: i32 = 95;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENODEV: i32 = 19;

fn device(socket: &Socket, name: &str) -> Option<Device> {
    socket.devices().unwrap().into_iter().find(|device| device.name == name)
}

#[test]
#[ignore = "needs an RDMA kernel: cargo xtask lab"]
fn software_devices_are_listed_removed_made_and_renamed() {
    let socket = Socket::open().unwrap();
    let rxe = device(&socket, "rxe1").expect("rxe1");
    assert_eq!((rxe.port_count, rxe.node_type, rxe.protocol.as_deref()), (1, Some(1), Some("roce")));
    let ports = socket.ports(rxe.index).unwrap();
    assert_eq!((ports.len(), ports[0].number, ports[0].netdev.as_deref()), (1, 1, Some("eth1")));
    assert_eq!((ports[0].device_name.as_str(), ports[0].state), ("rxe1", Some(4)));
    let uverbs = parse_chardev(&socket.dump(&Request::uverbs(rxe.index)).unwrap()).unwrap().unwrap();
    assert_eq!((uverbs.driver, uverbs.major), (Some(DriverId::RXE), 231));
    assert!(uverbs.name.starts_with("uverbs"), "{}", uverbs.name);

    let again = socket.new_link("rxe", "rxe9", "eth1").unwrap_err();
    assert_eq!(again.raw_os_error(), Some(EEXIST));
    let nowhere = socket.new_link("rxe", "rxe9", "nothing0").unwrap_err();
    assert_eq!(nowhere.raw_os_error(), Some(ENODEV));
    let unknown = socket.new_link("nonsense", "rxe9", "eth1").unwrap_err();
    assert_eq!(unknown.raw_os_error(), Some(EINVAL));

    socket.delete_link(rxe.index).unwrap();
    assert_eq!(device(&socket, "rxe1"), None);
    socket.new_link("rxe", "rxe9", "eth1").unwrap();
    let made = device(&socket, "rxe9").expect("rxe9");
    socket.rename(made.index, "rxe1").unwrap();
    assert_eq!(device(&socket, "rxe1").map(|device| device.index), Some(made.index));
    let taken = socket.rename(made.index, "rxe0").unwrap_err();
    assert_eq!(taken.raw_os_error(), Some(EEXIST));
}

#[test]
#[ignore = "needs an RDMA kernel: cargo xtask lab"]
fn in_shared_mode_no_device_moves() {
    let socket = Socket::open().unwrap();
    assert_eq!(socket.netns_mode().unwrap(), Some(NetnsMode::Shared));
    let rxe = device(&socket, "rxe0").expect("rxe0");
    let netns = File::open("/proc/self/ns/net").unwrap();
    let refused = socket.set_netns(rxe.index, netns.as_fd()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(EOPNOTSUPP));
}
