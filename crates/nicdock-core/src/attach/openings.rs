//! What a container that nicdock has not made leaves open, by what the kernel tells of its first process.

use nicdock_audit::weakness::Weakness;

use crate::plan::capabilities;
use crate::request::Memlock;

/// What it could do beyond what a container of nicdock's own could, in sentences.
///
/// `status` is `/proc/PID/status` of its first process.
///
/// `userns`: it has a user namespace of its own.
///
/// `alone`: no other process is in it yet, and this one will execute a program.
pub fn of_status(status: &str, userns: bool, alone: bool) -> Vec<Weakness> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mut found = Vec::new();
    let set =
        |name: &str| field(name).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(u64::MAX);
    // With no_new_privs no execve adds to the permitted ones (cap_bprm_creds_from_file(), security/commoncap.c).
    let bound = match field("NoNewPrivs:") {
        Some("1") if alone => set("CapPrm:") & (set("CapBnd:") | set("CapInh:")),
        _ => set("CapBnd:"),
    };
    found.extend(capabilities::opened_by(bound, userns).map(|(name, opens)| {
        capabilities::weakness(name, format!("its processes may have {name}, which opens {opens}"))
    }));
    if field("Seccomp:") != Some("2") {
        found.push(Weakness::new(
            "seccomp.none",
            "its processes have no seccomp filter, and none can be added to them",
        ));
    }
    found
}

/// What of `RLIMIT_MEMLOCK` is not as it was asked for, in a sentence; `limits` is `/proc/PID/limits`.
pub fn of_limits(limits: &str, wanted: Memlock) -> Option<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    let soft = line.split_whitespace().next()?;
    let is = soft.parse().map_or(Memlock::Unlimited, Memlock::Bytes);
    match (is, wanted) {
        _ if is == wanted => None,
        (Memlock::Unlimited, Memlock::Bytes(wanted)) => {
            Some(format!("its RLIMIT_MEMLOCK is unlimited, not {wanted} bytes"))
        }
        (_, Memlock::Bytes(wanted)) => Some(format!("its RLIMIT_MEMLOCK is {soft} bytes, not {wanted}")),
        (_, Memlock::Unlimited) => Some(format!(
            "its RLIMIT_MEMLOCK is {soft} bytes: registering more memory fails without CAP_IPC_LOCK"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLIMITED: &str = "Max locked memory         unlimited            unlimited            bytes\n";
    const BOUNDED: &str = "Max locked memory         8388608              8388608              bytes\n";

    #[test]
    fn a_container_as_nicdock_makes_it_opens_nothing() {
        let status = "CapBnd:\t0000000000000000\nSeccomp:\t2\n";
        assert_eq!(of_status(status, false, false), Vec::new());
        assert_eq!(of_limits(UNLIMITED, Memlock::Unlimited), None);
    }

    #[test]
    fn what_a_plain_one_opens_is_told() {
        let told = of_status("CapBnd:\t0000000000200000\nSeccomp:\t0\n", false, false);
        assert!(told[0].id == "capability.sys_admin" && told[1].id == "seccomp.none");
        assert_eq!(told.len(), 2);
        assert!(of_limits(BOUNDED, Memlock::Unlimited).unwrap().contains("8388608"));
    }

    #[test]
    fn a_bound_of_memory_is_the_one_that_was_asked_for() {
        assert_eq!(of_limits(BOUNDED, Memlock::Bytes(8_388_608)), None);
        assert!(of_limits(BOUNDED, Memlock::Bytes(65_536)).unwrap().contains("not 65536"));
        assert!(of_limits(UNLIMITED, Memlock::Bytes(65_536)).unwrap().contains("unlimited, not 65536"));
        assert_eq!(of_limits("", Memlock::Bytes(65_536)), None);
    }

    #[test]
    fn what_an_ordinary_user_without_new_privileges_is_bounded_by_does_not_count() {
        let status = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapBnd:\t0000010000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        assert!(of_status(status, false, true).is_empty());
        assert_eq!(of_status(status, false, false).len(), 1);
    }
}
