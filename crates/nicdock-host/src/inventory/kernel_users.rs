//! Parts of the kernel that use an RDMA device: NVMe-oF, NFS, Lustre, RDS, SMC and the like.

use std::io;

use nicdock_netlink::rdma::parse_kernel_users;

use super::sysfs::Sysfs;
use super::{InventoryError, malformed};
use crate::model::InUse;
use crate::source::{Dump, Source};

/// Modules whose queue pairs every device has: the RDMA core's own, `IPoIB`'s, and those of the drivers.
const OF_EVERY_DEVICE: [&str; 25] = [
    "ib_core",
    "ib_cm",
    "iw_cm",
    "rdma_cm",
    "ib_ipoib",
    "mlx5_ib",
    "mlx4_ib",
    "ib_mthca",
    "bnxt_re",
    "hns_roce_hw_v2",
    "irdma",
    "i40iw",
    "qedr",
    "ocrdma",
    "iw_cxgb4",
    "efa",
    "erdma",
    "mana_ib",
    "ionic_rdma",
    "hfi1",
    "ib_qib",
    "rdma_rxe",
    "siw",
    "vmw_pvrdma",
    "usnic_verbs",
];

/// Signs of use of the device with this index, one for each module.
pub fn read(
    source: &dyn Source,
    sysfs: &Sysfs,
    device: &str,
    index: u32,
) -> Result<Vec<InUse>, InventoryError> {
    let answer = match source.dump(Dump::RdmaQueuePairs(index)) {
        Ok(answer) => answer,
        // A capture of before, or a device that went away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            sysfs.warn(format!(
                "cannot list the queue pairs of {device}: {error}; whether the kernel uses it (NVMe-oF, NFS, SMC) is not known"
            ));
            return Ok(Vec::new());
        }
    };
    let users = parse_kernel_users(&answer).map_err(malformed("queue pairs"))?;
    let others = users.into_iter().filter(|(module, _)| !OF_EVERY_DEVICE.contains(&module.as_str()));
    let sign = |(module, queue_pairs)| InUse::KernelUser { device: device.to_owned(), module, queue_pairs };
    Ok(others.map(sign).collect())
}
