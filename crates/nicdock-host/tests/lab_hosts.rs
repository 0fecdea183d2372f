//! The lab's own hosts: what its description says (`cargo xtask lab --nics 3`: an e1000e, a virtio and an e1000e NIC,
//! each behind a root port of its own, with 10.77.N.1/24, fd77:N::1/64 and an rxe), against captures of two kernels.

use std::path::PathBuf;

use nicdock_host::capture::Capture;
use nicdock_host::inventory;
use nicdock_host::model::{Host, IsolationMethod, NicKind, RdmaNetnsMode};

fn host(kernel: &str) -> Host {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/lab-{kernel}.tar.gz"));
    inventory::read(&Capture::open(&path).unwrap()).unwrap()
}

#[test]
fn each_of_three_nics_has_its_rxe_its_netdev_and_its_addresses() {
    for kernel in ["6.1", "7.2"] {
        let host = host(kernel);
        assert!(host.kernel.starts_with(kernel), "{}", host.kernel);
        assert_eq!(host.rdma_netns_mode, Some(RdmaNetnsMode::Shared));
        assert_eq!((host.nics.len(), host.warnings.len()), (3, 0), "{kernel}");
        for (nic, (number, driver)) in host.nics.iter().zip((0..).zip(["e1000e", "virtio-pci", "e1000e"])) {
            assert_eq!((nic.name.as_str(), nic.kind), (format!("rxe{number}").as_str(), NicKind::SoftRoce));
            assert_eq!(nic.netdevs[0].name, format!("eth{number}"));
            let addresses: Vec<String> = nic.netdevs[0].addresses.iter().map(ToString::to_string).collect();
            let net = number + 1;
            assert_eq!(addresses[..2], [format!("10.77.{net}.1/24"), format!("fd77:{net}::1/64")]);
            let function = host.function(nic.pci.unwrap()).unwrap();
            assert_eq!(function.driver.as_deref(), Some(driver));
            assert_eq!(function.bridges.len(), 1);
            assert_eq!(nic.rdma_devices[0].driver.as_deref(), Some("rxe"));
            assert_eq!(nic.rdma_devices[0].ports[0].state, "ACTIVE");
            assert_eq!(nic.isolation.method, IsolationMethod::View);
            assert!(nic.in_use.is_empty(), "{:?}", nic.in_use);
        }
    }
}

#[test]
fn uverbs_nodes_have_the_static_numbers_and_the_names_of_their_order() {
    for kernel in ["6.1", "7.2"] {
        for (nic, number) in host(kernel).nics.iter().zip(0..) {
            let uverbs = nic.rdma_devices[0].uverbs.as_ref().unwrap();
            assert_eq!(uverbs.path, format!("/dev/infiniband/uverbs{number}"));
            // IB_UVERBS_MAJOR and IB_UVERBS_BASE_MINOR of drivers/infiniband/core/uverbs_main.c
            assert_eq!((uverbs.major, uverbs.minor), (231, 192 + number));
        }
    }
}

#[test]
fn routes_are_the_connected_networks_and_none_of_the_table_local() {
    for kernel in ["6.1", "7.2"] {
        let host = host(kernel);
        let routes = &host.nics[1].netdevs[0].routes;
        let destinations: Vec<String> = routes
            .iter()
            .map(|route| route.destination.map(|(ip, len)| format!("{ip}/{len}")).unwrap_or_default())
            .collect();
        assert_eq!(destinations, ["10.77.2.0/24", "fd77:2::/64", "fe80::/64"], "{kernel}");
        assert!(routes.iter().all(|route| route.table == 254 && route.protocol == 2));
    }
}
