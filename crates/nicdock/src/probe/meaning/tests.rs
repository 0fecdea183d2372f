use super::*;

fn process(memlock: Option<u64>, shared_mode: Option<bool>) -> Process {
    Process { uid: 1000, memlock, exceeds_memlock: false, kernel: "6.1.0".into(), shared_mode }
}

fn node(mode: u32, permits: bool) -> Node {
    Node { path: "/dev/infiniband/uverbs0".into(), mode, uid: 0, gid: 0, number: Some((231, 192)), permits }
}

fn known<'a>(process: &'a Process, node: Option<&'a Node>) -> Circumstances<'a> {
    Circumstances {
        process,
        device: "usnic_0",
        usnic: true,
        node,
        node_path: Path::new("/dev/infiniband/uverbs0"),
        abi: Some("4"),
        netdev: Some("eth4"),
        address: Some(Ipv4Addr::new(10, 78, 1, 2)),
        memory: 8 << 20,
    }
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no '{part}' in: {text}");
    }
}

#[test]
fn a_node_that_may_not_be_opened_is_told_from_one_that_is_forbidden() {
    let process = process(None, None);
    let (private, public) = (node(0o600, false), node(0o666, true));
    says(&meaning(Step::Open, libc::EACCES, &known(&process, Some(&private))), &["uid 1000", "0600", "0:0"]);
    says(&meaning(Step::Open, libc::EACCES, &known(&process, Some(&public))), &["nodev"]);
    says(&meaning(Step::Open, libc::EPERM, &known(&process, Some(&public))), &["device cgroup", "exclusive"]);
    says(
        &meaning(Step::Node, libc::ENOENT, &known(&process, None)),
        &["is not there", "nicdock run --nic usnic_0"],
    );
    says(&meaning(Step::Open, libc::ENXIO, &known(&process, Some(&public))), &["no device behind"]);
}

#[test]
fn where_the_rdma_netns_mode_is_known_only_what_can_be_is_named() {
    let public = node(0o666, true);
    let shared = process(None, Some(true));
    let text = meaning(Step::Open, libc::EPERM, &known(&shared, Some(&public)));
    assert!(!text.contains("exclusive"), "{text}");
    let exclusive = process(None, Some(false));
    says(
        &meaning(Step::Open, libc::EPERM, &known(&exclusive, Some(&public))),
        &["rdma dev set usnic_0 netns"],
    );
}

#[test]
fn memory_that_cannot_be_registered_is_explained_by_the_limit() {
    let none = process(Some(0), None);
    says(&meaning(Step::RegMr, libc::EPERM, &known(&none, None)), &["RLIMIT_MEMLOCK is 0"]);
    let small = process(Some(65536), None);
    says(&meaning(Step::RegMr, libc::ENOMEM, &known(&small, None)), &["8192 KiB do not fit", "64 KiB"]);
    let unlimited = process(None, None);
    says(&meaning(Step::RegMr, libc::ENOMEM, &known(&unlimited, None)), &["memory cgroup"]);
}

#[test]
fn each_error_of_a_usnic_queue_pair_has_its_meaning() {
    let process = process(None, None);
    let text = |errno| meaning(Step::CreateQp, errno, &known(&process, None));
    says(&text(libc::ENOMEM), &["no VF of usnic_0 is free"]);
    says(&text(libc::EPERM), &["eth4 has no carrier"]);
    says(&text(libc::EINVAL), &["no IPv4 address of eth4", "IOMMU group"]);
    says(&text(libc::EFAULT), &["10.78.1.2", "firmware"]);
    says(&text(libc::EBUSY), &["vfio"]);
}

#[test]
fn a_driver_that_refuses_the_context_is_named_by_its_abi() {
    let process = process(None, None);
    says(&meaning(Step::GetContext, libc::EINVAL, &known(&process, None)), &["version 4 of its ABI"]);
}

#[test]
fn the_rdma_cgroups_limit_is_known_at_every_step() {
    let process = process(None, None);
    for step in [Step::GetContext, Step::AllocPd, Step::RegMr, Step::CreateCq, Step::CreateQp] {
        says(&meaning(step, libc::EAGAIN, &known(&process, None)), &["rdma.max"]);
    }
}

#[test]
fn an_error_without_a_meaning_is_told_as_the_system_does() {
    let process = process(None, None);
    says(
        &meaning(Step::AllocPd, libc::ERANGE, &known(&process, None)),
        &["numerical result out of range", "dmesg"],
    );
}
