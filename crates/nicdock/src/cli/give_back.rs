//! `nicdock return`: a NIC is taken back from whoever has it.

use super::reconcile::tell;
use crate::failure::{Failure, need_root};
use nicdock_core::lease::Ledger;
use nicdock_core::lifecycle;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock return usnic_0\n  nicdock return 0000:03:00.0 --force\n  nicdock return nic-4711 --force\n\nExit status: 0 when it is back and can be given again; other numbers say why not (nicdock --help)."
)]
pub struct Options {
    /// The NIC, by its name, its netdev's or its PCI address, or a container, all of whose NICs are meant
    #[arg(value_name = "NIC|CONTAINER")]
    what: String,
    /// End a container that runs; free a NIC that is draining or quarantined although it may not be as it was
    #[arg(long)]
    force: bool,
}

pub fn give_back(options: &Options) -> Result<u8, Failure> {
    // Else it would wait for the end of processes that it may not end.
    need_root("return needs root, as run does")?;
    tell(&lifecycle::take_back(&Ledger::of_machine(), &options.what, options.force)?)
}
