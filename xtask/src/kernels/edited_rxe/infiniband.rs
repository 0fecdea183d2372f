//! `rdma_rxe` whose devices pretend to be InfiniBand: beside them the kernel's own ib_ipoib makes a real IPoIB netdev.
//!
//! Nothing in ib_core or ib_ipoib is changed. The devices have no subnet manager, so their IPoIB netdevs no carrier, and
//! they carry no traffic. They can be moved between RDMA network namespaces, as hardware's can.

use super::{Build, Edit};

pub const INFINIBAND: Build =
    Build { folder: "rxe-infiniband", what: "that pretends to be InfiniBand", edits: EDITS };

const EDITS: &[Edit] = &[
    Edit {
        // A fixed speed: `ib_get_eth_speed()` says EINVAL for a port that is not Ethernet, and wants a netdev. A lid: the last
        // byte of the NIC's MAC address.
        file: "rxe_verbs.c",
        old: "\trc = ib_get_eth_speed(dev, port_num, &attr->active_speed,\n\
                  \t\t\t      &attr->active_width);\n",
        new: "\trc = 0;\n\
                  \tattr->active_speed = IB_SPEED_EDR;\n\
                  \tattr->active_width = IB_WIDTH_4X;\n\
                  \tattr->lid = rxe->ndev->dev_addr[5];\n\
                  \tattr->sm_lid = 1;\n",
    },
    Edit {
        // A knob for tests: `ip -n hidden-eth0 link set eth0 allmulticast on` makes the port what one is to which no subnet manager
        // has come.
        file: "rxe_verbs.c",
        old: "\tif (attr->state == IB_PORT_ACTIVE)\n\
              \t\tattr->phys_state = IB_PORT_PHYS_STATE_LINK_UP;\n",
        new: "\tif (attr->state == IB_PORT_ACTIVE) {\n\
              \t\tattr->phys_state = IB_PORT_PHYS_STATE_LINK_UP;\n\
              \t\tif (rxe->ndev->flags & IFF_ALLMULTI)\n\
              \t\t\tattr->state = IB_PORT_INIT;\n\
              \t}\n",
    },
    Edit {
        // The port's one GID: `config_non_roce_gid_cache()` asks the driver for it; RoCE's come from IP addresses.
        file: "rxe_verbs.c",
        old: "static int rxe_query_pkey(struct ib_device *device,\n",
        new: "static int rxe_query_gid(struct ib_device *device, u32 port_num, int index, union ib_gid *gid)\n\
                  {\n\
                  \tstruct rxe_dev *rxe = to_rdev(device);\n\
                  \n\
                  \tgid->global.subnet_prefix = rxe->port.subnet_prefix;\n\
                  \tgid->global.interface_id = rxe->port.port_guid;\n\
                  \treturn 0;\n\
                  }\n\
                  \n\
                  static void rxe_disassociate_ucontext(struct ib_ucontext *context) {}\n\
                  \n\
                  static int rxe_query_pkey(struct ib_device *device,\n",
    },
    Edit {
        // What makes ib_core take the port for InfiniBand's.
        file: "rxe_verbs.c",
        old: "\treturn IB_LINK_LAYER_ETHERNET;\n",
        new: "\treturn IB_LINK_LAYER_INFINIBAND;\n",
    },
    Edit {
        // What its port can do. Without IB_SMI: rxe has no QP0.
        file: "rxe_verbs.c",
        old: "\timmutable->core_cap_flags = RDMA_CORE_PORT_IBA_ROCE_UDP_ENCAP;\n",
        new: "\timmutable->core_cap_flags = RDMA_CORE_PORT_IBA_IB & ~RDMA_CORE_CAP_IB_SMI;\n",
    },
    Edit {
        // Not soft-RoCE for whoever asks RDMA netlink, as nicdock does. qib is a driver of hardware whose libibverbs provider asks
        // nothing more of a context, so that ibv_devinfo works on the host (nothing else of libibverbs does).
        file: "rxe_verbs.c",
        old: "\t.driver_id = RDMA_DRIVER_RXE,\n",
        new: "\t.driver_id = RDMA_DRIVER_QIB,\n",
    },
    Edit {
        // Devices that can move, as hardware's can (see `movable.rs`), and the GID of above.
        file: "rxe_verbs.c",
        old: "\t.query_device = rxe_query_device,\n",
        new: "\t.disassociate_ucontext = rxe_disassociate_ucontext,\n\
                  \t.query_device = rxe_query_device,\n\
                  \t.query_gid = rxe_query_gid,\n",
    },
    Edit {
        // Below the NIC's PCI function, as hardware is. No netdev belongs to an InfiniBand port, so that moving the Ethernet netdev
        // does not remove the device either (`rxe_notify()` does not find it).
        file: "rxe_verbs.c",
        old: "\terr = ib_device_set_netdev(&rxe->ib_dev, rxe->ndev, 1);\n\
                  \tif (err)\n\
                  \t\treturn err;\n\
                  \n",
        new: "\tdev->dev.parent = rxe->ndev->dev.parent;\n\
                  \n",
    },
    Edit {
        // A peer's address is a lid, which rxe cannot reach: `rxe_init_av()` would read a GRH that is not there (a null sgid_attr)
        // when ib_core makes the address handle of the subnet manager.
        file: "rxe_av.c",
        old: "\tif (rdma_ah_get_ah_flags(attr) & IB_AH_GRH) {\n",
        new: "\tif (!(rdma_ah_get_ah_flags(attr) & IB_AH_GRH))\n\
                  \t\treturn -EOPNOTSUPP;\n\
                  \telse {\n",
    },
    Edit {
        // rxe never forgets its GSI queue pair: after a move of the device, or an unload of ib_core's clients, ib_mad could not
        // make another ("Couldn't create ib_mad QP1").
        file: "rxe_qp.c",
        old: "\t\tif (init->qp_type == IB_QPT_GSI && port->qp_gsi_index) {\n",
        new: "\t\tif (0) {\n",
    },
    Edit {
        // One GID.
        file: "rxe_param.h",
        old: "\tRXE_PORT_GID_TBL_LEN\t\t= 1024,\n",
        new: "\tRXE_PORT_GID_TBL_LEN\t\t= 1,\n",
    },
    Edit {
        // The driver's devices are taken away by the id that they have.
        file: "rxe.c",
        old: "\tib_unregister_driver(RDMA_DRIVER_RXE);\n",
        new: "\tib_unregister_driver(RDMA_DRIVER_QIB);\n",
    },
];
