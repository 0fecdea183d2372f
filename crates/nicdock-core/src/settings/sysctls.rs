//! The interface's own sysctls (`net.ipv4.conf.IFACE` and its kin): a move makes new ones from the defaults of the namespace
//! it leads to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use nicdock_netlink::name;

use super::Left;

const FOLDERS: [&str; 4] = ["ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"];

/// Those that others follow from, so that these are written first: setting a secret changes how addresses are made
/// (net/ipv6/addrconf.c, `addrconf_sysctl_stable_secret`), a time or size in small units the same one in large units.
const FIRST: [&str; 4] = ["stable_secret", "base_reachable_time_ms", "retrans_time_ms", "unres_qlen_bytes"];

/// Values by `FOLDER/NAME`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sysctls(BTreeMap<String, String>);

/// `all` and `default` are the folders of something else (`sysctl_dev_name_is_allowed()`, include/net/neighbour.h): an interface of that name has none.
fn of(interface: &str, folder: &str) -> Option<PathBuf> {
    let has_one = !["all", "default"].contains(&interface);
    has_one.then(|| PathBuf::from("/proc/sys/net").join(folder).join(name::path(interface)))
}

fn path(interface: &str, key: &str) -> Option<PathBuf> {
    let (folder, name) = key.rsplit_once('/')?;
    Some(of(interface, folder)?.join(name))
}

impl Sysctls {
    pub fn read(interface: &str) -> Self {
        let mut found = BTreeMap::new();
        for folder in FOLDERS {
            let entries = of(interface, folder).map(fs::read_dir);
            for entry in entries.into_iter().flatten().flatten().filter_map(Result::ok) {
                let writable = entry.metadata().is_ok_and(|data| data.permissions().mode() & 0o200 != 0);
                // A secret that was never set cannot be read.
                if let (true, Ok(value)) = (writable, fs::read_to_string(entry.path())) {
                    let key = format!("{folder}/{}", entry.file_name().to_string_lossy());
                    found.insert(key, value.trim_end().to_owned());
                }
            }
        }
        Self(found)
    }

    /// The first carrier after the interface was set up makes the IPv6 MTU that of the device (net/ipv6/addrconf.c,
    /// `addrconf_notify`).
    pub fn are_reset_by_the_link(&self, mtu: u32) -> bool {
        self.0.get("ipv6/conf/mtu").is_some_and(|value| *value != mtu.to_string())
    }

    /// Writes what differs, and nothing else: some have effects when written, even the same value.
    pub fn restore(&self, interface: &str, left: &mut Left) {
        let is_first = |key: &str| FIRST.iter().any(|name| key.ends_with(&format!("/{name}")));
        let (first, then): (Vec<_>, Vec<_>) = self.0.iter().partition(|(key, _)| is_first(key));
        for (key, value) in first.into_iter().chain(then) {
            let Some(path) = path(interface, key) else { continue };
            let now = fs::read_to_string(&path);
            if now.as_ref().is_ok_and(|now| now.trim_end() == value) {
                continue;
            }
            let result = match fs::write(&path, value) {
                // IPv6 is off on it (MTU below 1,280), or the folder is of a kernel's part that is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            };
            left.note(interface, &path.display().to_string(), result);
        }
    }
}
