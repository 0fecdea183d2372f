//! A container with a sub-function sees that one, and of its function nothing that is the whole card's.

use nicdock_host::constructed::hosts;

use super::super::{Shown, nic, open};
use super::everything;
use super::machines::Memory;

fn shown() -> Shown {
    Shown {
        of_host_network: false,
        netdevs: vec!["enp193s0f0S88".into()],
        rdma_devices: vec!["rocep193s0f0S88".into()],
        nodes: vec!["uverbs1".into()],
        functions: vec!["0000:c1:00.0".into()],
        shared_functions: vec!["0000:c1:00.0".into()],
        bridges: vec!["0000:c0:01.1".into()],
        registers: true,
    }
}

#[test]
fn neither_the_functions_own_netdev_nor_another_sub_function_nor_a_representor_is_shown() {
    let tree = Memory::of(hosts::subfunctions());
    for view in [nic::nic(&tree, &shown()).unwrap(), open::open(&tree, &shown()).unwrap()] {
        let all: Vec<&str> = everything(&view).collect();
        assert!(all.iter().any(|path| path.ends_with("mlx5_core.sf.4/net/enp193s0f0S88")), "{all:?}");
        for foreign in
            ["mlx5_core.sf.5", "S99", "enp193s0f0np0", "en0f0pf0sf88", "uverbs0", "uverbs2", "rocep193s0f0/"]
        {
            assert!(!all.iter().any(|path| path.contains(foreign)), "{foreign}: {all:?}");
        }
        let is_mounted_whole = |path: &&String| path.ends_with("0000:c1:00.0") || path.ends_with("/resource");
        assert!(!view.mounts.iter().any(|path| is_mounted_whole(&path)), "{:?}", view.mounts);
    }
}
