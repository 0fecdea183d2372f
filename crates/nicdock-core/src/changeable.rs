//! Says who can change a program that runs as root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who else than root can change it, or a folder on the way to it, in a sentence.
pub fn by_others(program: &Path) -> Option<String> {
    program.ancestors().find_map(|path| {
        let found = path.metadata().ok()?;
        let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
        let by_others = found.mode() & 0o002 != 0 || found.mode() & 0o020 != 0 && found.gid() != 0;
        if found.uid() != 0 {
            Some(format!("{} belongs to user {}", path.display(), found.uid()))
        } else if by_others && !sticky {
            Some(format!("{} can be written by others (mode {:o})", path.display(), found.mode() & 0o7777))
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_that_a_user_could_change_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(by_others(folder.path()).is_some());
        assert_eq!(by_others(Path::new("/proc/version")), None);
    }
}
