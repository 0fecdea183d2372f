//! The programs of the field say inside what they say on the host, as far as it is about the container's NIC.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::nicdock::{command, expect};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("lstopo_shows_the_machine_and_of_its_nics_one", lstopo, Lab::is_first),
    ("ibv_devices_lists_one_device", ibv_devices, Lab::is_oldest_or_newest),
    ("ibv_devinfo_says_what_it_says_on_the_host", ibv_devinfo, Lab::is_oldest_or_newest),
    ("the_rdma_tool_is_refused_with_a_clear_error", rdma_tool, Lab::is_oldest_or_newest),
    ("fi_info_offers_what_it_offers_on_the_host_for_this_nic", fi_info, Lab::is_oldest_or_newest),
    (
        "ucx_info_finds_the_transports_that_it_finds_on_the_host_for_this_nic",
        ucx_info,
        Lab::is_oldest_or_newest,
    ),
    ("ompi_info_says_what_it_says_on_the_host", ompi_info, Lab::is_first),
    ("mpirun_runs_a_program_of_two_ranks", mpirun, Lab::is_newest),
    ("perftest_measures_between_a_container_and_the_host", perftest, |lab| {
        lab.is_first_of_its_kernel() && lab.moves_soft_roce()
    }),
];

const RXE1: [&str; 4] = ["--nic", "rxe1", "--netdev", "keep"];

fn on_host(words: &[&str]) -> Result<String, Failed> {
    text(words, &Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?)
}

fn inside(options: &[&str], words: &[&str]) -> Result<String, Failed> {
    text(words, &in_container(options, words)?)
}

fn in_container(options: &[&str], words: &[&str]) -> Result<Output, Failed> {
    let args = [&["run", "--host-root"], options, &["--"], words].concat();
    Ok(command(&args).stdin(Stdio::null()).output()?)
}

fn text(words: &[&str], output: &Output) -> Result<String, Failed> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    expect(output.status.success(), format!("{words:?}: {}\n{out}{err}", output.status))?;
    Ok(out.into_owned())
}

fn same(host: &str, inside: &str) -> Result<(), Failed> {
    expect(host == inside, format!("on the host:\n{host}\ninside:\n{inside}"))
}

/// Processors, caches and NUMA nodes are the host's, I/O devices the NIC's alone.
fn lstopo(_: &Lab) -> Result<(), Failed> {
    // Memory modules are known from the firmware's tables (/sys/firmware/dmi), which name the host.
    let machine = ["lstopo-no-graphics", "--of", "console", "--no-io", "--ignore", "misc"];
    let host = on_host(&machine)?;
    expect(host.contains("PU L#0") && host.contains("NUMANode"), &host)?;
    same(&host, &inside(&["--nic", "eth3"], &machine)?)?;
    let all = ["lstopo-no-graphics", "--of", "console"];
    let devices = |text: &str| {
        let lines =
            text.lines().map(str::trim).filter(|line| line.starts_with("PCI ") || line.starts_with("Net "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let host = devices(&on_host(&all)?);
    let wanted = ["PCI 04:00.0 (Ethernet)", "Net \"eth3\""];
    expect(
        wanted.iter().all(|line| host.iter().any(|found| found == line)),
        format!("on the host: {host:?}"),
    )?;
    let found = devices(&inside(&["--nic", "eth3"], &all)?);
    expect(found == wanted, format!("inside: {found:?}, on the host: {host:?}"))
}

fn ibv_devices(_: &Lab) -> Result<(), Failed> {
    let of_rxe1 = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("rxe1") || !line.contains("rxe"));
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let host = on_host(&["ibv_devices"])?;
    expect(host.contains("rxe0"), &host)?;
    same(&of_rxe1(&host), &inside(&RXE1, &["ibv_devices"])?)
}

fn ibv_devinfo(_: &Lab) -> Result<(), Failed> {
    same(&on_host(&["ibv_devinfo", "-v", "-d", "rxe1"])?, &inside(&RXE1, &["ibv_devinfo", "-v"])?)
}

/// Its socket could rename and delete the host's devices.
fn rdma_tool(_: &Lab) -> Result<(), Failed> {
    for words in [&["rdma", "dev"][..], &["rdma", "link"], &["rdma", "dev", "set", "rxe0", "name", "other0"]]
    {
        let output = in_container(&RXE1, words)?;
        let error = String::from_utf8_lossy(&output.stderr);
        expect(
            output.status.code() == Some(1) && output.stdout.is_empty() && error.contains("NETLINK_RDMA"),
            format!("{words:?}: {output:?}"),
        )?;
    }
    Ok(())
}

/// Endpoints of libfabric's verbs provider: Debian's is built without usnic's.
fn fi_info(lab: &Lab) -> Result<(), Failed> {
    let words = ["fi_info", "-p", "verbs"];
    let endpoints = |text: &str| -> BTreeSet<(String, String, String)> {
        let value = |entry: &str, key: &str| {
            let line = entry.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_default();
            line.trim().to_owned()
        };
        let entries = text.split("provider:").skip(1);
        entries
            .map(|entry| {
                let provider = entry.lines().next().unwrap_or_default().trim().to_owned();
                (provider, value(entry, "domain:"), value(entry, "type:"))
            })
            .collect()
    };
    let mut host = endpoints(&on_host(&words)?);
    expect(host.iter().any(|(_, domain, _)| domain.starts_with("rxe0")), format!("on the host: {host:?}"))?;
    // Those of ofi_rxm connect by rdma_cm, which is given on request, and wants the netdev inside.
    let moves = lab.moves_soft_roce();
    host.retain(|(provider, domain, _)| {
        domain.starts_with("rxe1") && (moves || !provider.contains("ofi_rxm"))
    });
    let options: &[&str] = if moves { &["--nic", "rxe1", "--rdma-cm"] } else { &RXE1 };
    let found = endpoints(&inside(options, &words)?);
    expect(!found.is_empty() && found == host, format!("inside: {found:?}, on the host: {host:?}"))
}

fn ucx_info(_: &Lab) -> Result<(), Failed> {
    let words = ["ucx_info", "-d"];
    // Each transport is followed by its device.
    let transports = |text: &str| -> BTreeSet<(String, String)> {
        let value = |line: &str, key: &str| {
            line.trim_start_matches(['#', ' ']).strip_prefix(key).map(|v| v.trim().to_owned())
        };
        let mut transport = String::new();
        let mut found = BTreeSet::new();
        for line in text.lines() {
            if let Some(name) = value(line, "Transport:") {
                transport = name;
            } else if let Some(device) = value(line, "Device:") {
                found.insert((transport.clone(), device));
            }
        }
        found
    };
    let host = transports(&on_host(&words)?);
    let found = transports(&inside(&RXE1, &words)?);
    let of = |set: &BTreeSet<(String, String)>, device: &str| {
        set.iter().filter(|(_, name)| name.starts_with(device)).cloned().collect::<BTreeSet<_>>()
    };
    let all = format!("inside: {found:?}, on the host: {host:?}");
    expect(!of(&host, "rxe0").is_empty() && of(&found, "rxe0").is_empty(), &all)?;
    expect(!of(&found, "rxe1").is_empty() && of(&found, "rxe1") == of(&host, "rxe1"), &all)?;
    expect(of(&found, "memory") == of(&host, "memory"), all)
}

fn ompi_info(_: &Lab) -> Result<(), Failed> {
    let words = ["ompi_info", "--parsable"];
    let host = on_host(&words)?;
    expect(host.contains("mca:pml:ucx"), &host)?;
    same(&host, &inside(&RXE1, &words)?)
}

fn mpirun(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let words = ["mpirun", "--oversubscribe", "--allow-run-as-root", "-np", "2", &this, "--probe", "mpi"];
    let sorted = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    let expected = "rank 0 of 2: sum 3\nrank 1 of 2: sum 3";
    same(expected, &sorted(&on_host(&words)?))?;
    same(expected, &sorted(&inside(&RXE1, &words)?))?;
    // An ordinary user's program too, as jobs are.
    let words = ["mpirun", "--oversubscribe", "-np", "2", &this, "--probe", "mpi"];
    same(expected, &sorted(&inside(&[&RXE1[..], &["--user", "1000"]].concat(), &words)?))
}

/// perftest asks libpci, which ends a program that finds a function without its list of resources.
fn perftest(_: &Lab) -> Result<(), Failed> {
    let server = ["ib_send_lat", "-d", "rxe1", "-x", "1", "-n", "20", "-s", "64"];
    let options = ["run", "--host-root", "--nic", "rxe1", "--ip", "10.77.1.2/24", "--"];
    let container =
        command(&[&options[..], &server].concat()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let client = "for i in 1 2 3 4 5 6 7 8; do sleep 1; ib_send_lat -d rxe0 -x 1 -n 20 -s 64 10.77.1.2 && exit 0; done; exit 1";
    let host = on_host(&["sh", "-c", client]);
    let inside = text(&server, &container.wait_with_output()?)?;
    for text in [host?, inside] {
        expect(text.contains("t_typical") && text.contains("\n 64 "), text)?;
    }
    Ok(())
}
