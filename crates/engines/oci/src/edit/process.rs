//! Closes what a program of a container may do: the first, and those that its engine executes in it later.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nicdock_core::kind::Kind;
use nicdock_core::lease::Ledger;
use nicdock_core::node::NodeError;
use nicdock_core::plan::capabilities;
use oci_spec::runtime::{PosixRlimitType, Process};
use serde_json::{Value, json};

use super::text::{self, Text};
use crate::weaknesses::Capabilities;
use crate::{accepted, spec};

/// Takes away what opens a way, as far as an engine gives it unasked; sets the limit of locked memory where there is none.
pub fn close(
    config: &mut Value,
    process: &Process,
    accepted: &BTreeSet<String>,
    memlock: u64,
) -> Result<(), NodeError> {
    // In a user namespace of its own, too, where they open less. What is refused is the hook's to refuse.
    let Capabilities { dropped, .. } = Capabilities::of(Some(process), false, accepted);
    for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        let list = config.get_mut("capabilities").and_then(|sets| sets.get_mut(set)?.as_array_mut());
        if let Some(list) = list {
            let number = |one: &Value| one.as_str().and_then(capabilities::number);
            list.retain(|one| number(one).is_none_or(|number| !dropped.contains(&number)));
        }
    }
    if !accepted.contains("capability.no_new_privs") {
        config["noNewPrivileges"] = json!(true);
    }
    let limits = text::list(config, &["rlimits"])?;
    let kind = json!(PosixRlimitType::RlimitMemlock);
    if !limits.iter().any(|limit| limit["type"] == kind) {
        limits.push(json!({ "type": kind, "soft": memlock, "hard": memlock }));
    }
    Ok(())
}

/// Edits what is to be executed in a container, if that has NICs. `file`: what its engine tells the runtime.
pub fn execute(file: &Path, container: &str) -> Result<(), NodeError> {
    let leases = Ledger::of_machine().read()?;
    let Some(holder) = leases.iter().find_map(|lease| lease.holder(container)) else { return Ok(()) };
    let pid = holder.supervisor.pid;
    let mut text = Text::new(file.to_owned(), spec::read_file(file)?)?;
    let process: Process = text.typed()?;
    let accepted = accepted::read(Path::new(accepted::FILE))?;
    let users = |of: &str| fs::read_link(format!("/proc/{of}/ns/user"));
    let failed = |error: std::io::Error| {
        NodeError::refused(
            Kind::of_io(&error),
            format!("container {container}: its first process {pid}: {error}"),
        )
    };
    let own_users = users(&pid.to_string()).map_err(failed)? != users("self").map_err(failed)?;
    let Capabilities { refused, .. } = Capabilities::of(Some(&process), own_users, &accepted);
    if !refused.is_empty() {
        let whats: Vec<String> = refused.iter().map(ToString::to_string).collect();
        let why = format!(
            "what is executed in container {container}, which has a NIC, would be less isolated than nicdock promises: {}. Leave --privileged away, or accept that in {}",
            whats.join("; "),
            accepted::FILE
        );
        return Err(NodeError::refused(Kind::NotClosed, why));
    }
    let memlock = memlock_of(&fs::read_to_string(format!("/proc/{pid}/limits")).map_err(failed)?);
    close(&mut text.value, &process, &accepted, memlock)?;
    text.write()
}

/// By /proc/PID/limits (proc_pid_limits(5)).
fn memlock_of(limits: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(process: &Value, accepted: &[&str]) -> Value {
        let mut config = process.clone();
        let accepted = accepted.iter().map(|id| (*id).to_owned()).collect();
        close(&mut config, &serde_json::from_value(process.clone()).unwrap(), &accepted, u64::MAX).unwrap();
        config
    }

    #[test]
    fn what_engines_give_unasked_is_taken_away() {
        let process = json!({
            "user": { "uid": 0, "gid": 0 }, "args": ["sh"], "cwd": "/", "later": 1,
            "capabilities": { "bounding": ["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"], "permitted": ["CAP_MKNOD"] },
        });
        let memlock = json!({ "type": "RLIMIT_MEMLOCK", "soft": u64::MAX, "hard": u64::MAX });
        let config = closed(&process, &[]);
        // What was asked for is refused, not taken away.
        let wanted = json!({ "bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"], "permitted": [] });
        assert_eq!((&config["capabilities"], &config["later"]), (&wanted, &json!(1)));
        assert_eq!((&config["noNewPrivileges"], &config["rlimits"]), (&json!(true), &json!([memlock])));
        let config = closed(&process, &["capability.mknod", "capability.no_new_privs"]);
        assert_eq!(config["capabilities"]["permitted"], json!(["CAP_MKNOD"]));
        assert_eq!(config.get("noNewPrivileges"), None);
    }

    #[test]
    fn a_limit_that_is_told_stays() {
        let limits = json!([{ "type": "RLIMIT_MEMLOCK", "soft": 65536, "hard": 65536 }]);
        let process =
            json!({ "user": { "uid": 0, "gid": 0 }, "args": ["sh"], "cwd": "/", "rlimits": limits });
        assert_eq!(closed(&process, &[])["rlimits"], limits);
        assert_eq!(
            memlock_of("Max locked memory         65536                65536                bytes\n"),
            65536
        );
        assert_eq!(
            memlock_of("Max locked memory         unlimited            unlimited            bytes\n"),
            u64::MAX
        );
    }
}
