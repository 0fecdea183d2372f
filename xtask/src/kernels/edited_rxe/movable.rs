//! `rdma_rxe` whose devices can be moved between RDMA network namespaces.
//!
//! No driver that the lab has devices for can do that: `ib_device_set_netns_put()` (drivers/infiniband/core/device.c) refuses
//! every driver without `disassociate_ucontext`. This one is Debian's own source with that one operation added, empty: rxe
//! has no hardware of which a moved device's users would have to be cut off.

use super::{Build, Edit};

pub const MOVABLE: Build = Build {
    folder: "rxe-movable",
    what: "with devices that can move",
    edits: &[Edit {
        file: "rxe_verbs.c",
        old: "static const struct ib_device_ops rxe_dev_ops = {\n",
        new: "static void rxe_disassociate_ucontext(struct ib_ucontext *context) {}\n\n\
              static const struct ib_device_ops rxe_dev_ops = {\n\
              \t.disassociate_ucontext = rxe_disassociate_ucontext,\n",
    }],
};
