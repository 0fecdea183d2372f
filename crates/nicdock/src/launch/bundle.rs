//! An OCI bundle as a request: its root, process and bind mounts. What could weaken the plan is not taken over.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use super::LaunchError;
use crate::request::{Request, Root, User, Volume};

/// Takes over from `bundle/config.json` what the command line leaves open; gives notes on what was left out.
///
/// Its namespaces, devices, seccomp, hooks, capabilities and mounts other than binds are nicdock's to decide.
pub fn read(bundle: &Path, request: &mut Request) -> Result<Vec<String>, LaunchError> {
    let config = bundle.join("config.json");
    let spec = Spec::load(&config).map_err(|e| LaunchError::path(&config, e))?;
    let root = spec.root().as_ref().map_or_else(|| PathBuf::from("rootfs"), |root| root.path().clone());
    if root.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(LaunchError::path(
            &config,
            format!("its root.path {} climbs out with '..'", root.display()),
        ));
    }
    request.root = Root::Directory(if root.is_absolute() { root } else { bundle.join(root) });
    if let Some(process) = spec.process() {
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
            let outside = !source.starts_with(bundle);
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
