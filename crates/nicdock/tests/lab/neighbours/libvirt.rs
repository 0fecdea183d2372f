//! Domains of libvirt's container driver.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;

use super::{Entry, every, leaving, remade};
use crate::attempts::try_each;
use crate::killed::kills;
use crate::libvirt::daemon::{Container, Daemon};
use crate::libvirt::{HOOK, installed};
use crate::nicdock::expect;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[("attacks_that_fail_in_a_container_fail_in_one_of_libvirt", attacks, kills)];

struct Domain<'a> {
    container: Container<'a>,
    /// nicdock's, as it was installed.
    hook: String,
}

impl<'a> Domain<'a> {
    fn new(daemon: &'a Daemon) -> Result<Self, Failed> {
        let hook = std::fs::read_to_string(HOOK)?;
        Ok(Self { container: Container::new(daemon, "neighbour")?, hook })
    }
}

impl Entry for Domain<'_> {
    fn begin(&mut self, nic: &[&str], setting: &str) -> Result<(), Failed> {
        // libvirtd calls it, whose environment and umask are another's.
        std::fs::write(HOOK, self.hook.replace("exec", &format!("{setting}\nexec")))?;
        self.container.define(nic)?;
        self.container.start()
    }

    fn pid(&mut self) -> Result<String, Failed> {
        Ok(self.container.pid()?.to_string())
    }

    /// In its control group, too, which decides about nodes.
    fn inside(&mut self, script: &str) -> Result<String, Failed> {
        let pid = self.pid()?;
        let enter = "echo $$ >/sys/fs/cgroup$(sed -n s/^0:://p /proc/$1/cgroup)/cgroup.procs && \
            exec nsenter --target $1 --mount --uts --ipc --net --pid --root --wd sh -c \"$2\"";
        let output = Command::new("sh").args(["-c", enter, "sh", &pid, script]).output()?;
        expect(output.status.success(), format!("{script}: {output:?}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn end(&mut self) -> Result<(), Failed> {
        self.container.stop()
    }
}

/// Attack 4: whoever owns a folder on the way to the root could put another one there when nicdock has looked, with a program of its own in the gate's
/// place.
fn rooted(domain: &mut Domain) -> Result<(), Failed> {
    let way = Path::new(&domain.container.root()).parent().ok_or("the root has no parent")?.to_owned();
    chown(&way, Some(1000), None)?;
    let result = (|| {
        domain.begin(&["--nic", "eth3"], &leaving("opened-once"))?;
        domain.end()?;
        std::fs::write(HOOK, &domain.hook)?;
        let said = domain.container.refused()?;
        expect(said.contains("belongs to user 1000") && !domain.container.has_run(), said)
    })();
    chown(&way, Some(0), None)?;
    result
}

/// Each once: half of them on the oldest kernel and half where the device moves, since every domain takes its time.
fn attacks(lab: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let mut attempts = every();
    if lab.moves_soft_roce() {
        attempts.truncate(1);
        attempts.push(("the node of a soft device that moves is passed out", |domain| remade(domain, &[""])));
    } else {
        attempts.remove(0);
        attempts.push(("the way to the root is another user's", rooted));
    }
    try_each(&mut Domain::new(&daemon)?, &attempts)
}
