//! What kernel sources and public documentation say of these hosts, written down by hand. The captures are the files
//! in `captures/`; their sources are named in `captures/README.md`.

use std::path::PathBuf;

use nicdock_host::capture::Capture;
use nicdock_host::inventory;
use nicdock_host::model::{Host, InUse, IsolationMethod, LinkLayer, Nic, NicKind, RdmaNetnsMode};

fn host(name: &str) -> Host {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/{name}.tar.gz"));
    inventory::read(&Capture::open(&path).unwrap()).unwrap()
}

fn names(host: &Host) -> Vec<&str> {
    host.nics.iter().map(|nic| nic.name.as_str()).collect()
}

fn nic<'a>(host: &'a Host, name: &str) -> &'a Nic {
    host.nics
        .iter()
        .find(|nic| nic.name == name)
        .unwrap_or_else(|| panic!("{name} is not in {:?}", names(host)))
}

fn addresses(nic: &Nic) -> Vec<String> {
    nic.netdevs.iter().flat_map(|netdev| &netdev.addresses).map(ToString::to_string).collect()
}

fn nodes(nic: &Nic) -> Vec<&str> {
    nic.nodes().map(|node| node.path.as_str()).collect()
}

fn in_use(nic: &Nic) -> Vec<String> {
    nic.in_use.iter().map(ToString::to_string).collect()
}

#[test]
fn every_committed_capture_is_the_described_machine() {
    for (name, machine) in nicdock_host::constructed::hosts::all() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/{name}.tar.gz"));
        let committed = Capture::open(&path).unwrap();
        assert!(committed == machine.capture(), "{name}: run the example 'constructed-captures'");
    }
}

#[test]
fn a_capture_holds_what_the_host_is_read_from_and_nothing_else() {
    for (name, machine) in nicdock_host::constructed::hosts::all() {
        let everything = machine.everything();
        let recorded = Capture::of(everything.clone()).unwrap();
        assert!(recorded.entries().len() < everything.entries().len(), "{name}");
        assert_eq!(inventory::read(&recorded).unwrap(), inventory::read(&everything).unwrap(), "{name}");
        assert!(Capture::of(recorded.clone()).unwrap() == recorded, "{name}");
    }
}

#[test]
fn none_of_the_constructed_hosts_raises_a_warning() {
    for (name, _) in nicdock_host::constructed::hosts::all() {
        assert_eq!(host(name).warnings, [""; 0], "{name}");
    }
}

mod cisco_usnic {
    use super::*;

    #[test]
    fn there_is_one_nic_a_vic_port_and_its_vfs_are_none() {
        let host = host("cisco-usnic");
        assert_eq!(names(&host), ["eno1", "usnic_0", "usnic_1"]);
        assert_eq!(nic(&host, "eno1").kind, NicKind::Ethernet);
        assert_eq!(nic(&host, "usnic_0").kind, NicKind::Usnic);
        assert_eq!(nic(&host, "usnic_1").kind, NicKind::Usnic);
    }

    #[test]
    fn the_rdma_devices_function_is_the_pf_that_has_the_vfs() {
        let host = host("cisco-usnic");
        let usnic = nic(&host, "usnic_0");
        let pf = host.function(usnic.pci.unwrap()).unwrap();
        assert_eq!(pf.address.to_string(), "0000:06:00.0");
        assert_eq!((pf.vendor, pf.device, pf.driver.as_deref()), (0x1137, 0x0043, Some("enic")));
        let vfs: Vec<String> = pf.vfs.iter().map(ToString::to_string).collect();
        assert_eq!(vfs, ["0000:06:00.1", "0000:06:00.2", "0000:06:00.3", "0000:06:00.4"]);
        for vf in &pf.vfs {
            let vf = host.function(*vf).unwrap();
            assert_eq!((vf.vendor, vf.device, vf.pf), (0x1137, 0x00cf, Some(pf.address)));
            assert_eq!(vf.driver.as_deref(), Some("usnic_verbs"));
        }
    }

    #[test]
    fn a_usnic_device_has_a_uverbs_node_and_no_management_nodes() {
        let host = host("cisco-usnic");
        assert_eq!(nodes(nic(&host, "usnic_0")), ["/dev/infiniband/uverbs0"]);
        assert_eq!(nodes(nic(&host, "usnic_1")), ["/dev/infiniband/uverbs1"]);
        let uverbs = nic(&host, "usnic_1").rdma_devices[0].uverbs.as_ref().unwrap();
        assert_eq!((uverbs.major, uverbs.minor), (231, 193));
    }

    #[test]
    fn the_port_is_active_with_an_ipv4_address_and_init_without() {
        let host = host("cisco-usnic");
        let states = ["usnic_0", "usnic_1"].map(|name| &nic(&host, name).rdma_devices[0].ports[0]);
        assert_eq!((states[0].state.as_str(), states[0].netdev.as_deref()), ("ACTIVE", Some("enp6s0")));
        assert_eq!((states[1].state.as_str(), states[1].netdev.as_deref()), ("INIT", Some("enp7s0")));
        assert_eq!(addresses(nic(&host, "usnic_0")), ["10.10.0.5/16", "fe80::200:5eff:fe00:5306/64"]);
        assert!(addresses(nic(&host, "usnic_1")).is_empty());
    }

    #[test]
    fn what_the_device_says_of_itself_is_kept() {
        let host = host("cisco-usnic");
        let device = &nic(&host, "usnic_0").rdma_devices[0];
        assert_eq!(device.driver.as_deref(), Some("usnic_verbs"));
        assert_eq!(device.node_type, "6: usNIC UDP");
        // 0x0085 in decimal: a VIC 1225.
        assert_eq!(device.board_id.as_deref(), Some("133"));
        assert_eq!(device.node_guid.as_deref(), Some("0200:5eff:fe00:5306"));
        assert_eq!(device.ports[0].rate_mbps, Some(10_000));
    }

    #[test]
    fn the_pool_of_vfs_and_what_they_need_is_known() {
        let host = host("cisco-usnic");
        let pool = nic(&host, "usnic_0").rdma_devices[0].usnic.as_ref().unwrap();
        assert_eq!((pool.vfs, pool.queue_pairs_per_vf, pool.completion_queues_per_vf), (4, 6, 4));
        assert_eq!((pool.vfs_in_use(), pool.queue_pairs.len()), (0, 0));
        let pf = host.function(nic(&host, "usnic_0").pci.unwrap()).unwrap();
        assert!(pf.vfs.iter().all(|vf| host.function(*vf).unwrap().iommu_group.is_some()));
        assert_eq!(host.memlock, Some(8 << 20));
    }

    #[test]
    fn usnic_is_isolated_by_view() {
        let host = host("cisco-usnic");
        let isolation = &nic(&host, "usnic_0").isolation;
        assert_eq!(isolation.method, IsolationMethod::View);
        assert!(isolation.reason.contains("usnic_verbs cannot move"), "{}", isolation.reason);
        assert_eq!(nic(&host, "eno1").isolation.method, IsolationMethod::Netns);
    }

    #[test]
    fn only_the_administrators_nic_is_in_use() {
        let host = host("cisco-usnic");
        assert!(in_use(nic(&host, "usnic_0")).is_empty());
        assert!(in_use(nic(&host, "usnic_1")).is_empty());
        assert_eq!(
            in_use(nic(&host, "eno1")),
            [
                "eno1 carries the default route (via 192.0.2.1)",
                "eno1 carries the TCP connection 192.0.2.5:22 - 192.0.2.77:50000"
            ]
        );
    }

    #[test]
    fn bridges_lead_from_the_root_port_to_the_vics_own_switch() {
        let host = host("cisco-usnic");
        let pf = host.function("0000:07:00.0".parse().unwrap()).unwrap();
        let bridges: Vec<String> = pf.bridges.iter().map(ToString::to_string).collect();
        assert_eq!(bridges, ["0000:00:03.0", "0000:04:00.0", "0000:05:01.0"]);
        for bridge in &pf.bridges {
            assert_eq!(host.function(*bridge).unwrap().class, 0x06_0400);
        }
    }

    #[test]
    fn rdma_cm_is_known_by_its_numbers() {
        let cm = host("cisco-usnic").rdma_cm.unwrap();
        assert_eq!((cm.path.as_str(), cm.major, cm.minor), ("/dev/infiniband/rdma_cm", 10, 58));
    }
}

mod mlx5_sriov {
    use super::*;

    #[test]
    fn pfs_and_vfs_are_nics_of_their_own_also_without_netdev_or_driver() {
        let host = host("mlx5-sriov");
        let listed = ["eno1", "mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3", "0000:3b:00.4", "0000:3b:00.5"];
        assert_eq!(names(&host), listed);
        for name in ["mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"] {
            assert_eq!(nic(&host, name).kind, NicKind::Roce, "{name}");
        }
        for name in ["0000:3b:00.4", "0000:3b:00.5"] {
            assert_eq!(nic(&host, name).kind, NicKind::Ethernet, "{name}");
        }
    }

    #[test]
    fn virtual_functions_name_their_physical_function_and_the_other_way_round() {
        let host = host("mlx5-sriov");
        let pf = host.function("0000:3b:00.0".parse().unwrap()).unwrap();
        let vfs: Vec<String> = pf.vfs.iter().map(ToString::to_string).collect();
        assert_eq!(vfs, ["0000:3b:00.2", "0000:3b:00.3", "0000:3b:00.4", "0000:3b:00.5"]);
        let other = host.function("0000:3b:00.1".parse().unwrap()).unwrap();
        assert!(other.vfs.is_empty());
        for vf in &pf.vfs {
            assert_eq!(host.function(*vf).unwrap().pf, Some(pf.address));
        }
        assert_eq!(host.function(pf.vfs[3]).unwrap().driver.as_deref(), Some("vfio-pci"));
    }

    #[test]
    fn mlx5_devices_move_in_exclusive_mode() {
        let host = host("mlx5-sriov");
        assert_eq!(host.rdma_netns_mode, Some(RdmaNetnsMode::Exclusive));
        assert_eq!(nic(&host, "mlx5_2").isolation.method, IsolationMethod::RdmaNetns);
    }

    #[test]
    fn each_nic_has_its_uverbs_umad_and_issm_nodes() {
        let host = host("mlx5-sriov");
        let expected = ["/dev/infiniband/uverbs3", "/dev/infiniband/umad3", "/dev/infiniband/issm3"];
        assert_eq!(nodes(nic(&host, "mlx5_3")), expected);
        let device = &nic(&host, "mlx5_3").rdma_devices[0];
        // IB_UMAD_MINOR_BASE 0, IB_ISSM_MINOR_BASE 64.
        assert_eq!((device.umad[0].minor, device.issm[0].minor), (3, 67));
    }

    #[test]
    fn a_node_of_a_device_in_another_rdma_netns_is_nobodys_here() {
        let host = host("mlx5-sriov");
        assert!(host.nics.iter().flat_map(Nic::nodes).all(|node| node.name() != "uverbs4"));
    }

    #[test]
    fn a_leg_of_the_bond_a_vlans_parent_and_an_nfs_mount_are_in_use() {
        let host = host("mlx5-sriov");
        assert_eq!(in_use(nic(&host, "eno1")), ["eno1 is a member of bond bond0"]);
        assert_eq!(in_use(nic(&host, "mlx5_1")), ["ens1f1np1 is a member of bond bond0"]);
        assert_eq!(
            in_use(nic(&host, "mlx5_0")),
            [
                "ens1f0np0 carries the TCP connection 10.30.0.20:700 - 10.30.0.2:2049",
                "vlan vlan100 is stacked on ens1f0np0",
                "its part 0000:3b:00.2 is in use (process 4711 (mpirun) has /dev/infiniband/uverbs2 open)",
                "its part 0000:3b:00.3 is in use (ens1f0v1 carries the default route (via 10.41.0.1))",
                "its part 0000:3b:00.4 is in use (mlx5_core has it, and its netdev is in another network namespace)",
                "its part 0000:3b:00.5 is in use (vfio-pci has it, for a virtual machine or a program)"
            ]
        );
    }

    #[test]
    fn a_default_route_in_another_table_and_an_open_node_are_in_use() {
        let host = host("mlx5-sriov");
        assert!(matches!(&nic(&host, "mlx5_3").in_use[..], [InUse::DefaultRoute { table: 1041, .. }]));
        assert_eq!(in_use(nic(&host, "mlx5_2")), ["process 4711 (mpirun) has /dev/infiniband/uverbs2 open"]);
    }

    #[test]
    fn a_multipath_route_is_with_each_netdev_that_it_uses() {
        let host = host("mlx5-sriov");
        for (name, gateway) in [("mlx5_2", "10.40.0.1"), ("mlx5_3", "10.41.0.1")] {
            let routes = &nic(&host, name).netdevs[0].routes;
            let route = routes
                .iter()
                .find(|route| route.destination.is_some_and(|(ip, _)| ip.to_string() == "10.50.0.0"));
            assert_eq!(route.unwrap().gateway.unwrap().to_string(), gateway);
        }
    }

    #[test]
    fn the_kernels_own_local_routes_are_left_out() {
        let host = host("mlx5-sriov");
        let mut routes = host.nics.iter().flat_map(|nic| &nic.netdevs).flat_map(|netdev| &netdev.routes);
        assert!(routes.all(|route| route.table != 255));
    }

    #[test]
    fn altnames_mtu_speed_and_numa_node_are_known() {
        let host = host("mlx5-sriov");
        let nic = nic(&host, "mlx5_0");
        let netdev = &nic.netdevs[0];
        assert_eq!(netdev.altnames, ["enp59s0f0np0"]);
        assert_eq!((netdev.mtu, netdev.speed_mbps, netdev.carrier), (9000, Some(25_000), Some(true)));
        assert_eq!(nic.numa_node, Some(1));
        assert_eq!(netdev.permanent_mac, netdev.mac);
    }

    #[test]
    fn a_bond_or_vlan_is_no_nic() {
        assert!(
            host("mlx5-sriov").nics.iter().all(|nic| nic.netdevs.iter().all(|n| n.virtual_kind.is_none()))
        );
    }
}

mod efa {
    use super::*;

    #[test]
    fn the_efa_is_a_nic_without_a_netdev_beside_the_ena() {
        let host = host("efa");
        assert_eq!(names(&host), ["ens5", "rdmap0s6"]);
        let efa = nic(&host, "rdmap0s6");
        assert_eq!(efa.kind, NicKind::Efa);
        assert!(efa.netdevs.is_empty());
        assert_eq!(efa.pci.unwrap().to_string(), "0000:00:06.0");
        assert_eq!(nodes(efa), ["/dev/infiniband/uverbs0"]);
        assert_eq!(nic(&host, "ens5").kind, NicKind::Ethernet);
    }

    #[test]
    fn its_node_type_and_link_layer_are_unspecified_and_its_driver_is_efa() {
        let host = host("efa");
        let device = &nic(&host, "rdmap0s6").rdma_devices[0];
        assert_eq!((device.node_type.as_str(), device.driver.as_deref()), ("7: unspecified", Some("efa")));
        assert_eq!(device.ports[0].link_layer, LinkLayer::Unknown);
        assert_eq!(device.ports[0].netdev, None);
    }

    #[test]
    fn efa_is_isolated_by_view_because_its_driver_cannot_move_it() {
        let host = host("efa");
        let isolation = &nic(&host, "rdmap0s6").isolation;
        assert_eq!(isolation.method, IsolationMethod::View);
        assert!(isolation.reason.contains("efa cannot move"), "{}", isolation.reason);
    }

    #[test]
    fn the_instances_only_way_out_is_in_use_and_its_speed_and_node_are_not_told() {
        let host = host("efa");
        let ena = nic(&host, "ens5");
        assert_eq!(in_use(ena).len(), 2);
        assert_eq!((ena.numa_node, ena.netdevs[0].speed_mbps), (None, None));
        assert!(in_use(nic(&host, "rdmap0s6")).is_empty());
    }
}

mod infiniband_8 {
    use super::*;

    /// NVIDIA DGX H100 user guide, table "Network Modules": RDMA device, netdev, CPU.
    const TABLE: [(&str, &str, u32, &str); 8] = [
        ("mlx5_0", "ibp24s0", 0, "0000:18:00.0"),
        ("mlx5_3", "ibp64s0", 0, "0000:40:00.0"),
        ("mlx5_4", "ibp79s0", 0, "0000:4f:00.0"),
        ("mlx5_5", "ibp94s0", 0, "0000:5e:00.0"),
        ("mlx5_6", "ibp154s0", 1, "0000:9a:00.0"),
        ("mlx5_9", "ibp192s0", 1, "0000:c0:00.0"),
        ("mlx5_10", "ibp206s0", 1, "0000:ce:00.0"),
        ("mlx5_11", "ibp220s0", 1, "0000:dc:00.0"),
    ];

    #[test]
    fn each_rail_is_the_nic_of_the_table_in_the_order_of_pci() {
        let host = host("infiniband-8");
        let rails: Vec<&Nic> = host.nics.iter().filter(|nic| nic.kind == NicKind::Ib).collect();
        assert_eq!(rails.len(), 8);
        for (nic, (rdma, netdev, numa, pci)) in rails.iter().zip(TABLE) {
            assert_eq!((nic.name.as_str(), nic.netdevs[0].name.as_str()), (rdma, netdev));
            assert_eq!((nic.numa_node, nic.pci.unwrap().to_string().as_str()), (Some(numa), pci));
        }
    }

    #[test]
    fn the_ipoib_netdev_is_the_ports_though_netlink_names_none() {
        let host = host("infiniband-8");
        let nic = nic(&host, "mlx5_9");
        let port = &nic.rdma_devices[0].ports[0];
        assert_eq!(port.netdev.as_deref(), Some("ibp192s0"));
        assert_eq!(port.netdev_mac, nic.netdevs[0].mac);
        assert_eq!((port.lid, port.link_layer), (Some(0xc0), LinkLayer::InfiniBand));
        assert_eq!(port.rate_mbps, Some(400_000));
    }

    #[test]
    fn an_ipoib_address_has_20_bytes_and_ends_in_the_ports_guid() {
        let host = host("infiniband-8");
        let nic = nic(&host, "mlx5_0");
        let mac = nic.netdevs[0].mac.as_ref().unwrap();
        assert_eq!(mac.0.len(), 20);
        assert!(mac.to_string().ends_with("00:00:5e:ff:fe:00:53:18"));
        assert_eq!(nic.rdma_devices[0].node_guid.as_deref(), Some("0000:5eff:fe00:5318"));
        assert_eq!(nic.netdevs[0].link_type, 32);
        // Of the kind ipoib for netlink, and hardware all the same.
        assert_eq!(nic.netdevs[0].virtual_kind, None);
    }

    #[test]
    fn infiniband_has_management_nodes() {
        let host = host("infiniband-8");
        let expected = ["/dev/infiniband/uverbs5", "/dev/infiniband/umad5", "/dev/infiniband/issm5"];
        assert_eq!(nodes(nic(&host, "mlx5_9")), expected);
    }

    #[test]
    fn in_shared_mode_the_view_isolates_and_the_reason_names_the_alternative() {
        let isolation = &nic(&host("infiniband-8"), "mlx5_0").isolation.clone();
        assert_eq!(isolation.method, IsolationMethod::View);
        assert!(isolation.reason.contains("rdma system set netns exclusive"));
    }

    #[test]
    fn gpus_are_not_read_but_bridges_are() {
        let host = host("infiniband-8");
        assert!(host.pci.iter().all(|function| function.vendor != 0x10de));
        let nic = host.function("0000:dc:00.0".parse().unwrap()).unwrap();
        assert_eq!(nic.bridges.len(), 3);
    }
}

mod none {
    use super::*;

    #[test]
    fn a_host_without_a_fabric_nic_has_its_ethernet_nic_only() {
        let host = host("none");
        assert_eq!(names(&host), ["enp0s31f6"]);
        assert_eq!(host.nics[0].kind, NicKind::Ethernet);
        assert_eq!((host.rdma_netns_mode, &host.rdma_cm), (None, &None));
    }

    #[test]
    fn the_connection_is_found_and_listeners_are_none() {
        let host = host("none");
        assert_eq!(
            in_use(&host.nics[0]),
            [
                "enp0s31f6 carries the default route (via 192.0.2.1)",
                "enp0s31f6 carries the TCP connection 192.0.2.10:22 - 192.0.2.77:50000"
            ]
        );
    }

    #[test]
    fn a_usb_adapter_is_not_the_nic_of_its_controller() {
        let host = host("none");
        assert!(host.pci.iter().all(|function| function.address.to_string() != "0000:00:14.0"));
    }
}
