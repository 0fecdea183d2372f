//! Containers of LXC.

use std::process::Command;

use libtest_mimic::Failed;

use super::{Entry, each, leaving, opens_console, with};
use crate::attempts::try_each;
use crate::engine::{open, report};
use crate::hostile_audit::{Hostile, may_trace};
use crate::lxc::{Container, PATH};
use crate::nicdock::expect;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("attacks_that_fail_in_a_container_fail_in_one_of_lxc", attacks, Lab::is_newest),
    (
        "a_container_of_lxc_with_its_own_capabilities_reaches_neither_console_nor_audit",
        privileged,
        Lab::is_first,
    ),
];

#[derive(Default)]
struct Lxc(Option<Container>);

impl Entry for Lxc {
    fn begin(&mut self, nic: &[&str], setting: &str) -> Result<(), Failed> {
        let container = self.0.insert(Container::with("neighbour", "", nic)?);
        // Its monitor calls the hooks, and has this environment and umask.
        let output = with(setting, &["lxc-start", "-P", PATH, "-n", container.name]).output()?;
        expect(output.status.success(), format!("{output:?}"))
    }

    fn pid(&mut self) -> Result<String, Failed> {
        self.0.as_ref().ok_or("there is no container")?.pid()
    }

    fn inside(&mut self, script: &str) -> Result<String, Failed> {
        self.0.as_ref().ok_or("there is no container")?.inside(script)
    }

    fn end(&mut self) -> Result<(), Failed> {
        self.0.take().map_or(Ok(()), |container| container.stop())
    }
}

fn attacks(lab: &Lab) -> Result<(), Failed> {
    try_each(&mut Lxc::default(), &each(lab, true))
}

/// Attacks 16 and 2, with the capabilities that LXC gives by itself: MKNOD and SYS_PTRACE are among them.
fn privileged(lab: &Lab) -> Result<(), Failed> {
    let mut entry = Lxc::default();
    let (mut opened, mut found) = (Vec::new(), Vec::new());
    for left_open in ["device-cgroup", ""] {
        let container = entry.0.insert(Container::new("neighbour", "")?);
        let install = ["nicdock", "lxc", "install", container.name, "-P", PATH];
        let options = ["--nic", "eth3", "--keep-privileges"];
        let output = with(&leaving(left_open), &[&install[..], &options].concat()).output()?;
        expect(output.status.success(), format!("{output:?}"))?;
        container.start()?;
        opened.push(opens_console(&mut entry)?);
        found.push(open(&report(&[
            "audit",
            "--pid",
            &entry.pid()?,
            "--only",
            "device.other.console",
            "--json",
        ])?));
        if left_open.is_empty() {
            let mut attach = Command::new("lxc-attach");
            attach.args(["-P", PATH, "-n", "neighbour", "--"]);
            may_trace(lab, &Hostile::by(attach, "reach")?)?;
        }
        entry.end()?;
    }
    // The audit sees the same.
    let seen: Vec<bool> = found.iter().map(|open| !open.is_empty()).collect();
    expect(
        opened == [true, false] && seen == opened,
        format!("with LXC's own rules, and without: {opened:?}, {found:?}"),
    )
}
