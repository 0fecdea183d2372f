//! `nicdock ls` and `nicdock capture` as programs use them. What must be listed is written down by hand, from what
//! `captures/README.md` names as sources.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/{name}.tar.gz"))
}

fn nicdock(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nicdock")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn ls(name: &str, flags: &[&str]) -> String {
    let path = capture(name);
    let arguments = [&["ls", "--host", path.to_str().unwrap()], flags].concat();
    text(&nicdock(&arguments))
}

fn ls_json(name: &str, flags: &[&str]) -> Value {
    serde_json::from_str(&ls(name, &[&["--json"], flags].concat())).unwrap()
}

fn nic<'a>(listing: &'a Value, name: &str) -> &'a Value {
    listing["nics"].as_array().unwrap().iter().find(|nic| nic["name"] == name).unwrap()
}

fn names(listing: &Value) -> Vec<&str> {
    listing["nics"].as_array().unwrap().iter().map(|nic| nic["name"].as_str().unwrap()).collect()
}

/// A temporary directory.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn fabric_nics_are_listed_and_ethernet_only_when_asked_for() {
    for (name, fabric, all) in [
        ("cisco-usnic", 2, 3),
        ("mlx5-sriov", 4, 7),
        ("efa", 1, 2),
        ("infiniband-8", 8, 9),
        ("none", 0, 1),
        ("lab-6.1", 3, 3),
        ("lab-7.2", 3, 3),
    ] {
        assert_eq!(names(&ls_json(name, &[])).len(), fabric, "{name}");
        assert_eq!(names(&ls_json(name, &["--all"])).len(), all, "{name} --all");
    }
}

#[test]
fn a_usnic_is_listed_with_every_field() {
    let listing = ls_json("cisco-usnic", &[]);
    assert_eq!((&listing["schema"], &listing["rdma_netns_mode"]), (&json!(1), &json!("shared")));
    let nic = nic(&listing, "usnic_0");
    let expected = json!({
        "kind": "usnic",
        "rdma_device": "usnic_0",
        "netdev": "enp6s0",
        "pci": "0000:06:00.0",
        "pci_id": "1137:0043",
        "driver": "enic",
        "numa_node": 0,
        "link": {"state": "up", "speed_mbps": 10000},
        "addresses": ["10.10.0.5/16", "fe80::200:5eff:fe00:5306/64"],
        "nodes": ["/dev/infiniband/uverbs0"],
        "pf": null,
        "vfs": ["0000:06:00.1", "0000:06:00.2", "0000:06:00.3", "0000:06:00.4"],
        "held_by": null,
        "in_use": [],
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&nic[field], value, "{field}");
    }
    assert_eq!(nic["isolation"]["method"], "view");
    assert_eq!(nic["rdma_devices"][0]["node_type"], "6: usNIC UDP");
    assert_eq!(nic["netdevs"][0]["mac"], "00:00:5e:00:53:06");
    let pool = json!({"vfs": 4, "vfs_in_use": 0, "queue_pairs_per_vf": 6, "completion_queues_per_vf": 4,
        "completion_queues_in_use": 0, "iommu": true, "queue_pairs": []});
    assert_eq!(nic["rdma_devices"][0]["usnic"], pool);
    assert_eq!(listing["memlock_bytes"], 8 << 20);
}

#[test]
fn a_virtual_function_names_its_pf_and_what_the_host_needs_it_for() {
    let listing = ls_json("mlx5-sriov", &["--all"]);
    let vf = nic(&listing, "mlx5_2");
    assert_eq!((&vf["pf"], &vf["isolation"]["method"]), (&json!("0000:3b:00.0"), &json!("rdma-netns")));
    let sign = json!({
        "what": "open_node",
        "node": "/dev/infiniband/uverbs2",
        "pid": 4711,
        "command": "mpirun",
        "text": "process 4711 (mpirun) has /dev/infiniband/uverbs2 open",
    });
    assert_eq!(vf["in_use"], json!([sign]));
    let unbound = nic(&listing, "0000:3b:00.5");
    assert_eq!((&unbound["kind"], &unbound["netdev"]), (&json!("ethernet"), &Value::Null));
    assert_eq!(unbound["driver"], "vfio-pci");
}

#[test]
fn eight_rails_are_listed_in_the_order_of_their_buses() {
    let listing = ls_json("infiniband-8", &[]);
    let rails = ["mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"];
    assert_eq!(names(&listing), rails);
    let numa: Vec<&Value> = listing["nics"].as_array().unwrap().iter().map(|nic| &nic["numa_node"]).collect();
    assert_eq!(numa, [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(nic(&listing, "mlx5_11")["link"], json!({"state": "up", "speed_mbps": 400_000}));
    assert_eq!(nic(&listing, "mlx5_11")["rdma_devices"][0]["ports"][0]["link_layer"], "infiniband");
}

#[test]
fn an_efa_has_no_netdev() {
    let listing = ls_json("efa", &[]);
    let efa = nic(&listing, "rdmap0s6");
    assert_eq!((&efa["kind"], &efa["netdev"], &efa["addresses"]), (&json!("efa"), &Value::Null, &json!([])));
}

#[test]
fn a_host_without_fabric_nics_says_so() {
    let text = ls("none", &[]);
    assert!(text.starts_with("No fabric NIC was found.\n"), "{text}");
    assert!(text.contains("nicdock ls --all"), "{text}");
    assert_eq!(ls_json("none", &[])["rdma_netns_mode"], Value::Null);
}

#[test]
fn the_table_has_a_line_for_each_nic_and_the_reasons_below() {
    let text = ls("cisco-usnic", &["--all"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("NAME     KIND      NETDEV  PCI"), "{text}");
    assert!(lines[1].contains("host: default route, 1 TCP connection"), "{text}");
    assert!(lines[2].starts_with("usnic_0  usnic     enp6s0  0000:06:00.0 4 VFs"), "{text}");
    assert!(text.contains("view (usnic_0, usnic_1): usnic_verbs cannot move"), "{text}");
    assert!(!text.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn the_tree_goes_from_the_numa_node_over_the_bridges_to_the_nodes() {
    let expected = "\
NUMA node 0
└─ 0000:00:03.0 root port 8086:2030
   └─ 0000:04:00.0 bridge 1137:023e
      ├─ 0000:05:00.0 bridge 1137:0041
      │  └─ 0000:06:00.0 usnic_0 usnic 1137:0043 enic
      │     ├─ VFs 0000:06:00.1 to 0000:06:00.4
      │     ├─ netdev enp6s0 up 10G 10.10.0.5/16 fe80::200:5eff:fe00:5306/64
      │     ├─ RDMA device usnic_0 port 1 ACTIVE
      │     ├─ board 133, firmware 4.1(3a), IOMMU on, memlock here 8192 KiB
      │     ├─ pool of 4 VFs, 0 in use, each with 6 queue pairs and 4 completion queues
      │     └─ node /dev/infiniband/uverbs0 231:192
      └─ 0000:05:01.0 bridge 1137:0041
         └─ 0000:07:00.0 usnic_1 usnic 1137:0043 enic
            ├─ VFs 0000:07:00.1 to 0000:07:00.4
            ├─ netdev enp7s0 up 10G
            ├─ RDMA device usnic_1 port 1 INIT
            ├─ board 133, firmware 4.1(3a), IOMMU on, memlock here 8192 KiB
            ├─ pool of 4 VFs, 0 in use, each with 6 queue pairs and 4 completion queues
            └─ node /dev/infiniband/uverbs1 231:193
";
    assert_eq!(ls("cisco-usnic", &["--tree"]), expected);
}

#[test]
fn an_unpacked_capture_gives_the_same_answer() {
    let folder = scratch();
    for name in ["mlx5-sriov", "lab-7.2"] {
        let unpacked = folder.path().join(name);
        fs::create_dir(&unpacked).unwrap();
        let tar = Command::new("tar").arg("xf").arg(capture(name)).arg("-C").arg(&unpacked).status();
        assert!(tar.unwrap().success());
        let answer = text(&nicdock(&["ls", "--json", "--all", "--host", unpacked.to_str().unwrap()]));
        assert_eq!(answer, ls(name, &["--json", "--all"]), "{name}");
    }
}

#[test]
fn this_machine_is_listed_captured_and_listed_again() {
    let folder = scratch();
    let file = folder.path().join("here.tar.gz");
    let file = file.to_str().unwrap();
    let written = text(&nicdock(&["capture", "-o", file]));
    assert!(written.contains(file), "{written}");
    let pci = |answer: &str| -> Vec<Value> {
        let listing: Value = serde_json::from_str(answer).unwrap();
        listing["nics"].as_array().unwrap().iter().map(|nic| nic["pci"].clone()).collect()
    };
    let live = text(&nicdock(&["ls", "--json", "--all"]));
    let captured = text(&nicdock(&["ls", "--json", "--all", "--host", file]));
    assert_eq!(pci(&live), pci(&captured));
}

#[test]
fn a_capture_is_not_overwritten_unasked() {
    let folder = scratch();
    let file = folder.path().join("here.tar.gz");
    fs::write(&file, "precious").unwrap();
    let refused = nicdock(&["capture", "-o", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(12));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("here.tar.gz") && message.contains("--force"), "{message}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    text(&nicdock(&["capture", "--force", "-o", file.to_str().unwrap()]));
    assert!(fs::read(&file).unwrap().starts_with(&[0x1f, 0x8b]));
}

#[test]
fn a_capture_goes_through_a_pipe_both_ways() {
    let piped = nicdock(&["capture", "--redact", "-o", "-"]);
    assert!(piped.status.success() && piped.stdout.starts_with(&[0x1f, 0x8b]));
    assert!(piped.stderr.is_empty(), "{}", String::from_utf8_lossy(&piped.stderr));
}

#[test]
fn a_broken_capture_is_an_error_that_names_it_and_the_next_step() {
    let folder = scratch();
    let whole = fs::read(capture("efa")).unwrap();
    let cut = folder.path().join("cut.tar.gz");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let missing = folder.path().join("missing.tar.gz");
    let text_file = folder.path().join("notes.txt");
    fs::write(&text_file, "this is not a capture, but it is long enough to be looked at".repeat(20)).unwrap();
    for (path, next_step) in
        [(&cut, "copy it again"), (&missing, "No such file"), (&text_file, "nicdock capture")]
    {
        let refused = nicdock(&["ls", "--host", path.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(12), "{}", path.display());
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(message.contains(path.to_str().unwrap()) && message.contains(next_step), "{message}");
    }
}

#[test]
fn json_and_tree_together_are_a_usage_error() {
    assert_eq!(nicdock(&["ls", "--json", "--tree"]).status.code(), Some(2));
}

fn plan(name: &str, selector: &str, more: &[&str]) -> Output {
    let path = capture(name);
    let fixed = ["plan", "--json", "--host", path.to_str().unwrap(), "--host-root", "--nic", selector];
    nicdock(&[&fixed[..], more, &["--", "true"]].concat())
}

fn refusal(output: &Output) -> String {
    refusal_as(output, None)
}

/// What is said of a failure, which JSON on standard output says, too: with this status and kind.
fn refusal_as(output: &Output, expected: Option<(i32, &str)>) -> String {
    let words = String::from_utf8(output.stderr.clone()).unwrap();
    let status = output.status.code().unwrap();
    assert!((3..=12).contains(&status), "{status}: {words}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = &answer["error"];
    assert_eq!(words, format!("nicdock: {}\n", error["message"].as_str().unwrap()));
    if let Some((wanted, kind)) = expected {
        assert_eq!((status, error["kind"].as_str().unwrap()), (wanted, kind), "{words}");
    }
    words
}

#[test]
fn a_plan_without_a_root_and_a_program_is_for_the_nics_alone() {
    let path = capture("cisco-usnic");
    let nics = ["plan", "--host", path.to_str().unwrap(), "--nic", "usnic_0"];
    let short = text(&nicdock(&nics));
    assert!(short.contains("NICs alone") && short.contains("move enp6s0 into the container"), "{short}");
    assert!(!short.contains("the host's own /"), "{short}");
    let with = |more: &[&str]| nicdock(&[&nics[..], more].concat());
    let plan: Value = serde_json::from_str(&text(&with(&["--json"]))).unwrap();
    assert_eq!(plan["container"]["root"], "unnamed");
    assert_eq!(plan["container"]["nics"][0]["netdev"], "enp6s0");
    // Half a program is a mistake.
    assert!(refusal(&with(&["--json", "--", "true"])).contains("--host-root"));
    assert!(refusal_as(&with(&["--json", "--host-root"]), Some((12, "bad_input"))).contains("no command"));
    assert_eq!(nicdock(&["run", "--nic", "usnic_0"]).status.code(), Some(2));
}

#[test]
fn a_usnic_gets_its_uverbs_node_and_no_rdma_cm() {
    for selector in ["usnic_0", "enp6s0", "06:00.0", "subnet=10.10.0.0/16"] {
        let plan: Value = serde_json::from_str(&text(&plan("cisco-usnic", selector, &[]))).unwrap();
        let nic = &plan["container"]["nics"][0];
        assert_eq!(nic["rdma_device"], "usnic_0", "{selector}");
        assert_eq!(nic["netdev"], "enp6s0");
        assert_eq!(nic["nodes"], json!(["/dev/infiniband/uverbs0"]));
        assert_eq!(nic["addresses"], json!(["10.10.0.5/16"]));
    }
}

#[test]
fn a_usnic_refuses_to_leave_its_netdev_on_the_host() {
    assert!(
        refusal_as(&plan("cisco-usnic", "usnic_0", &["--netdev", "keep"]), Some((7, "unsupported")))
            .contains("usNIC")
    );
}

#[test]
fn a_nic_that_the_host_needs_is_refused_with_what_was_found() {
    assert!(refusal_as(&plan("cisco-usnic", "eno1", &[]), Some((6, "in_use"))).contains("default route"));
    assert!(refusal(&plan("mlx5-sriov", "mlx5_1", &[])).contains("bond0"));
    assert!(refusal(&plan("mlx5-sriov", "mlx5_2", &[])).contains("4711"));
    assert!(plan("mlx5-sriov", "mlx5_0", &["--take-in-use"]).status.success());
}

#[test]
fn two_of_eight_rails_are_taken_on_one_numa_node_in_bus_order() {
    let plan: Value =
        serde_json::from_str(&text(&plan("infiniband-8", "2xkind=ib,numa=1,any", &[]))).unwrap();
    let nics = plan["container"]["nics"].as_array().unwrap();
    let devices: Vec<&str> = nics.iter().map(|nic| nic["rdma_device"].as_str().unwrap()).collect();
    assert_eq!(devices, ["mlx5_6", "mlx5_9"]);
}

#[test]
fn an_ambiguous_or_empty_match_lists_the_candidates() {
    let text = refusal_as(&plan("infiniband-8", "kind=ib", &[]), Some((4, "ambiguous")));
    assert!(text.contains("8 free NICs match") && text.contains("mlx5_11"), "{text}");
    let text = refusal_as(&plan("none", "kind=ib", &[]), Some((3, "no_match")));
    assert!(text.contains("no NIC of this host matches"), "{text}");
}

#[test]
fn an_efa_device_without_a_netdev_gets_its_node_alone() {
    let plan: Value = serde_json::from_str(&text(&plan("efa", "kind=efa", &[]))).unwrap();
    let nic = &plan["container"]["nics"][0];
    assert_eq!((&nic["netdev"], &nic["nodes"]), (&Value::Null, &json!(["/dev/infiniband/uverbs0"])));
}

#[test]
fn a_selector_means_these() {
    let names = |file: &str, selector: &str| -> Vec<String> {
        let path = capture(file);
        let list = text(&nicdock(&["ls", "--json", selector, "--host", path.to_str().unwrap()]));
        let list: Value = serde_json::from_str(&list).unwrap();
        let nics = list["nics"].as_array().unwrap().iter();
        nics.map(|nic| nic["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("cisco-usnic", "speed>=10G"), ["usnic_0", "usnic_1"]);
    assert_eq!(names("cisco-usnic", "speed>=1G,kind=ethernet"), ["eno1"]);
    assert_eq!(names("cisco-usnic", "link=init"), ["usnic_1"]);
    assert_eq!(names("infiniband-8", "driver=mlx5_core,numa=1,speed>=400G").len(), 4);
    assert_eq!(names("lab-6.1", "driver=rxe,speed>=2.5G"), ["rxe1"]);
    // The default route leaves by it.
    assert_eq!(names("cisco-usnic", "eno1"), ["eno1"]);
    let path = capture("cisco-usnic");
    let none = |selector: &str| nicdock(&["ls", "--json", selector, "--host", path.to_str().unwrap()]);
    refusal_as(&none("eno1,free"), Some((3, "no_match")));
    refusal_as(&none("speed>=100G"), Some((3, "no_match")));
    assert_eq!(none("speed>100G,").status.code(), Some(2));
}

#[test]
fn the_page_about_selectors_has_every_term() {
    let page = include_str!("../../../docs/selectors.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let terms = nicdock_core::request::TERMS.map(|(word, means)| format!("| `{word}` | {means} |"));
    assert_eq!(rows, terms);
}
