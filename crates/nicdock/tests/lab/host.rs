//! The host's state, and that a test leaves it as it was.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use libtest_mimic::Failed;
use serde_json::Value;

/// Runs a script on the host, which must succeed; gives its standard output. `$SUITE` is this program.
pub fn shell(script: &str) -> Result<String, Failed> {
    let output = Command::new("sh").args(["-c", script]).env("SUITE", std::env::current_exe()?).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{script}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)).into())
}

/// The third and fourth NIC become ones without RDMA, so that there are some whose netdev moves on every kernel.
/// The third is an e1000e, whose link takes two seconds to come up, the fourth a virtio-net, whose link is there at once.
/// A second run in the same lab finds them so.
pub fn prepare() {
    if std::fs::read_to_string("/sys/class/net/eth3/mtu").is_ok_and(|mtu| mtu.trim() == "1400") {
        return;
    }
    for line in [
        "rdma link delete rxe2",
        "rdma link delete rxe3",
        "ip link set eth3 mtu 1400",
        "ip route add 10.99.0.0/16 via 10.77.4.9",
    ] {
        let mut words = line.split(' ');
        let status = Command::new(words.next().expect("a command")).args(words).status();
        assert!(status.is_ok_and(|s| s.success()), "the tests need a lab with four NICs: {line}");
    }
    settle();
}

/// Waits until nothing on the host is in transition any more.
pub fn settle() {
    for _ in 0..60 {
        // IPoIB has none without a subnet manager.
        let addresses =
            json(&["sh", "-c", "ip -j address | jq 'map(select(.link_type != \"infiniband\"))'"], &[]);
        if !addresses.contains("tentative") && !addresses.contains("NO-CARRIER") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// The host as the last test left it, which is as that found it; nobody knows after one that failed. Looking takes half a second.
static LEFT: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// A test in which both netdevs moved may leave the two soft RDMA devices with each other's node: the kernel gives the lowest free number to the one
/// that is made again first (`ib_uverbs_add_one()`). Tests name nodes, so rxe0 gets the first one again.
fn put_nodes_in_order() {
    let device = |node: &str| std::fs::read_to_string(format!("/sys/class/infiniband_verbs/{node}/ibdev"));
    let is = |node: &str, name: &str| device(node).is_ok_and(|found| found.trim() == name);
    if is("uverbs0", "rxe1") && is("uverbs1", "rxe0") {
        let lines = "rdma link delete rxe0; rdma link delete rxe1; \
                     rdma link add rxe0 type rxe netdev eth0; rdma link add rxe1 type rxe netdev eth1";
        if let Err(error) = shell(lines) {
            eprintln!("{}", error.message().unwrap_or_default());
        }
    }
}

/// Runs a test and compares the host before and after it.
pub fn unchanged_by(test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    put_nodes_in_order();
    let left = LEFT.lock().expect("nobody panics with it").take();
    let before = left.unwrap_or_else(settled);
    test()?;
    stays(&before)?;
    *LEFT.lock().expect("nobody panics with it") = Some(before);
    Ok(())
}

/// Waits until the host is as it was.
pub fn stays(before: &[String]) -> Result<(), Failed> {
    let mut after = state();
    // Duplicate address detection and autonegotiation take a moment.
    for _ in 0..60 {
        if after == before {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        after = state();
    }
    let differences = before.iter().zip(&after).filter(|(a, b)| a != b);
    let lines: Vec<String> = differences.flat_map(|(before, after)| difference(before, after)).collect();
    Err(format!("the host changed:\n{}", lines.join("\n")).into())
}

/// What is in one of two lists (of JSON) or texts (of lines) only.
pub fn difference(before: &str, after: &str) -> Vec<String> {
    let items = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items.iter().map(ToString::to_string).collect(),
        _ => text.lines().map(str::to_owned).collect::<Vec<_>>(),
    };
    let (before, after) = (items(before), items(after));
    let gone = before.iter().filter(|item| !after.contains(item)).map(|item| format!("before: {item}"));
    gone.chain(after.iter().filter(|item| !before.contains(item)).map(|item| format!("after:  {item}")))
        .collect()
}

/// What must be the same before and after, once nothing is in transition: read sooner, no later state equals it.
pub fn settled() -> Vec<String> {
    settle();
    state()
}

fn state() -> Vec<String> {
    let mut state = vec![
        json(&["ip", "-6", "-j", "route", "show", "table", "all"], &["expires"]),
        json(&["rdma", "-j", "link"], &["ifindex", "netdev_index"]),
    ];
    state.extend(ip_json(
        "address\nroute show table all\nrule\nneighbour show nud permanent\n",
        &["ifindex", "valid_life_time", "preferred_life_time", "txqlen"],
    ));
    state.push(listing("/dev/infiniband"));
    state.push(modes("/dev/infiniband"));
    for folder in ["leases", "bundles", "containers", "broken", "nodes"] {
        state.push(listing(&format!("/run/nicdock/{folder}")));
    }
    for hierarchy in ["", "devices/", "rdma/", "unified/"] {
        state.push(listing(&format!("/sys/fs/cgroup/{hierarchy}nicdock")));
    }
    state.push(ipoib());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    state.push(mounts);
    state
}

/// How each IPoIB netdev works.
fn ipoib() -> String {
    let script = "cd /sys/class/net && for f in */umcast; do n=${f%/*}; [ ! -e $f ] || echo $n $(cat $n/mode $f); done";
    shell(script).unwrap_or_default()
}

/// Who may open what is in a folder.
fn modes(folder: &str) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mode = |entry: std::fs::DirEntry| {
        let mode = entry.metadata().map_or(0, |file| std::os::unix::fs::MetadataExt::mode(&file));
        format!("{} {mode:o}", entry.file_name().display())
    };
    let mut modes: Vec<String> = entries.map(mode).collect();
    modes.sort();
    format!("{folder}: {modes:?}")
}

/// Names in a folder; of a cgroup the folders only.
fn listing(folder: &str) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let wanted = |e: &std::fs::DirEntry| !folder.starts_with("/sys") || e.path().is_dir();
    let mut names: Vec<String> =
        entries.filter(wanted).map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    format!("{folder}: {names:?}")
}

/// What ip(8) says to each of these lines, asked in one process: in the lab a process costs as much as what it does.
fn ip_json(script: &str, without: &[&str]) -> Vec<String> {
    let mut child = Command::new("ip")
        .args(["-j", "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("iproute2");
    child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("ip reads");
    let output = child.wait_with_output().expect("ip ends");
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let answers: Vec<String> = answers
        .map(|answer| {
            let mut answer: Value = answer.expect("JSON");
            normalise(&mut answer, without);
            answer.to_string()
        })
        .collect();
    assert_eq!(answers.len(), script.lines().count(), "an answer to each line");
    answers
}

/// A program's JSON with lists in order and without fields that say nothing of the configuration.
fn json(command: &[&str], without: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("iproute2");
    let mut value: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    normalise(&mut value, without);
    value.to_string()
}

fn normalise(value: &mut Value, without: &[&str]) {
    match value {
        Value::Array(items) => {
            for item in items.iter_mut() {
                normalise(item, without);
            }
            items.sort_by_key(ToString::to_string);
        }
        Value::Object(fields) => {
            fields.retain(|key, _| !without.contains(&key.as_str()));
            // Where HCAs move their netdevs come anew, with queue pairs of their own: the first bytes of the address.
            if fields.get("link_type").is_some_and(|kind| kind == "infiniband") && moves_rdma_devices() {
                let port = fields.get("address").and_then(Value::as_str).and_then(|text| text.get(12..));
                let port = port.map(str::to_owned);
                fields.insert("address".into(), port.into());
            }
            for field in fields.values_mut() {
                normalise(field, without);
            }
        }
        _ => {}
    }
}

fn moves_rdma_devices() -> bool {
    std::env::var("NICDOCK_LAB_RDMA").is_ok_and(|mode| mode == "exclusive")
}
