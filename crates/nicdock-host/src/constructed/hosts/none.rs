use super::super::{Function, Link, Machine, Place, Route};
use super::{ETHERNET, ROOT_PORT};

/// A host without a fabric NIC: an on-board e1000e (Intel I219-LM, 8086:15b7) carries the default route and an ssh
/// connection; a USB adapter, a bridge with a veth, and a disk are there to be passed over. No RDMA module is loaded.
pub fn none() -> Machine {
    let mut host = Machine::new("6.1.0-28-amd64");
    host.function(&Function::bridge("pci0000:00/0000:00:1c.0", ROOT_PORT))
        .function(&Function::new("pci0000:00/0000:00:1f.6", (0x8086, 0x15b7), ETHERNET).driver("e1000e"))
        .function(&Function::new("pci0000:00/0000:00:14.0", (0x8086, 0xa12f), 0x0c_0330).driver("xhci_hcd"))
        .function(
            &Function::new("pci0000:00/0000:00:1c.0/0000:01:00.0", (0x144d, 0xa804), 0x01_0802)
                .driver("nvme"),
        );
    host.link(Link {
        altnames: &["eno1"],
        ..Link::ethernet("enp0s31f6", Place::Function("0000:00:1f.6"), "00:00:5e:00:53:01", 1000)
    })
    .link(Link::ethernet(
        "enx00005e005302",
        Place::Child("0000:00:14.0", "usb1/1-1/1-1:1.0"),
        "00:00:5e:00:53:02",
        480,
    ))
    .link(Link::ethernet("br0", Place::Virtual("bridge"), "00:00:5e:00:53:03", -1))
    .link(Link {
        master: Some("br0"),
        ..Link::ethernet("veth1", Place::Virtual("veth"), "00:00:5e:00:53:04", 10_000)
    });
    host.address("enp0s31f6", "192.0.2.10/24")
        .address("enp0s31f6", "fe80::200:5eff:fe00:5301/64")
        .address("enx00005e005302", "198.51.100.2/24")
        .route(Route {
            via: &[("192.0.2.1", "enp0s31f6")],
            protocol: 16,
            metric: Some(100),
            ..Route::default()
        })
        .listener("0.0.0.0:22")
        .listener("[::]:22")
        .connection("192.0.2.10:22", "192.0.2.77:50000");
    host
}
