//! A container as its runtime tells hooks of it: its state on standard input, its configuration in the bundle (OCI runtime-spec).

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nicdock_core::kind::Kind;
use nicdock_core::node::NodeError;
use nicdock_core::request::User;
use nicdock_sys::walk;
use oci_spec::runtime::{LinuxDevice, LinuxIdMapping, Spec};
use serde::Deserialize;

/// As much of standard input as is read, and of a configuration.
const LONGEST: u64 = 16 << 20;

/// What a runtime writes to a hook's standard input (runtime-spec, "State"); what is not needed is passed by.
#[derive(Deserialize)]
pub struct State {
    pub id: String,
    /// The container's first process; 0 or none when it has ended.
    #[serde(default)]
    pub pid: u32,
    pub bundle: PathBuf,
}

impl State {
    pub fn read(input: impl Read) -> Result<Self, NodeError> {
        let wrong = |why: &dyn std::fmt::Display| {
            NodeError::refused(Kind::BadInput, format!("the container's state on standard input: {why}"))
        };
        let mut text = Vec::new();
        input.take(LONGEST).read_to_end(&mut text).map_err(|error| wrong(&error))?;
        serde_json::from_slice(&text).map_err(|error| wrong(&error))
    }
}

/// Where a bundle has its configuration.
pub fn file_of(bundle: &Path) -> PathBuf {
    bundle.join("config.json")
}

/// The configuration in a bundle.
///
/// Errors: somebody else than root could have exchanged it since the runtime has read it.
pub fn read(bundle: &Path) -> Result<Vec<u8>, NodeError> {
    read_file(&file_of(bundle))
}

/// A file that an engine made for its runtime; with the same errors.
pub fn read_file(file: &Path) -> Result<Vec<u8>, NodeError> {
    let wrong = |kind: Kind, why: &dyn std::fmt::Display| {
        NodeError::refused(kind, format!("{}: {why}", file.display()))
    };
    let failed = |error: io::Error| wrong(Kind::of_io(&error), &error);
    let (open, passed) = walk::open(file).map_err(failed)?;
    for part in passed {
        let others = !part.is_link && !part.owned.is_sticky() && part.owned.is_writable_by_others(&[]);
        if part.owned.uid != 0 || others {
            let why = format!(
                "{} is not root's alone (user {}, mode {:o}), so somebody could exchange the configuration that the runtime has read",
                part.path.display(),
                part.owned.uid,
                part.owned.mode
            );
            return Err(wrong(Kind::NotClosed, &why));
        }
    }
    let mut text = Vec::new();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
    fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text)).map_err(failed)?;
    Ok(text)
}

/// What its configuration says.
pub struct Container {
    pub spec: Spec,
    /// Its root, as the host names it; no part is a link.
    pub root: PathBuf,
    pub user: User,
}

impl Container {
    /// Errors: somebody else than root could have exchanged the configuration since the runtime has read it.
    pub fn of(state: &State) -> Result<Self, NodeError> {
        let file = file_of(&state.bundle);
        let wrong = |kind: Kind, why: &dyn std::fmt::Display| {
            NodeError::refused(kind, format!("{}: {why}", file.display()))
        };
        let text = read(&state.bundle)?;
        let spec: Spec = serde_json::from_slice(&text).map_err(|error| wrong(Kind::BadInput, &error))?;
        let root = spec.root().as_ref().map(|root| state.bundle.join(root.path()));
        let root = root.ok_or_else(|| wrong(Kind::BadInput, &"it names no root"))?;
        let root = fs::canonicalize(&root).map_err(|error| {
            NodeError::refused(
                Kind::of_io(&error),
                format!("the container's root {}: {error}", root.display()),
            )
        })?;
        if root == Path::new("/") {
            return Err(wrong(Kind::NotClosed, &"its root is the host's"));
        }
        let user = user(&spec).map_err(|why| wrong(Kind::BadInput, &why))?;
        Ok(Self { spec, root, user })
    }

    pub fn annotations(&self) -> HashMap<String, String> {
        self.spec.annotations().clone().unwrap_or_default()
    }
}

/// Runtimes write `linux.sysctl` after their hooks, and make what `readonlyPaths` names read-only after that (runc, `linuxStandardInit.Init()`): then /proc/sys must
/// be left to them, else nicdock sees to it.
pub fn writes_sys(spec: &Spec) -> bool {
    let linux = spec.linux().as_ref();
    let writes = linux.and_then(|linux| linux.sysctl().as_ref()).is_some_and(|list| !list.is_empty());
    let paths = linux.and_then(|linux| linux.readonly_paths().as_ref()).into_iter().flatten();
    writes && paths.into_iter().any(|path| path == SYS)
}

/// The devices that a container is to have.
pub fn devices(spec: &Spec) -> impl Iterator<Item = &LinuxDevice> {
    spec.linux().as_ref().and_then(|linux| linux.devices().as_ref()).into_iter().flatten()
}

/// What a path in the folder of RDMA devices' nodes is called there.
pub fn fabric_node(path: &Path) -> Option<&str> {
    path.strip_prefix("/dev/infiniband").ok()?.to_str()
}

/// Where the kernel's settings are.
pub const SYS: &str = "/proc/sys";

/// Its program's, as the host numbers it (user_namespaces(7)).
fn user(spec: &Spec) -> Result<User, String> {
    let user = spec.process().as_ref().map(|process| process.user().clone()).unwrap_or_default();
    let linux = spec.linux().as_ref();
    let uid = on_host(user.uid(), linux.and_then(|linux| linux.uid_mappings().as_ref()));
    let gid = on_host(user.gid(), linux.and_then(|linux| linux.gid_mappings().as_ref()));
    match (uid, gid) {
        (Some(uid), Some(gid)) => Ok(User { uid, gid }),
        _ => Err(format!("its user {}:{} is not mapped", user.uid(), user.gid())),
    }
}

fn on_host(inside: u32, mappings: Option<&Vec<LinuxIdMapping>>) -> Option<u32> {
    let Some(mappings) = mappings.filter(|list| !list.is_empty()) else { return Some(inside) };
    let of = |mapping: &LinuxIdMapping| {
        let place = inside.checked_sub(mapping.container_id())?;
        (place < mapping.size()).then(|| mapping.host_id().checked_add(place))?
    };
    mappings.iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_as_the_host_numbers_them() {
        let mapping = |inside: u32, host: u32, size: u32| -> LinuxIdMapping {
            serde_json::from_value(serde_json::json!({ "containerID": inside, "hostID": host, "size": size }))
                .unwrap()
        };
        let mappings = vec![mapping(0, 100_000, 1000), mapping(1000, 5000, 1)];
        assert_eq!(on_host(7, None), Some(7));
        assert_eq!(on_host(7, Some(&mappings)), Some(100_007));
        assert_eq!(on_host(1000, Some(&mappings)), Some(5000));
        assert_eq!(on_host(1001, Some(&mappings)), None);
    }

    #[test]
    fn sys_is_left_to_a_runtime_that_writes_to_it_and_closes_it() {
        let of = |sysctl: serde_json::Value, paths: &[&str]| {
            let linux = serde_json::json!({ "sysctl": sysctl, "readonlyPaths": paths });
            writes_sys(
                &serde_json::from_value(serde_json::json!({ "ociVersion": "1.0.2", "linux": linux }))
                    .unwrap(),
            )
        };
        let some = serde_json::json!({ "net.ipv4.ip_unprivileged_port_start": "0" });
        assert!(of(some.clone(), &["/proc/bus", "/proc/sys"]));
        assert!(!of(some, &["/proc/bus"]) && !of(serde_json::json!({}), &["/proc/sys"]));
    }

    #[test]
    fn a_state_has_an_id_and_a_bundle() {
        let state = State::read(
            &br#"{"ociVersion":"1.0.2","id":"a","status":"created","pid":7,"bundle":"/b","annotations":{}}"#
                [..],
        );
        let state = state.unwrap();
        assert_eq!((&*state.id, state.pid, state.bundle.to_str()), ("a", 7, Some("/b")));
        for wrong in ["", "{}", r#"{"id":"a"}"#, r#"{"id":"a","bundle":"/b","pid":-1}"#] {
            assert!(State::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bundle_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let state = State { id: "a".into(), pid: 1, bundle: folder.path().to_owned() };
        fs::create_dir(folder.path().join("rootfs")).unwrap();
        fs::write(folder.path().join("config.json"), r#"{"ociVersion":"1.0.2","root":{"path":"rootfs"}}"#)
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let said = Container::of(&state).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("exchange the configuration"), "{said}");
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            assert!(Container::of(&state).unwrap().root.ends_with("rootfs"));
        }
    }
}
