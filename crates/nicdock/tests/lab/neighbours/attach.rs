//! `nicdock attach` and a container of crun's.

use libtest_mimic::Failed;

use super::{Entry, FOLDER, each, leaving, pass, with};
use crate::attempts::{all_is_free, try_each};
use crate::descriptors::lease;
use crate::holders::{Holder, reaches_it};
use crate::nicdock::{command, eventually, expect, nicdock, succeed};
use crate::shell::{Shell, accepting, forget_bundle, of_runtime};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[(
    "attacks_that_fail_in_a_container_fail_in_one_of_crun_with_an_attached_nic",
    attacks,
    // Both versions of cgroups.
    |lab| lab.is_first_of_its_kernel() && !lab.is_first(),
)];

struct Attached {
    accepting: &'static [&'static str],
    container: Option<Shell>,
    setting: String,
}

impl Entry for Attached {
    fn begin(&mut self, nic: &[&str], setting: &str) -> Result<(), Failed> {
        let mut shell = of_runtime("crun")?;
        let pid = shell.pid()?;
        let attach = [&["nicdock", "attach", "--name", "theirs", "--pid", &pid], nic, self.accepting];
        let output = with(setting, &attach.concat()).output()?;
        expect(output.status.success(), format!("{output:?}"))?;
        (self.container, self.setting) = (Some(shell), setting.to_owned());
        Ok(())
    }

    fn pid(&mut self) -> Result<String, Failed> {
        self.container.as_mut().ok_or("there is no container")?.pid()
    }

    fn inside(&mut self, script: &str) -> Result<String, Failed> {
        self.container.as_mut().ok_or("there is no container")?.ask(script)
    }

    /// Nobody calls nicdock then but the timer.
    fn end(&mut self) -> Result<(), Failed> {
        drop(self.container.take());
        with(&self.setting, &["nicdock", "reconcile"]).output()?;
        Ok(())
    }
}

/// Attack 7, while the container runs on.
fn detached(entry: &mut Attached) -> Result<(), Failed> {
    for left_open in ["thread-tables", ""] {
        let mut holder = Holder::start_in(FOLDER, "thread", "socket")?;
        entry.begin(&["--nic", "rxe1", "--netdev", "keep"], "")?;
        pass(entry, "node", &mut holder)?;
        let mut detach = command(&["detach", "theirs"]);
        let output = detach.env("NICDOCK_LEAVE_OPEN", left_open).output()?;
        if left_open.is_empty() {
            let text = String::from_utf8_lossy(&output.stderr);
            let is_named = text.contains(&format!("process {} ", holder.pid()));
            expect(output.status.code() == Some(6) && is_named, text)?;
        } else {
            expect(output.status.success(), format!("{output:?}"))?;
            reaches_it(&mut holder)?;
        }
        entry.end()?;
        drop(holder);
        eventually("nobody has it any more", || nicdock(&["reconcile"]).status.success())?;
    }
    all_is_free()
}

/// Attack 8 reaches its goal: only the kernel is waited for, in vain. The next command that looks for sockets takes the NIC back.
fn kept(entry: &mut Attached) -> Result<(), Failed> {
    let mut holder = Holder::start_in(FOLDER, "process", "socket")?;
    entry.begin(&["--nic", "eth3"], &leaving("socket-holders"))?;
    pass(entry, "socket", &mut holder)?;
    entry.end()?;
    let lease = lease()?;
    expect(lease["state"] == "stuck", format!("it came back although no socket is looked at: {lease}"))?;
    succeed(&["reconcile"])?;
    all_is_free()
}

fn attacks(lab: &Lab) -> Result<(), Failed> {
    let mut entry = Attached { accepting: accepting(lab), container: None, setting: String::new() };
    let mut attempts = each(lab, lab.cgroup == "v1");
    if lab.cgroup == "v1" {
        attempts.push(("the NIC is detached while a thread outside has its node", detached));
        attempts.push(("a socket is passed out and nobody looks for it", kept));
    }
    let result = try_each(&mut entry, &attempts);
    forget_bundle();
    result
}
