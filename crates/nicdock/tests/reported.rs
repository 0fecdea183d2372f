//! Plans for situations that people report of their hosts: what is given is what was named, and what cannot be is refused by name.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn run(arguments: &[&str], capture: &str) -> Output {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/{capture}.tar.gz"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicdock"));
    command.args(arguments).arg("--host").arg(path).output().unwrap()
}

fn json_of(arguments: &[&str], capture: &str) -> Value {
    let output = run(&[arguments, &["--json"]].concat(), capture);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text_of(arguments: &[&str], capture: &str) -> String {
    let output = run(arguments, capture);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The exit status and the words.
fn refused(arguments: &[&str], capture: &str) -> (i32, String) {
    let output = run(arguments, capture);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn assert_refused(arguments: &[&str], capture: &str, status: i32, words: &[&str]) {
    let (found, text) = refused(arguments, capture);
    assert_eq!(found, status, "{text}");
    for word in words {
        assert!(text.contains(word), "{text}");
    }
}

fn nics(capture: &str, selector: &str) -> Vec<String> {
    let listing = json_of(&["ls", selector], capture);
    let all = listing["nics"].as_array().unwrap();
    all.iter().map(|nic| nic["name"].as_str().unwrap().to_owned()).collect()
}

const IN_USE: i32 = 6;
const UNSUPPORTED: i32 = 7;

#[test]
fn a_sub_function_is_planned_with_its_own_parts_only() {
    for name in ["rocep193s0f0S88", "enp193s0f0S88", "0000:c1:00.0/mlx5_core.sf.4"] {
        let plan = json_of(&["plan", "--nic", name], "subfunctions");
        let nic = &plan["container"]["nics"][0];
        assert_eq!(nic["rdma_devices"], json!(["rocep193s0f0S88"]));
        assert_eq!(nic["netdevs"].as_array().unwrap().len(), 1);
        assert_eq!(nic["netdev"], "enp193s0f0S88");
        assert_eq!(nic["nodes"], json!(["/dev/infiniband/uverbs1"]));
        assert_eq!(nic["addresses"], json!(["203.0.113.88/25"]));
        assert_eq!((&nic["pci"], &nic["auxiliary"]), (&json!("0000:c1:00.0"), &json!("mlx5_core.sf.4")));
        let warnings = plan["warnings"].to_string();
        assert!(warnings.contains("sees the address of the function 0000:c1:00.0"), "{warnings}");
    }
    let text = text_of(&["plan", "--nic", "rocep193s0f0S88"], "subfunctions");
    assert!(text.contains("PCI          0000:c1:00.0/mlx5_core.sf.4"), "{text}");
    assert!(!text.contains("S99") && !text.contains("uverbs2"), "{text}");
}

#[test]
fn a_functions_address_means_the_function_and_not_its_sub_functions() {
    assert_eq!(nics("subfunctions", "0000:c1:00.0"), ["rocep193s0f0"]);
}

#[test]
fn two_of_a_kind_may_be_two_sub_functions_of_one_card() {
    let plan =
        json_of(&["plan", "--take-in-use", "--nic", "2xkind=roce,subnet=203.0.113.0/24"], "subfunctions");
    let nics = plan["container"]["nics"].as_array().unwrap();
    let names: Vec<&Value> = nics.iter().map(|nic| &nic["rdma_device"]).collect();
    assert_eq!(names, ["rocep193s0f0S88", "rocep193s0f0S99"]);
}

#[test]
fn the_uplink_of_a_cards_switch_is_not_moved() {
    let arguments = ["plan", "--take-in-use", "--nic", "rocep193s0f0"];
    assert_refused(&arguments, "subfunctions", UNSUPPORTED, &["uplink", "en0f0pf0sf88", "pf0sf88"]);
    let kept = json_of(&[&arguments[..], &["--netdev", "keep"]].concat(), "subfunctions");
    assert_eq!(kept["container"]["nics"][0]["netdevs"], json!([]));
}

#[test]
fn naming_a_representor_is_an_error_that_says_what_it_is() {
    let words = ["en0f0pf0sf88 represents pf0sf88 on the switch of 0000:c1:00.0", "no NIC's netdev"];
    assert_refused(&["plan", "--nic", "en0f0pf0sf88"], "subfunctions", UNSUPPORTED, &words);
    assert_refused(&["plan", "--nic", "eth1"], "switchdev", UNSUPPORTED, &["eth1", "representor"]);
    assert_refused(&["ls", "eth1"], "switchdev", 3, &["eth1", "representor"]);
    let listing = json_of(&["ls", "--all"], "subfunctions");
    let first = json!({"netdev": "en0f0pf0sf88", "pci": "0000:c1:00.0", "port": "pf0sf88"});
    assert_eq!(listing["representors"][0], first);
}

#[test]
fn a_physical_function_whose_part_is_in_use_is_refused_with_the_part() {
    assert_refused(&["plan", "--nic", "pf0"], "switchdev", IN_USE, &["0000:81:00.4", "vfio-pci"]);
    let plan = json_of(&["plan", "--take-in-use", "--nic", "pf0"], "switchdev");
    let netdevs = plan["container"]["nics"][0]["netdevs"].as_array().unwrap();
    assert_eq!((netdevs.len(), &netdevs[0]["name"]), (1, &json!("pf0")));
    assert!(plan["warnings"].to_string().contains("ports 2 to 4 of rocep129s0f0 are those of representors"));
}

#[test]
fn a_lag_is_found_by_its_bond_and_never_moved() {
    for selector in ["bond0", "subnet=198.51.100.0/24", "mlx5_bond_0"] {
        assert_eq!(nics("roce-lag", selector), ["mlx5_bond_0"], "{selector}");
    }
    assert_refused(&["plan", "--nic", "bond0"], "roce-lag", IN_USE, &["member of bond bond0"]);
    for leg in ["mlx5_bond_0", "ens5f1np1"] {
        let arguments = ["plan", "--take-in-use", "--nic", leg];
        assert_refused(&arguments, "roce-lag", UNSUPPORTED, &["mlx5_bond_0", "bond0", "ends the LAG"]);
    }
    let arguments = ["plan", "--take-in-use", "--netdev", "keep", "--nic", "mlx5_bond_0"];
    assert_eq!(json_of(&arguments, "roce-lag")["container"]["nics"][0]["netdevs"], json!([]));
}

#[test]
fn an_rdma_function_and_the_nic_with_its_netdev_go_together() {
    assert_refused(&["plan", "--nic", "erdma_0"], "erdma", IN_USE, &["eth0 carries the default route"]);
    let words = ["eth1", "of another NIC", "--nic erdma_1 --nic eth1"];
    assert_refused(&["plan", "--nic", "erdma_1"], "erdma", UNSUPPORTED, &words);
    let plan = json_of(&["plan", "--nic", "erdma_1", "--nic", "eth1"], "erdma");
    assert_eq!(plan["container"]["nics"].as_array().unwrap().len(), 2);
    assert_eq!(nics("erdma", "subnet=192.0.2.128/25"), ["erdma_1"]);
}

#[test]
fn two_netdevs_are_planned_and_told_with_all_their_addresses() {
    let plan = json_of(&["plan", "--nic", "mlx4_0"], "mlx4-two-ports");
    let nic = &plan["container"]["nics"][0];
    assert_eq!(nic["addresses"], json!(["198.51.100.10/24", "203.0.113.10/24"]));
    let second = json!({"name": "enp3s0d1", "addresses": ["203.0.113.10/24"], "mtu": 9000, "mac": "00:00:5e:00:53:32"});
    assert_eq!(nic["netdevs"][1], second);
    let text = text_of(&["plan", "--nic", "mlx4_0"], "mlx4-two-ports");
    assert!(text.contains("netdev       enp3s0, enp3s0d1"), "{text}");
    assert!(text.contains("198.51.100.10/24 (enp3s0), 203.0.113.10/24 (enp3s0d1)"), "{text}");
}

#[test]
fn a_vpi_card_is_meant_by_either_kind_and_links_are_told_by_port() {
    for kind in ["kind=ib", "kind=roce"] {
        assert_eq!(nics("mlx4-vpi", kind), ["mlx4_0"], "{kind}");
    }
    let nic = &json_of(&["ls", "mlx4_0"], "mlx4-vpi")["nics"][0];
    assert_eq!((&nic["kind"], &nic["kinds"]), (&json!("roce"), &json!(["ib", "roce"])));
    let ports = &nic["rdma_devices"][0]["ports"];
    assert_eq!(ports[0]["link"], json!({"state": "down", "speed_mbps": 56000}));
    assert_eq!(ports[1]["link"], json!({"state": "up", "speed_mbps": 40000}));
    assert!(text_of(&["ls"], "mlx4-vpi").contains("roce,ib"));
}

#[test]
fn omni_path_is_refused_by_the_name_of_its_node() {
    let words = ["/dev/hfi1_N", "hfi1"];
    assert_refused(&["plan", "--nic", "hfi1_0"], "hfi1", UNSUPPORTED, &words);
    assert_refused(&["plan", "--take-in-use", "--nic", "hfi1_0"], "hfi1", UNSUPPORTED, &words);
    let used = json_of(&["ls", "hfi1_0"], "hfi1")["nics"][0]["in_use"][0].clone();
    assert_eq!(
        (&used["what"], &used["node"], &used["pid"]),
        (&json!("driver_node"), &json!("/dev/hfi1_0"), &json!(4713))
    );
}

#[test]
fn a_soft_device_beside_the_hardwares_keeps_the_netdev_where_it_is() {
    let words = ["rxe0", "mlx5_0", "rdma link delete rxe0"];
    assert_refused(&["plan", "--nic", "mlx5_0"], "hw-and-rxe", UNSUPPORTED, &words);
    let kept = json_of(&["plan", "--netdev", "keep", "--nic", "mlx5_0"], "hw-and-rxe");
    assert_eq!(kept["container"]["nics"][0]["rdma_devices"], json!(["mlx5_0", "rxe0"]));
}

#[test]
fn routed_connections_and_split_default_routes_are_uses() {
    assert_refused(
        &["plan", "--nic", "rocep193s0f0"],
        "routing-on-host",
        IN_USE,
        &["leaves by enp193s0f0np0"],
    );
    assert_refused(&["plan", "--nic", "mlx5_0"], "split-default", IN_USE, &["default route for 0.0.0.0/1"]);
    let nic = &json_of(&["ls", "rocep193s0f0"], "routing-on-host")["nics"][0];
    assert_eq!(nic["in_use"][0]["what"], "routed_tcp");
}
