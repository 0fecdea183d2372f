//! Reads which weaknesses an administrator accepts in containers of OCI engines (`/etc/nicdock/config.toml`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nicdock_core::kind::Kind;
use nicdock_core::node::NodeError;
use serde::Deserialize;

pub const FILE: &str = "/etc/nicdock/config.toml";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    accept: Accept,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    /// Ids of weaknesses.
    #[serde(default)]
    weaknesses: BTreeSet<String>,
}

/// The ids of accepted weaknesses; none without the file.
///
/// Errors: somebody else than root could have written it, or it is not as it should be.
pub fn read(file: &Path) -> Result<BTreeSet<String>, NodeError> {
    let wrong = |kind: Kind, why: &dyn std::fmt::Display| {
        NodeError::refused(kind, format!("{}: {why}", file.display()))
    };
    let text = match fs::File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(wrong(Kind::of_io(&error), &error)),
        Ok(open) => {
            let found = open.metadata().map_err(|error| wrong(Kind::of_io(&error), &error))?;
            if found.uid() != 0 || found.mode() & 0o022 != 0 {
                let why = format!(
                    "it belongs to user {} with mode {:o}: it counts only if it is root's and nobody else can write it",
                    found.uid(),
                    found.mode() & 0o7777
                );
                return Err(wrong(Kind::BadInput, &why));
            }
            io::read_to_string(open).map_err(|error| wrong(Kind::of_io(&error), &error))?
        }
    };
    parse(&text).map_err(|error| wrong(Kind::BadInput, &error))
}

fn parse(text: &str) -> Result<BTreeSet<String>, toml::de::Error> {
    Ok(toml::from_str::<Config>(text)?.accept.weaknesses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn weaknesses_are_listed_and_what_is_not_known_is_an_error() {
        assert_eq!(parse("").unwrap(), BTreeSet::new());
        let text = "[accept]\nweaknesses = [\"seccomp.none\", \"capability.net_raw\"]\n";
        assert_eq!(parse(text).unwrap().len(), 2);
        for wrong in ["[accept]\nweakness = []", "[acept]", "[accept]\nweaknesses = \"all\"", "["] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        assert!(read(&file).unwrap().is_empty());
        fs::write(&file, "[accept]\nweaknesses = [\"seccomp.none\"]\n").unwrap();
        for (mode, counts) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let own = fs::metadata(&file).unwrap().uid() == 0;
            assert_eq!(read(&file).is_ok(), counts && own, "{mode:o}");
        }
    }
}
