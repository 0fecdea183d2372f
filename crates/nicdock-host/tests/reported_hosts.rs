//! Situations that people report of their hosts: what belongs to which NIC, and what uses it.

use nicdock_host::constructed::{Machine, hosts};
use nicdock_host::inventory;
use nicdock_host::model::{Host, InUse, Link, Nic, NicKind, Node};

fn read(machine: Machine) -> Host {
    inventory::read(&machine.capture()).unwrap()
}

fn nic<'a>(host: &'a Host, name: &str) -> &'a Nic {
    host.nics.iter().find(|nic| nic.name == name).unwrap()
}

fn netdevs(nic: &Nic) -> Vec<&str> {
    nic.netdevs.iter().map(|netdev| netdev.name.as_str()).collect()
}

fn in_use(nic: &Nic) -> Vec<String> {
    nic.in_use.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sub_function_is_a_nic_of_its_own_and_its_neighbours_user_is_not_its() {
    let host = read(hosts::subfunctions());
    let names: Vec<&str> = host.nics.iter().map(|nic| nic.name.as_str()).collect();
    assert_eq!(names, ["eno1", "rocep193s0f0", "rocep193s0f0S88", "rocep193s0f0S99"]);
    let first = nic(&host, "rocep193s0f0S88");
    assert_eq!(first.key(), "0000:c1:00.0/mlx5_core.sf.4");
    assert_eq!((first.auxiliary.as_deref(), first.whole_function()), (Some("mlx5_core.sf.4"), None));
    assert_eq!(netdevs(first), ["enp193s0f0S88"]);
    assert_eq!(first.nodes().map(Node::name).collect::<Vec<_>>(), ["uverbs1"]);
    assert!(first.in_use.is_empty(), "{:?}", first.in_use);
    assert_eq!(
        in_use(nic(&host, "rocep193s0f0S99")),
        ["process 4711 (ceph-osd) has /dev/infiniband/uverbs2 open"]
    );
    let pf = nic(&host, "rocep193s0f0");
    assert_eq!(netdevs(pf), ["enp193s0f0np0"]);
    assert!(matches!(&pf.in_use[..], [InUse::VfInUse { vf, .. }] if vf == "0000:c1:00.0/mlx5_core.sf.5"));
}

#[test]
fn representors_are_no_nics_netdevs_by_the_drivers_word_or_by_the_rdma_devices() {
    let host = read(hosts::subfunctions());
    let told: Vec<String> = host.representors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "en0f0pf0sf88 represents pf0sf88 on the switch of 0000:c1:00.0",
            "en0f0pf0sf99 represents pf0sf99 on the switch of 0000:c1:00.0"
        ]
    );
    let host = read(hosts::switchdev());
    assert_eq!(netdevs(nic(&host, "rocep129s0f0")), ["pf0"]);
    let names: Vec<&str> = host.representors.iter().map(|one| one.netdev.as_str()).collect();
    assert_eq!(names, ["eth0", "eth1", "eth2"]);
}

#[test]
fn a_physical_function_is_in_use_if_a_virtual_machine_has_a_part_of_it() {
    let host = read(hosts::switchdev());
    let pf = in_use(nic(&host, "rocep129s0f0"));
    assert_eq!(pf.len(), 1, "{pf:?}");
    assert!(pf[0].starts_with("its part 0000:81:00.4 is in use (vfio-pci has it"), "{pf:?}");
    assert_eq!(in_use(nic(&host, "0000:81:00.4")), ["process 4712 (qemu-system-x86) has /dev/vfio/94 open"]);
    assert!(nic(&host, "rocep129s0f0v0").in_use.is_empty());
}

#[test]
fn a_lags_device_has_the_bonds_addresses_and_uses_and_both_legs_are_part_of_it() {
    let host = read(hosts::roce_lag());
    let lag = nic(&host, "mlx5_bond_0");
    let tie = &lag.ports_elsewhere[0];
    assert_eq!((tie.netdev.name.as_str(), tie.nic.as_deref()), ("bond0", None));
    assert_eq!(tie.netdev.addresses[0].to_string(), "198.51.100.15/24");
    assert!(in_use(lag).contains(&"port 1 of mlx5_bond_0 has the netdev bond0".to_owned()));
    for leg in ["mlx5_bond_0", "ens5f1np1"] {
        let carries = &nic(&host, leg).carries;
        assert!(carries.iter().any(|tie| tie.is_leg && tie.nic == "0000:99:00.0"), "{leg}: {carries:?}");
    }
}

#[test]
fn an_rdma_function_is_used_like_the_netdev_of_its_port_wherever_that_is() {
    let host = read(hosts::erdma());
    let used = in_use(nic(&host, "erdma_0"));
    assert!(used.contains(&"eth0 carries the default route (via 192.0.2.1)".to_owned()), "{used:?}");
    assert!(used.iter().any(|sign| sign.contains("192.0.2.55:22")), "{used:?}");
    for free in ["erdma_1", "eth1"] {
        assert!(nic(&host, free).in_use.is_empty(), "{free}: {:?}", nic(&host, free).in_use);
    }
    assert_eq!(nic(&host, "erdma_1").ports_elsewhere[0].nic.as_deref(), Some("0000:00:06.0"));
    assert_eq!(nic(&host, "eth1").carries[0].nic, "0000:9d:00.0");
}

#[test]
fn a_process_that_has_an_rdma_function_open_uses_the_netdev_of_its_port_too() {
    let mut machine = hosts::erdma();
    machine.open_node(4711, "redis-server", "uverbs1");
    let host = read(machine);
    for used in ["erdma_1", "eth1"] {
        assert!(in_use(nic(&host, used)).iter().any(|sign| sign.contains("redis-server")), "{used}");
    }
}

#[test]
fn two_ports_of_one_function_are_one_nic_with_both_netdevs() {
    let host = read(hosts::mlx4_two_ports());
    assert_eq!(netdevs(nic(&host, "mlx4_0")), ["enp3s0", "enp3s0d1"]);
    assert!(host.representors.is_empty());
}

#[test]
fn a_vpi_card_speaks_both_and_its_active_port_counts_first() {
    let host = read(hosts::mlx4_vpi());
    let vpi = nic(&host, "mlx4_0");
    assert_eq!((vpi.kind, &vpi.kinds[..]), (NicKind::Roce, &[NicKind::Ib, NicKind::Roce][..]));
    assert!(vpi.speaks(NicKind::Ib) && vpi.speaks(NicKind::Roce) && !vpi.speaks(NicKind::Ethernet));
    let links: Vec<String> =
        vpi.rdma_devices[0].ports.iter().map(|port| Link::of_port(vpi, port).to_string()).collect();
    assert_eq!(links, ["down 56G", "up 40G"]);
    assert_eq!(Link::of(vpi).to_string(), "up 40G");
}

#[test]
fn a_job_that_has_the_drivers_own_node_open_is_seen() {
    let host = read(hosts::hfi1());
    assert_eq!(in_use(nic(&host, "hfi1_0")), ["process 4713 (mpi_job) has /dev/hfi1_0 open"]);
}

#[test]
fn a_node_of_another_number_is_not_its_unless_its_device_was_renamed() {
    let mut machine = hosts::hfi1();
    machine.open_node(4714, "other", "/dev/hfi1_10");
    let host = read(machine);
    assert_eq!(nic(&host, "hfi1_0").in_use.len(), 1);
}

#[test]
fn a_connection_from_an_address_on_lo_is_a_use_of_the_nic_that_it_leaves_by() {
    let host = read(hosts::routing_on_host());
    assert_eq!(
        in_use(nic(&host, "rocep193s0f0")),
        ["the TCP connection 198.51.100.18:22 - 203.0.113.7:50000 leaves by enp193s0f0np0"]
    );
    assert!(nic(&host, "rocep193s0f1").in_use.is_empty());
}

#[test]
fn halves_of_a_default_route_are_a_use() {
    let host = read(hosts::split_default());
    assert_eq!(
        in_use(nic(&host, "mlx5_0")),
        [
            "ens1 carries the default route for 0.0.0.0/1 (via 198.51.100.1)",
            "ens1 carries the default route for 128.0.0.0/1 (via 198.51.100.1)",
            "ens1 carries the default route for 2000::/3 (via fe80::1)"
        ]
    );
}

#[test]
fn a_part_of_the_kernel_that_has_queue_pairs_is_a_use_and_the_rdma_cores_own_are_none() {
    let mut machine = hosts::erdma();
    machine.kernel_queue_pairs(1, "ib_core", 2).kernel_queue_pairs(1, "nvme_rdma", 8);
    let capture = machine.capture();
    for host in [inventory::read(&capture).unwrap(), inventory::read(&capture.redacted()).unwrap()] {
        let erdma = nic(&host, "erdma_1");
        assert_eq!(in_use(erdma), ["the kernel's nvme_rdma has 8 queue pairs of erdma_1"]);
        // The netdev of its port goes with it.
        assert!(in_use(nic(&host, "eth1")).contains(&in_use(erdma)[0]));
    }
}
