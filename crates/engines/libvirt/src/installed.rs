//! What is on the host for libvirt's sake: the hook that libvirt calls, the gate and its filters.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nicdock_sys::processes;

use super::virsh::{Virsh, VirshError};
use super::wish::EVERY_VERSION;
use super::{Closings, FOLDER, NAMESPACE};
use nicdock_core::kind::Kind;
use nicdock_core::static_program::{self, StaticProgramError};

/// libvirt calls every program in there, beside `/etc/libvirt/hooks/lxc` (docs/hooks.rst; since 6.5).
const HOOK: &str = "/etc/libvirt/hooks/lxc.d/nicdock";
const HOOKS: &str = "/etc/libvirt/hooks";
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
    Program(#[from] StaticProgramError),
    #[error(transparent)]
    Virsh(#[from] VirshError),
    #[error(
        "everything is in place, but libvirt does not call the hook ({0}): restart its daemon (systemctl restart libvirtd or virtlxcd; containers go on running), \
         and call this again. Until then no container with a NIC of nicdock's starts"
    )]
    NotCalled(String),
}

impl InstallError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { error, .. } => Kind::of_io(error),
            Self::Old(_) => Kind::Unsupported,
            Self::Virsh(error) => error.kind(),
            Self::Foreign | Self::Program(_) | Self::NotCalled(_) => Kind::Other,
        }
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> InstallError + '_ {
    |error| InstallError::Io { path: path.to_owned(), error }
}

/// The hook. Without nicdock's program everything is as if there were no hook, but for domains that want a NIC of it.
fn script(nicdock: &Path) -> String {
    format!(
        "#!/bin/sh
{MARK}
nicdock={}
[ -x \"$nicdock\" ] && exec \"$nicdock\" libvirt hook -- \"$@\"
wants=$(grep -c '{EVERY_VERSION}')
case $2 in prepare | start | started) ;; *) exit 0 ;; esac
[ \"$wants\" = 0 ] && exit 0
echo \"domain $1 wants a NIC, and $nicdock is not there: install nicdock again, or take its element out of the domain's metadata\" >&2
exit 125
",
        quoted(&nicdock.display().to_string())
    )
}

/// A file that libvirt's containers need on the host.
pub struct HostFile {
    pub path: PathBuf,
    pub content: Vec<u8>,
    pub mode: u32,
}

/// All of them, the hook last: libvirt calls it as soon as it is there. `nicdock` is the program that the hook calls.
pub fn files(nicdock: &Path) -> Result<Vec<HostFile>, InstallError> {
    let folder = Path::new(FOLDER);
    let gate = static_program::read(nicdock_gate::NAME)?;
    let mut all = vec![HostFile { path: folder.join(nicdock_gate::NAME), content: gate, mode: 0o755 }];
    for (closings, netlink) in Closings::FILTERS {
        let path = folder.join(closings.file(netlink));
        let content = closings.filter(netlink).map_err(at(&path))?;
        all.push(HostFile { path, content, mode: 0o644 });
    }
    all.push(HostFile { path: HOOK.into(), content: script(nicdock).into_bytes(), mode: 0o755 });
    Ok(all)
}

/// Puts everything in place and lets libvirt prove that it calls the hook. Says what was done.
pub fn install(virsh: &Virsh, nicdock: &Path) -> Result<Vec<String>, InstallError> {
    let hook = Path::new(HOOK);
    if hook.exists() && !is_ours(hook) {
        return Err(InstallError::Foreign);
    }
    let files = files(nicdock)?;
    let version = match version(virsh) {
        Ok((text, number)) if number < SINCE => return Err(InstallError::Old(text)),
        Ok((text, _)) => Some(text),
        Err(VirshError::NoDaemon(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut said = Vec::new();
    let folder = Path::new(FOLDER);
    // As a user of the container reads it, whatever the umask.
    for folder in [folder.parent().unwrap_or(folder), folder] {
        fs::create_dir_all(folder)
            .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
            .map_err(at(folder))?;
    }
    let hooks = Path::new(HOOKS);
    fs::create_dir_all(hook.parent().unwrap_or(hooks)).map_err(at(hook))?;
    for HostFile { path, content, mode } in &files {
        write(path, if path == hook { hooks } else { folder }, content, *mode)?;
    }
    said.push(format!(
        "{FOLDER}/{}: the gate, before the programs of containers with a NIC",
        nicdock_gate::NAME
    ));
    said.push(format!("{FOLDER}/*.bpf: what these programs may call"));
    said.push(format!("{HOOK}: the hook, beside others that there are"));
    let Some(version) = version else {
        said.push("nothing was proven: libvirt's daemon does not run. It finds the hook when it starts; call this again then".to_owned());
        return Ok(said);
    };
    if not_called(virsh)?.is_none() {
        said.push(format!("libvirt {version} calls it"));
        return Ok(said);
    }
    let daemons = reload();
    if let Some(reason) = still_not_called(virsh)? {
        return Err(InstallError::NotCalled(reason));
    }
    said.push(format!("libvirt {version} calls it, after {daemons} was told to look for hooks"));
    Ok(said)
}

/// Takes everything away again. Says what, and which domains that leaves without nicdock.
pub fn uninstall(virsh: &Virsh) -> Result<Vec<String>, InstallError> {
    let hook = Path::new(HOOK);
    let mut said = Vec::new();
    if hook.exists() {
        if !is_ours(hook) {
            return Err(InstallError::Foreign);
        }
        fs::remove_file(hook).map_err(at(hook))?;
        said.push(format!("removed {HOOK}"));
    }
    let _ = fs::remove_file(aside(hook, Path::new(HOOKS)));
    // Only if nothing else is in them.
    for folder in [hook.parent(), Some(Path::new(HOOKS))].into_iter().flatten() {
        let _ = fs::remove_dir(folder);
    }
    let folder = Path::new(FOLDER);
    let filters = Closings::FILTERS.map(|(closings, netlink)| closings.file(netlink));
    for name in [nicdock_gate::NAME].into_iter().chain(filters) {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Ok(()) => said.push(format!("removed {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
    }
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        let _ = fs::remove_dir(folder);
    }
    for name in virsh.domains().unwrap_or_default() {
        let wants = |xml: String| matches!(super::said(&xml), Ok(super::Said::Nics(_)));
        if virsh.definition(&name).is_ok_and(wants) {
            said.push(format!(
                "domain {name} names NICs and does not start without nicdock any more; if it runs, the next nicdock command after its end gives them back"
            ));
        }
    }
    Ok(said)
}

fn is_ours(hook: &Path) -> bool {
    fs::read_to_string(hook).is_ok_and(|text| text.contains(MARK))
}

/// A whole new file in the place of an old one, which may be running. It is made in `folder`: whatever can be executed in that of hooks libvirt calls.
fn write(path: &Path, folder: &Path, content: &[u8], mode: u32) -> Result<(), InstallError> {
    let aside = aside(path, folder);
    let _ = fs::remove_file(&aside);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&aside)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.sync_all()
        })
        .map_err(at(&aside))?;
    fs::rename(&aside, path).map_err(at(path))
}

fn aside(path: &Path, folder: &Path) -> PathBuf {
    folder.join(format!(".{}", path.file_name().unwrap_or_default().display()))
}

/// For sh(1).
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The daemon's, not virsh's own.
fn version(virsh: &Virsh) -> Result<(String, (u32, u32)), VirshError> {
    Ok(parsed(&virsh.run(&["version", "--daemon"], "")?))
}

fn parsed(said: &str) -> (String, (u32, u32)) {
    let line = said.lines().find_map(|line| line.strip_prefix("Running against daemon:"));
    let text = line.unwrap_or_default().trim().to_owned();
    let mut numbers = text.split('.').map_while(|part| part.parse().ok());
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (text, number)
}

/// A domain that the hook refuses with a word that nobody else knows; nothing of it ever runs, since its root has no program. `Some`: what was said
/// without the hook.
fn not_called(virsh: &Virsh) -> Result<Option<String>, InstallError> {
    let random = Path::new("/proc/sys/kernel/random/uuid");
    let word = fs::read_to_string(random).map_err(at(random))?.trim().to_owned();
    let root = PathBuf::from(nicdock_core::lease::STATE).join("libvirt").join(&word);
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
    let is_daemon = |pid: &u32| matches!(&*processes::command(*pid), "libvirtd" | "virtlxcd");
    let daemons = processes::all().into_iter().flatten().filter(is_daemon);
    let mut told = Vec::new();
    for pid in daemons {
        let process = nicdock_sys::pidfd::Process::open(pid);
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

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_version_is_read_as_numbers() {
        assert_eq!(
            parsed("Using library: libvirt 9.0.0\nRunning against daemon: 10.0.0\n"),
            ("10.0.0".to_owned(), (10, 0))
        );
        assert_eq!(parsed("nothing"), (String::new(), (0, 0)));
    }

    /// The hook with a program that is not there, or is sh(1)'s `echo`. Gives its exit status and what it says.
    fn called(program: &Path, operation: &str, xml: &str) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hook");
        fs::write(&path, script(program)).unwrap();
        let mut command = Command::new("sh");
        command.arg(&path).args(["-x name", operation, "begin", "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(xml.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn without_nicdock_only_domains_that_want_a_nic_are_refused() {
        let gone = Path::new("/no/such 'nicdock");
        let wants = format!("<domain><n:nics xmlns:n='{NAMESPACE}'/></domain>");
        for operation in ["prepare", "start", "started", "stopped", "release", "reconnect"] {
            assert_eq!(called(gone, operation, "<domain/>"), (Some(0), String::new()), "{operation}");
        }
        let (status, said) = called(gone, "prepare", &wants);
        assert!(status == Some(125) && said.contains("/no/such 'nicdock is not there"), "{said}");
        assert_eq!(called(gone, "reconnect", &wants).0, Some(0));
    }

    #[test]
    fn a_name_that_looks_like_an_option_is_none() {
        let (status, said) = called(Path::new("/bin/echo"), "prepare", "");
        assert_eq!((status, said.as_str()), (Some(0), "libvirt hook -- -x name prepare begin -\n"));
    }
}
