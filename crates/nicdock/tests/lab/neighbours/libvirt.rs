//! Domains of libvirt's container driver.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;

use super::{Entry, every, leaving, remade};
use crate::attempts::try_each;
use crate::hostile_audit::{Hostile, may_trace};
use crate::libvirt::daemon::{Container, Daemon};
use crate::libvirt::{HOOK, installed};
use crate::nicdock::expect;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("attacks_that_fail_in_a_container_fail_in_one_of_libvirt", attacks, Lab::is_first),
    (
        "a_container_of_libvirt_with_its_own_capabilities_reaches_nothing_of_the_audit",
        privileged,
        Lab::is_first,
    ),
];

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
        std::fs::write(HOOK, self.hook.replace("exec \"", &format!("{setting}\nexec \"")))?;
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

/// Attack 2, with the capabilities that libvirt gives by itself: SYS_PTRACE is among them. The domain's own program is the attacker, so it has the
/// filters, the control group and the root of one.
fn privileged(lab: &Lab) -> Result<(), Failed> {
    let daemon = installed()?;
    let container = Container::new(&daemon, "hostile")?;
    let output = container.output();
    let program = format!("exec {} >{output} 2>&1", Hostile::words("reach")?.join(" "));
    container.define_xml(&container.xml_of(&["--nic", "eth3", "--keep-privileges"], &program)?)?;
    container.start()?;
    let capabilities = capabilities(container.pid()?)?;
    expect(capabilities >> CAP_SYS_PTRACE & 1 == 1, format!("it may not trace: {capabilities:#x}"))?;
    let mut follow = Command::new("tail");
    follow.args(["-n", "+1", "-F", &output]);
    may_trace(lab, &Hostile::heard_by(follow)?)
}

const CAP_SYS_PTRACE: u32 = 19;

/// Those in effect (proc_pid_status(5)).
fn capabilities(pid: i32) -> Result<u64, Failed> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).ok_or("no CapEff")?;
    Ok(u64::from_str_radix(line.trim(), 16)?)
}
