//! What happens to a NIC while a container has it, or on its way back, by others' hands.

use std::path::Path;
use std::process::{Child, Command};

use libtest_mimic::Failed;

use crate::lifecycle::kill;
use crate::monitor::{Monitor, Plugged};
use crate::nicdock::{Running, eventually, expect, sleeping, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    (
        "a_nic_pulled_while_leased_is_told_from_a_lost_one_and_can_be_plugged_in_again",
        replugged,
        Lab::is_oldest_or_newest,
    ),
    ("a_nic_whose_driver_is_bound_anew_while_leased_comes_back_as_it_was", rebound, Lab::is_oldest_or_newest),
    ("a_nic_whose_driver_is_unbound_while_leased_is_told", unbound, Lab::is_oldest_or_newest),
    (
        "a_nic_of_virtio_without_its_driver_has_no_lease_and_can_be_given_when_it_is_bound",
        virtio_unbound,
        Lab::is_oldest_or_newest,
    ),
    ("a_nic_that_was_renamed_on_its_way_back_gets_its_name_again", renamed, Lab::is_oldest_or_newest),
    ("udev_that_names_and_configures_what_comes_back_changes_nothing", udev, Lab::is_first),
    ("the_clock_of_the_day_has_no_say", clock, Lab::is_first),
    ("a_process_with_the_number_of_a_killed_nicdock_does_not_keep_its_nic", reused, Lab::is_first),
];

pub fn run(line: &str) -> Result<(), Failed> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().ok_or("a command")?).args(words).output()?;
    expect(output.status.success(), format!("{line}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn has_no_lease() -> Result<(), Failed> {
    let text = succeed(&["leases"])?;
    expect(text == "No NIC is leased.\n", text)
}

fn replugged(_: &Lab) -> Result<(), Failed> {
    let nic = Plugged::new(Monitor::open()?, "e1000e")?;
    run(&format!("ip address add 10.77.9.1/24 dev {}", nic.netdev()?))?;
    let address = nic.address.clone();
    let running = Running::with_errors(&["--nic", &address], "exec sleep 90050")?;
    eventually("the program runs", || sleeping("90050").is_some())?;
    nic.pull()?;
    kill(i32::try_from(running.0.id())?, "TERM")?;
    let output = running.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(text.contains("was unplugged meanwhile"), &text)?;
    has_no_lease()?;
    let nic = Plugged::new(Monitor::open()?, "e1000e")?;
    run(&format!("ip address add 10.77.9.1/24 dev {}", nic.netdev()?))?;
    succeed(&["run", "--nic", &nic.address, "--host-root", "--", "true"])?;
    nic.pull()
}

/// The function and the driver of the third NIC.
fn driver() -> Result<(String, String), Failed> {
    let device = std::fs::read_link("/sys/class/net/eth2/device")?;
    let address = device.file_name().ok_or("an address")?.to_string_lossy().into_owned();
    Ok((address.clone(), format!("/sys/bus/pci/devices/{address}/driver")))
}

fn rebound(_: &Lab) -> Result<(), Failed> {
    let (address, driver) = driver()?;
    let driver = std::fs::canonicalize(driver)?;
    let running = Running::start("eth2", &[], "exec sleep 90051")?;
    std::fs::write(driver.join("unbind"), &address)?;
    std::fs::write(driver.join("bind"), &address)?;
    drop(running);
    has_no_lease()
}

fn unbound(_: &Lab) -> Result<(), Failed> {
    let (address, driver) = driver()?;
    let driver = std::fs::canonicalize(driver)?;
    let before = address_lines()?;
    let running = Running::with_errors(&["--nic", "eth2"], "exec sleep 90052")?;
    eventually("the program runs", || sleeping("90052").is_some())?;
    std::fs::write(driver.join("unbind"), &address)?;
    kill(i32::try_from(running.0.id())?, "TERM")?;
    let output = running.output()?;
    std::fs::write(driver.join("bind"), &address)?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    eventually("its netdev is there again", || Path::new("/sys/class/net/eth2").exists())?;
    run("ip link set eth2 up")?;
    for line in before {
        run(&format!("ip address add {line} dev eth2"))?;
    }
    expect(text.contains("has no driver"), &text)?;
    has_no_lease()
}

/// The function of the fourth NIC keeps its driver: it is the device of virtio in it that has none. Then the same with a nicdock that was
/// killed, whose lease cannot be read.
fn virtio_unbound(lab: &Lab) -> Result<(), Failed> {
    let device = std::fs::canonicalize("/sys/class/net/eth3/device")?;
    let driver = std::fs::canonicalize(device.join("driver"))?;
    let name = device.file_name().ok_or("a device")?.to_string_lossy().into_owned();
    let write = |file: &str| std::fs::write(driver.join(file), &name);
    // nicdock alone decides about the second.
    for killed in [false, true].into_iter().filter(|killed| !killed || lab.is_first()) {
        let mut running = Running::start("eth3", &["--name", "first"], "sleep 90057; true")?;
        let lease = std::fs::read_dir("/run/nicdock/leases")?.flatten().map(|entry| entry.path());
        let lease = lease.filter(|path| path.extension().is_some_and(|of| of == "json")).collect::<Vec<_>>();
        write("unbind")?;
        if killed {
            running.kill_supervisor()?;
            std::fs::write(&lease[0], "{")?;
        } else {
            kill(i32::try_from(running.0.id())?, "TERM")?;
            running.0.wait()?;
        }
        let repaired = succeed(&["reconcile"]);
        let leases = succeed(&["leases"])?;
        write("bind")?;
        eventually("its netdev is there again", || Path::new("/sys/class/net/eth3").exists())?;
        run("ip link set eth3 mtu 1400")?;
        crate::engine::restore_eth3();
        let repaired = repaired?;
        expect(leases == "No NIC is leased.\n", leases)?;
        expect(repaired.contains("no driver") == killed, repaired)?;
        succeed(&["run", "--nic", "eth3", "--host-root", "--", "true"])?;
    }
    let _ = std::fs::remove_dir_all("/run/nicdock/broken");
    Ok(())
}

/// The third NIC's addresses, link-local ones left out.
fn address_lines() -> Result<Vec<String>, Failed> {
    let output = Command::new("ip").args(["-br", "address", "show", "eth2"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let words = text.split_whitespace().skip(2).filter(|word| !word.starts_with("fe80"));
    Ok(words.map(|word| if word.contains(':') { format!("{word} nodad") } else { word.to_owned() }).collect())
}

fn renamed(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("eth3", &["--as", "inside0"], "sleep 90053; true")?;
    running.kill_supervisor()?;
    eventually("the kernel has put it back", || Path::new("/sys/class/net/inside0").exists())?;
    run("ip link set inside0 name other7")?;
    run("ip link set other7 mtu 1300 up")?;
    succeed(&["reconcile"]).map(drop)
}

/// The daemon that hosts have: it renames what appears, by the rule that named it before, and configures it.
fn udev(_: &Lab) -> Result<(), Failed> {
    let mac = std::fs::read_to_string("/sys/class/net/eth3/address")?;
    std::fs::create_dir_all("/run/systemd/network")?;
    let link = format!(
        "[Match]\nPermanentMACAddress={}\n[Link]\nName=fabric3\nMTUBytes=1400\nAlternativeName=fabric-three\n",
        mac.trim()
    );
    std::fs::write("/run/systemd/network/10-lab.link", link)?;
    let mut daemon = Command::new("/lib/systemd/systemd-udevd").spawn()?;
    let result = with_udev();
    daemon.kill()?;
    daemon.wait()?;
    std::fs::remove_file("/run/systemd/network/10-lab.link")?;
    // As the other tests know it.
    run("ip link property del dev fabric3 altname fabric-three")?;
    for line in ["ip link set fabric3 down", "ip link set fabric3 name eth3", "ip link set eth3 up"] {
        run(line)?;
    }
    run("ip address add fd77:4::1/64 dev eth3 nodad")?;
    run("ip route add 10.99.0.0/16 via 10.77.4.9")?;
    result
}

fn with_udev() -> Result<(), Failed> {
    eventually("udev listens", || Path::new("/run/udev/control").exists())?;
    run("ip link set eth3 down")?;
    run("udevadm trigger --action=add /sys/class/net/eth3")?;
    eventually("udev has named it", || Path::new("/sys/class/net/fabric3").exists())?;
    run("ip link set fabric3 up")?;
    run("ip address add fd77:4::1/64 dev fabric3 nodad")?;
    run("ip route add 10.99.0.0/16 via 10.77.4.9")?;
    run("udevadm settle")?;
    let before = crate::host::settled();
    for killed in [false, true, false, true] {
        if killed {
            let mut running = Running::start("fabric3", &[], "sleep 90054; true")?;
            running.kill_supervisor()?;
            succeed(&["reconcile"])?;
        } else {
            succeed(&["run", "--nic", "fabric3", "--host-root", "--", "true"])?;
        }
        run("udevadm settle")?;
        crate::host::stays(&before)?;
    }
    Ok(())
}

fn clock(_: &Lab) -> Result<(), Failed> {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let set = |seconds: u64| run(&format!("date -s @{seconds}"));
    let mut running = Running::start("eth3", &["--name", "first"], "sleep 90055; true")?;
    set(now - 400 * 86400)?;
    let listed = succeed(&["leases"]);
    running.kill_supervisor()?;
    set(now + 400 * 86400)?;
    let recovered = succeed(&["reconcile"]);
    let again = succeed(&["run", "--nic", "eth3", "--host-root", "--", "true"]);
    set(now)?;
    let listed = listed?;
    expect(listed.contains("held"), listed)?;
    recovered?;
    again.map(drop)
}

fn reused(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("eth3", &[], "sleep 90055; true")?;
    let number = running.0.id();
    running.kill_supervisor()?;
    eventually("the container ends with its supervisor", || sleeping("90055").is_none())?;
    let mut innocent = with_number(number)?;
    let outcome = succeed(&["reconcile"]);
    let lives = innocent.try_wait()?.is_none();
    innocent.kill()?;
    innocent.wait()?;
    let text = outcome?;
    expect(text.contains("eth3") && lives, format!("lives: {lives}, {text}"))?;
    has_no_lease()
}

/// A process with a number of one's choice (`ns_last_pid`, pid_namespaces(7)), unless another is quicker.
fn with_number(number: u32) -> Result<Child, Failed> {
    for _ in 0..20 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string())?;
        let mut child = Command::new("sleep").arg("90056").spawn()?;
        if child.id() == number {
            return Ok(child);
        }
        child.kill()?;
        child.wait()?;
    }
    Err(format!("no process got the number {number}").into())
}
