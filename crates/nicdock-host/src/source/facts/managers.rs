use std::fs;
use std::io;

use super::netdevs;

/// Each netdev that NetworkManager, systemd-networkd or ifupdown knows, as their own files of state say.
pub fn lines() -> io::Result<String> {
    let ifupdown = ifupdown();
    let mut lines = Vec::new();
    for name in netdevs()?.iter().filter(|name| *name != "lo") {
        let path = format!("/sys/class/net/{name}/ifindex");
        let Ok(index) = fs::read_to_string(path) else { continue };
        let index = index.trim();
        // sd_network_link_get_setup_state() reads the same file.
        let state = fs::read_to_string(format!("/run/systemd/netif/links/{index}")).unwrap_or_default();
        if let Some(state) = value(&state, "ADMIN_STATE") {
            lines.push(format!("systemd-networkd {name} {state}\n"));
        }
        // NetworkManager(8), "device state files".
        let state = fs::read_to_string(format!("/run/NetworkManager/devices/{index}")).unwrap_or_default();
        if let Some(managed) = value(&state, "managed") {
            let state = if managed == "true" { "managed" } else { "unmanaged" };
            lines.push(format!("NetworkManager {name} {state}\n"));
        }
        if ifupdown.iter().any(|other| other == name) {
            lines.push(format!("ifupdown {name} configured\n"));
        }
    }
    Ok(lines.concat())
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim)
}

/// What interfaces(5) names, in the main file and the folder that Debian's has as its source.
fn ifupdown() -> Vec<String> {
    let main = fs::read_to_string("/etc/network/interfaces").unwrap_or_default();
    let folder = fs::read_dir("/etc/network/interfaces.d").into_iter().flatten().flatten();
    let more = folder.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    std::iter::once(main).chain(more).flat_map(|text| named(&text)).collect()
}

/// `auto eth0 eth1`, `allow-hotplug eth0`, `iface eth0 inet static`.
fn named(text: &str) -> Vec<String> {
    let names = |line: &str| -> Vec<String> {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("auto" | "allow-auto" | "allow-hotplug") => words.map(str::to_owned).collect(),
            Some("iface") => words.take(1).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    text.lines().flat_map(names).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_netdevs_that_ifupdown_configures_are_found() {
        let text =
            "# eth9\nauto lo eth0\niface eth0 inet static\n  address 10.1.0.5/16\nallow-hotplug eth1\n";
        assert_eq!(named(text), ["lo", "eth0", "eth0", "eth1"]);
    }

    #[test]
    fn a_value_of_a_state_file_ends_with_its_line() {
        assert_eq!(value("OPER_STATE=up\nADMIN_STATE=configured\n", "ADMIN_STATE"), Some("configured"));
        assert_eq!(value("XADMIN_STATE=a\n", "ADMIN_STATE"), None);
    }
}
