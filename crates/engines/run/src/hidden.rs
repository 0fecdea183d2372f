//! Programs that a container over the host's own root does not find: it has a /tmp and a /run of its own, empty.

use std::fs;
use std::path::{Path, PathBuf};

use super::spec::PATH;
use nicdock_core::request::{Request, Root};

/// What of the host's root is not shown (`exchange_root()` of phases/enter.rs).
const HIDDEN: [&str; 2] = ["/tmp", "/run"];

/// What to say before such a container looks for its program, should that be, or lead, where the container has something else.
pub fn note(request: &Request) -> Option<String> {
    if request.root != Root::Host {
        return None;
    }
    let program = request.command.first()?;
    let found = find(program, &request.env)?;
    let real = fs::canonicalize(&found).ok()?;
    let is_hidden = |path: &Path| {
        let shown = |volume: &nicdock_core::request::Volume| path.starts_with(&volume.destination);
        HIDDEN.iter().any(|hidden| path.starts_with(hidden)) && !request.volumes.iter().any(shown)
    };
    let leads = if found == real { String::new() } else { format!(" leads to {}, which", real.display()) };
    (is_hidden(&found) || is_hidden(&real)).then(|| {
        format!(
            "{}{leads} is not in the container: with --host-root /tmp and /run are its own, empty, and it finds another program of this name there or \
             none. Copy it elsewhere, or show its folder with -v",
            found.display()
        )
    })
}

/// Where the host has what the container will look for by this name.
fn find(program: &str, environment: &[String]) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_absolute());
    }
    let path = environment.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(PATH);
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nicdock_core::request::Volume;

    fn noted(program: &str, root: Root, volumes: Vec<Volume>, env: &[&str]) -> Option<String> {
        let env = env.iter().map(ToString::to_string).collect();
        let command = vec![program.to_owned()];
        note(&Request { root, volumes, env, command, ..crate::fuzz::request() })
    }

    #[test]
    fn a_program_in_tmp_and_a_link_to_it_are_told() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let place = folder.path().display().to_string();
        let program = format!("{place}/program");
        fs::copy("/bin/true", &program).unwrap();
        assert!(noted(&program, Root::Host, vec![], &[]).unwrap().contains("with --host-root /tmp"));
        assert!(noted("program", Root::Host, vec![], &[&format!("PATH=/bin:{place}")]).is_some());
        assert_eq!(noted(&program, Root::Directory("/x".into()), vec![], &[]), None);
        let volume = Volume { source: place.clone().into(), destination: place.clone(), read_only: true };
        assert_eq!(noted(&program, Root::Host, vec![volume], &[]), None);
        for seen in ["true", "/bin/true", "no-such-program", "/nowhere/x"] {
            assert_eq!(noted(seen, Root::Host, vec![], &[]), None, "{seen}");
        }
    }
}
