//! An OCI bundle as a request: its root, process and bind mounts. What could weaken the plan is not taken over.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Process, Spec};
use rustix::fs::{Mode, OFlags};

use super::LaunchError;
use crate::request::{Request, Root, User, Volume};

/// More than any engine writes.
const MAX_LEN: u64 = 4 << 20;

/// Takes over from `bundle/config.json` what the command line leaves open; gives notes on what was left out.
///
/// Its namespaces, devices, seccomp, hooks, capabilities and mounts other than binds are nicdock's to decide.
pub fn read(bundle: &Path, request: &mut Request) -> Result<Vec<String>, LaunchError> {
    let config = bundle.join("config.json");
    let text = load(&config).map_err(|e| LaunchError::path(&config, e))?;
    take_over(bundle, &text, request)
}

/// Whoever made the bundle may have put a pipe, a device or a file without an end there.
fn load(config: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(config, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file"));
    }
    let mut text = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_LEN {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 4 MiB"));
    }
    Ok(text)
}

/// The same from the text of `config.json`.
pub fn take_over(bundle: &Path, text: &[u8], request: &mut Request) -> Result<Vec<String>, LaunchError> {
    let config = bundle.join("config.json");
    let refuse = |reason: String| LaunchError::path(&config, reason);
    let spec: Spec = serde_json::from_slice(text).map_err(|e| refuse(e.to_string()))?;
    let root = spec.root().as_ref().map_or_else(|| PathBuf::from("rootfs"), |root| root.path().clone());
    if root.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(LaunchError::path(
            &config,
            format!("its root.path {} climbs out with '..'", root.display()),
        ));
    }
    let root = if root.is_absolute() { root } else { bundle.join(root) };
    if inside(bundle, &root) == Some(false) {
        return Err(refuse(format!(
            "its root.path leads out of the bundle, to {}, and a root is writable: give it with --rootfs",
            root.display()
        )));
    }
    request.root = Root::Directory(root);
    if let Some(process) = spec.process() {
        check(process).map_err(refuse)?;
        if request.command.is_empty() {
            request.command = process.args().clone().unwrap_or_default();
        }
        if request.workdir.is_none() {
            request.workdir = Some(process.cwd().display().to_string());
        }
        if request.user == User::default() {
            request.user = User { uid: process.user().uid(), gid: process.user().gid() };
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.append(&mut request.env);
        request.env = env;
    }
    let mut notes = vec![
        "the bundle's namespaces, devices, capabilities and seccomp are replaced by this plan's".to_owned(),
    ];
    if spec.hooks().is_some() {
        notes.push("the bundle's hooks are not run".to_owned());
    }
    for mount in spec.mounts().iter().flatten() {
        let options = mount.options().clone().unwrap_or_default();
        let destination = mount.destination().display().to_string();
        let source = mount.source().clone().unwrap_or_default();
        if options.iter().any(|o| o == "bind" || o == "rbind") {
            let writable = options.iter().any(|o| o == "rw") || !options.iter().any(|o| o == "ro");
            let outside = inside(bundle, &source) != Some(true);
            let volume = Volume { source, destination, read_only: outside || !writable };
            volume.check().map_err(|reason| LaunchError::path(&config, reason))?;
            if outside && writable {
                notes.push(format!(
                    "the bundle's {} is shown read-only on {}: it lies outside of the bundle; -v {0}:{1} makes it writable",
                    volume.source.display(),
                    volume.destination
                ));
            }
            request.volumes.push(volume);
        } else if !["/proc", "/dev", "/sys"].iter().any(|top| mount.destination().starts_with(top)) {
            notes.push(format!("the bundle's mount on {destination} is left out: only binds are taken over"));
        }
    }
    Ok(notes)
}

/// Whether `path` lies in the bundle, wherever its links lead; `None` if it is not there.
fn inside(bundle: &Path, path: &Path) -> Option<bool> {
    let real = path.canonicalize().ok()?;
    Some(real.starts_with(bundle.canonicalize().ok()?))
}

/// What no command line could hold: execve(2) ends a text at a NUL, and setenv(3) wants a name.
fn check(process: &Process) -> Result<(), String> {
    let args = process.args().iter().flatten();
    let env = process.env().iter().flatten();
    if args.chain(env.clone()).any(|text| text.contains('\0')) {
        return Err("its process has a NUL in an argument or a variable".to_owned());
    }
    if let Some(bad) = env.clone().find(|text| text.find('=').is_none_or(|at| at == 0)) {
        return Err(format!("its process.env has '{}', which is not KEY=VALUE", bad.escape_debug()));
    }
    let cwd = process.cwd();
    if !cwd.is_absolute() || cwd.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(format!("its process.cwd '{}' is no absolute path", cwd.display()));
    }
    Ok(())
}
