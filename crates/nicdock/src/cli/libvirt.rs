//! `nicdock libvirt`: a NIC for a container of libvirt, from its start to its end.

use std::io::Read;
use std::path::Path;

use super::attach::warn;
use super::host;
use super::nics::NicOptions;
use super::reconcile::tell;
use super::terms::{NetlinkOptions, TermOptions};
use crate::failure::{Failure, need_root};
use nicdock_core::attach::{Target, Terms};
use nicdock_core::changeable;
use nicdock_core::kind::Kind;
use nicdock_core::lease::Ledger;
use nicdock_core::lifecycle::{self, Recovered};
use nicdock_core::node::{Node, Wanted};
use nicdock_core::plan;
use nicdock_core::request::{Netlink, NicRequest, Profile};
use nicdock_core::say::{answer, notice};
use nicdock_libvirt::hook::{self, Called};
use nicdock_libvirt::{self, Fresh, Said, Virsh, Wish};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock libvirt install\n  nicdock libvirt xml --nic rxe1 --name mpi --rootfs /srv/mpi -- /usr/bin/sleep 1000 > mpi.xml\n  virsh -c lxc:///system define mpi.xml\n  nicdock libvirt edit mpi --nic kind=usnic,any --ip 10.1.1.2/24 --as fab0\n  virsh -c lxc:///system start mpi\n  nicdock libvirt audit mpi\n\nThe container has the NIC before its program starts, or the program does not start; it goes back when the container ends, however. Domains that say nothing of nicdock are as before. docs/libvirt-lxc.md tells it step by step.\n\nExit status: 0 when it is done; 1 when the audit finds something open; other numbers say why not (nicdock --help)."
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
    /// Which libvirt
    #[arg(short = 'c', long, value_name = "URI", default_value = "lxc:///system", global = true)]
    connect: String,
}

impl Options {
    /// Does libvirt call it?
    pub fn is_hook(&self) -> bool {
        matches!(self.command, Command::Hook { .. })
    }

    /// Was an answer for programs asked for?
    pub fn wants_json(&self) -> bool {
        matches!(self.command, Command::Audit { json: true, .. })
    }
}

#[derive(clap::Subcommand)]
enum Command {
    /// Put the hook and the gate in place, and prove that libvirt calls the hook
    Install,
    /// Remove the hook and the gate: domains with NICs of nicdock's do not start then
    Uninstall,
    /// Print a domain that has a NIC
    Xml {
        #[command(flatten)]
        how: How,
        /// The domain's name; that of the program otherwise
        #[arg(long)]
        name: Option<String>,
        /// The container's root: a directory, which the container can write
        #[arg(long, value_name = "DIR")]
        rootfs: String,
        /// Memory in MiB
        #[arg(long, value_name = "MIB", default_value = "1024")]
        memory: u32,
        /// The program, by its whole path, and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Give a domain NICs from its next start on, instead of those that it may have from nicdock: what is not said again is gone
    Edit {
        /// Name, number or UUID
        domain: String,
        #[command(flatten)]
        how: How,
        /// Print the domain instead
        #[arg(long)]
        dry_run: bool,
    },
    /// Take over what a domain has by <hostdev mode='capabilities'>
    Adopt {
        /// Name, number or UUID
        domain: String,
        #[command(flatten)]
        terms: TermOptions,
        /// Print the domain instead
        #[arg(long)]
        dry_run: bool,
    },
    /// Give a NIC to a domain that runs, until it ends
    Attach {
        /// Name, number or UUID
        domain: String,
        #[command(flatten)]
        nics: NicOptions,
        /// Give it although the domain's root can then use RDMA netlink, by which the host's RDMA devices can be renamed and deleted
        #[arg(long)]
        accept_netlink: bool,
        #[command(flatten)]
        netlink: NetlinkOptions,
    },
    /// Take its NICs from a domain that runs on
    Detach {
        /// Name, number or UUID
        domain: String,
        /// Wait until no process has the node open, at most so many seconds
        #[arg(long, value_name = "SECONDS", default_value = "0")]
        wait: u64,
        /// Take it although a process has the node open
        #[arg(long)]
        force: bool,
    },
    /// Try, as an attacker would, what a domain can reach of NICs that are not its own
    Audit {
        /// Name, number or UUID
        domain: String,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
        /// Let the domain run on after so many seconds; it stands still while the audit runs
        #[arg(long, value_name = "SECONDS", default_value_t = super::audit::MAX_PAUSE, value_parser = clap::value_parser!(u64).range(1..=3600))]
        max_pause: u64,
    },
    /// What libvirt calls
    #[command(hide = true)]
    Hook { domain: String, operation: String, suboperation: String, extra: Option<String> },
}

#[derive(clap::Args)]
struct How {
    #[command(flatten)]
    nics: NicOptions,
    #[command(flatten)]
    terms: TermOptions,
}

/// What a domain says of its NICs.
fn wish(terms: &TermOptions, nics: Vec<NicRequest>) -> Wish {
    let TermOptions { memlock, view, keep_privileges, netlink } = terms;
    if *keep_privileges {
        notice(
            "warning: with libvirt's own capabilities root in the container can mount a fresh /sys over what it is shown, change the NIC's MAC \
             address and open the host's files by handle",
        );
    }
    let (memlock, view, keep_privileges, netlink) =
        (*memlock, *view, *keep_privileges, netlink.allowed.clone());
    Wish { nics, memlock, view, keep_privileges, netlink }
}

impl How {
    /// One element for each selector; addresses and a name are one NIC's.
    fn wish(&self) -> Result<Wish, Failure> {
        let request = self.nics.request_within(nicdock_libvirt::LINK_TIMEOUT);
        if request.link_timeout.is_some_and(|seconds| seconds > nicdock_libvirt::LINK_TIMEOUT) {
            return Err(Failure::new(
                Kind::BadInput,
                format!(
                    "--link-timeout is at most {} in a domain of libvirt's: libvirtd answers nobody meanwhile, and virsh gives up after 30",
                    nicdock_libvirt::LINK_TIMEOUT
                ),
            ));
        }
        let several = request.selectors.len() > 1;
        if several && (!request.addresses.is_empty() || request.netdev_name.is_some()) {
            return Err(Failure::new(
                Kind::BadInput,
                "--ip and --as are one NIC's: say one --nic here, and add a <nicdock:nic select=\"…\" ip=\"…\" as=\"…\"/> for each other with virsh edit",
            ));
        }
        plan::check_wish(&request)?;
        let one = |selector: &_| NicRequest { selectors: vec![Clone::clone(selector)], ..request.clone() };
        Ok(wish(&self.terms, request.selectors.iter().map(one).collect()))
    }
}

pub fn libvirt(options: &Options) -> Result<u8, Failure> {
    let virsh = Virsh { uri: options.connect.clone() };
    match &options.command {
        Command::Install => {
            root("install")?;
            let program = std::env::current_exe()?;
            say(&nicdock_libvirt::install(&virsh, &program)?)?;
            if let Some(why) = changeable::by_others(&program) {
                notice(format_args!(
                    "warning: libvirt calls {} as root from now on, and {why}: install nicdock where only root writes, and call this there",
                    program.display()
                ));
            }
        }
        Command::Uninstall => {
            root("uninstall")?;
            say(&nicdock_libvirt::uninstall(&virsh)?)?;
        }
        Command::Xml { how, name, rootfs, memory, command } => {
            answer(&fresh(how, name.as_deref(), rootfs, *memory, command)?)?;
        }
        Command::Edit { domain, how, dry_run } => {
            let wish = how.wish()?;
            let own = virsh.definition(domain)?;
            let xml = nicdock_libvirt::with(&own, &wish)?;
            define(&virsh, domain, &wish, &xml, *dry_run)?;
            if let Ok(Said::Nics(before)) = nicdock_libvirt::said(&own) {
                notice(format_args!("instead of {}", before.wish.named()));
            }
        }
        Command::Adopt { domain, terms, dry_run } => {
            let host = host::read(None)?.host;
            let adopted = nicdock_libvirt::adopt(&virsh.definition(domain)?, &host, wish(terms, Vec::new()))?;
            for line in &adopted.missing {
                notice(format_args!("by hand: {line}"));
            }
            define(&virsh, domain, &adopted.wish, &adopted.xml, *dry_run)?;
        }
        Command::Attach { domain, nics, accept_netlink, netlink } => {
            root("attach")?;
            attach(&virsh, domain, &nics.request(), *accept_netlink, netlink.allowed.clone())?;
        }
        Command::Detach { domain, wait, force } => {
            root("detach")?;
            let (pid, name) = first_process(&virsh, domain)?;
            let wait = std::time::Duration::from_secs(*wait);
            return tell(&lifecycle::detach_from(&Ledger::of_machine(), &name, pid, wait, *force)?);
        }
        Command::Audit { domain, json, max_pause } => {
            let (pid, _) = first_process(&virsh, domain)?;
            return super::audit::audit(&super::audit::Options::of_process(pid, *json, *max_pause));
        }
        Command::Hook { domain, operation, .. } => return called(domain, operation),
    }
    Ok(0)
}

/// The hook: its status and what it says are libvirt's to show.
fn called(name: &str, operation: &str) -> Result<u8, Failure> {
    // Of the others an error, even that of reading, would end containers that run.
    if !hook::concerns(operation) {
        return Ok(0);
    }
    let mut xml = String::new();
    std::io::stdin()
        .read_to_string(&mut xml)
        .map_err(|error| format!("domain {name}: reading its XML: {error}"))?;
    match hook::called(name, operation, &xml)? {
        Called::Nothing => {}
        Called::Given(given) => warn(&given),
        Called::Released(Recovered { done, failed }) => {
            done.iter().for_each(notice);
            failed.iter().for_each(notice);
            return Ok(if failed.is_empty() { 0 } else { super::FAILURE });
        }
    }
    Ok(0)
}

fn root(what: &str) -> Result<(), Failure> {
    need_root(format!("libvirt {what} needs root"))
}

fn say(lines: &[String]) -> Result<(), Failure> {
    lines.iter().try_for_each(|line| answer(&format!("{line}\n")))?;
    Ok(())
}

fn fresh(
    how: &How,
    name: Option<&str>,
    root: &str,
    memory_mib: u32,
    command: &[String],
) -> Result<String, Failure> {
    for (what, path) in [("--rootfs", root), ("the program", command[0].as_str())] {
        if !path.starts_with('/') {
            return Err(Failure::new(
                Kind::BadInput,
                format!("{what}: '{path}' is no whole path, as libvirt wants it"),
            ));
        }
    }
    let program = Path::new(&command[0]).file_name().unwrap_or_default().to_string_lossy();
    let name = name.unwrap_or(&program);
    plan::check_name(name)?;
    let xml = nicdock_libvirt::fresh(&Fresh { name, root, memory_mib, command });
    Ok(nicdock_libvirt::with(&xml, &how.wish()?)?)
}

fn define(virsh: &Virsh, domain: &str, wish: &Wish, xml: &str, dry_run: bool) -> Result<(), Failure> {
    if dry_run {
        answer(xml)?;
        return Ok(());
    }
    virsh.define(xml)?;
    answer(&format!("domain {domain} gets {} at its next start\n", wish.named()))?;
    if !Path::new(nicdock_libvirt::FOLDER).join(nicdock_gate::NAME).exists() {
        notice("warning: it will not start before nicdock libvirt install");
    }
    Ok(())
}

fn first_process(virsh: &Virsh, domain: &str) -> Result<(u32, String), Failure> {
    let (controller, name) = virsh.controller(domain)?;
    let pid = nicdock_libvirt::first_process(controller);
    Ok((
        pid.ok_or_else(|| {
            format!("domain {domain}: its container is being made, or ends; try again in a moment")
        })?,
        name,
    ))
}

fn attach(
    virsh: &Virsh,
    domain: &str,
    wanted: &NicRequest,
    accept_netlink: bool,
    netlink: Vec<Netlink>,
) -> Result<(), Failure> {
    let (pid, name) = first_process(virsh, domain)?;
    let terms = Terms::of_running("libvirt", Profile::Nic, accept_netlink, netlink);
    let who = |leases: &[_]| Target::of_process(pid, Some(&name), leases);
    let given =
        Node::of_machine().give(who, Wanted::Asked(std::slice::from_ref(wanted)), &terms, |_| Ok(()))?;
    warn(&given);
    let grants = given.grants;
    let lines: Vec<String> =
        grants.iter().map(|grant| format!("domain {name} (process {pid}) has {}", grant.nic.name)).collect();
    say(&lines)
}
