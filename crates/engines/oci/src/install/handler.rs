//! A runtime handler of containerd's CRI plugin: a drop-in where that takes nothing else away, or else what an administrator has to write.
//!
//! containerd merges files by replacing: in 1.6 a plugin's table in a drop-in takes the place of the whole table of the same plugin in every file before
//! it (`mergeConfig` of services/server/config/config.go), and its map of runtimes that of the defaults. So a drop-in is right only if no other file has
//! that table, and it has to say runc, too, which would be gone. 2.0 merges deeper, but such a drop-in is right there as well.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::NAME;

/// What is the administrator's.
pub const FILE: &str = "/etc/containerd/config.toml";
const FOLDER: &str = "/etc/containerd/conf.d";
pub const DROP_IN: &str = "/etc/containerd/conf.d/nicdock.toml";
/// The one pattern that is understood.
pub const EVERY: &str = "*.toml";

/// A file of containerd's.
pub struct Config {
    table: Table,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// None, or one that no file should have any more.
    Old,
    Two,
    Three,
}

impl Version {
    const fn number(self) -> u8 {
        match self {
            Self::Old | Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// The plugin that has the runtimes.
    const fn plugin(self) -> &'static str {
        match self {
            Self::Old | Self::Two => "io.containerd.grpc.v1.cri",
            Self::Three => "io.containerd.cri.v1.runtime",
        }
    }
}

/// Where the handler belongs.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// The text of [`DROP_IN`].
    DropIn(String),
    /// Lines for the administrator's own file, and why they have to be there.
    ByHand { why: String, add: String },
    /// It has the handler.
    There,
    /// Nobody asks for a handler.
    Off,
}

impl Config {
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let version = match table.get("version").and_then(Value::as_integer) {
            Some(2) => Version::Two,
            Some(3) => Version::Three,
            None | Some(1) => Version::Old,
            Some(other) => return Err(format!("its version {other} is not known")),
        };
        Ok(Self { table, version })
    }

    /// Files and folders' `*.toml` that a file imports; none if there is a pattern that is not understood.
    pub fn imported(&self, file: &Path) -> Option<Vec<PathBuf>> {
        let patterns = self.table.get("imports").and_then(Value::as_array).cloned().unwrap_or_default();
        let of_pattern = |pattern: &Value| {
            let pattern = file.with_file_name(pattern.as_str()?);
            let is_plain = |text: &str| !text.contains(['*', '?', '[', '\\']);
            let name = pattern.file_name()?.to_str()?;
            let is_known = is_plain(pattern.parent()?.to_str()?) && (name == EVERY || is_plain(name));
            is_known.then_some(pattern)
        };
        patterns.iter().map(of_pattern).collect()
    }

    fn imports_the_folder(&self) -> bool {
        let wanted = Path::new(FOLDER).join(EVERY);
        self.imported(Path::new(FILE))
            .is_some_and(|patterns| patterns.contains(&wanted) || patterns.contains(&DROP_IN.into()))
    }

    fn has_plugin(&self, version: Version) -> bool {
        self.table.get("plugins").is_some_and(|plugins| plugins.get(version.plugin()).is_some())
    }

    fn is_off(&self) -> bool {
        let named = self.table.get("disabled_plugins").and_then(Value::as_array);
        let mut named = named.into_iter().flatten().filter_map(Value::as_str);
        named.any(|name| name == "cri" || name == self.version.plugin())
    }

    /// Has it nicdock's handler, by this program?
    pub fn has_handler(&self, runtime: &str) -> bool {
        [Version::Two, Version::Three].iter().any(|version| {
            let way = [version.plugin(), "containerd", "runtimes", NAME, "options", "BinaryName"];
            let plugins = self.table.get("plugins");
            let found =
                plugins.and_then(|plugins| way.iter().try_fold(plugins, |value, name| value.get(name)));
            found.and_then(Value::as_str) == Some(runtime)
        })
    }
}

/// `others`: the texts of what it imports, but for nicdock's own; none if that is not known.
pub fn place(config: &Config, others: Option<&[String]>, runtime: &str) -> Place {
    let version = config.version;
    let handler = handler(version, NAME, Some(runtime));
    let by_hand = |why: &str, add: String| Place::ByHand { why: why.to_owned(), add };
    if config.is_off() {
        return Place::Off;
    }
    if config.has_handler(runtime) {
        return Place::There;
    }
    if config.has_plugin(version) {
        let why = "it has a table of the CRI plugin, which a drop-in would replace, so add there, and restart containerd";
        return by_hand(why, handler);
    }
    if version == Version::Old {
        return by_hand(
            "it has no version 2 or 3, so that containerd 1.7 and older take it for one without imports; add",
            format!("version = 2\nimports = [\"{FOLDER}/{EVERY}\"]"),
        );
    }
    if !config.imports_the_folder() {
        return by_hand(
            "add this line before its first table, and call this again",
            format!("imports = [\"{FOLDER}/{EVERY}\"]"),
        );
    }
    let Some(others) = others else {
        return by_hand(
            "it imports by a pattern that nicdock does not understand, so add where the CRI plugin's table is",
            handler,
        );
    };
    for text in others {
        let other = Config::parse(text);
        let is_free = other.is_ok_and(|other| {
            !other.has_plugin(Version::Two)
                && !other.has_plugin(Version::Three)
                && !other.table.contains_key("imports")
        });
        if !is_free {
            let why = "a file that it imports has a table of the CRI plugin, or imports others; one file's table would replace the other's, so add in that file, and restart containerd";
            return by_hand(why, handler);
        }
    }
    let runc = self::handler(version, "runc", None);
    Place::DropIn(format!(
        "# Written by nicdock. runc is said, too, since containerd forgets its own as soon as another one is.\nversion = {}\n\n{runc}\n{handler}",
        version.number()
    ))
}

fn handler(version: Version, name: &str, program: Option<&str>) -> String {
    let table = format!("plugins.\"{}\".containerd.runtimes.{name}", version.plugin());
    let options = program.map_or(String::new(), |program| {
        format!("[{table}.options]\nBinaryName = {}\n", serde_json::Value::from(program))
    });
    format!("[{table}]\nruntime_type = \"io.containerd.runc.v2\"\n{options}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIME: &str = "/usr/libexec/nicdock/nicdock-runtime";
    const IMPORTS: &str = "imports = [\"/etc/containerd/conf.d/*.toml\"]\n";

    fn placed(text: &str, others: &[&str]) -> Place {
        let others: Vec<String> = others.iter().map(|text| (*text).to_owned()).collect();
        place(&Config::parse(text).unwrap(), Some(&others), RUNTIME)
    }

    #[test]
    fn a_drop_in_is_written_where_it_takes_nothing_away() {
        for (version, plugin) in [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.runtime")] {
            let main = format!("version = {version}\n{IMPORTS}[plugins.\"io.containerd.internal.v1.opt\"]\n");
            let Place::DropIn(text) = placed(&main, &["version = 2\noom_score = 1\n"]) else {
                panic!("{version}")
            };
            let config = Config::parse(&text).unwrap();
            assert!(config.has_handler(RUNTIME) && config.has_plugin(config.version), "{text}");
            assert!(text.contains(&format!("[plugins.\"{plugin}\".containerd.runtimes.runc]")), "{text}");
        }
    }

    #[test]
    fn a_table_that_a_drop_in_would_replace_is_the_administrators() {
        let main = format!("version = 2\n{IMPORTS}");
        let own = format!("{main}[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n");
        for (text, others, part) in [
            (own.as_str(), &[][..], "which a drop-in would replace"),
            (&main, &["[plugins.\"io.containerd.grpc.v1.cri\"]\n"], "a file that it imports"),
            (&main, &["not toml"], "a file that it imports"),
            ("version = 2\n", &[], "before its first table"),
            ("", &[], "no version 2 or 3"),
        ] {
            let Place::ByHand { why, .. } = placed(text, others) else { panic!("{text}") };
            assert!(why.contains(part), "{text}: {why}");
        }
        let patterns =
            Config::parse("version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\", \"/x/[a]*\"]").unwrap();
        assert_eq!(patterns.imported(Path::new("/etc/containerd/config.toml")), None);
        assert!(matches!(place(&patterns, None, RUNTIME), Place::ByHand { .. }));
    }

    #[test]
    fn a_plugin_that_is_off_needs_nothing_and_one_that_has_it_neither() {
        assert_eq!(placed("disabled_plugins = [\"cri\"]", &[]), Place::Off);
        let has = format!("version = 2\n{}", handler(Version::Two, NAME, Some(RUNTIME)));
        assert_eq!(placed(&has, &[]), Place::There);
    }

    #[test]
    fn imports_are_taken_from_the_files_folder() {
        let config = Config::parse("imports = [\"conf.d/*.toml\", \"/etc/other.toml\"]").unwrap();
        let found = config.imported(Path::new("/etc/containerd/config.toml")).unwrap();
        assert_eq!(found, [Path::new("/etc/containerd/conf.d/*.toml"), Path::new("/etc/other.toml")]);
    }
}
