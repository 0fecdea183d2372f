//! The parts of the set-up. A new one is a file here and a line in [`ALL`].

mod containerd;
mod docker;
mod iommu;
mod libvirt;
mod lxc;
mod memlock;
mod modules;
mod podman;
mod timer;
mod udev;

use super::part::Part;

/// In the order in which they are done.
pub const ALL: &[Part] = &[
    modules::PART,
    iommu::PART,
    memlock::PART,
    timer::PART,
    udev::PART,
    lxc::PART,
    libvirt::PART,
    podman::PART,
    docker::PART,
    containerd::PART,
];
