//! A NIC that is plugged in on the host, and VFs that are made there, while a container looks and listens.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use libtest_mimic::Failed;

use crate::isolation::number_of;
use crate::monitor::{Monitor, Plugged, SPARE_MAC};
use crate::nicdock::{command, eventually, expect};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("an_e1000e_plugged_in_on_the_host_is_not_seen_inside", e1000e, Lab::is_first_of_its_kernel),
    ("a_virtio_net_plugged_in_on_the_host_is_not_seen_inside", virtio, |lab| {
        lab.vics == 0 && lab.is_first_of_its_kernel()
    }),
    (
        "an_rdma_device_made_on_a_new_nic_is_neither_listed_nor_opened_inside",
        rdma,
        Lab::is_first_of_its_kernel,
    ),
    ("vfs_made_and_removed_on_the_host_are_not_seen_inside", vfs, |lab| lab.vics > 0),
];

/// The second half of the addresses and GUIDs that the kernel makes of that MAC address (EUI-64).
const EUI: &str = "fe53:5001";

/// A program in a container that looks and listens.
struct Listener {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    seen: Vec<String>,
}

impl Listener {
    /// `words` are what it must not see, besides the new NIC's addresses and the name that its netdev will get.
    fn start(lab: &Lab, words: &[&str]) -> Result<Self, Failed> {
        let nic: &[&str] =
            if lab.vics > 0 { &["--nic", "usnic_1"] } else { &["--nic", "rxe1", "--netdev", "keep"] };
        let this = std::env::current_exe()?.display().to_string();
        let slot = std::fs::read_to_string("/sys/bus/pci/slots/200/address")?;
        let mut args = vec!["run", "--host-root", "--cap-add", "MKNOD", "--weaken"];
        args.extend(nic);
        let name = next_name();
        args.extend(["--", &this, "--probe", "listen", SPARE_MAC, EUI, slot.trim(), &name]);
        args.extend(words);
        let mut child =
            command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("piped")?);
        let mut this = Self { input: child.stdin.take(), child, output, seen: Vec::new() };
        let uevents = this.line()?;
        let rdma = this.line()?;
        expect(["uevents 1", "uevents 38"].contains(&uevents.as_str()), &uevents)?;
        expect(["rdma 1", "rdma 38"].contains(&rdma.as_str()), &rdma)?;
        let ready = this.line()?;
        expect(ready.starts_with("ready "), ready)?;
        Ok(this)
    }

    fn line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Makes a node and opens it, inside.
    fn try_node(&mut self, (major, minor): (u32, u32)) -> Result<String, Failed> {
        writeln!(self.input.as_mut().ok_or("piped")?, "try {major} {minor}")?;
        loop {
            let line = self.line()?;
            if let Some(answer) = line.strip_prefix("tried ") {
                return Ok(answer.to_owned());
            }
            expect(!line.is_empty(), "the listener ended")?;
            self.seen.push(line);
        }
    }

    /// Ends it; it must have seen nothing.
    fn saw_nothing(mut self) -> Result<(), Failed> {
        drop(self.input.take());
        let lines: Vec<String> = self.output.lines().collect::<Result<_, _>>()?;
        self.child.wait()?;
        let (last, more) = lines.split_last().ok_or("the listener said nothing")?;
        self.seen.extend(more.iter().cloned());
        let rounds = last.split_whitespace().nth(1).and_then(|number| number.parse::<u32>().ok());
        expect(rounds.is_some_and(|rounds| rounds >= 2), format!("it hardly looked: {last}"))?;
        expect(self.seen.is_empty(), format!("seen inside:\n{}", self.seen.join("\n")))
    }
}

/// The name that the kernel gives the next netdev (`dev_alloc_name("eth%d")`).
fn next_name() -> String {
    let taken = |name: &String| std::path::Path::new("/sys/class/net").join(name).exists();
    (0..100).map(|number| format!("eth{number}")).find(|name| !taken(name)).unwrap_or_default()
}

/// Lets the listener look a few times.
fn a_while() {
    std::thread::sleep(std::time::Duration::from_secs(3));
}

fn e1000e(lab: &Lab) -> Result<(), Failed> {
    plug_and_pull(lab, "e1000e")
}

fn virtio(lab: &Lab) -> Result<(), Failed> {
    plug_and_pull(lab, "virtio-net-pci")
}

fn plug_and_pull(lab: &Lab, driver: &str) -> Result<(), Failed> {
    let name = next_name();
    let listener = Listener::start(lab, &[])?;
    let nic = Plugged::new(Monitor::open()?, driver)?;
    ip(&format!("link set {} up", nic.netdev()?))?;
    let mac = std::fs::read_to_string(format!("/sys/class/net/{}/address", nic.netdev()?))?;
    expect(
        mac.trim() == SPARE_MAC && nic.netdev()? == name,
        "the host does not see the NIC that this test looks for",
    )?;
    a_while();
    nic.pull()?;
    a_while();
    listener.saw_nothing()
}

fn rdma(lab: &Lab) -> Result<(), Failed> {
    let mut listener = Listener::start(lab, &["hotplugged"])?;
    let nic = Plugged::new(Monitor::open()?, "e1000e")?;
    let netdev = nic.netdev()?;
    ip(&format!("link set {netdev} up"))?;
    run(&["rdma", "link", "add", "hotplugged", "type", "rxe", "netdev", &netdev])?;
    let node = node_of("hotplugged")?;
    let answer = listener.try_node(number_of(&node)?)?;
    a_while();
    run(&["rdma", "link", "delete", "hotplugged"])?;
    nic.pull()?;
    // The device cgroup says EPERM.
    expect(answer == "1", format!("opening {node}: {answer}"))?;
    listener.saw_nothing()
}

/// The uverbs node of an RDMA device.
fn node_of(device: &str) -> Result<String, Failed> {
    let find = || {
        let mut nodes = std::fs::read_dir("/sys/class/infiniband_verbs").ok()?.flatten();
        let of = |path: std::path::PathBuf| std::fs::read_to_string(path.join("ibdev")).unwrap_or_default();
        nodes.find(|node| of(node.path()).trim() == device).map(|node| node.file_name())
    };
    eventually(&format!("{device} has a node"), || find().is_some())?;
    Ok(find().ok_or("it has gone")?.to_string_lossy().into_owned())
}

/// An igb is an SR-IOV NIC that this lab's QEMU has.
fn vfs(lab: &Lab) -> Result<(), Failed> {
    let mut monitor = Monitor::open()?;
    expect(monitor.knows("igb"), "this QEMU has no igb: rebuild it (lab/vic/lab.mak)")?;
    run(&["modprobe", "igb"])?;
    run(&["modprobe", "igbvf"])?;
    let nic = Plugged::new(monitor, "igb")?;
    nic.netdev()?;
    let bus = nic.address.rsplit_once(':').ok_or("an address")?.0.to_owned();
    let listener = Listener::start(lab, &[&bus])?;
    let vfs =
        |count: &str| std::fs::write(format!("/sys/bus/pci/devices/{}/sriov_numvfs", nic.address), count);
    for _ in 0..2 {
        vfs("3")?;
        let made = std::fs::read_dir("/sys/bus/pci/devices")?.flatten();
        let made = made.filter(|entry| entry.file_name().to_string_lossy().starts_with(&bus)).count();
        expect(made == 4, format!("{made} functions instead of one and three VFs"))?;
        a_while();
        vfs("0")?;
    }
    nic.pull()?;
    listener.saw_nothing()
}

fn ip(line: &str) -> Result<(), Failed> {
    run(&["ip"].into_iter().chain(line.split(' ')).collect::<Vec<_>>())
}

fn run(words: &[&str]) -> Result<(), Failed> {
    let output = Command::new(words[0]).args(&words[1..]).output()?;
    expect(output.status.success(), format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
