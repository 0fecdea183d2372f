//! The NIC's PCIe link, and what bridges and the NIC are set to.

use nicdock_host::environment::Reading;
use nicdock_host::model::{DeviceKind, Nic, PciAddress, PciFunction};

#[cfg(test)]
use super::pcie_config::described;
use super::pcie_config::{Register, acs_control, device_control};
use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const LINK: Check = Check {
    id: "pcie.link",
    asks: "that the PCIe link has the speed and width that card and slot can have",
    why: "a link that came up with fewer lanes or a lower speed (a riser, a dirty contact, a BIOS setting) bounds the NIC's bandwidth",
    judge: link,
    #[cfg(test)]
    cases: || Cases {
        fires: links("8.0 GT/s PCIe", "8"),
        ok: links("32.0 GT/s PCIe", "16"),
        unknown: Case::infiniband(),
    },
};

pub const ACS: Check = Check {
    id: "pcie.acs",
    asks: "that bridges between NIC and GPU do not send their traffic over the root",
    why: "with ACS request redirection, packets between two devices below one switch go up to the root complex and back: GPUDirect loses most \
          of its bandwidth. Virtual machines and VFs of others need it, for it is what keeps them apart",
    judge: acs,
    #[cfg(test)]
    cases: || Cases {
        fires: configured(0x2810, 0x001d),
        ok: configured(0x2810, 0),
        unknown: Case::infiniband(),
    },
};

pub const RELAXED_ORDERING: Check = Check {
    id: "pcie.relaxed_ordering",
    asks: "that the NIC may use relaxed ordering",
    why: "without it writes of a NIC wait for each other: on AMD and newer Intel processors fast NICs then do not reach their speed",
    judge: relaxed_ordering,
    #[cfg(test)]
    cases: || Cases { fires: configured(0x2800, 0), ok: configured(0x2810, 0), unknown: Case::infiniband() },
};

/// `PCI_EXP_DEVCTL_RELAX_EN`.
const RELAXED: u16 = 0x0010;
/// `PCI_ACS_RR`, `PCI_ACS_CR`: redirection of requests and completions.
const REDIRECT: u16 = 0x0004 | 0x0008;

fn link(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| {
        let function = subject.physical_function(nic)?;
        // A function in the root complex itself has the capability and no link (PCI_EXP_TYPE_RC_END).
        let lanes = format!("sys/{}/max_link_width", function.sysfs);
        if subject.environment.text(&lanes).known().is_some_and(|width| width == "0") {
            return Some(Finding::ok(format!("/{lanes}: 0: it is in the root complex, without a link")));
        }
        let speed = compare(subject, function, "speed", gigatransfers);
        let width =
            compare(subject, function, "width", |text| text.parse().ok().filter(|lanes| *lanes > 0.0));
        Some(match (speed, width) {
            (None, _) | (_, None) => Finding::ok(format!("/sys/{}: it has no PCIe link", function.sysfs)),
            (Some(a), Some(b)) => {
                // The worse of the two tells.
                let status = a.status.min(b.status);
                let (first, second) = if a.status <= b.status { (a, b) } else { (b, a) };
                let evidence = format!("{}; {}", first.evidence, second.evidence);
                Finding { status, evidence, ..first }
            }
        })
    })
}

/// What the card has against what it and the slot above it could have; `None` without a PCIe link.
fn compare(
    subject: &Subject,
    function: &PciFunction,
    what: &str,
    parse: impl Fn(&str) -> Option<f64>,
) -> Option<Finding> {
    let read = |sysfs: &str, which: &str| {
        let path = format!("sys/{sysfs}/{which}_link_{what}");
        match subject.environment.text(&path) {
            Reading::Known(text) => {
                Some(parse(&text).map(|value| (value, text.clone())).ok_or(format!("/{path}: {text}")))
            }
            Reading::Absent => None,
            Reading::Unknown(why) => Some(Err(why)),
        }
    };
    let (now, best) = match (read(&function.sysfs, "current")?, read(&function.sysfs, "max")?) {
        (Ok(now), Ok(best)) => (now, best),
        (Err(why), _) | (_, Err(why)) => return Some(Finding::unknown(why)),
    };
    let slot = function.bridges.last().and_then(|bridge| subject.host.function(*bridge));
    let slot = slot.and_then(|slot| read(&slot.sysfs, "max")?.ok());
    let evidence = format!("/sys/{}/current_link_{what}: {}, max {}", function.sysfs, now.1, best.1);
    Some(if now.0 >= best.0 {
        Finding::ok(evidence)
    } else if slot.as_ref().is_some_and(|slot| now.0 >= slot.0) {
        let slot = slot.map(|slot| slot.1).unwrap_or_default();
        Finding::hint(
            format!("{evidence}, the slot {slot}"),
            "put the card into a slot with more lanes and a newer PCIe",
        )
    } else {
        let retrain = function.bridges.last().map_or_else(String::new, |bridge| {
            format!("setpci -s {bridge} CAP_EXP+10.w=20:20 trains the link anew; else ")
        });
        Finding::problem(
            evidence,
            format!("{retrain}seat the card anew, look at riser and BIOS (link speed, bifurcation)"),
        )
    })
}

/// `pci_speed_string()` of drivers/pci/probe.c: `16.0 GT/s PCIe`.
fn gigatransfers(text: &str) -> Option<f64> {
    text.split_once(" GT/s")?.0.parse().ok()
}

fn acs(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| {
        let bridges = shared_with_gpus(subject, nic)?;
        let mut last = None;
        for address in bridges {
            let Some(bridge) = subject.host.function(address) else { continue };
            let path = format!("sys/{}/config", bridge.sysfs);
            match register(subject, &path, acs_control) {
                Err(why) => return Some(Finding::unknown(why)),
                Ok(Some(control)) if control & REDIRECT != 0 => {
                    return Some(Finding::hint(
                        format!("/{path}: ACS control {control:#06x} of {address}, above the NIC and a GPU"),
                        format!("setpci -s {address} ECAP_ACS+6.w=0000, on a machine without virtual machines and others' VFs"),
                    ));
                }
                Ok(control) => last = Some((address, control)),
            }
        }
        let (address, control) = last?;
        let says = control.map_or_else(|| "no ACS".to_owned(), |control| format!("ACS control {control:#06x}"));
        Some(Finding::ok(format!("{says} in {address}, above the NIC and a GPU")))
    })
}

/// The bridges above a NIC under which there is a GPU, too.
fn shared_with_gpus(subject: &Subject, nic: &Nic) -> Option<Vec<PciAddress>> {
    let function = subject.host.function(nic.pci?)?;
    let gpus = subject.host.topology.devices.iter().filter(|device| device.kind == DeviceKind::Gpu);
    let below: Vec<_> = gpus
        .filter(|gpu| function.bridges.first().is_some_and(|root| gpu.bridges.first() == Some(root)))
        .collect();
    let first = below.first()?;
    // The switch's ports down to the NIC and to the GPU are what redirects.
    let mut bridges: Vec<PciAddress> = function.bridges.iter().chain(&first.bridges).copied().collect();
    bridges.sort_unstable();
    bridges.dedup();
    Some(bridges)
}

fn relaxed_ordering(subject: &Subject) -> Vec<Finding> {
    subject.each(|nic| {
        let function = subject.physical_function(nic)?;
        let path = format!("sys/{}/config", function.sysfs);
        Some(match register(subject, &path, device_control) {
            Err(why) => Finding::unknown(why),
            Ok(None) => Finding::ok(format!("/{path}: no PCI Express capability")),
            Ok(Some(control)) if control & RELAXED == 0 => Finding::hint(
                format!("/{path}: Device Control {control:#06x}, relaxed ordering off"),
                format!("setpci -s {} CAP_EXP+8.w=0010:0010; for ever: the card's firmware (mlxconfig PCI_WR_ORDERING=per_mkey)", function.address),
            ),
            Ok(Some(control)) => Finding::ok(format!("/{path}: Device Control {control:#06x}, relaxed ordering on")),
        })
    })
}

/// `Ok(None)`: there is no such capability.
fn register(subject: &Subject, path: &str, find: impl Fn(&[u8]) -> Register) -> Result<Option<u16>, String> {
    match subject.environment.bytes(path) {
        Reading::Known(config) => match find(&config) {
            Register::Is(value) => Ok(Some(value)),
            Register::NoCapability => Ok(None),
            Register::NotShown => {
                Err(format!("/{path}: {} bytes, of which the rest only root is shown", config.len()))
            }
        },
        Reading::Absent => Err(format!("/{path} is not there")),
        Reading::Unknown(why) => Err(why),
    }
}

/// A rail with such a link, on a card and in a slot of 32 GT/s and 16 lanes.
#[cfg(test)]
fn links(speed: &str, width: &str) -> Case {
    let one = Case::infiniband().host(|host| host.nics.retain(|nic| nic.name == "mlx5_0"));
    let functions: Vec<String> = one.host.pci.iter().map(|function| function.sysfs.clone()).collect();
    functions.iter().fold(one, |case, sysfs| {
        case.environment(|environment| {
            environment
                .with_file(&format!("sys/{sysfs}/current_link_speed"), speed)
                .with_file(&format!("sys/{sysfs}/max_link_speed"), "32.0 GT/s PCIe")
                .with_file(&format!("sys/{sysfs}/current_link_width"), width)
                .with_file(&format!("sys/{sysfs}/max_link_width"), "16")
        })
    })
}

/// All functions with this configuration.
#[cfg(test)]
fn configured(device_control: u16, acs_control: u16) -> Case {
    let case = Case::infiniband();
    let functions: Vec<String> = case.host.pci.iter().map(|function| function.sysfs.clone()).collect();
    functions.iter().fold(case, |case, sysfs| {
        case.environment(|environment| {
            environment.with_file(&format!("sys/{sysfs}/config"), described(device_control, acs_control))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Status;

    #[test]
    fn a_link_that_the_slot_bounds_is_a_hint_only() {
        let slot = |host: &nicdock_host::model::Host| {
            let rail = host.nics.iter().find(|nic| nic.name == "mlx5_0").unwrap();
            let bridge = *host.function(rail.pci.unwrap()).unwrap().bridges.last().unwrap();
            host.function(bridge).unwrap().sysfs.clone()
        };
        let case = links("32.0 GT/s PCIe", "8");
        let path = format!("sys/{}/max_link_width", slot(&case.host));
        assert_eq!(case.ask(&LINK).0, Status::Problem);
        assert_eq!(
            case.environment(|environment| environment.with_file(&path, "8")).ask(&LINK).0,
            Status::Hint
        );
    }
}
