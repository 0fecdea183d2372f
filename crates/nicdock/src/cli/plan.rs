//! `nicdock plan`: what would be done and why.

use std::path::{Path, PathBuf};

use super::host;
use super::request::RequestOptions;
use crate::failure::Failure;
use nicdock_core::plan::{self, Plan};
use nicdock_core::request::{Request, Root};
use nicdock_core::say::answer;
use nicdock_run::{self, Opened};

#[derive(clap::Args)]
#[command(
    // Whoever asks about a NIC has no program yet.
    mut_group("RootOptions", |group| group.required(false)),
    after_help = "Without a root and a program, what is to do for the NICs alone.\n\nExamples:\n  nicdock plan --nic rxe1\n  nicdock plan --nic kind=roce,numa=0 --rootfs /images/mpi --json -- ./app\n  nicdock plan --nic usnic_0 --host host.tar.gz\n\nExit status: 0; other numbers say why there is no plan (nicdock --help)."
)]
pub struct Options {
    #[command(flatten)]
    request: RequestOptions,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
    /// Look at a capture instead of this machine
    #[arg(long, value_name = "CAPTURE")]
    host: Option<PathBuf>,
}

pub fn plan(options: &Options) -> Result<u8, Failure> {
    let ready = Ready::of(&options.request, options.host.is_some())?;
    let plan = make(&ready, options.host.as_deref())?;
    let text = if options.json { serde_json::to_string_pretty(&plan)? + "\n" } else { text(&plan) };
    answer(&text)?;
    Ok(0)
}

/// What the command line asks, with what it names on the host open.
pub struct Ready {
    request: Request,
    pub opened: Opened,
    notes: Vec<String>,
}

impl Ready {
    /// What another machine has, of which there is a capture, cannot be opened; a bundle is read all the same.
    pub fn of(options: &RequestOptions, is_captured: bool) -> Result<Self, Failure> {
        let mut request = options.request();
        let elsewhere = is_captured && !matches!(request.root, Root::Bundle(_));
        let (opened, mut notes) = if elsewhere { Default::default() } else { Opened::of(&mut request)? };
        if !is_captured {
            notes.extend(nicdock_run::hidden_program(&request));
        }
        Ok(Self { request, opened, notes })
    }
}

/// The plan for what the command line asks, on this machine or a capture.
pub fn make(ready: &Ready, capture: Option<&Path>) -> Result<Plan, Failure> {
    let known = host::read(capture)?;
    let request = &ready.request;
    let wanted = if request.join.is_some() { &[][..] } else { std::slice::from_ref(&request.nics) };
    let facts = known.facts(wanted, format!("nic-{}", std::process::id()));
    let mut plan = plan::plan(&known.host, &facts, request)?;
    plan.warnings.extend(ready.notes.iter().cloned());
    Ok(plan)
}

/// The plan for people.
pub fn text(plan: &Plan) -> String {
    use std::fmt::Write;
    let mut text = match plan.container.root {
        Root::Unnamed => "NICs alone: no root is named, and so no program\n".to_owned(),
        _ => format!("container {}\n", plan.name),
    };
    for nic in &plan.container.nics {
        let list = |values: &[String]| if values.is_empty() { "none".to_owned() } else { values.join(", ") };
        let netdevs: Vec<String> = nic.netdevs.iter().map(|netdev| netdev.name.clone()).collect();
        let pci = nic.pci.iter().chain(&nic.auxiliary).cloned().collect::<Vec<_>>().join("/");
        let _ = writeln!(text, "  RDMA device  {}", list(&nic.rdma_devices));
        let _ = writeln!(text, "  netdev       {}", list(&netdevs));
        if let [only] = &nic.netdevs[..] {
            let _ = writeln!(text, "  addresses    {}", list(&only.addresses));
        } else {
            // Which address is whose must be told of several.
            let of_each = nic.netdevs.iter().flat_map(|netdev| {
                netdev.addresses.iter().map(|address| format!("{address} ({})", netdev.name))
            });
            let _ = writeln!(text, "  addresses    {}", list(&of_each.collect::<Vec<_>>()));
        }
        let _ = writeln!(text, "  nodes        {}", list(&nic.nodes));
        let _ = writeln!(text, "  PCI          {}", if pci.is_empty() { "none" } else { &pci });
    }
    for phase in &plan.phases {
        let _ = writeln!(text, "{}", phase.phase);
        for step in &phase.steps {
            let _ = writeln!(text, "  {}\n      {}", step.what, step.why);
        }
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for weakness in &plan.weaknesses {
        let _ = writeln!(text, "weakness {}: {}", weakness.id, weakness.what);
    }
    text
}
