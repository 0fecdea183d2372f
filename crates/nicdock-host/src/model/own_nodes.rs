//! Drivers whose programs use character devices of the driver's own instead of, or beside, the RDMA core's.

/// Where the nodes of such a driver are, each with a number behind: hfi1 (`user_add()` of drivers/infiniband/hw/hfi1/file_ops.c), qib
/// (`qib_cdev_init()`), Slingshot's cxi.
pub fn own_nodes(driver: &str) -> Option<&'static str> {
    match driver {
        "hfi1" => Some("/dev/hfi1_"),
        "ib_qib" => Some("/dev/ipath"),
        _ if driver.starts_with("cxi") => Some("/dev/cxi"),
        _ => None,
    }
}
