//! `nicdock ls`: a line for each NIC.

use nicdock_host::model::{Host, InUse, IsolationMethod, Nic};

use super::columns::columns;
use super::{Holders, node_names, shown};
use nicdock_host::model::Link;

const HEADING: [&str; 10] =
    ["NAME", "KIND", "NETDEV", "PCI", "NUMA", "LINK", "ADDRESSES", "NODES", "HELD BY", "ISOLATION"];

/// The table, with the reasons for each way of isolation and the host's warnings below.
pub fn table(host: &Host, holders: &Holders, all: bool) -> String {
    let nics: Vec<&Nic> = shown(host, all).collect();
    let mut rows = vec![HEADING.map(str::to_owned).to_vec()];
    rows.extend(nics.iter().map(|nic| row(host, nic, holders)));
    let list = if nics.is_empty() { "No fabric NIC was found.\n".to_owned() } else { columns(&rows) };

    let hidden = Some(host.nics.len() - nics.len()).filter(|hidden| *hidden > 0);
    let hidden = hidden.map(|hidden| format!("{hidden} without RDMA: nicdock ls --all"));
    let warnings = host.warnings.iter().map(|warning| format!("warning: {warning}"));
    let notes: Vec<String> = hidden.into_iter().chain(reasons(&nics)).chain(warnings).collect();
    if notes.is_empty() { list } else { format!("{list}\n{}\n", notes.join("\n")) }
}

fn row(host: &Host, nic: &Nic, holders: &Holders) -> Vec<String> {
    // What is another device's is in brackets.
    let elsewhere = nic.ports_elsewhere.iter().map(|port| format!("[{}]", port.netdev.name));
    let netdevs: Vec<String> =
        nic.netdevs.iter().map(|netdev| netdev.name.clone()).chain(elsewhere).collect();
    let held = match holders.get(&nic.name) {
        Some(held) => held.words(|holder| format!("{} (process {})", holder.container, holder.pid)),
        None if nic.in_use.is_empty() => String::new(),
        None => format!("host: {}", summary(&nic.in_use)),
    };
    let cells = [
        nic.name.clone(),
        kinds(nic),
        netdevs.join(","),
        pci(host, nic),
        nic.numa_node.map(|node| node.to_string()).unwrap_or_default(),
        Link::of(nic).to_string(),
        addresses(nic).join(","),
        node_names(nic).join(","),
        held,
        method(nic).to_owned(),
    ];
    cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).to_vec()
}

/// The address, with what the function is of whom.
fn pci(host: &Host, nic: &Nic) -> String {
    let Some(address) = nic.pci else { return String::new() };
    if nic.auxiliary.is_some() {
        return nic.key();
    }
    let function = host.function(address);
    match function.map(|function| (function.pf, function.vfs.len())) {
        Some((Some(pf), _)) => format!("{address} VF of {pf}"),
        Some((None, 1)) => format!("{address} 1 VF"),
        Some((None, vfs @ 2..)) => format!("{address} {vfs} VFs"),
        _ => address.to_string(),
    }
}

/// The one that counts first.
fn kinds(nic: &Nic) -> String {
    let others = nic.kinds.iter().filter(|kind| **kind != nic.kind);
    std::iter::once(&nic.kind).chain(others).map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// All but link-local IPv6, which every interface has.
fn addresses(nic: &Nic) -> Vec<String> {
    let elsewhere = nic.ports_elsewhere.iter().map(|port| &port.netdev);
    let all = nic.netdevs.iter().chain(elsewhere).flat_map(|netdev| &netdev.addresses);
    let told = all.filter(|address| match address.ip {
        std::net::IpAddr::V4(_) => true,
        std::net::IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    });
    told.map(ToString::to_string).collect()
}

/// What the host needs the NIC for, without the details.
fn summary(signs: &[InUse]) -> String {
    let mut words: Vec<String> = Vec::new();
    let connections = signs.iter().filter(|sign| matches!(sign, InUse::TcpConnection { .. })).count();
    for sign in signs {
        let word = match sign {
            InUse::DefaultRoute { .. } => "default route".to_owned(),
            InUse::TcpConnection { .. } if connections == 1 => "1 TCP connection".to_owned(),
            InUse::TcpConnection { .. } => format!("{connections} TCP connections"),
            InUse::RoutedTcp { .. } => "TCP leaves by it".to_owned(),
            InUse::PortElsewhere { device, netdev, .. } => format!("{netdev} is {device}'s"),
            InUse::KernelUser { module, .. } => format!("the kernel's {module}"),
            InUse::VfInUse { vf, .. } => format!("{vf} is in use"),
            InUse::Member { master, .. } => format!("member of {master}"),
            InUse::Stacked { upper, .. } => format!("{upper} is on it"),
            InUse::Xdp { program, .. } => format!("XDP program {program}"),
            InUse::OpenNode { pid, command, .. } | InUse::DriverNode { pid, command, .. } => {
                format!("{command} ({pid})")
            }
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(", ")
}

/// The words of the JSON.
fn method(nic: &Nic) -> &'static str {
    match nic.isolation.method {
        IsolationMethod::RdmaNetns => "rdma-netns",
        IsolationMethod::View => "view",
        IsolationMethod::Netns => "netns",
    }
}

/// Each reason once, with the NICs that it is for.
fn reasons(nics: &[&Nic]) -> Vec<String> {
    let mut told: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for nic in nics {
        let reason = nic.isolation.reason.as_str();
        match told.iter_mut().find(|(_, other, _)| *other == reason) {
            Some((_, _, names)) => names.push(&nic.name),
            None => told.push((method(nic), reason, vec![&nic.name])),
        }
    }
    told.iter().map(|(method, reason, names)| format!("{method} ({}): {reason}", names.join(", "))).collect()
}
