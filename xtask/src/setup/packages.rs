//! The one list of what is installed, and why.

/// A Debian package and the reason it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    pub name: &'static str,
    pub why: &'static str,
}

const fn package(name: &'static str, why: &'static str) -> Package {
    Package { name, why }
}

/// Everything `cargo xtask setup` installs.
pub const PACKAGES: &[Package] = &[
    // Building
    package("gcc", "links Rust programs, compiles the virtual VIC"),
    package("libc6-dev", "gcc needs it"),
    package("pkg-config", "finds libraries"),
    package("libseccomp-dev", "libcontainer: seccomp filters"),
    // The virtual VIC: QEMU with that device, and libfabric with usNIC
    package("ninja-build", "builds QEMU"),
    package("patch", "cures it of a fault"),
    package("python3-venv", "QEMU's configure, and the meson that it wants"),
    package("libglib2.0-dev", "QEMU stands on it"),
    package("libattr1-dev", "QEMU: the lab's shares of the host's files (9p)"),
    package("libcap-ng-dev", "the same"),
    package("make", "builds libfabric"),
    package("autoconf", "prepares libfabric's sources"),
    package("automake", "the same"),
    package("libtool", "the same"),
    package("libibverbs-dev", "libfabric's usnic provider"),
    package("libnl-3-dev", "the same: it asks the kernel for routes"),
    package("libnl-route-3-dev", "the same"),
    // The lab's machine
    package("qemu-system-x86", "the lab's machine"),
    package("busybox-static", "the lab's first process, before the host's files are there"),
    package("kmod", "depmod for the lab's kernels, modprobe in the lab"),
    package("xz-utils", "unpacks the lab's kernels and their modules"),
    package("zstd", "the same, for kernels that use it"),
    // Inside the lab
    package("iproute2", "ip and rdma: the lab's NICs and soft-RoCE devices"),
    package("ethtool", "offloads, rings and the like in the lab: that they are as before"),
    package("iputils-ping", "ping in the lab"),
    package("rdma-core", "RDMA's user space"),
    package("libibverbs1", "verbs for programs in containers"),
    package("ibverbs-providers", "user space of rxe and of every other RDMA device"),
    package("ibverbs-utils", "ibv_devices, ibv_devinfo, ibv_rc_pingpong"),
    package("perftest", "ib_write_bw and its kin: speed, proven"),
    package("hwloc-nox", "lstopo: the machine's topology, as programs of the field see it in a container"),
    package("libfabric-bin", "fi_info: what libfabric offers there"),
    package("ucx-utils", "ucx_info: what UCX offers there"),
    package("openmpi-bin", "mpirun and ompi_info: a program of two ranks runs there"),
    package("lxc", "LXC: nicdock gives its containers NICs"),
    package("lxd", "LXD, which stands on LXC: the same with its containers; lxcfs comes with it"),
    package("lxd-client", "lxc, its command"),
    package("libvirt-daemon", "libvirt: nicdock gives its containers NICs"),
    package("libvirt-daemon-driver-lxc", "its containers"),
    package("libvirt-clients", "virsh, to start them"),
    package("libxml2-utils", "xmllint: a domain's metadata against its schema"),
    package("crun", "an OCI runtime to work under and to be compared with"),
    package("runc", "another"),
    package("podman", "containers with NICs as CDI devices"),
    package("conmon", "podman watches its containers by it"),
    package("docker.io", "containers with NICs by a runtime of nicdock's; containerd comes with it"),
    package("jq", "makes OCI bundles in scripts, reads JSON output"),
    package("sudo", "lets users in there, as su and login do, which are there"),
    package("openssh-server", "the same from outside: what MPI starts its ranks by"),
    // The package
    package("dpkg-dev", "dpkg-shlibdeps: which libraries the package needs"),
    package("binutils", "strip: what only debuggers read of programs"),
    package("lintian", "checks the package"),
    package("debootstrap", "fresh Debian roots, in which the package is installed"),
    // Anywhere
    package("strace", "shows which system call failed"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_package_is_listed_twice_or_without_a_reason() {
        let names: BTreeSet<_> = PACKAGES.iter().map(|package| package.name).collect();
        assert_eq!(names.len(), PACKAGES.len());
        assert!(PACKAGES.iter().all(|package| !package.why.is_empty()));
    }
}
