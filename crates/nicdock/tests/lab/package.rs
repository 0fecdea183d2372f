//! The Debian package on a machine whose containers have NICs.
//!
//! `cargo xtask package --for-tests` makes an older and a newer one of the programs that the other tests use.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::engine::free;
use crate::host::{settled, stays};
use crate::lxc::{Container, PATH};
use crate::nicdock::{Running, eventually, expect, succeed};
use crate::{Lab, Test, page};

pub const TESTS: &[Test] = &[
    ("an_upgrade_and_a_downgrade_while_containers_run_lose_no_nic", replaced, Lab::is_newest),
    ("a_nic_comes_back_though_nicdock_was_removed_while_its_container_ran", removed, Lab::is_newest),
    ("the_quick_start_is_true", told, Lab::is_newest),
];

const NICDOCK: &str = "/usr/bin/nicdock";

/// The package of this name's end.
fn package(end: &str) -> Result<PathBuf, Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/package-test");
    let version = env!("CARGO_PKG_VERSION");
    let path = folder.join(format!("nicdock_{version}+{end}-1_amd64.deb"));
    expect(path.exists(), format!("{} is missing: cargo xtask package --for-tests", path.display()))?;
    Ok(path.canonicalize()?)
}

fn dpkg(args: &[&str]) -> Result<Output, Failed> {
    // What is in memory need not be synced, and man-db need not index the machine's pages, which takes a minute under emulation.
    let quick = ["--no-triggers", "--force-unsafe-io"];
    Ok(Command::new("dpkg").args(quick).args(args).stdin(Stdio::null()).output()?)
}

/// Installs a package, or puts it in the place of the one that is there.
fn install(end: &str) -> Result<(), Failed> {
    let output = dpkg(&["--install", &package(end)?.display().to_string()])?;
    expect(output.status.success(), format!("{output:?}"))?;
    let version = Command::new("dpkg-query").args(["-W", "-f", "${Version}", "nicdock"]).output()?.stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    expect(version.contains(end), version)
}

/// Purged when this is dropped.
struct Purge;

impl Drop for Purge {
    fn drop(&mut self) {
        let output = dpkg(&["--purge", "nicdock"]);
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("purging: {output:?}");
        }
    }
}

/// A container of LXC's with rxe1 and one of `nicdock run` with eth3, given by the installed nicdock.
struct Both {
    of_lxc: Container,
    of_run: Running,
}

impl Both {
    fn start() -> Result<Self, Failed> {
        let of_lxc = Container::new("mpi", "")?;
        let install = ["lxc", "install", "mpi", "-P", PATH, "--nic", "rxe1"];
        expect(Command::new(NICDOCK).args(install).status()?.success(), "lxc install")?;
        let config = std::fs::read_to_string(format!("{PATH}/mpi/nicdock.conf"))?;
        expect(config.contains("= /usr/bin/nicdock lxc hook"), config)?;
        of_lxc.start()?;
        let script = "echo ready; read line; echo $line";
        let mut command = Command::new(NICDOCK);
        command.args(["run", "--name", "own", "--nic", "eth3", "--host-root", "--", "sh", "-c", script]);
        let child: Child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut of_run = Running(child);
        of_run.says("ready")?;
        Ok(Self { of_lxc, of_run })
    }

    /// Both have their NICs, by the word of the nicdock that is installed now.
    fn have_theirs() -> Result<(), Failed> {
        let output = Command::new(NICDOCK).arg("leases").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        expect(
            output.status.success() && text.contains("mpi (process") && text.contains("own (process"),
            &text,
        )?;
        expect(text.matches(" held ").count() == 2, text)
    }

    /// The program of `nicdock run` ends by itself, with its own status.
    fn end_run(mut self) -> Result<Container, Failed> {
        let mut input = self.of_run.0.stdin.take().ok_or("piped")?;
        input.write_all(b"bye\n")?;
        drop(input);
        self.of_run.says("bye")?;
        expect(self.of_run.0.wait()?.code() == Some(0), "its exit status")?;
        Ok(self.of_lxc)
    }
}

fn replaced(_: &Lab) -> Result<(), Failed> {
    let before = settled();
    let _purge = Purge;
    install("test1")?;
    for end in ["test2", "test1"] {
        let both = Both::start()?;
        install(end)?;
        Both::have_theirs()?;
        // Nobody would give them back: the package stays.
        let output = dpkg(&["--remove", "nicdock"])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(!output.status.success() && said.contains("containers have NICs"), said)?;
        Both::have_theirs()?;
        // The hooks of LXC's are the new program, the supervisor is the old one.
        both.end_run()?.stop()?;
        free()?;
        stays(&before)?;
    }
    Ok(())
}

fn removed(_: &Lab) -> Result<(), Failed> {
    let before = settled();
    let _purge = Purge;
    install("test1")?;
    let both = Both::start()?;
    std::fs::remove_file(NICDOCK)?;
    // The supervisor is in memory, and needs no file of its own.
    let of_lxc = both.end_run()?;
    eventually("eth3 is back", || Path::new("/sys/class/net/eth3").exists())?;
    // LXC cannot call its hook: the container ends, and the lease stays with all that is to be put back.
    of_lxc.stop()?;
    let leases = succeed(&["leases"])?;
    expect(leases.contains("mpi") && leases.contains("abandoned"), leases)?;
    // Without the hook it does not start.
    expect(!of_lxc.start_with(&[])?, "it starts without its hook")?;
    install("test2")?;
    let output = Command::new(NICDOCK).arg("reconcile").output()?;
    expect(output.status.success(), format!("{output:?}"))?;
    free()?;
    // Its root is mounted until then.
    drop(of_lxc);
    stays(&before)
}

fn told(_: &Lab) -> Result<(), Failed> {
    // As somebody has it who has downloaded it.
    let folder = Path::new("/tmp/download");
    std::fs::create_dir_all(folder)?;
    let name = format!("nicdock_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
    std::fs::copy(package("test1")?, folder.join(name))?;
    // As `dpkg` above.
    std::fs::write("/etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n")?;
    let _ = std::fs::remove_file("/var/lib/man-db/auto-update");
    let undo = ["/usr/bin/nicdock return rxe1 --force", "dpkg --purge nicdock", "rm -f /tmp/server.log"];
    page::is_true_in(folder, include_str!("../../../../docs/quickstart.md"), &undo)
}
