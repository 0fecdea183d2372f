use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Engines and runtimes, by their program; each tells its version by `--version`.
const PROGRAMS: [&str; 12] = [
    "podman",
    "docker",
    "nerdctl",
    "containerd",
    "crio",
    "crun",
    "runc",
    "youki",
    "lxc-start",
    "libvirtd",
    "incus",
    "apptainer",
];
/// Where packages and administrators put them; what a caller's `PATH` says beside is not run as root.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
/// CDI's specification, "cdi.json file location".
const CDI: [&str; 2] = ["/etc/cdi", "/run/cdi"];
/// One that does not answer in this time has no version.
const WAIT: Duration = Duration::from_secs(10);
const SHOWN: usize = 60;

/// Each program that is installed, with the first line of what it says of itself.
pub fn lines() -> String {
    let mut lines = Vec::new();
    for program in PROGRAMS {
        let paths = FOLDERS.map(|folder| format!("{folder}/{program}"));
        let Some(path) = paths.iter().find(|path| Path::new(path).exists()) else { continue };
        let version = version(path).unwrap_or_else(|| "?".to_owned());
        lines.push(format!("{program} {version}\n"));
    }
    for folder in CDI {
        if let Ok(entries) = fs::read_dir(folder) {
            lines.push(format!("cdi {folder} {}\n", entries.count()));
        }
    }
    lines.concat()
}

fn version(program: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version").env_clear().env("PATH", FOLDERS.join(":")).current_dir("/");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let begin = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begin.elapsed() > WAIT {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        sleep(Duration::from_millis(5));
    }
    // It has ended: what a pipe holds is all there will be.
    let mut said = String::new();
    child.stdout.take()?.take(4096).read_to_string(&mut said).ok()?;
    number(said.lines().next()?)
}

/// The version in `podman version 4.3.1`, `Docker version 20.10.24+dfsg1, build 297e128`, `crun version 1.8.1`, `5.0.2`.
fn number(line: &str) -> Option<String> {
    let is_version = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let word = line.split([' ', ',']).find(is_version)?;
    Some(word.trim_start_matches('v').chars().filter(char::is_ascii_graphic).take(SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_each_engine_says() {
        for (line, version) in [
            ("podman version 4.3.1", "4.3.1"),
            ("Docker version 20.10.24+dfsg1, build 297e128", "20.10.24+dfsg1"),
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1", "1.6.20~ds1"),
            ("containerd containerd.io v1.7.2 abc", "1.7.2"),
            ("5.0.2", "5.0.2"),
        ] {
            assert_eq!(number(line).as_deref(), Some(version));
        }
        assert_eq!(number("no number"), None);
    }
}
