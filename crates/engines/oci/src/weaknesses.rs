//! Finds what a container's configuration leaves open, and refuses what can never be accepted.

use nicdock_audit::weakness::Weakness;
use nicdock_core::kind::Kind;
use nicdock_core::node::NodeError;
use nicdock_core::plan::capabilities;
use nicdock_core::request::{Memlock, Netlink};
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, PosixRlimitType, Process, Spec};
use std::collections::BTreeSet;

use crate::profile;

/// Those that Docker's and Podman's containers have unasked. They are taken from a container that is given a NIC, unless that is accepted.
const UNASKED: [&str; 2] = ["capability.net_raw", "capability.mknod"];

/// What the configuration leaves open.
#[derive(Debug)]
pub struct Openings {
    pub weaknesses: Vec<Weakness>,
    /// Numbers of capabilities that are to be taken from it.
    pub dropped: Vec<u32>,
    /// Sockets that programs which are executed in the container later can make.
    pub sockets: Option<String>,
}

impl Openings {
    /// Errors: a weakness that is not `accepted`; it names what helps.
    pub fn of(spec: &Spec, netlink: &[Netlink], accepted: &BTreeSet<String>) -> Result<Self, NodeError> {
        let linux = spec.linux().as_ref();
        let seccomp = linux.and_then(|linux| linux.seccomp().as_ref());
        let sockets = profile::sockets(seccomp, netlink).map_err(|error| {
            NodeError::refused(Kind::of_io(&error), format!("the container's seccomp profile: {error}"))
        })?;
        let process = spec.process().as_ref();
        let Capabilities { accepted, dropped, refused } =
            Capabilities::of(process, has_own_users(spec), accepted);
        let mut this = Self { weaknesses: accepted, dropped, sockets: sockets.map(|it| it.to_string()) };
        this.weaknesses.extend(of_the_engine(spec));
        if refused.is_empty() {
            return Ok(this);
        }
        let name = |one: &Weakness| Some(one.id.strip_prefix("capability.")?.to_uppercase());
        let drop: Vec<String> =
            refused.iter().filter_map(name).map(|name| format!("--cap-drop={name}")).collect();
        let whats: Vec<String> = refused.iter().map(ToString::to_string).collect();
        let why = format!(
            "the container would be less isolated than nicdock promises: {}. Start it with {}, or accept that in {}",
            whats.join("; "),
            drop.join(" "),
            crate::accepted::FILE
        );
        Err(NodeError::refused(Kind::NotClosed, why))
    }
}

/// What an engine's containers have of their own accord, and what reaches no NIC.
fn of_the_engine(spec: &Spec) -> impl Iterator<Item = Weakness> {
    let paths = "its mounts name folders of its engine on the host (/etc/hosts, /etc/resolv.conf)";
    let paths = Weakness::new("engine.paths", paths);
    let kept = spec.process().as_ref().is_some_and(|process| process.no_new_privileges() == Some(true));
    let gains = "its programs gain by set-user-ID files what its capabilities allow (--security-opt no-new-privileges)";
    let gains = (!kept).then(|| Weakness::new("capability.no_new_privs", gains));
    let groups =
        "it has no cgroup namespace, so /proc/self/cgroup names its place on the host (--cgroupns private)";
    let groups =
        (!has_own(spec, LinuxNamespaceType::Cgroup)).then(|| Weakness::new("engine.cgroups", groups));
    [paths].into_iter().chain(groups).chain(gains)
}

fn number(weakness: &Weakness) -> Option<u32> {
    let name = weakness.id.strip_prefix("capability.")?.to_uppercase();
    capabilities::number(&format!("CAP_{name}"))
}

/// The capabilities of a program that open a way.
pub struct Capabilities {
    pub accepted: Vec<Weakness>,
    /// Numbers of those that are to be taken from it.
    pub dropped: Vec<u32>,
    pub refused: Vec<Weakness>,
}

impl Capabilities {
    /// `own_users`: in a user namespace of its own, where they count for what that owns.
    pub fn of(process: Option<&Process>, own_users: bool, accepted: &BTreeSet<String>) -> Self {
        let mut this = Self { accepted: Vec::new(), dropped: Vec::new(), refused: Vec::new() };
        for weakness in opened(process, own_users) {
            if accepted.contains(&weakness.id) {
                this.accepted.push(weakness);
            } else if UNASKED.contains(&&*weakness.id) {
                this.dropped.extend(number(&weakness));
            } else {
                this.refused.push(weakness);
            }
        }
        this
    }
}

fn opened(process: Option<&Process>, own_users: bool) -> Vec<Weakness> {
    let Some(sets) = process.and_then(|process| process.capabilities().as_ref()) else {
        return Vec::new();
    };
    let sets = [sets.bounding(), sets.effective(), sets.permitted(), sets.inheritable(), sets.ambient()];
    let numbers = sets
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|capability| capabilities::number(&format!("CAP_{capability}")));
    let set = numbers.fold(0_u64, |set, number| set | 1 << number);
    capabilities::opened_by(set, own_users)
        .map(|(name, opens)| capabilities::weakness(name, format!("{name} opens {opens}")))
        .collect()
}

fn namespace(spec: &Spec, kind: LinuxNamespaceType) -> Option<&LinuxNamespace> {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    namespaces.into_iter().flatten().find(|namespace| namespace.typ() == kind)
}

/// One that the runtime makes for it; that at a path is another's, be it the host's (runtime-spec, "Linux Namespaces").
fn has_own(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    namespace(spec, kind).is_some_and(|namespace| namespace.path().is_none())
}

/// In a user namespace of its own, capabilities count for what that owns.
fn has_own_users(spec: &Spec) -> bool {
    has_own(spec, LinuxNamespaceType::User)
}

/// What no container that is given a NIC may share with the host.
pub fn check_namespaces(spec: &Spec) -> Result<(), NodeError> {
    for (kind, option, why) in [
        (LinuxNamespaceType::Network, "--network", "the NIC moves into a network namespace"),
        (LinuxNamespaceType::Mount, "", "what it is shown is mounted in a mount namespace"),
        (LinuxNamespaceType::Pid, "--pid", "by /proc/PID/root it reaches the files of what is there"),
    ] {
        // A network namespace may be a pod's; that it is not the host's is looked at in the process.
        let is_pods = kind == LinuxNamespaceType::Network && namespace(spec, kind).is_some();
        if !is_pods && !has_own(spec, kind) {
            let path = namespace(spec, kind).and_then(|namespace| namespace.path().as_ref());
            let (whose, of_host) = match path {
                None => ("the host's".to_owned(), " host"),
                Some(path) => (format!("another's ({})", path.display()), ""),
            };
            let advice = match option {
                "" => String::new(),
                option => format!(": leave {option}{of_host} away"),
            };
            let why = format!("the container is in {whose} {kind} namespace, and {why}{advice}");
            return Err(NodeError::refused(Kind::NotClosed, why));
        }
    }
    Ok(())
}

/// A limit in the configuration counts: runtimes set it after their hooks.
pub fn check_memlock(spec: &Spec, wanted: Memlock) -> Result<(), NodeError> {
    let limits = spec.process().as_ref().and_then(|process| process.rlimits().as_ref());
    let mut limits = limits.into_iter().flatten();
    let Some(limit) = limits.find(|limit| limit.typ() == PosixRlimitType::RlimitMemlock) else {
        return Ok(());
    };
    if limit.soft() >= wanted.bytes().unwrap_or(u64::MAX) {
        return Ok(());
    }
    let why = format!(
        "the container's limit of locked memory is {} bytes, and programs register memory with the NIC beyond that: start it with --ulimit memlock=-1, or \
         with --annotation nicdock.io/memlock={}",
        limit.soft(),
        limit.soft()
    );
    Err(NodeError::refused(Kind::NotClosed, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(capabilities: &[&str], namespaces: &[&str]) -> Spec {
        let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
        serde_json::from_value(json!({
            "ociVersion": "1.0.2",
            "process": { "user": { "uid": 0, "gid": 0 }, "args": ["true"], "cwd": "/", "capabilities": { "bounding": capabilities } },
            "linux": { "namespaces": namespaces },
        }))
        .unwrap()
    }

    const OWN: [&str; 4] = ["network", "mount", "pid", "cgroup"];

    #[test]
    fn capabilities_that_open_a_way_are_taken_away_refused_or_accepted() {
        let none = BTreeSet::new();
        let docker = spec(&["CAP_CHOWN", "CAP_NET_RAW", "CAP_MKNOD"], &OWN);
        let openings = Openings::of(&docker, &[], &none).unwrap();
        let ids = |openings: &Openings| -> Vec<String> {
            openings.weaknesses.iter().map(|one| one.id.clone()).collect()
        };
        assert_eq!(openings.dropped, [13, 27]);
        assert_eq!(ids(&openings), ["engine.paths", "capability.no_new_privs"]);
        let some = BTreeSet::from(["capability.net_raw".to_owned()]);
        let openings = Openings::of(&docker, &[], &some).unwrap();
        assert_eq!((&openings.dropped[..], &*ids(&openings)[0]), (&[27][..], "capability.net_raw"));
        let admin = spec(&["CAP_SYS_ADMIN", "CAP_NET_RAW"], &OWN);
        let said = Openings::of(&admin, &[], &none).unwrap_err().to_string();
        assert!(said.contains("--cap-drop=SYS_ADMIN,") && !said.contains("NET_RAW"), "{said}");
        let all = BTreeSet::from(["capability.sys_admin".to_owned()]);
        assert_eq!(ids(&Openings::of(&admin, &[], &all).unwrap())[0], "capability.sys_admin");
        // They count in a user namespace of its own only.
        let mapped = spec(&["CAP_NET_RAW", "CAP_NET_ADMIN"], &["network", "mount", "pid", "cgroup", "user"]);
        let openings = Openings::of(&mapped, &[], &none).unwrap();
        assert!(openings.dropped.is_empty() && ids(&openings).len() == 2);
    }

    #[test]
    fn namespaces_of_the_hosts_are_refused() {
        assert!(check_namespaces(&spec(&[], &OWN)).is_ok());
        for (left, part) in
            [("network", "leave --network host away"), ("mount", "mount"), ("pid", "leave --pid host away")]
        {
            let kinds: Vec<&str> = OWN.into_iter().filter(|kind| *kind != left).collect();
            let said = check_namespaces(&spec(&[], &kinds)).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
        // Also by a path.
        let at = |kind: &str| -> Spec {
            let mut spec = serde_json::to_value(spec(&[], &OWN)).unwrap();
            for namespace in spec["linux"]["namespaces"].as_array_mut().unwrap() {
                if namespace["type"] == kind {
                    namespace["path"] = json!(format!("/proc/1/ns/{kind}"));
                }
            }
            serde_json::from_value(spec).unwrap()
        };
        assert!(check_namespaces(&at("network")).is_ok(), "a pod's");
        for kind in ["mount", "pid"] {
            let said = check_namespaces(&at(kind)).unwrap_err().to_string();
            assert!(said.contains(&format!("(/proc/1/ns/{kind})")), "{said}");
        }
        assert!(
            Openings::of(&at("cgroup"), &[], &BTreeSet::new())
                .unwrap()
                .weaknesses
                .iter()
                .any(|one| one.id == "engine.cgroups")
        );
    }

    #[test]
    fn a_limit_of_locked_memory_below_what_is_asked_for_is_refused() {
        let of = |soft: u64| -> Spec {
            let mut spec = serde_json::to_value(spec(&[], &OWN)).unwrap();
            spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_MEMLOCK", "soft": soft, "hard": soft }]);
            serde_json::from_value(spec).unwrap()
        };
        assert!(check_memlock(&spec(&[], &OWN), Memlock::Unlimited).is_ok());
        assert!(check_memlock(&of(u64::MAX), Memlock::Unlimited).is_ok());
        assert!(check_memlock(&of(65536), Memlock::Bytes(65536)).is_ok());
        let said = check_memlock(&of(65536), Memlock::Unlimited).unwrap_err().to_string();
        assert!(said.contains("--ulimit memlock=-1") && said.contains("nicdock.io/memlock=65536"), "{said}");
    }

    #[test]
    fn programs_in_a_container_without_a_profile_make_any_socket() {
        assert!(Openings::of(&spec(&[], &OWN), &[], &BTreeSet::new()).unwrap().sockets.is_some());
    }
}
