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
    package("gcc", "links Rust programs, compiles libbpf"),
    package("make", "builds libbpf"),
    package("pkg-config", "finds the libraries below"),
    package("libseccomp-dev", "libcontainer: seccomp filters"),
    package("libelf-dev", "libcontainer: the device cgroup of cgroup v2 is a BPF program (libbpf)"),
    package("zlib1g-dev", "libelf needs it"),
    // The lab's machine
    package("qemu-system-x86", "the lab's machine"),
    package("busybox-static", "the lab's first process, before the host's files are there"),
    package("kmod", "depmod for the lab's kernels, modprobe in the lab"),
    package("xz-utils", "unpacks the lab's kernels and their modules"),
    package("zstd", "the same, for kernels that use it"),
    // Inside the lab
    package("iproute2", "ip and rdma: the lab's NICs and soft-RoCE devices"),
    package("iputils-ping", "ping in the lab"),
    package("rdma-core", "RDMA's user space"),
    package("libibverbs1", "verbs for programs in containers"),
    package("ibverbs-providers", "user space of rxe and of every other RDMA device"),
    package("ibverbs-utils", "ibv_devices, ibv_devinfo, ibv_rc_pingpong"),
    package("perftest", "ib_write_bw and its kin: speed, proven"),
    package("crun", "an OCI runtime to work under and to be compared with"),
    package("runc", "another"),
    package("jq", "makes OCI bundles in scripts, reads JSON output"),
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
