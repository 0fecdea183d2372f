//! What a container that nicdock has not made leaves open, by what the kernel tells of its first process.

use crate::plan::capabilities;

/// What it could do beyond what a container of nicdock's own could, in sentences.
///
/// `status` is `/proc/PID/status`, `limits` `/proc/PID/limits` of its first process.
///
/// `userns`: it has a user namespace of its own.
///
/// `alone`: no other process is in it yet, and this one will execute a program.
pub fn openings(status: &str, limits: &str, userns: bool, alone: bool) -> Vec<String> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mut warnings = Vec::new();
    let set =
        |name: &str| field(name).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(u64::MAX);
    // With no_new_privs no execve adds to the permitted ones (cap_bprm_creds_from_file(), security/commoncap.c).
    let bound = match field("NoNewPrivs:") {
        Some("1") if alone => set("CapPrm:") & (set("CapBnd:") | set("CapInh:")),
        _ => set("CapBnd:"),
    };
    warnings.extend(
        capabilities::opened_by(bound, userns)
            .map(|(name, opens)| format!("its processes may have {name}, which opens {opens}")),
    );
    if field("Seccomp:") != Some("2") {
        warnings.push("its processes have no seccomp filter, and none can be added to them".to_owned());
    }
    if let Some(locked) = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))
        && let Some(soft) = locked.split_whitespace().next().filter(|soft| *soft != "unlimited")
    {
        warnings.push(format!(
            "its RLIMIT_MEMLOCK is {soft} bytes: registering more memory fails without CAP_IPC_LOCK"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_as_nicdock_makes_it_opens_nothing() {
        let limits = "Max locked memory         unlimited            unlimited            bytes\n";
        assert_eq!(
            openings("CapBnd:\t0000000000000000\nSeccomp:\t2\n", limits, false, false),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_a_plain_one_opens_is_told() {
        let limits = "Max locked memory         8388608              8388608              bytes\n";
        let told = openings("CapBnd:\t0000000000200000\nSeccomp:\t0\n", limits, false, false);
        assert!(
            told[0].contains("CAP_SYS_ADMIN") && told[1].contains("seccomp") && told[2].contains("8388608")
        );
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn what_an_ordinary_user_without_new_privileges_is_bounded_by_does_not_count() {
        let limits = "Max locked memory         unlimited            unlimited            bytes\n";
        let status = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapBnd:\t0000010000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        assert!(openings(status, limits, false, true).is_empty());
        assert_eq!(openings(status, limits, false, false).len(), 1);
    }
}
