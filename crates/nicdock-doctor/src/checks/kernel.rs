//! Kernels with known faults.

use nicdock_host::model::NicKind;

use crate::check::Check;
use crate::finding::{Finding, Status};
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const FAULTS: Check = Check {
    id: "kernel.faults",
    asks: "whether this kernel is known to be faulty with such a NIC",
    why: "what a kernel does wrong no setting cures",
    judge: faults,
    #[cfg(test)]
    cases: || Cases { fires: kernel("7.2.0-rc4"), ok: kernel("6.12.9-amd64"), unknown: kernel("unknown") },
};

/// A fault: of which NICs, from which kernel on, up to before which, how bad, what happens, what to do.
struct Fault {
    kind: NicKind,
    from: (u32, u32),
    before: (u32, u32),
    status: Status,
    what: &'static str,
    fix: &'static str,
}

/// Measured in the lab on 6.1, 6.12 and 7.2: between two of them the fault is told of where it was not shown to be absent.
const KNOWN: [Fault; 2] = [
    Fault {
        kind: NicKind::Usnic,
        from: (6, 13),
        before: (u32::MAX, 0),
        status: Status::Problem,
        what: "usnic_verbs crashes when memory is registered, and the program hangs for ever",
        fix: "boot Linux 6.12 or older",
    },
    Fault {
        kind: NicKind::SoftRoce,
        from: (0, 0),
        before: (6, 13),
        status: Status::Hint,
        what: "rdma_rxe works in the host's network namespace only: moving the netdev destroys the RDMA device",
        fix: "--netdev keep, or Linux 7.2",
    },
];

fn faults(subject: &Subject) -> Vec<Finding> {
    let release = &subject.host.kernel;
    let Some(version) = version(release) else {
        let fix = "uname -r on the machine";
        return vec![
            Finding::unknown(format!("/proc/sys/kernel/osrelease: '{release}' is not understood")).fix(fix),
        ];
    };
    let evidence = format!("/proc/sys/kernel/osrelease: {release}");
    subject.each(|nic| {
        let fault = KNOWN
            .iter()
            .find(|fault| fault.kind == nic.kind && fault.from <= version && version < fault.before);
        Some(match fault {
            Some(fault) => Finding {
                status: fault.status,
                ..Finding::hint(format!("{evidence}: {}", fault.what), fault.fix)
            },
            None => Finding::ok(format!("{evidence}: no fault is known with {}", nic.kind)),
        })
    })
}

/// `6.12.9-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
fn kernel(release: &str) -> Case {
    Case::usnic().host(|host| host.kernel = release.to_owned())
}
