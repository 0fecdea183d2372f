//! virsh(1): what is asked of libvirt, the way its users ask.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::Signal;

use crate::kernel::pidfd::Process;

/// A daemon that hangs, as libvirt's may when one of its drivers does, answers nobody: virsh would wait for ever. A start with a hook takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// One libvirt.
pub struct Virsh {
    pub uri: String,
}

#[derive(Debug, thiserror::Error)]
pub enum VirshError {
    #[error("virsh cannot be executed: {0}; it is in libvirt-clients")]
    Absent(io::Error),
    #[error(
        "no daemon of libvirt answers at {0}: start it (systemctl start libvirtd, or virtlxcd), or name another with --connect"
    )]
    NoDaemon(String),
    #[error("libvirt's daemon has not answered virsh {0} within {seconds} seconds: look at its log, and restart it (containers go on running)", seconds = LIMIT.as_secs())]
    Hangs(String),
    #[error("domain {0} does not run: virsh -c {1} start {0}")]
    NotRunning(String, String),
    #[error("virsh {0}: {1}{advice}", advice = advice(.1))]
    Failed(String, String),
}

impl Virsh {
    /// The output of a command that is given `input`.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<String, VirshError> {
        let mut command = Command::new("virsh");
        command.args(["--quiet", "--connect", &self.uri]).args(arguments).env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(VirshError::Absent)?;
        if let Some(mut stdin) = child.stdin.take() {
            // What virsh says counts, should it not read all of it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let process = Process::open(child.id());
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(LIMIT) else {
            let _ = process.and_then(|process| process.signal(Signal::KILL));
            return Err(VirshError::Hangs(arguments.join(" ")));
        };
        let output = output.map_err(VirshError::Absent)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = text(&output.stderr);
        // src/rpc/virnetsocket.c, `virNetSocketNewConnectUNIX()`.
        if said.contains("Failed to connect socket to")
            && (said.contains("No such file") || said.contains("refused"))
        {
            return Err(VirshError::NoDaemon(self.uri.clone()));
        }
        Err(VirshError::Failed(arguments.join(" "), said))
    }

    /// The names of all.
    pub fn domains(&self) -> Result<Vec<String>, VirshError> {
        let list = self.run(&["list", "--all", "--name"], "")?;
        Ok(list.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// A domain as it is defined.
    pub fn definition(&self, domain: &str) -> Result<String, VirshError> {
        self.run(&["dumpxml", "--inactive", "--domain", domain], "")
    }

    /// Defines it, if libvirt's own schema allows it.
    pub fn define(&self, xml: &str) -> Result<(), VirshError> {
        self.run(&["define", "--validate", "--file", "/dev/stdin"], xml).map(drop)
    }

    /// The process number of a running domain's controller, and the domain's name.
    pub fn controller(&self, domain: &str) -> Result<(u32, String), VirshError> {
        let id = self.run(&["domid", "--domain", domain], "")?.trim().to_owned();
        let none = || VirshError::NotRunning(domain.to_owned(), self.uri.clone());
        let controller = id.parse().map_err(|_| none())?;
        Ok((controller, self.run(&["domname", &id], "")?.trim().to_owned()))
    }
}

fn advice(said: &str) -> &'static str {
    if said.contains("no connection driver available for lxc") {
        "; libvirt's driver for LXC is a package of its own in some distributions (libvirt-daemon-driver-lxc)"
    } else {
        ""
    }
}
