//! `nicdock attach` and a container of crun's.

use libtest_mimic::Failed;

use super::{Entry, each, with};
use crate::attach::{Shell, accepting, forget_bundle, of_runtime};
use crate::attempts::try_each;
use crate::nicdock::expect;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[(
    "attacks_that_fail_in_a_container_fail_in_one_of_crun_with_an_attached_nic",
    attacks,
    Lab::is_first_of_its_kernel,
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

fn attacks(lab: &Lab) -> Result<(), Failed> {
    let mut entry = Attached { accepting: accepting(lab), container: None, setting: String::new() };
    let result = try_each(&mut entry, &each(lab, lab.cgroup == "v1"));
    forget_bundle();
    result
}
