//! `nicdock-runtime`: the OCI runtime that is registered with an engine. It becomes the real one, runc or crun, at once; before that it has nicdock edit the configuration of a
//! container that asks for a NIC, and fails where that does.
//!
//! It is a program of its own, static and small, since engines execute their runtime several times for each container, with a NIC or without.

mod arguments;
mod asks;
mod told;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use arguments::{Arguments, Work};

const NAME: &str = "nicdock-runtime";
/// Where the package has nicdock.
const NICDOCK: &str = "/usr/bin/nicdock";
/// Those of Debian's runtimes, where an engine gives its runtime no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let arguments = Arguments::of(&words);
    let reason = match prepare(&arguments.work) {
        Ok(()) => become_runtime(&words),
        // nicdock has told why.
        Err(None) => return ExitCode::FAILURE,
        Err(Some(reason)) => reason,
    };
    eprintln!("{NAME}: {reason}");
    told::in_log(arguments.log.as_deref(), &format!("{NAME}: {reason}"));
    ExitCode::FAILURE
}

/// Errors: why the runtime must not go on; `None` if that was said already.
fn prepare(work: &Work) -> Result<(), Option<String>> {
    let (verb, option, path, name) = match work {
        Work::Other => return Ok(()),
        Work::Create { bundle } => {
            let config = bundle.join("config.json");
            // One that cannot be read is for the runtime to complain of: it starts nothing then.
            if !asks::config(&config) {
                return Ok(());
            }
            ("create", "--bundle", bundle, None)
        }
        Work::Exec { process, name } => {
            if !asks::has_a_nic(Path::new(asks::LEASES), name.as_bytes()).map_err(Some)? {
                return Ok(());
            }
            ("exec", "--process", process, Some(name))
        }
    };
    let nicdock = beside().unwrap_or_else(|| NICDOCK.into());
    let mut command = Command::new(&nicdock);
    command.args(["oci", "runtime", verb, option]).arg(path);
    if let Some(name) = name {
        command.arg("--name").arg(name);
    }
    // What the runtime is given there is not nicdock's.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) if status.code().is_some() => Err(None),
        Ok(status) => Err(Some(format!("{}: {status}", nicdock.display()))),
        Err(error) => Err(Some(format!(
            "{}: {error}: the container asks for a NIC, and nicdock is not there to give it",
            nicdock.display()
        ))),
    }
}

/// In the folder that this program is in, as where both were built.
fn beside() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.parent()?.join("nicdock");
    path.is_file().then_some(path)
}

/// Returns only the reason why it has not.
fn become_runtime(words: &[OsString]) -> String {
    let Some((own, arguments)) = words.split_first() else { return "it has no name".to_owned() };
    let runtime = runtime(Path::new(own));
    let mut command = Command::new(runtime);
    command.args(arguments);
    if std::env::var_os("PATH").is_none() {
        // `exec` looks there.
        command.env("PATH", PATH);
    }
    let error = command.exec();
    format!("{runtime}: {error}: no folder of PATH has a runtime of this name that can be executed")
}

/// By the name that it is called with: a link `nicdock-runtime-crun` is for crun.
fn runtime(own: &Path) -> &'static str {
    let is_crun = own.file_name().is_some_and(|name| name.as_bytes().ends_with(b"-crun"));
    if is_crun { "crun" } else { "runc" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_chooses_the_runtime() {
        assert_eq!(runtime(Path::new("/usr/libexec/nicdock/nicdock-runtime")), "runc");
        assert_eq!(runtime(Path::new("nicdock-runtime-crun")), "crun");
        assert_eq!(runtime(Path::new("/usr/local/bin/x-crun")), "crun");
    }
}
