//! Makes one seccomp profile of an engine's and nicdock's: what both allow.

use std::collections::BTreeSet;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSyscall};

/// What nicdock's allows whatever the arguments, as far as theirs does; and of calls that nicdock's decides about by their arguments, all of its rules if theirs allows
/// the call in some way.
///
/// What is left to somebody to decide (notify, trace) is not allowed.
pub fn both(theirs: &LinuxSeccomp, own: &LinuxSeccomp) -> LinuxSeccomp {
    let (mut plain, mut decided) = (BTreeSet::new(), BTreeSet::new());
    for rule in rules(own) {
        let is_plain = allows(rule.action()) && !has_args(rule);
        if is_plain { &mut plain } else { &mut decided }.extend(rule.names().iter().map(String::as_str));
    }
    let mut kept: Vec<LinuxSyscall> = Vec::new();
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    if denies(theirs.default_action()) {
        for rule in rules(theirs) {
            if allows(rule.action()) {
                wanted.extend(decided.iter().filter(|name| names(rule, name)));
                kept.extend(only(rule, |name| plain.contains(name) && !decided.contains(name)));
            } else if denies(rule.action()) && !is_default(rule, own) {
                // Another error than nicdock's, or by their arguments.
                kept.extend(only(rule, |name| plain.contains(name) && !decided.contains(name)));
            }
        }
        for rule in rules(theirs).filter(|rule| !allows(rule.action()) && !has_args(rule)) {
            wanted.retain(|name| !names(rule, name));
        }
    } else {
        // Theirs names what it refuses: no call of those is allowed, whatever the arguments.
        let refused = |name: &str| rules(theirs).any(|rule| !allows(rule.action()) && names(rule, name));
        let allowed = rules(own).filter(|rule| allows(rule.action()) && !has_args(rule));
        kept.extend(allowed.filter_map(|rule| only(rule, |name| !decided.contains(name) && !refused(name))));
        wanted.extend(decided.iter().filter(|name| !refused(name)));
    }
    let by_arguments = rules(own).filter_map(|rule| only(rule, |name| wanted.contains(name)));
    kept.extend(by_arguments);
    let mut profile = own.clone();
    profile.set_syscalls(Some(kept)).set_flags(theirs.flags().clone());
    profile
}

fn rules(profile: &LinuxSeccomp) -> impl Iterator<Item = &LinuxSyscall> {
    profile.syscalls().iter().flatten()
}

/// The rule for some of its calls.
fn only(rule: &LinuxSyscall, is_kept: impl Fn(&str) -> bool) -> Option<LinuxSyscall> {
    let names: Vec<String> = rule.names().iter().filter(|name| is_kept(name)).cloned().collect();
    if names.is_empty() {
        return None;
    }
    let mut rule = rule.clone();
    rule.set_names(names);
    Some(rule)
}

fn names(rule: &LinuxSyscall, wanted: &str) -> bool {
    rule.names().iter().any(|name| name == wanted)
}

fn has_args(rule: &LinuxSyscall) -> bool {
    rule.args().as_ref().is_some_and(|args| !args.is_empty())
}

/// libseccomp takes no rule that says what holds anyway.
fn is_default(rule: &LinuxSyscall, profile: &LinuxSeccomp) -> bool {
    rule.action() == profile.default_action() && rule.errno_ret() == profile.default_errno_ret()
}

fn allows(action: LinuxSeccompAction) -> bool {
    matches!(action, LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog)
}

fn denies(action: LinuxSeccompAction) -> bool {
    use LinuxSeccompAction::{ScmpActErrno, ScmpActKill, ScmpActKillProcess, ScmpActKillThread, ScmpActTrap};
    matches!(action, ScmpActErrno | ScmpActKill | ScmpActKillProcess | ScmpActKillThread | ScmpActTrap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{profile, sockets};
    use serde_json::{Value, json};

    fn read(value: Value) -> LinuxSeccomp {
        serde_json::from_value(value).unwrap()
    }

    fn merged(theirs: Value) -> LinuxSeccomp {
        let both = both(&read(theirs), &read(profile(&[])));
        assert_eq!(sockets(Some(&both), &[]).unwrap(), None);
        both
    }

    fn allowed(profile: &LinuxSeccomp) -> BTreeSet<&str> {
        let rules = rules(profile).filter(|rule| allows(rule.action()));
        rules.flat_map(|rule| rule.names().iter().map(String::as_str)).collect()
    }

    #[test]
    fn of_a_list_of_what_is_allowed_nothing_is_added_and_what_opens_a_way_goes() {
        let both = merged(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [
                { "names": ["read", "execve", "socket", "io_uring_setup", "mount", "syslog"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["write"], "action": "SCMP_ACT_NOTIFY" },
                { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
                { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }] },
                { "names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 1, "value": 7, "op": "SCMP_CMP_EQ" }] },
            ],
        }));
        assert_eq!(allowed(&both), BTreeSet::from(["execve", "ioctl", "personality", "read", "socket"]));
        assert!(rules(&both).any(|rule| names(rule, "ioctl") && has_args(rule)));
        assert_eq!(both.architectures().as_ref().map(Vec::len), Some(1));
        // Nothing that says what holds anyway.
        assert!(rules(&both).all(|rule| !is_default(rule, &both)));
    }

    #[test]
    fn of_a_list_of_what_is_refused_the_rest_is_as_in_nicdocks() {
        let both = merged(json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                { "names": ["chmod", "socketpair"], "action": "SCMP_ACT_ERRNO" },
                { "names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "value": 7, "op": "SCMP_CMP_EQ" }] },
            ],
        }));
        let allowed = allowed(&both);
        for (name, is) in [
            ("read", true),
            ("socket", true),
            ("chmod", false),
            ("ioctl", false),
            ("mount", false),
            ("socketpair", false),
        ] {
            assert_eq!(allowed.contains(name), is, "{name}");
        }
    }

    #[test]
    fn with_itself_it_is_the_same() {
        let own = read(profile(&[]));
        let both = merged(profile(&[]));
        assert_eq!(allowed(&both), allowed(&own));
    }
}
