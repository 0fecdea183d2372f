//! What libvirt calls (docs/hooks.rst): `NAME prepare|start|started|stopped|release|reconnect …`, with the domain on standard input.

use std::io::Read;
use std::time::{Duration, Instant};

use super::super::attach::{choose, give, open_sockets, still_open};
use super::super::host::Known;
use super::super::{FAILURE, Failure, reconcile};
use nicdock_core::attach::Target;
use nicdock_core::lease::{LeaseError, Ledger, State};
use nicdock_core::lifecycle::{self, Recovered};
use nicdock_core::plan;
use nicdock_core::say::notice;
use nicdock_libvirt::{self, Domain, Gate, Said, Wish};

/// libvirt has killed a container whose end it tells; the kernel may still be at it.
const END: Duration = Duration::from_secs(10);

pub fn called(name: &str, operation: &str) -> Result<u8, Failure> {
    // Of the others an error would end containers that run (`virLXCProcessReconnectDomain()`, src/lxc/lxc_process.c).
    if !matches!(operation, "prepare" | "started" | "stopped" | "release") {
        return Ok(0);
    }
    let mut xml = String::new();
    std::io::stdin()
        .read_to_string(&mut xml)
        .map_err(|error| format!("domain {name}: reading its XML: {error}"))?;
    let said = nicdock_libvirt::said(&xml);
    if matches!(operation, "stopped" | "release") {
        // Its metadata may have been changed while it ran; nobody waits for what may be another engine's container.
        return ended(name, if matches!(said, Ok(Said::Nics(_))) { END } else { Duration::ZERO });
    }
    match (operation, said.map_err(|error| format!("domain {name}: {error}"))?) {
        (_, Said::Proof(word)) => return Err(nicdock_libvirt::proof(&word).into()),
        ("prepare", Said::Nics(domain)) => possible(&domain)?,
        ("started", Said::Nics(domain)) => started(&domain)?,
        _ => {}
    }
    Ok(0)
}

/// Whether it could start now: if not, it ends here and virsh says why.
fn possible(domain: &Domain) -> Result<(), Failure> {
    plan::check_name(&domain.name)?;
    if !domain.is_gated {
        return Err(format!(
            "domain {} names NICs in its metadata, but its program would start without them: nicdock libvirt edit {0} --nic … puts nicdock's gate before it",
            domain.name
        )
        .into());
    }
    if domain.has_user {
        return Err(format!(
            "domain {} has <inituser>, and the gate can close nothing as an ordinary user: nicdock libvirt edit {0} --nic … lets the gate become that user",
            domain.name
        )
        .into());
    }
    if let Some(device) = &domain.by_hand {
        return Err(format!(
            "domain {} has <hostdev mode='capabilities'> for {device} beside NICs of nicdock's: nicdock would not take that back. Take it out (virsh edit), or take nicdock's element out of <metadata>, and nicdock libvirt adopt {0} converts it",
            domain.name
        )
        .into());
    }
    nicdock_libvirt::look_at_root(&domain.name, domain.root.as_deref(), domain.root_user)?;
    let ledger = Ledger::of_machine();
    reconcile::give_back_stale(&ledger)?;
    let known = Known::read(None)?;
    if known.leases.iter().any(|lease| lease.holder(&domain.name).is_some()) {
        return Err(LeaseError::Name(domain.name.clone()).into());
    }
    choose(&known, &domain.wish.nics, &domain.name)?;
    Ok(())
}

/// The container is set up, and its first program, the gate, waits or is about to.
fn started(domain: &Domain) -> Result<(), Failure> {
    let controller = domain.controller.ok_or("libvirt does not say the domain's controller")?;
    let gate = Gate::of_controller(controller)?;
    gate.is_first()?;
    gate.limit(domain.wish.memlock)?;
    let who = |leases: &[_]| Target::of_process(gate.pid, Some(&domain.name), leases);
    give(who, &domain.wish.nics, &domain.wish.terms(), |target| as_promised(target, &domain.wish))?;
    gate.open()?;
    Ok(())
}

/// Whether the gate has closed what it was told to.
fn as_promised(target: &Target, wish: &Wish) -> Result<(), Failure> {
    let open = if wish.keep_privileges {
        open_sockets(target, &wish.netlink)?
    } else {
        still_open(target, wish.memlock, &wish.netlink)?
    };
    if open.is_empty() {
        return Ok(());
    }
    Err(format!(
        "domain {} is not closed as nicdock's domains are: {}. nicdock libvirt edit {0} --nic … writes its <init> and <features> anew (what is not said again is gone), and may say --keep-privileges",
        target.name,
        open.join("; ")
    )
    .into())
}

/// The NIC of a container that runs by now under the same name is not touched: its first process lives.
fn ended(name: &str, wait: Duration) -> Result<u8, Failure> {
    let ledger = Ledger::of_machine();
    let begin = Instant::now();
    let lives = || -> Result<bool, Failure> {
        let leases = ledger.readable()?;
        Ok(leases.iter().any(|lease| {
            lease.was_attached() && lease.holder(name).is_some() && lease.state() == State::Held
        }))
    };
    while begin.elapsed() < wait && lives()? {
        std::thread::sleep(Duration::from_millis(20));
    }
    let Recovered { done, failed } = lifecycle::recover_container(&ledger, name)?;
    done.iter().for_each(notice);
    failed.iter().for_each(notice);
    Ok(if failed.is_empty() { 0 } else { FAILURE })
}
