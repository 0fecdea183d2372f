//! No program of nicdock's on the host can be reached by the container that it starts (CVE-2019-5736).

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Failed;

use crate::nicdock::{command as nicdock_command, eventually, expect, nicdock, shell, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_program_cannot_overwrite_the_nicdock_that_started_it", overwrite, Lab::is_first_of_its_kernel),
    ("what_a_program_was_started_by_is_nothing_of_the_hosts", reexecuted, Lab::is_first),
    ("programs_in_memory_run_as_the_sysctl_for_them_says", sysctl, has_sysctl),
];

/// It came with Linux 6.3.
fn has_sysctl(lab: &Lab) -> bool {
    lab.is_first_of_its_kernel() && lab.kernel != "6.1"
}

/// A root whose loader and only program are `attack.c`, and /start, which has the kernel execute once more what executes it.
fn root(folder: &Path) -> Result<(), Failed> {
    let (source, attack) = (folder.join("attack.c"), folder.join("attack"));
    fs::create_dir(folder.join("lib64"))?;
    fs::write(&source, include_str!("executable/attack.c"))?;
    let options = ["-static-pie", "-nostdlib", "-fno-stack-protector", "-O1", "-o"];
    let built = Command::new("gcc").args(options).arg(&attack).arg(&source).status()?;
    expect(built.success(), "the attack does not build")?;
    fs::copy(&attack, folder.join("lib64/ld-linux-x86-64.so.2"))?;
    fs::write(folder.join("start"), "#!/proc/self/exe\n")?;
    Ok(fs::set_permissions(folder.join("start"), fs::Permissions::from_mode(0o755))?)
}

/// A copy of nicdock that nobody else executes, with what it needs beside it.
fn copied(folder: &Path) -> Result<PathBuf, Failed> {
    let path = String::from_utf8(Command::new("which").arg("nicdock").output()?.stdout)?;
    for name in ["nicdock", nicdock_starter::NAME] {
        fs::copy(Path::new(path.trim()).with_file_name(name), folder.join(name))?;
    }
    Ok(folder.join("nicdock"))
}

/// Starts /start by `copy`, with a NIC as `which` says, and kills that when the attack waits for it. Gives nicdock's exit status if it ended by itself, and whether `copy` has been
/// written to.
fn attacked(
    which: &[&str],
    copy: &Path,
    root: &Path,
    left_open: &str,
) -> Result<(Option<i32>, bool), Failed> {
    let is_written = || -> Result<bool, Failed> {
        let mut begin = [0; 4];
        File::open(copy)?.read_exact(&mut begin)?;
        Ok(begin != *b"\x7fELF")
    };
    let mut command = Command::new(copy);
    command.arg("run").args(which).arg("--rootfs").arg(root).args(["--", "/start"]);
    let mut child = command.env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).spawn()?;
    while !root.join("ready").exists() {
        if let Some(status) = child.try_wait()? {
            return Ok((status.code(), is_written()?));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    let ended = eventually("the attack writes to nicdock's file", || root.join("written").exists());
    nicdock(&["reconcile"]);
    ended?;
    Ok((None, is_written()?))
}

fn overwrite(_: &Lab) -> Result<(), Failed> {
    overwrites(&["--nic", "eth3"])
}

/// Without the starter it writes to nicdock's file, and with it not.
pub fn overwrites(which: &[&str]) -> Result<(), Failed> {
    let (folder, programs) = (tempfile::tempdir()?, tempfile::tempdir()?);
    root(folder.path())?;
    let copy = copied(programs.path())?;
    let (status, written) = attacked(which, &copy, folder.path(), "")?;
    expect(status == Some(125) && !written, format!("status {status:?}, written {written}"))?;
    let (status, written) = attacked(which, &copy, folder.path(), "starter")?;
    expect(status.is_none() && written, format!("without the starter: status {status:?}, written {written}"))
}

fn reexecuted(_: &Lab) -> Result<(), Failed> {
    for command in [&["/proc/self/exe"][..], &["/proc/self/exe", "--", "true"]] {
        let output = nicdock(&[&["run", "--nic", "eth3", "--host-root", "--"], command].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        // The starter again, or what it was told to start.
        let is_starter = output.status.code() == Some(125) && text.contains("nicdock-starter");
        expect(is_starter || output.status.success(), format!("{command:?}: {} {text}", output.status))?;
    }
    let mut command = nicdock_command(&["run", "--nic", "eth3", "--host-root", "--", "/proc/self/exe"]);
    let output = command.env("NICDOCK_LEAVE_OPEN", "starter").stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    expect(
        !text.contains("nicdock-starter") && text.contains("Usage"),
        format!("not the host's nicdock: {text}"),
    )?;
    // Neither memory nor a descriptor of what nicdock had before.
    let script = "! grep nicdock /proc/1/maps && ! ls -l /proc/1/fd | grep -e nicdock -e memfd";
    shell(&["--nic", "eth3"], script).map(drop)
}

fn sysctl(_: &Lab) -> Result<(), Failed> {
    let path = Path::new("/proc/sys/vm/memfd_noexec");
    let run = ["run", "--nic", "eth3", "--host-root", "--", "true"];
    fs::write(path, "1")?;
    let one = succeed(&run);
    fs::write(path, "2")?;
    let two = nicdock(&run);
    fs::write(path, "0")?;
    one?;
    let text = String::from_utf8_lossy(&two.stderr);
    expect(
        two.status.code() == Some(125) && text.contains("vm.memfd_noexec"),
        format!("{}: {text}", two.status),
    )
}
