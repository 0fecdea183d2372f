//! The hooks that LXC calls: before it makes a container, before the container's program, and when it has stopped (lxc.container.conf(5), `lxc.hook.*`).

use std::time::Duration;

use nicdock_core::attach::{Target, Terms};
use nicdock_core::kind::Kind;
use nicdock_core::lifecycle::Recovered;
use nicdock_core::node::{Given, Node, NodeError, Wanted, check_as_told};
use nicdock_core::phases::filters;
use nicdock_core::request::NicRequest;
use nicdock_core::say::notice;

const REMEDY: &str = "Something after nicdock's configuration sets lxc.cap, lxc.seccomp.profile or lxc.prlimit: include nicdock's last (nicdock lxc install), \
                      or say --keep-privileges";

/// Whether container `name` could have its NICs now.
pub fn pre_start(name: &str, wanted: &[NicRequest]) -> Result<(), NodeError> {
    Node::of_machine().check(name, wanted).map(drop)
}

/// Gives them while its first process `pid` waits to execute its program.
pub fn start_host(name: &str, pid: u32, wanted: &[NicRequest], terms: &Terms) -> Result<Given, NodeError> {
    let who = |leases: &[_]| Target::of_process(pid, Some(name), leases);
    Node::of_machine().give(who, Wanted::Asked(wanted), terms, |target| as_configured(target, terms))
}

pub fn stopped(name: &str) -> Result<Recovered, NodeError> {
    Node::of_machine().release(name, Duration::ZERO)
}

/// Whether LXC has made of the configuration what it says; what cannot be said there is done.
fn as_configured(target: &Target, terms: &Terms) -> Result<(), NodeError> {
    // LXC makes its filter for other architectures, too, whatever the policy says of them (`parse_config_v2()`, src/lxc/seccomp.c).
    let kept = filters::keep_native(target.process.pid).map_err(|error| {
        let (name, pid) = (&target.name, target.process.pid);
        let why = format!(
            "container {name}: making its first process {pid} refuse other architectures' calls: {error}"
        );
        NodeError::refused(Kind::NotClosed, why)
    });
    if terms.keeps_privileges() {
        // It may have neither CAP_SYS_ADMIN nor no_new_privs (seccomp(2)).
        if let Err(error) = kept {
            notice(format_args!("warning: {error}"));
        }
        return Ok(());
    }
    kept?;
    check_as_told(target, terms, REMEDY)
}
