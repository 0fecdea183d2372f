//! NICs of which nothing can be taken alone: what a move would end or tear apart. Asking to take one in use does not help.

use nicdock_host::model::{Host, Nic, RdmaNetnsMode, is_soft};

use crate::request::NetdevMode;

/// Why a NIC's parts stay where they are. Nothing was changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmovable {
    /// `mlx5_lag_netdev_event()`, `mlx5_disable_lag()` (drivers/net/ethernet/mellanox/mlx5/core/lag/lag.c): a leg that leaves its bond.
    #[error(
        "{nic}: port {port} of {device} has the netdev {netdev}, a {kind} of several NICs (RoCE LAG): moving one of them ends the LAG, and {device} with it; take {netdev} apart first{}", or_keep(*.keep)
    )]
    Lag { nic: String, device: String, port: u32, netdev: String, kind: String, keep: bool },
    #[error(
        "{nic}: port {port} of {device} has the netdev {netdev}, which is no NIC's that nicdock can move: {device} would be without its addresses{}", or_keep(*.keep)
    )]
    NoNics { nic: String, device: String, port: u32, netdev: String, keep: bool },
    #[error(
        "{nic}: port {port} of {device} has the netdev {netdev}, of another NIC ({owner}): select both for one container (--nic {nic} --nic {owner}){}", or_keep(*.keep)
    )]
    NetdevElsewhere { nic: String, device: String, port: u32, netdev: String, owner: String, keep: bool },
    #[error(
        "{nic}: moving {netdev} destroys {soft}, a software RDMA device beside the hardware's {hardware}, and nicdock does not make it anew: remove it first (rdma link delete {soft}), or use --netdev keep"
    )]
    SoftBesideHardware { nic: String, netdev: String, soft: String, hardware: String },
    #[error(
        "{nic}: {netdev} is the uplink of a switch on the card, by which {representor} ({port}) and others send: it stays; take a virtual function or a sub-function, or use --netdev keep"
    )]
    Uplink { nic: String, netdev: String, representor: String, port: String },
}

fn or_keep(possible: bool) -> &'static str {
    if possible { ", or use --netdev keep, which gives the RDMA device alone" } else { "" }
}

/// Checks one of `nics`, which go to one container.
pub fn check(host: &Host, nics: &[Nic], nic: &Nic, netdev: NetdevMode) -> Result<(), Unmovable> {
    let keep = match netdev {
        NetdevMode::Move => false,
        NetdevMode::Keep => true,
        // Nothing is moved.
        NetdevMode::Host => return Ok(()),
    };
    let exclusive = host.rdma_netns_mode == Some(RdmaNetnsMode::Exclusive);
    // In the exclusive mode an RDMA device whose netdev stays has no address where it is.
    if !keep || exclusive {
        elsewhere(host, nics, nic, !exclusive)?;
    }
    if keep { Ok(()) } else { soft_beside_hardware(nic).and_then(|()| uplink(host, nic)) }
}

fn elsewhere(host: &Host, nics: &[Nic], nic: &Nic, keep: bool) -> Result<(), Unmovable> {
    let name = || nic.name.clone();
    for tie in &nic.ports_elsewhere {
        let (device, port, netdev) = (tie.device.clone(), tie.port, tie.netdev.name.clone());
        match (&tie.nic, &tie.netdev.virtual_kind) {
            (Some(key), _) if nics.iter().any(|other| other.key() == *key) => {}
            (Some(key), _) => {
                let owner = host.nics.iter().find(|other| other.key() == *key);
                let owner = owner.map_or_else(|| key.clone(), |owner| owner.name.clone());
                return Err(Unmovable::NetdevElsewhere { nic: name(), device, port, netdev, owner, keep });
            }
            (None, Some(kind)) => {
                let kind = kind.clone();
                return Err(Unmovable::Lag { nic: name(), device, port, netdev, kind, keep });
            }
            (None, None) => return Err(Unmovable::NoNics { nic: name(), device, port, netdev, keep }),
        }
    }
    match nic.carries.iter().find(|tie| tie.is_leg) {
        Some(tie) => {
            let (device, port, netdev) = (tie.device.clone(), tie.port, tie.netdev.clone());
            // A leg whose RDMA device is another NIC's has none to give alone.
            let keep = keep && !nic.rdma_devices.is_empty();
            Err(Unmovable::Lag { nic: name(), device, port, netdev, kind: "bond".to_owned(), keep })
        }
        None => Ok(()),
    }
}

fn soft_beside_hardware(nic: &Nic) -> Result<(), Unmovable> {
    let find = |soft: bool| {
        let mut devices = nic.rdma_devices.iter();
        devices.find(|device| device.driver.as_deref().is_some_and(is_soft) == soft)
    };
    let (Some(soft), Some(hardware)) = (find(true), find(false)) else { return Ok(()) };
    let of_port = soft.ports.iter().find_map(|port| port.netdev.clone());
    let netdev = of_port.or_else(|| nic.netdevs.first().map(|netdev| netdev.name.clone()));
    let (nic, soft, hardware) = (nic.name.clone(), soft.name.clone(), hardware.name.clone());
    Err(Unmovable::SoftBesideHardware { nic, netdev: netdev.unwrap_or_default(), soft, hardware })
}

/// A function with representors is in switchdev mode, and its own netdev is the switch's uplink. The kernel does not move mlx5's
/// (`mlx5e_fix_features()`, en_main.c); where it moves another driver's, the others' traffic would go with it.
fn uplink(host: &Host, nic: &Nic) -> Result<(), Unmovable> {
    let Some(function) = nic.whole_function() else { return Ok(()) };
    let mut of_function = host.representors.iter().filter(|one| one.function == function);
    let Some((representor, port)) = of_function.find_map(|one| Some((one.netdev.clone(), one.port.clone()?)))
    else {
        return Ok(());
    };
    match nic.netdevs.first().map(|netdev| netdev.name.clone()) {
        Some(netdev) => Err(Unmovable::Uplink { nic: nic.name.clone(), netdev, representor, port }),
        None => Ok(()),
    }
}
