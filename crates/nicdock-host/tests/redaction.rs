//! A redacted capture has the same machine with nobody's addresses.

use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;

use nicdock_host::capture::Capture;
use nicdock_host::constructed::{Function, Link, Machine, Place, Port, Rdma, Route, hosts};
use nicdock_host::environment;
use nicdock_host::inventory;
use nicdock_host::model::{Host, Nic, RdmaNetnsMode};
use nicdock_host::source::Fact;

/// A host whose addresses are also in names, as udev's `enx…` and `ibx…` have them.
fn named_after_addresses() -> Machine {
    let mut host = Machine::new("6.12.0");
    host.rdma_core(RdmaNetnsMode::Shared);
    host.function(&Function::new("pci0000:00/0000:00:02.0", (0x15b3, 0x1021), 0x02_0700).driver("mlx5_core"))
        .function(&Function::new("pci0000:00/0000:00:03.0", (0x8086, 0x1521), 0x02_0000).driver("igb"));
    let mac = "00:00:10:29:fe:80:00:00:00:00:00:00:b8:3f:d2:03:00:a1:b2:c3";
    host.link(Link::ipoib("ibxb83fd20300a1", "0000:00:02.0", mac, 100_000))
        .link(Link {
            altnames: &["enxA0369FD1E2F3", "lan"],
            ..Link::ethernet("enxa0369fd1e2f3", Place::Function("0000:00:03.0"), "a0:36:9f:d1:e2:f3", 1000)
        })
        .address("ibxb83fd20300a1", "172.31.77.5/20")
        .address("enxa0369fd1e2f3", "198.51.100.7/24")
        .address("enxa0369fd1e2f3", "2001:db8:77:5::7/64")
        .address("enxa0369fd1e2f3", "fe80::a236:9fff:fed1:e2f3/64")
        .route(Route { via: &[("198.51.100.193", "enxa0369fd1e2f3")], protocol: 16, ..Route::default() })
        .route(Route {
            to: "172.29.0.0/16",
            via: &[("172.31.77.9", "ibxb83fd20300a1"), ("198.51.100.200", "enxa0369fd1e2f3")],
            protocol: 4,
            ..Route::default()
        })
        .connection("198.51.100.7:22", "203.0.113.99:50123")
        .connection("[::ffff:198.51.100.7]:22", "[::ffff:203.0.113.98]:50124")
        .connection("[2001:db8:77:5::7]:22", "[2001:db8:99::1]:50125");
    host.rdma(&Rdma {
        name: "ibxb83fd20300a1b2c3",
        function: Some("0000:00:02.0"),
        node_type: "1: CA",
        node_guid: 0xb83f_d203_00a1_b2c3,
        firmware: "28.39.3560",
        board_id: "MT_0000000838",
        protocol: "ib",
        driver_id: Some(1),
        ports: &[Port {
            state: "4: ACTIVE",
            link_layer: "InfiniBand",
            rate: "400 Gb/sec (4X NDR)",
            lid: 7,
            netdev: None,
        }],
        uverbs: 0,
        umad: Some(0),
        usnic: None,
    });
    host
}

/// Constructed machines, and the lab's own with what real kernels say.
fn captures() -> Vec<(&'static str, Capture)> {
    let machines = hosts::all().into_iter().chain([("named after addresses", named_after_addresses())]);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures");
    let of_lab = |name| (name, Capture::open(&folder.join(format!("{name}.tar.gz"))).unwrap());
    machines
        .map(|(name, machine)| (name, machine.capture()))
        .chain(["lab-6.1", "lab-7.2"].map(of_lab))
        .collect()
}

fn unpacked(capture: &Capture) -> Vec<u8> {
    let (mut gzip, mut bytes) = (Vec::new(), Vec::new());
    capture.write(&mut gzip).unwrap();
    flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Every way in which an address may be written.
fn forms(host: &Host) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let text = |text: String| [text.to_uppercase().into_bytes(), text.to_lowercase().into_bytes()];
    let guid = |bytes: &[u8]| {
        let mut reversed = bytes.to_vec();
        reversed.reverse();
        let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let groups: Vec<&str> = [0, 4, 8, 12].iter().filter_map(|at| digits.get(*at..*at + 4)).collect();
        [vec![bytes.to_vec(), reversed], text(groups.join(":")).to_vec(), text(digits).to_vec()].concat()
    };
    let ip = |ip: IpAddr| {
        let bytes = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let words = bytes.chunks(4).map(|w| format!("{:08X}", u32::from_ne_bytes([w[0], w[1], w[2], w[3]])));
        [text(ip.to_string()).to_vec(), vec![words.collect::<String>().into_bytes(), bytes]].concat()
    };
    for nic in &host.nics {
        for netdev in &nic.netdevs {
            for mac in netdev.mac.iter().chain(&netdev.permanent_mac) {
                forms.extend(text(mac.to_string()));
                forms.extend(text(mac.to_string().replace(':', "")));
                forms.push(mac.0.clone());
                if mac.0.len() == 20 {
                    forms.extend(guid(&mac.0[12..]));
                }
            }
            forms.extend(netdev.addresses.iter().flat_map(|address| ip(address.ip)));
            forms.extend(netdev.routes.iter().filter_map(|route| route.gateway).flat_map(ip));
        }
        for device in &nic.rdma_devices {
            let digits = device.node_guid.as_deref().unwrap_or_default().replace(':', "");
            if let Ok(number @ 1..) = u64::from_str_radix(&digits, 16) {
                forms.extend(guid(&number.to_be_bytes()));
            }
        }
        for used in &nic.in_use {
            if let nicdock_host::model::InUse::TcpConnection { local, remote, .. } = used {
                forms.extend(ip(local.ip()));
                forms.extend(ip(remote.ip()));
            }
        }
    }
    forms
}

#[test]
fn nothing_of_the_original_addresses_is_left_in_any_byte() {
    for (name, capture) in captures() {
        let original = unpacked(&capture);
        let redacted = unpacked(&capture.redacted());
        let forms = forms(&inventory::read(&capture).unwrap());
        assert!(
            forms.iter().filter(|form| contains(&original, form)).count() > 5,
            "{name}: the forms are right"
        );
        for form in forms {
            assert!(
                !contains(&redacted, &form),
                "{name}: {:?} ({form:02x?})",
                String::from_utf8_lossy(&form)
            );
        }
    }
}

/// Everything of a NIC that is not an address.
fn shape(nic: &Nic) -> impl PartialEq + std::fmt::Debug {
    let netdevs: Vec<_> = nic
        .netdevs
        .iter()
        .map(|n| {
            let families: Vec<_> =
                n.addresses.iter().map(|a| (a.ip.is_ipv4(), a.prefix_len, a.scope)).collect();
            let routes: Vec<_> = n
                .routes
                .iter()
                .map(|r| {
                    (r.ipv6, r.table, r.protocol, r.gateway.is_some(), r.destination.map(|(_, len)| len))
                })
                .collect();
            let lens = [&n.mac, &n.permanent_mac].map(|mac| mac.as_ref().map(|mac| mac.0.len()));
            (n.ifindex, n.mtu, n.up, n.speed_mbps, n.altnames.len(), lens, families, routes)
        })
        .collect();
    let nodes: Vec<_> = nic.nodes().map(|node| (node.path.clone(), node.major, node.minor)).collect();
    let uses: Vec<_> = nic.in_use.iter().map(std::mem::discriminant).collect();
    let ports: Vec<_> = nic
        .rdma_devices
        .iter()
        .flat_map(|d| &d.ports)
        .map(|p| (p.number, p.state.clone(), p.lid, p.netdev.is_some()))
        .collect();
    (nic.kind, nic.pci, nic.numa_node, nic.isolation.method, netdevs, nodes, uses, ports)
}

#[test]
fn the_redacted_host_has_the_same_shape() {
    for (name, capture) in captures() {
        let (old, new) = (inventory::read(&capture).unwrap(), inventory::read(&capture.redacted()).unwrap());
        assert_eq!(new.warnings, [""; 0], "{name}");
        assert_eq!(old.pci, new.pci, "{name}");
        assert_eq!(old.nics.len(), new.nics.len(), "{name}");
        for (old, new) in old.nics.iter().zip(&new.nics) {
            assert!(shape(old) == shape(new), "{name}:\n{:#?}\n{:#?}", shape(old), shape(new));
        }
    }
}

#[test]
fn a_redacted_capture_can_be_redacted_again() {
    let once = named_after_addresses().capture().redacted();
    let twice = once.redacted();
    assert!(once != twice);
    assert_eq!(inventory::read(&twice).unwrap().nics.len(), 2);
}

/// A host of which everything around its NICs was recorded, with a site's names and addresses wherever there may be some.
fn with_surroundings() -> Machine {
    let mut host = named_after_addresses();
    host.surroundings("0-3", &[])
        .fact(Fact::Firewall, "acme-prod web-frontend enxa0369fd1e2f3\n")
        .fact(Fact::Managers, "NetworkManager enxa0369fd1e2f3 managed\n")
        .fact(Fact::LinkModes, "enxa0369fd1e2f3 1000\n")
        .pci_config("0000:00:03.0", 0x2810, 0)
        .gid(
            "0000:00:02.0",
            "ibxb83fd20300a1b2c3",
            0,
            "fe80:0000:0000:0000:b83f:d203:00a1:b2c3",
            "IB/RoCE v1",
            "ibxb83fd20300a1",
        )
        .gid(
            "0000:00:02.0",
            "ibxb83fd20300a1b2c3",
            1,
            "0000:0000:0000:0000:0000:ffff:c633:6407",
            "RoCE v2",
            "",
        )
        .gid(
            "0000:00:02.0",
            "ibxb83fd20300a1b2c3",
            2,
            "2001:0db8:0077:0005:0000:0000:0000:0007",
            "RoCE v2",
            "",
        );
    host
}

#[test]
fn no_name_and_no_address_of_a_site_is_left_in_what_is_around_the_nics() {
    let capture = with_surroundings().capture();
    let redacted = capture.redacted();
    let (original, bytes) = (unpacked(&capture), unpacked(&redacted));
    for word in ["acme-prod", "web-frontend", "a0369fd1e2f3", "b83f:d203:00a1:b2c3", "c633:6407", "0db8:0077"]
    {
        assert!(contains(&original, word.as_bytes()), "{word}");
        assert!(!contains(&bytes, word.as_bytes()), "{word}");
    }
    let host = inventory::read(&redacted).unwrap();
    let around = environment::read(&redacted, &host, None);
    // What is named is still the same netdev, and a GID still the same device's.
    let lan =
        host.nics.iter().flat_map(|nic| &nic.netdevs).find(|one| one.altnames.contains(&"lan".to_owned()));
    let managers = around.fact(Fact::Managers).known().unwrap();
    assert_eq!(managers, format!("NetworkManager {} managed\n", lan.unwrap().name));
    let device = host.nics.iter().flat_map(|nic| &nic.rdma_devices).next().unwrap();
    let gids = around.gids(device, 1).known().unwrap();
    assert_eq!(gids.iter().map(|gid| gid.index).collect::<Vec<_>>(), [0, 1, 2]);
    let digits = device.node_guid.clone().unwrap().replace(':', "");
    let last =
        gids[0].gid.octets()[8..].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(last, digits);
}
