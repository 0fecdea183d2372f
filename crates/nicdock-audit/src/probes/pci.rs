//! `pci.*`: files that reconfigure a PCI function, its own and foreign ones. They are opened, and not written, but for one byte
//! of the configuration space that is written back as it was.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::probe::{Context, Finding, Probe};

/// Below the function (Documentation/ABI/testing/sysfs-bus-pci).
const FILES: [&str; 18] = [
    "resource0",
    "resource1",
    "resource2",
    "resource4",
    "rom",
    "vpd",
    "driver_override",
    "remove",
    "rescan",
    "reset",
    "reset_method",
    "enable",
    "broken_parity_status",
    "msi_bus",
    "numa_node",
    "sriov_numvfs",
    "sriov_drivers_autoprobe",
    "d3cold_allowed",
];

/// Of the bus and its drivers.
const BUS: [&str; 4] = ["rescan", "drivers_probe", "drivers_autoprobe", "slots"];

pub fn probes(_: &Context) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (whose, own) in [("own", true), ("foreign", false)] {
        probes.push(Probe::new(format!("pci.{whose}.config"), move |context| {
            config(&files(context, own, "config"))
        }));
        probes.push(Probe::new(format!("pci.{whose}.config.procfs"), move |context| {
            config(&in_proc(context, own))
        }));
        for file in FILES {
            probes.push(Probe::new(format!("pci.{whose}.{file}"), move |context| {
                writable(file, &files(context, own, file))
            }));
        }
        for file in ["unbind", "bind", "new_id", "remove_id"] {
            probes.push(Probe::new(format!("pci.{whose}.driver.{file}"), move |context| {
                writable(file, &files(context, own, &format!("driver/{file}")))
            }));
        }
    }
    for file in BUS {
        probes.push(Probe::new(format!("pci.bus.{file}"), move |_| {
            let path = PathBuf::from("/sys/bus/pci").join(file);
            let mut paths = vec![path.clone()];
            for slot in fs::read_dir(&path).into_iter().flatten().filter_map(Result::ok) {
                paths.push(slot.path().join("power"));
            }
            writable(file, &paths)
        }));
    }
    for driver in ["vfio-pci", "uio_pci_generic", "pci-stub", "igb_uio"] {
        probes.push(Probe::new(format!("pci.driver.{driver}"), move |_| {
            writable("new_id", &[PathBuf::from(format!("/sys/bus/pci/drivers/{driver}/new_id"))])
        }));
    }
    probes
}

/// The functions that are ours, or all others that are known or visible; ports above an own function count as own.
fn functions(context: &Context, own: bool) -> Vec<String> {
    let mine = &context.target.own.pci;
    if own {
        return mine.clone();
    }
    let visible = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().filter_map(Result::ok);
    let visible = visible.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut all: Vec<String> = visible.chain(context.target.foreign.pci.iter().cloned()).collect();
    all.retain(|address| !mine.contains(address));
    all
}

fn files(context: &Context, own: bool, file: &str) -> Vec<PathBuf> {
    let path = |address: &String| Path::new("/sys/bus/pci/devices").join(address).join(file);
    functions(context, own).iter().map(path).collect()
}

/// `/proc/bus/pci/BUS/DEVICE.FUNCTION`, the domain's own folder if it is not 0.
fn in_proc(context: &Context, own: bool) -> Vec<PathBuf> {
    let path = |address: &String| {
        let (domain, rest) = address.split_once(':')?;
        let (bus, function) = rest.split_once(':')?;
        let bus = if domain == "0000" { bus.to_owned() } else { format!("{domain}:{bus}") };
        Some(Path::new("/proc/bus/pci").join(bus).join(function))
    };
    functions(context, own).iter().filter_map(path).collect()
}

/// Reading more than the first 64 bytes needs CAP_SYS_ADMIN; writing needs the file. `PCI_INTERRUPT_LINE` (0x3c) is a note of
/// the firmware's that the hardware does not use.
fn config(paths: &[PathBuf]) -> Finding {
    const INTERRUPT_LINE: u64 = 0x3c;
    let mut last = Finding::closed("no function to try");
    for path in paths {
        let what = path.display();
        match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) => last = Finding::of::<()>(&format!("open({what}, O_RDWR)"), Err(error.into())),
            Ok(file) => {
                let mut byte = [0];
                let written = file
                    .read_exact_at(&mut byte, INTERRUPT_LINE)
                    .and_then(|()| file.write_all_at(&byte, INTERRUPT_LINE));
                match written {
                    Ok(()) => return Finding::open(format!("{what}: a byte was written as it was")),
                    Err(error) => last = Finding::of::<()>(&format!("write({what})"), Err(error.into())),
                }
            }
        }
    }
    last
}

fn writable(file: &str, paths: &[PathBuf]) -> Finding {
    let mut last = Finding::closed(format!("no file {file} to try"));
    for path in paths {
        match OpenOptions::new().write(true).open(path) {
            Ok(_) => return Finding::open(format!("open({}, O_WRONLY): succeeded", path.display())),
            Err(error) => {
                last = Finding::of::<()>(&format!("open({}, O_WRONLY)", path.display()), Err(error.into()));
            }
        }
    }
    last
}
