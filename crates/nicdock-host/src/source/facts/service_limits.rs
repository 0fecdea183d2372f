use std::fs;
use std::io;
use std::path::Path;

/// Where systemd looks, the later wins (systemd-system.conf(5), systemd.unit(5)); `*.conf` of a folder in the order of their names.
const FOLDERS: [&str; 4] = ["/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd"];
/// Services that start containers or jobs.
const UNITS: [&str; 6] = ["docker", "containerd", "crio", "libvirtd", "virtlxcd", "slurmd"];

/// What systemd was told of RLIMIT_MEMLOCK.
pub fn lines() -> io::Result<String> {
    // sd_booted(3)
    fs::metadata("/run/systemd/system")?;
    let mut lines = Vec::new();
    let mut files = FOLDERS.iter().map(|folder| format!("{folder}/system.conf")).collect::<Vec<_>>();
    files.extend(FOLDERS.iter().flat_map(|folder| in_folder(&format!("{folder}/system.conf.d"))));
    if let Some((file, value)) = last(&files, "DefaultLimitMEMLOCK") {
        lines.push(format!("default {value} {file}\n"));
    }
    for unit in UNITS {
        let main = FOLDERS.iter().map(|folder| format!("{folder}/system/{unit}.service"));
        let more = FOLDERS.iter().flat_map(|folder| in_folder(&format!("{folder}/system/{unit}.service.d")));
        if let Some((file, value)) = last(&main.chain(more).collect::<Vec<_>>(), "LimitMEMLOCK") {
            lines.push(format!("{unit}.service {value} {file}\n"));
        }
    }
    Ok(lines.concat())
}

fn in_folder(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(folder)).into_iter().flatten().flatten();
    let paths =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "conf"));
    let mut files: Vec<String> = paths.map(|path| path.to_string_lossy().into_owned()).collect();
    files.sort_unstable();
    files
}

/// The last file that says it, with its value.
fn last(files: &[String], key: &str) -> Option<(String, String)> {
    let said = |file: &String| Some((file.clone(), value(&fs::read_to_string(file).ok()?, key)?));
    files.iter().rev().find_map(said)
}

/// The last one in a file counts. Of `SOFT:HARD` the second is what a container can be given.
fn value(text: &str, key: &str) -> Option<String> {
    let said = |line: &str| {
        line.trim().strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim).map(str::to_owned)
    };
    let value = text.lines().filter_map(said).next_back()?;
    Some(value.split(':').next_back().unwrap_or_default().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_of_two_limits_the_hard_one() {
        let text = "[Service]\n# LimitMEMLOCK=1\nLimitMEMLOCK=64K\nLimitMEMLOCK = 8M:infinity\n";
        assert_eq!(value(text, "LimitMEMLOCK").as_deref(), Some("infinity"));
        assert_eq!(value("LimitMEMLOCK=\n", "LimitMEMLOCK"), None);
        assert_eq!(value("[Manager]\n#DefaultLimitMEMLOCK=8M\n", "DefaultLimitMEMLOCK"), None);
    }
}
