//! `nicdock doctor` as programs use it, on captures.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/{name}.tar.gz"))
}

fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nicdock")).arg("doctor").args(arguments).output().unwrap()
}

/// The answers about a capture, and the exit status.
fn examined(name: &str, more: &[&str]) -> (Vec<Value>, i32) {
    let path = capture(name);
    let output = doctor(&[&["--json", "--host", path.to_str().unwrap()], more].concat());
    let listing: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listing["schema"], 1);
    (listing["checks"].as_array().unwrap().clone(), output.status.code().unwrap())
}

fn with_status<'a>(answers: &'a [Value], status: &str) -> Vec<&'a str> {
    let mut ids: Vec<&str> =
        answers.iter().filter(|one| one["status"] == status).map(|one| one["id"].as_str().unwrap()).collect();
    ids.dedup();
    ids
}

#[test]
fn of_a_capture_that_holds_everything_only_leases_and_the_image_are_unknown() {
    let (answers, status) = examined("infiniband-8", &[]);
    assert_eq!(
        with_status(&answers, "unknown"),
        ["image.provider", "image.abi", "leases.state"],
        "{answers:#?}"
    );
    assert_eq!(with_status(&answers, "problem"), [""; 0], "{answers:#?}");
    assert_eq!(status, 0);
    let gid = answers.iter().find(|one| one["id"] == "rdma.gid_index" && one["nic"] == "mlx5_0").unwrap();
    assert!(gid["evidence"].as_str().unwrap().contains("NCCL_IB_GID_INDEX=0"), "{gid}");
}

#[test]
fn what_a_capture_from_before_does_not_have_is_unknown_and_never_ok() {
    let (answers, _) = examined("cisco-usnic", &[]);
    let unknown = with_status(&answers, "unknown");
    for id in [
        "memlock.engine",
        "nodes.uverbs",
        "kernel.seccomp",
        "pcie.link",
        "host.firewall",
        "host.shared_memory",
    ] {
        assert!(unknown.contains(&id), "{id}: {unknown:?}");
    }
    // What the inventory had is judged all the same.
    let of = |id: &str, nic: &str| {
        let found = answers.iter().find(|one| one["id"] == id && one["nic"] == nic);
        found.unwrap_or_else(|| panic!("{id} {nic}"))["status"].as_str().unwrap().to_owned()
    };
    assert_eq!((of("usnic.iommu", "usnic_0"), of("usnic.ipv4", "usnic_0")), ("ok".into(), "ok".into()));
    assert_eq!(of("usnic.ipv4", "usnic_1"), "problem");
}

#[test]
fn the_exit_status_is_1_for_a_problem_and_for_nothing_else() {
    assert_eq!(examined("cisco-usnic", &["--nic", "usnic_0"]).1, 0, "hints and unknown things only");
    assert_eq!(examined("cisco-usnic", &["--nic", "usnic_1"]).1, 1, "a port that is INIT");
    assert_eq!(
        doctor(&["--nic", "none", "--host", capture("none").to_str().unwrap()]).status.code(),
        Some(3)
    );
    assert_eq!(doctor(&["--host", "/nowhere.tar.gz"]).status.code(), Some(12));
    assert_eq!(doctor(&["--image-root", "/nowhere"]).status.code(), Some(12));
    assert_eq!(doctor(&["--pid", "4194304"]).status.code(), Some(3));
}

#[test]
fn an_image_without_the_devices_provider_is_a_problem() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("usr/lib/x86_64-linux-gnu/libibverbs");
    fs::create_dir_all(&folder).unwrap();
    let library = |name: &str| fs::write(folder.parent().unwrap().join(name), "").unwrap();
    let provider = |name: &str| fs::write(folder.join(name), "").unwrap();
    library("libibverbs.so.1.14.50.0");
    provider("librxe-rdmav34.so");
    let image = ["--image-root", root.path().to_str().unwrap(), "--nic", "mlx5_0"];
    let (answers, status) = examined("infiniband-8", &image);
    assert_eq!((with_status(&answers, "problem"), status), (vec!["image.provider"], 1));
    provider("libmlx5-rdmav34.so");
    let (answers, status) = examined("infiniband-8", &image);
    assert_eq!((with_status(&answers, "problem"), status), (vec![], 0), "{answers:#?}");
    assert_eq!(with_status(&answers, "unknown"), ["leases.state"]);
}

#[test]
fn an_images_links_lead_nowhere_outside_of_it() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("libmlx5-rdmav34.so"), "").unwrap();
    fs::create_dir_all(root.path().join("usr/lib")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("usr/lib/libibverbs")).unwrap();
    let (answers, _) =
        examined("infiniband-8", &["--image-root", root.path().to_str().unwrap(), "--nic", "mlx5_0"]);
    assert_eq!(with_status(&answers, "problem"), ["image.provider"]);
}

#[test]
fn the_text_has_problems_first_with_evidence_reason_and_fix() {
    let output = doctor(&["--host", capture("cisco-usnic").to_str().unwrap(), "--nic", "usnic_1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("problem  "), "{text}");
    for part in [
        "problem  usnic.ipv4  usnic_1\n  found: enp7s0 has no IPv4 address\n  why: ",
        "  fix:   ip address add",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("\nproblems: "), "{text}");
}

#[test]
fn this_machine_is_examined_and_its_capture_gets_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("here.tar.gz");
    let file = file.to_str().unwrap();
    let taken =
        Command::new(env!("CARGO_BIN_EXE_nicdock")).args(["capture", "--redact", "-o", file]).output();
    assert!(taken.unwrap().status.success());
    let ids = |output: Output| -> Vec<String> {
        let listing: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = listing["checks"].as_array().unwrap();
        // What a capture does not have, and which daemons run: a `containerd --version` of somebody's may be one at one moment.
        let varies = ["leases.state", "host.shared_memory", "memlock.engine"];
        let told = checks.iter().filter(|one| varies.iter().all(|id| one["id"] != *id));
        told.map(|one| format!("{} {} {}", one["id"], one["nic"], one["status"])).collect()
    };
    let live = ids(doctor(&["--json"]));
    assert!(live.len() >= 25);
    assert_eq!(live, ids(doctor(&["--json", "--host", file])));
}
