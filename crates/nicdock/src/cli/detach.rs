//! `nicdock detach`: a NIC is taken from a container that runs on.

use std::time::Duration;

use super::reconcile;
use crate::failure::{Failure, need_root};
use nicdock_core::lease::Ledger;
use nicdock_core::lifecycle;
use nicdock_core::node::Node;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock detach rxe1\n  nicdock detach mpi --wait=30\n  nicdock detach eth3 --force\n\nIt takes back what nicdock attach gave. While a process has the NIC's node open it is refused, with the list of these processes.\nWith --force the NIC goes all the same: the kernel does not close what is open, so the NIC is draining until it is closed.\n\nExit status: 0 when the NIC is the host's again and can be given; other numbers say why not (nicdock --help)."
)]
pub struct Options {
    /// The NIC, by its name, its netdev's or its PCI address, or a container, all of whose attached NICs are meant
    #[arg(value_name = "NIC|CONTAINER")]
    what: String,
    /// Wait until no process has the node open; at most so long
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "4294967295")]
    wait: Option<u32>,
    /// Take it although a process has the node open
    #[arg(long)]
    force: bool,
}

pub fn detach(options: &Options) -> Result<u8, Failure> {
    need_root("detach needs root, as attach does")?;
    let ledger = Ledger::of_machine();
    Node::of_machine().recover()?;
    let wait = Duration::from_secs(options.wait.unwrap_or(0).into());
    reconcile::tell(&lifecycle::detach(&ledger, &options.what, wait, options.force)?)
}
