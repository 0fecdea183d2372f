//! virsh(1): what is asked of libvirt, the way its users ask.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;

use nicdock_sys::memfd;
use nicdock_sys::pidfd::Process;

/// A daemon that hangs, as libvirt's may when one of its drivers does, answers nobody: virsh would wait for ever. A start with a hook takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

use nicdock_core::kind::Kind;

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

impl VirshError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotRunning(..) => Kind::NoMatch,
            Self::Hangs(_) => Kind::TimedOut,
            Self::Absent(_) | Self::NoDaemon(_) | Self::Failed(..) => Kind::Other,
        }
    }
}

impl Virsh {
    /// The output of a command that is given `input`.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<String, VirshError> {
        let mut command = Command::new("virsh");
        command.args(["--quiet", "--connect", &self.uri]).args(arguments).env("LC_ALL", "C.UTF-8");
        let output = output_within(LIMIT, &mut command, input).map_err(VirshError::Absent)?;
        let Some(output) = output else { return Err(VirshError::Hangs(arguments.join(" "))) };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
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

/// What a program that is given `input` says, or `None` if it has not ended in time: then it is killed.
///
/// Its standard streams are files in memory and no pipes: what is written to one and read from another at once needs a thread, and nicdock
/// forks.
fn output_within(limit: Duration, command: &mut Command, input: &str) -> io::Result<Option<Output>> {
    let mut stdin = File::from(memfd::open("stdin")?);
    stdin.write_all(input.as_bytes())?;
    stdin.rewind()?;
    let (stdout, stderr) = (File::from(memfd::open("stdout")?), File::from(memfd::open("stderr")?));
    let mut child = command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).spawn()?;
    let process = Process::open(child.id())?;
    if !process.ends_within(limit)? {
        let _ = process.signal(Signal::KILL);
        return Ok(None);
    }
    let status = child.wait()?;
    let all = |mut file: File| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    Ok(Some(Output { status, stdout: all(stdout)?, stderr: all(stderr)? }))
}

fn advice(said: &str) -> &'static str {
    if said.contains("no connection driver available for lxc") {
        "; libvirt's driver for LXC is a package of its own in some distributions (libvirt-daemon-driver-lxc)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_pipe_holds_goes_in_and_comes_out() {
        let input = "x".repeat(1 << 20);
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo said >&2; exit 3"]);
        let output = output_within(LIMIT, &mut command, &input).unwrap().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 1 << 20));
        assert_eq!(output.stderr, b"said\n");
    }

    #[test]
    fn what_does_not_end_is_not_waited_for() {
        let mut command = Command::new("sleep");
        command.arg("60");
        assert!(output_within(Duration::from_millis(10), &mut command, "").unwrap().is_none());
    }
}
