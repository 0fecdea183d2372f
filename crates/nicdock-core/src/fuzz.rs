//! What users type and what is read back: parsed, printed and parsed again it is the same.

use std::fmt::Display;
use std::str::FromStr;

use nicdock_audit::Verdict;
use nicdock_audit::report::Report;
use nicdock_fuzzing::{check, samples};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lease::Lease;
use crate::phases::cgroup::Cgroup;
use crate::plan::Plan;
use crate::request::{AddressWithPrefix, Memlock, Selector, User, Volume};

/// A value that is printed can be read again, and is the same.
fn check_printed<T: FromStr + Display + PartialEq + std::fmt::Debug>(target: &str, holds: impl Fn(&T)) {
    check(&samples!(target), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(value) = text.parse::<T>() {
            let printed = value.to_string();
            assert_eq!(printed.parse::<T>().ok().as_ref(), Some(&value), "printed as '{printed}'");
            holds(&value);
        }
    });
}

#[test]
fn selectors() {
    check_printed("selector", |selector: &Selector| {
        assert!((1..=64).contains(&selector.count) && !selector.terms.is_empty());
    });
}

#[test]
fn addresses() {
    check_printed("address", |address: &AddressWithPrefix| {
        assert!(address.contains(address.ip));
    });
}

#[test]
fn pci_addresses() {
    check_printed("pci", |_: &nicdock_host::model::PciAddress| {});
}

#[test]
fn link_layer_addresses() {
    check_printed("mac", |mac: &nicdock_host::model::Mac| assert!(mac.0.len() <= 32));
}

#[test]
fn sizes() {
    check(&samples!("memlock"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(Memlock::Bytes(bytes)) = text.parse() {
            assert_eq!(bytes.to_string().parse(), Ok(Memlock::Bytes(bytes)));
        }
    });
}

#[test]
fn users() {
    check(&samples!("user"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(user) = text.parse::<User>() {
            assert_eq!(format!("{}:{}", user.uid, user.gid).parse(), Ok(user));
        }
    });
}

#[test]
fn volumes() {
    check(&samples!("volume"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(volume) = text.parse::<Volume>() else { return };
        let access = if volume.read_only { "ro" } else { "rw" };
        let printed = format!("{}:{}:{access}", volume.source.display(), volume.destination);
        assert_eq!(printed.parse(), Ok(volume.clone()));
        let parts: Vec<&str> =
            volume.destination.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        assert!(volume.source.is_absolute() && volume.destination.starts_with('/'));
        assert!(!parts.is_empty() && !["sys", "proc", "dev"].contains(&parts[0]) && !parts.contains(&".."));
    });
}

/// What can be read is written, read and written the same.
fn check_json<T: Serialize + DeserializeOwned>(target: &str) {
    check(&samples!(target), |bytes| {
        let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
        let written = serde_json::to_vec(&value).expect("writable");
        let again: T = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(serde_json::to_vec(&again).expect("writable"), written);
    });
}

#[test]
fn plans() {
    check_json::<Plan>("plan");
}

#[test]
fn leases() {
    check_json::<Lease>("lease");
}

#[test]
fn cgroups_of_a_process() {
    check(&samples!("cgroup"), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for hybrid in [false, true] {
            drop(Cgroup::parse(&text, hybrid));
        }
    });
}

/// What comes out of a hostile container.
#[test]
fn reports() {
    check(&samples!("report"), |bytes| {
        let Ok(report) = Report::received(bytes, &[]) else { return };
        let open = report.probes.iter().filter(|probe| probe.result == Verdict::Open).count();
        assert_eq!(report.summary.open, open);
        let texts = report.probes.iter().flat_map(|probe| [&probe.id, &probe.evidence]).chain(&report.notes);
        assert!(texts.into_iter().all(|text| !text.contains(char::is_control)), "{report:?}");
    });
}
