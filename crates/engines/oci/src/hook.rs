//! The hooks that OCI runtimes call (runtime-spec, "POSIX-platform Hooks").

use std::path::Path;
use std::time::Duration;

use nicdock_core::attach::{Created, Target, Terms};
use nicdock_core::kind::Kind;
use nicdock_core::lease::{Ledger, ProcessId};
use nicdock_core::lifecycle::Recovered;
use nicdock_core::node::{Given, Node, NodeError, Wanted, harden};
use nicdock_core::request::Selector;
use oci_spec::runtime::Hook;

use crate::accepted;
use crate::annotations::{self, Options};
use crate::spec::{self, Container, State};
use crate::weaknesses::{Openings, check_memlock, check_namespaces};

pub const ENGINE: &str = "oci";
/// What a CDI device's hook is called with, before the selector.
pub const CREATE: [&str; 4] = ["oci", "hook", "create", "--nic"];
pub const STOP: [&str; 3] = ["oci", "hook", "stop"];
/// Of nicdock's own: a runtime gives hooks no other (runtime-spec, "env").
pub const ENVIRONMENT: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
/// Seconds after which a runtime kills a hook; nicdock's own limits are below.
pub const TIMEOUT: u32 = 120;

/// `createRuntime`: gives the container the NICs of all of nicdock's hooks in its configuration, all or none. `None`: an earlier one of these has done so.
pub fn create(state: &State) -> Result<Option<Given>, NodeError> {
    let process = ProcessId::of(state.pid).ok_or_else(|| {
        NodeError::refused(
            Kind::NoMatch,
            format!("container {}: its process {} has ended", state.id, state.pid),
        )
    })?;
    if has_its_nics(&state.id, process)? {
        return Ok(None);
    }
    let container = Container::of(state)?;
    check_namespaces(&container.spec)?;
    let options = Options::of(&container.annotations())
        .map_err(|error| NodeError::refused(Kind::BadInput, error.to_string()))?;
    let hooks = container.spec.hooks().as_ref().and_then(|hooks| hooks.create_runtime().as_ref());
    let selectors = selectors(hooks.map_or(&[][..], |hooks| hooks))?;
    let wanted = options.requests(selectors);
    let accepted = accepted::read(Path::new(accepted::FILE))?;
    let named: Vec<&str> = annotations::named_by_nodes(&container.spec).collect();
    options
        .check(&named, &accepted)
        .map_err(|error| NodeError::refused(Kind::NotClosed, error.to_string()))?;
    check_memlock(&container.spec, options.memlock)?;
    let accept_netlink = accepted.contains(nicdock_core::attach::NETLINK_RDMA);
    let Openings { weaknesses, dropped, sockets } =
        Openings::of(&container.spec, &options.netlink, &accepted)?;
    let sys_later = spec::writes_sys(&container.spec);
    let created = Created { root: container.root, user: container.user, weaknesses, sockets, sys_later };
    let (memlock, netlink) = (options.memlock, options.netlink);
    let terms = Terms::of_created(ENGINE, options.view, accept_netlink, netlink.clone(), memlock, created);
    let who = |leases: &[_]| Target::of_process(state.pid, Some(&state.id), leases);
    let given = Node::of_machine()
        .give(who, Wanted::Asked(&wanted), &terms, |target| harden(target, &netlink, &dropped, memlock))?;
    Ok(Some(given))
}

/// `poststop`: the container has ended, or was never started. Nothing to do for one that has no NIC.
pub fn stop(state: &State) -> Result<Recovered, NodeError> {
    Node::of_machine().release(&state.id, WAIT)
}

/// Runtimes call it when the first process is dead; its threads may take a moment longer.
const WAIT: Duration = Duration::from_secs(5);

fn has_its_nics(id: &str, process: ProcessId) -> Result<bool, NodeError> {
    let leases = Ledger::of_machine().read()?;
    Ok(leases.iter().filter_map(|lease| lease.holder(id)).any(|holder| holder.supervisor == process))
}

/// The NICs that nicdock's hooks name, each for itself: two devices of one kind are two NICs.
pub fn named(hooks: &[Hook]) -> Result<Vec<Selector>, NodeError> {
    let ours = hooks.iter().filter_map(|hook| {
        let arguments: Vec<&str> = hook.args().iter().flatten().skip(1).map(|word| &**word).collect();
        match &arguments[..] {
            [own @ .., selector] if own == CREATE => Some((*selector).to_owned()),
            _ => None,
        }
    });
    ours.map(|text| text.parse().map_err(|error| NodeError::refused(Kind::BadInput, format!("{error}"))))
        .collect()
}

/// Those that a hook was called for.
fn selectors(hooks: &[Hook]) -> Result<Vec<Selector>, NodeError> {
    let selectors = named(hooks)?;
    if selectors.is_empty() {
        let why = "the container's configuration has none of nicdock's createRuntime hooks: a runtime calls this, nobody else";
        return Err(NodeError::refused(Kind::BadInput, why));
    }
    Ok(selectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nics_of_all_hooks_are_one_request() {
        let hook = |args: &[&str]| -> Hook {
            serde_json::from_value(serde_json::json!({ "path": "/usr/bin/nicdock", "args": args })).unwrap()
        };
        let create = |nic: &str| hook(&["nicdock", "oci", "hook", "create", "--nic", nic]);
        let others = [hook(&["other"]), hook(&[]), hook(&["nicdock", "oci", "hook", "stop"])];
        let all: Vec<Hook> =
            others.iter().cloned().chain([create("kind=roce,any"), create("kind=roce,any")]).collect();
        assert_eq!(selectors(&all).unwrap().len(), 2);
        assert!(selectors(&others).is_err() && selectors(&[create("kind=fast")]).is_err());
    }
}
