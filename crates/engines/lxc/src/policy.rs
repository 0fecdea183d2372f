//! The seccomp policy of a container as LXC reads it (version 2), and merging it with another.
//!
//! It is an allow list also where another one is a deny list: of a rule for `socket` in a deny list LXC 5 makes none for i386
//! ("not supported on compat arch", src/lxc/seccomp.c), while what an allow list does not name is refused to every architecture.

use std::collections::BTreeMap;

use serde_json::Value;

use nicdock_core::request::Netlink;
use nicdock_core::seccomp;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    #[error("it is not of version 2, the only one that can be merged")]
    Version,
    #[error("its second line is neither allowlist nor denylist")]
    Kind,
    #[error("the rule '{0}' looks at arguments that nicdock's own rules for that call look at too")]
    Rule(String),
}

/// What containers of nicdock's launcher may call; with `keep_privileges` what makes namespaces and mounts, too; with these protocols of
/// netlink in addition.
pub fn policy(keep_privileges: bool, netlink: &[Netlink]) -> String {
    let profile = seccomp::of_engine(keep_privileges, netlink);
    let mut lines = Vec::new();
    for rule in profile["syscalls"].as_array().into_iter().flatten() {
        let action = match rule["errnoRet"].as_i64() {
            Some(errno) => format!("errno {errno}"),
            None => "allow".to_owned(),
        };
        let arguments: String = rule["args"].as_array().into_iter().flatten().map(argument).collect();
        for name in rule["names"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            lines.push(format!("{name} {action} {arguments}").trim_end().to_owned());
        }
    }
    text(&lines)
}

fn text(lines: &[String]) -> String {
    format!("2\nallowlist errno {}\n[{ARCHITECTURE}]\n{}\n", libc::ENOSYS, lines.join("\n"))
}

/// This machine's own, as LXC names it. LXC 5.0 makes rules for i386 of these all the same, but for calls that look different there, as
/// `socket`.
const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "x86_64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "all"
};

/// `[index,value,op,mask]`; the profile has datum and mask as libcontainer takes them.
fn argument(arg: &Value) -> String {
    let mask = arg["valueTwo"].as_u64().map(|mask| format!(",{mask:#x}")).unwrap_or_default();
    let op = arg["op"].as_str().unwrap_or_default();
    format!("[{},{:#x},{op}{mask}]", arg["index"], arg["value"].as_u64().unwrap_or_default())
}

/// What both allow: `ours` is as [`policy`] makes it.
pub fn merge(ours: &str, theirs: &str) -> Result<String, PolicyError> {
    let mut head = theirs.lines();
    if head.next().map(str::trim) != Some("2") {
        return Err(PolicyError::Version);
    }
    let word = head.next().and_then(|line| line.split_whitespace().next());
    let allows = match word {
        Some("allowlist" | "whitelist") => true,
        Some("denylist" | "blacklist") => false,
        _ => return Err(PolicyError::Kind),
    };
    let mut rules = BTreeMap::<&str, Vec<&str>>::new();
    let code = head.map(|line| line.split('#').next().unwrap_or_default().trim());
    for line in code.filter(|line| !line.is_empty() && !line.starts_with('[')) {
        rules.entry(line.split_whitespace().next().unwrap_or_default()).or_default().push(line);
    }
    let mut lines = Vec::new();
    for line in ours.lines().skip(3) {
        let name = line.split_whitespace().next().unwrap_or_default();
        let found = rules.get(name).map_or(&[][..], Vec::as_slice);
        let allowing = |line: &&&str| {
            line.split_whitespace().nth(1).is_none_or(|word| word == "allow" || word.starts_with('['))
        };
        let plain = found.iter().any(|line| !line.contains('['));
        match (allows, found) {
            // MNT_FORCE (umount2(2)) is 1.
            (false, []) if name == "umount2" && rules.contains_key("reject_force_umount") => {
                lines.push("umount2 allow [1,0,SCMP_CMP_MASKED_EQ,0x1]".to_owned());
            }
            (false, []) => lines.push(line.to_owned()),
            (true, []) => {}
            (true, found) if plain && found.iter().all(|line| allowing(&line)) => lines.push(line.to_owned()),
            (true, found) if !plain && !line.contains('[') && found.iter().all(|line| allowing(&line)) => {
                lines.extend(found.iter().map(|line| (*line).to_owned()));
            }
            (false, _) if plain => {}
            (_, found) => return Err(PolicyError::Rule(found[0].to_owned())),
        }
    }
    Ok(text(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netlink_is_looked_at_in_32_bits_and_nothing_that_mounts_is_named_unless_kept() {
        let strict = policy(false, &[]);
        assert!(strict.starts_with("2\nallowlist errno 38\n["));
        assert!(strict.contains(
            "\nsocket errno 1 [0,0x10,SCMP_CMP_MASKED_EQ,0xffffffff][2,0x14,SCMP_CMP_MASKED_EQ,0xffffffff]\n"
        ));
        assert!(!strict.contains("\nmount allow") && policy(true, &[]).contains("\nmount allow"));
        let generic =
            "\nsocket allow [0,0x10,SCMP_CMP_MASKED_EQ,0xffffffff][2,0x10,SCMP_CMP_MASKED_EQ,0xffffffff]\n";
        assert!(!strict.contains(generic) && policy(false, &[Netlink::Generic]).contains(generic));
        assert!(strict.contains("\nsetsockopt errno 2 [1,0x6,SCMP_CMP_MASKED_EQ,0xffffffff][2,0x1f,"));
        assert!(!strict.contains("io_uring") && !policy(true, &[]).contains("io_uring"));
    }

    #[test]
    fn what_lxc_denies_by_default_stays_denied() {
        let theirs =
            "2\ndenylist\nreject_force_umount  # comment this\n[all]\nkexec_load errno 1\nread errno 1\n";
        let merged = merge(&policy(true, &[]), theirs).unwrap();
        assert!(!merged.contains("\nread allow") && merged.contains("\nwrite allow"));
        assert!(merged.contains("\numount2 allow [1,0,SCMP_CMP_MASKED_EQ,0x1]\n"));
    }

    #[test]
    fn of_two_allow_lists_what_both_have_is_allowed() {
        let theirs = "2\nwhitelist\n[all]\nread\nsocket\nwrite allow [0,1,SCMP_CMP_EQ]\n";
        let merged = merge(&policy(false, &[]), theirs).unwrap();
        assert!(merged.contains("\nread allow") && !merged.contains("\nclose allow"));
        assert!(merged.contains("\nwrite allow [0,1,SCMP_CMP_EQ]") && !merged.contains("\nsocket allow\n"));
    }

    #[test]
    fn what_cannot_be_merged_is_said() {
        assert_eq!(merge(&policy(false, &[]), "1\nwhitelist\n5\n"), Err(PolicyError::Version));
        let theirs = "2\ndenylist\nsocket errno 1 [0,40,SCMP_CMP_EQ]\n";
        assert!(matches!(merge(&policy(false, &[]), theirs), Err(PolicyError::Rule(_))));
    }
}
