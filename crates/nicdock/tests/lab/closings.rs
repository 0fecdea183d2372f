//! Each closing is needed: with one left out, and the layers that overlap it, the audit finds the hole.

use libtest_mimic::Failed;
use nicdock_audit::Verdict;
use nicdock_audit::report::Report;

use crate::closed::foreign_context;
use crate::nicdock::{command, expect};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("each_closing_that_is_left_out_is_found_by_the_audit", each_is_needed, Lab::is_first_of_its_kernel),
    ("of_two_layers_one_closes_alone", one_layer_is_enough, Lab::is_first_of_its_kernel),
    ("a_container_that_differs_from_its_plan_is_not_started", verify_refuses, Lab::is_first_of_its_kernel),
    ("without_the_rdma_cgroup_a_passed_descriptor_makes_a_context", rdma_cgroup, Lab::is_first_of_its_kernel),
];

/// What is left out, with what overlaps it, and the probes, each of which finds the hole. Verify is left out throughout: it would refuse
/// the
/// start.
const CLOSINGS: [(&str, &str); 14] = [
    ("view", "sys.class.infiniband"),
    ("proc-covers", "proc.interrupts"),
    ("proc-sys", "sysctl.kernel.modprobe"),
    ("cgroup-files", "cgroup.rdma.foreign"),
    ("nodes", "device.listing"),
    ("nodes,device-cgroup", "device.open.uverbs0.existing"),
    ("seccomp-sockets,socket-program", SOCKETS),
    ("seccomp,socket-program", "netlink.rdma,syscall.kcmp,syscall.setns,syscall.vmsplice"),
    ("seccomp-io-uring", "syscall.io_uring_setup"),
    ("seccomp-log,capabilities", "syscall.syslog.size"),
    ("seccomp-namespaces", "syscall.unshare.user"),
    ("seccomp-architectures", "i386.entry"),
    ("capabilities", "capability."),
    ("root-nodev,device-cgroup,capabilities", "device.open.uverbs0."),
];

/// Layers that overlap: what remains when the other is left out closes the hole alone. The BPF program needs cgroup version 2 and
/// the BPF LSM.
const LAYERS: [(&str, &str); 2] = [("seccomp-sockets", SOCKETS), ("socket-program", SOCKETS)];

/// RDMA netlink, generic netlink, a protocol and an option that bring in another module.
const SOCKETS: &str =
    "netlink.rdma,netlink.generic,generic.list,socket.inet.l2tp,socket.inet6.l2tp,socket.tcp_ulp";

/// Each is seen by verify.
const VERIFIED: [&str; 7] =
    ["view", "proc-sys", "nodes", "device-cgroup", "seccomp", "capabilities", "no-new-privileges"];

/// What a container says of the probes whose names have one of `parts`, a list with commas, with closings left out.
pub fn audited(left_open: &str, parts: &str) -> Result<Report, Failed> {
    let args = [
        "run",
        "--audit",
        "--host-root",
        "--nic",
        "rxe1",
        "--netdev",
        "keep",
        "--",
        "--json",
        "--only",
        parts,
    ];
    let output = command(&args).env("NICDOCK_LEAVE_OPEN", left_open).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_str(&text).map_err(|_| format!("{left_open}: {}: {error}", output.status).into())
}

fn open(report: &Report, part: &str) -> bool {
    report.probes.iter().any(|probe| probe.id.starts_with(part) && probe.result == Verdict::Open)
}

fn each_is_needed(_: &Lab) -> Result<(), Failed> {
    for (left_open, parts) in CLOSINGS {
        let report = audited(&format!("{left_open},verify"), parts)?;
        for part in parts.split(',') {
            expect(open(&report, part), format!("{left_open} left out, and no probe {part} finds it"))?;
        }
        println!("{left_open}: {parts}");
    }
    Ok(())
}

fn one_layer_is_enough(_: &Lab) -> Result<(), Failed> {
    let has_program = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    for (left_open, parts) in
        LAYERS.into_iter().filter(|(left_open, _)| has_program || *left_open != "seccomp-sockets")
    {
        let report = audited(&format!("{left_open},verify"), parts)?;
        expect(!report.probes.is_empty(), "nothing was tried")?;
        for part in parts.split(',') {
            expect(!open(&report, part), format!("{left_open} left out opens {part}"))?;
        }
    }
    Ok(())
}

fn verify_refuses(_: &Lab) -> Result<(), Failed> {
    for left_open in VERIFIED {
        let args = ["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--", "true"];
        let output = command(&args).env("NICDOCK_LEAVE_OPEN", left_open).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(output.status.code() == Some(125), format!("{left_open}: {} {text}", output.status))?;
    }
    Ok(())
}

fn rdma_cgroup(_: &Lab) -> Result<(), Failed> {
    let text = foreign_context(&[("NICDOCK_LEAVE_OPEN", "rdma-cgroup")])?;
    expect(text == "context\ncontext\n", text)
}
