//! `sys.*`: foreign words below each part of /sys, in names, links and contents.

use crate::probe::{Context, Finding, Probe};
use crate::words::KINDS;

/// Parts of /sys, each a probe. What is below none of them is in `sys.rest`.
const PARTS: [&str; 62] = [
    "block",
    "bus/acpi",
    "bus/auxiliary",
    "bus/cpu",
    "bus/event_source",
    "bus/memory",
    "bus/node",
    "bus/pci/devices",
    "bus/pci/drivers",
    "bus/pci/slots",
    "bus/pci_express",
    "bus/platform",
    "bus/virtio",
    "class/bdi",
    "class/block",
    "class/dma",
    "class/drm",
    "class/hwmon",
    "class/infiniband",
    "class/infiniband_cm",
    "class/infiniband_mad",
    "class/infiniband_verbs",
    "class/iommu",
    "class/leds",
    "class/mdio_bus",
    "class/mem",
    "class/misc",
    "class/net",
    "class/pci_bus",
    "class/phy",
    "class/ptp",
    "class/pps",
    "class/thermal",
    "class/tty",
    "class/uio",
    "class/vfio",
    "class/vfio-dev",
    "class/vhost-vdpa",
    "class/wakeup",
    "dev/block",
    "dev/char",
    "devices/pci",
    "devices/platform",
    "devices/pnp0",
    "devices/system",
    "devices/virtual",
    "firmware/acpi",
    "firmware/dmi",
    "firmware/efi",
    "firmware/memmap",
    "fs/bpf",
    "fs/cgroup",
    "fs/pstore",
    "hypervisor",
    "kernel/debug",
    "kernel/iommu_groups",
    "kernel/irq",
    "kernel/mm",
    "kernel/security",
    "kernel/slab",
    "kernel/tracing",
    "module",
];

pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = PARTS
        .into_iter()
        .map(|part| {
            Probe::lookup(format!("sys.{}", part.replace('/', ".")), move |context| below(context, part))
        })
        .collect();
    probes.push(Probe::lookup("sys.rest", rest));
    for (kind, name) in KINDS {
        probes.push(Probe::lookup(format!("sys.words.{name}"), move |context| {
            let mut hits =
                context.walk.hits.iter().filter(|hit| hit.kind == kind && hit.path.starts_with("/sys"));
            hits.next().map_or_else(
                || Finding::closed(format!("no foreign {name} in {} entries", seen(context, "/sys"))),
                |hit| Finding::open(hit.evidence()),
            )
        }));
    }
    probes.push(Probe::lookup("sys.walk", |context| walked(context, "/sys")));
    probes.push(Probe::lookup("proc.walk", |context| walked(context, "/proc")));
    probes
}

fn below(context: &Context, part: &str) -> Finding {
    let path = format!("/sys/{part}");
    // devices/pci0000:00 and its like carry numbers.
    let hits: Vec<_> = if part == "devices/pci" {
        context.walk.hits.iter().filter(|hit| hit.path.starts_with(&path)).collect()
    } else {
        context.walk.below(&path)
    };
    match hits.first() {
        Some(hit) => Finding::open(hit.evidence()),
        None if part != "devices/pci" && !std::path::Path::new(&path).exists() => {
            Finding::closed(format!("{path} is not there"))
        }
        None => Finding::closed(format!("nothing foreign below {path}")),
    }
}

fn rest(context: &Context) -> Finding {
    let is_in_a_part =
        |path: &str| PARTS.iter().any(|part| path.strip_prefix("/sys/").is_some_and(|p| p.starts_with(part)));
    let mut hits =
        context.walk.hits.iter().filter(|hit| hit.path.starts_with("/sys") && !is_in_a_part(&hit.path));
    hits.next().map_or_else(
        || Finding::closed("nothing foreign in the rest of /sys"),
        |hit| Finding::open(hit.evidence()),
    )
}

fn seen(context: &Context, tree: &str) -> usize {
    context.walk.seen.get(tree).copied().unwrap_or(0)
}

/// A tree that could not be read to its end is not closed.
fn walked(context: &Context, tree: &str) -> Finding {
    match context.walk.cut.first() {
        Some(cut) => Finding::open(format!("not concluded: {cut}")),
        None => Finding::closed(format!("{} entries of {tree} were read to the end", seen(context, tree))),
    }
}
