//! What is on the host for libvirt's sake: the hook that libvirt calls, the gate and its filters.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::virsh::{Virsh, VirshError};
use super::{Closings, FOLDER, NAMESPACE};
use crate::audit::static_program;

/// libvirt calls every program in there, beside `/etc/libvirt/hooks/lxc` (docs/hooks.rst; since 6.5).
const HOOK: &str = "/etc/libvirt/hooks/lxc.d/nicdock";
const MARK: &str = "# Written by nicdock libvirt install.";
const SINCE: (u32, u32) = (6, 5);

#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{HOOK} is there and is not nicdock's: nothing was changed")]
    Foreign,
    #[error("libvirt {0} calls no hooks of a folder: 6.5 or newer is needed")]
    Old(String),
    #[error(transparent)]
    Program(#[from] crate::audit::AuditError),
    #[error(transparent)]
    Virsh(#[from] VirshError),
    #[error(
        "everything is in place, but libvirt does not call the hook ({0}): restart its daemon (systemctl restart libvirtd or virtlxcd; containers go on running), \
         and call this again. Until then no container with a NIC of nicdock's starts"
    )]
    NotCalled(String),
}

fn at(path: &Path) -> impl Fn(io::Error) -> InstallError + '_ {
    |error| InstallError::Io { path: path.to_owned(), error }
}

/// Puts everything in place and lets libvirt prove that it calls the hook. Says what was done.
pub fn install(virsh: &Virsh, nicdock: &Path) -> Result<Vec<String>, InstallError> {
    let hook = Path::new(HOOK);
    if hook.exists() && !is_ours(hook) {
        return Err(InstallError::Foreign);
    }
    let program = static_program(nicdock_gate::NAME)?;
    let version = version(virsh);
    if let Ok((text, number)) = &version
        && *number < SINCE
    {
        return Err(InstallError::Old(text.clone()));
    }
    let mut said = Vec::new();
    let folder = Path::new(FOLDER);
    write(&folder.join(nicdock_gate::NAME), &program, 0o755)?;
    said.push(format!(
        "{FOLDER}/{}: the gate, before the programs of containers with a NIC",
        nicdock_gate::NAME
    ));
    for closings in Closings::ALL {
        let path = folder.join(closings.file());
        write(&path, &closings.filter().map_err(at(&path))?, 0o644)?;
    }
    said.push(format!("{FOLDER}/*.bpf: what these programs may call"));
    let script =
        format!("#!/bin/sh\n{MARK}\nexec {} libvirt hook \"$@\"\n", quoted(&nicdock.display().to_string()));
    write(hook, script.as_bytes(), 0o755)?;
    said.push(format!("{HOOK}: the hook, beside others that there are"));
    match version {
        Ok((text, _)) if not_called(virsh)?.is_none() => said.push(format!("libvirt {text} calls it")),
        Ok((text, _)) => {
            let daemons = reload();
            if let Some(reason) = still_not_called(virsh)? {
                return Err(InstallError::NotCalled(reason));
            }
            said.push(format!("libvirt {text} calls it, after {daemons} was told to look for hooks"));
        }
        Err(error) => {
            said.push(format!("libvirt's daemon does not run ({error}): it finds the hook when it starts"));
        }
    }
    Ok(said)
}

/// Takes everything away again.
pub fn uninstall() -> Result<Vec<String>, InstallError> {
    let hook = Path::new(HOOK);
    let mut said = Vec::new();
    if hook.exists() {
        if !is_ours(hook) {
            return Err(InstallError::Foreign);
        }
        fs::remove_file(hook).map_err(at(hook))?;
        said.push(format!("removed {HOOK}"));
    }
    // Only if nothing else is in them.
    for folder in [hook.parent(), hook.parent().and_then(Path::parent)].into_iter().flatten() {
        let _ = fs::remove_dir(folder);
    }
    let folder = Path::new(FOLDER);
    for name in [nicdock_gate::NAME].into_iter().chain(Closings::ALL.map(Closings::file)) {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Ok(()) => said.push(format!("removed {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
    }
    let _ = fs::remove_dir(folder);
    Ok(said)
}

fn is_ours(hook: &Path) -> bool {
    fs::read_to_string(hook).is_ok_and(|text| text.contains(MARK))
}

/// A whole new file in the place of an old one, which may be running.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), InstallError> {
    let failed = at(path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(&failed)?;
    }
    // Hidden: libvirt calls whatever else can be executed in the folder of hooks.
    let aside = path.with_file_name(format!(".{}", path.file_name().unwrap_or_default().display()));
    fs::write(&aside, content).map_err(&failed)?;
    fs::set_permissions(&aside, fs::Permissions::from_mode(mode)).map_err(&failed)?;
    fs::rename(&aside, path).map_err(&failed)
}

/// For sh(1).
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The daemon's, not virsh's own.
fn version(virsh: &Virsh) -> Result<(String, (u32, u32)), VirshError> {
    let said = virsh.run(&["version", "--daemon"], "")?;
    let line = said.lines().find_map(|line| line.strip_prefix("Running against daemon:"));
    let text = line.unwrap_or_default().trim().to_owned();
    let mut numbers = text.split('.').map_while(|part| part.parse().ok());
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok((text, number))
}

/// A domain that the hook refuses with a word that nobody else knows; nothing of it ever runs, since its root has no program. `Some`: what was said
/// without the hook.
fn not_called(virsh: &Virsh) -> Result<Option<String>, InstallError> {
    let random = Path::new("/proc/sys/kernel/random/uuid");
    let word = fs::read_to_string(random).map_err(at(random))?.trim().to_owned();
    let root = PathBuf::from(crate::lease::STATE).join("libvirt").join(&word);
    fs::create_dir_all(&root).map_err(at(&root))?;
    let xml = format!(
        "<domain type='lxc'><name>nicdock-{word}</name><memory unit='MiB'>16</memory><metadata><n:proof xmlns:n='{NAMESPACE}' word='{word}'/></metadata>\
         <os><type>exe</type><init>/none</init></os><devices><filesystem type='mount'><source dir='{}'/><target dir='/'/></filesystem>\
         <console type='pty'/></devices></domain>",
        root.display()
    );
    let answer = virsh.run(&["create", "--file", "/dev/stdin"], &xml);
    if answer.is_ok() {
        let _ = virsh.run(&["destroy", "--domain", &format!("nicdock-{word}")], "");
    }
    fs::remove_dir_all(&root).map_err(at(&root))?;
    let _ = fs::remove_dir(root.parent().unwrap_or(&root));
    let said =
        answer.map_or_else(|error| error.to_string(), |_| "it would start a domain without it".to_owned());
    Ok((!said.contains(&proof(&word))).then_some(said))
}

/// The answer of the hook to a word.
pub fn proof(word: &str) -> String {
    format!("nicdock's hook was called: {word}")
}

/// SIGHUP makes the daemon load its state anew (libvirtd(8)).
fn reload() -> String {
    let is_daemon = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        matches!(name.trim(), "libvirtd" | "virtlxcd")
    };
    let listed = fs::read_dir("/proc").into_iter().flatten().flatten();
    let daemons = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_daemon);
    let mut told = Vec::new();
    for pid in daemons {
        let process = crate::kernel::pidfd::Process::open(pid);
        if process.and_then(|process| process.signal(rustix::process::Signal::HUP)).is_ok() {
            told.push(format!("process {pid}"));
        }
    }
    told.join(" and ")
}

fn still_not_called(virsh: &Virsh) -> Result<Option<String>, InstallError> {
    let begin = Instant::now();
    loop {
        let said = not_called(virsh)?;
        if said.is_none() || begin.elapsed() > Duration::from_secs(10) {
            return Ok(said);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
