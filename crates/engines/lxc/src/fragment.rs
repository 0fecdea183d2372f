//! The part of a container's configuration that is nicdock's (lxc.container.conf(5)).

use std::fmt::Write;
use std::path::Path;

use nicdock_core::plan::capabilities;
use nicdock_core::request::Memlock;
use nicdock_sys::closing::Closing;

/// What is written, for a container that includes it last.
pub struct Fragment<'a> {
    /// Of this nicdock.
    pub program: &'a Path,
    /// The options of the hooks that give the NIC, as a shell takes them.
    pub options: &'a str,
    pub memlock: Memlock,
    /// A file with the seccomp policy; without one the container's own is in force.
    pub seccomp: Option<&'a Path>,
    /// Leave capabilities, /proc and /sys to the container's own configuration.
    pub keep_privileges: bool,
}

impl Fragment<'_> {
    pub fn text(&self) -> String {
        let program = self.program.display();
        let mut text = String::from(
            "# Written by nicdock lxc. Include it last: what is set after it may open what it closes.\n",
        );
        for hook in ["pre-start", "start-host"] {
            let _ = writeln!(text, "lxc.hook.{hook} = {program} lxc hook {hook} {}", self.options);
        }
        // Both: after an early failure LXC may come to the second one only.
        for hook in ["stop", "post-stop"] {
            let _ = writeln!(text, "lxc.hook.{hook} = {program} lxc hook stop");
        }
        let memlock = self.memlock.bytes().map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let _ = writeln!(text, "lxc.prlimit.memlock = {memlock}");
        if !Closing::DeviceCgroup.is_left_open() {
            // LXC's own rules allow the host's console (common.conf, c 5:1 rwm), and whoever may make nodes opens it. A container's /dev/console is a
            // terminal of LXC's, mounted there. In the words of that rule: LXC turns an equal one over (`bpf_list_add_device()`).
            for version in ["cgroup", "cgroup2"] {
                let _ = writeln!(text, "lxc.{version}.devices.deny = c 5:1 rwm");
            }
        }
        if let Some(path) = self.seccomp {
            let _ = writeln!(text, "lxc.seccomp.profile = {}", path.display());
        }
        if !self.keep_privileges {
            let kept: Vec<String> = capabilities::DEFAULT
                .iter()
                .map(|name| name.trim_start_matches("CAP_").to_ascii_lowercase())
                .collect();
            // An empty value forgets what was set before; nothing but /proc, since nicdock composes /sys; no terminals for logins. The hook of
            // lxcfs, where that runs, ends the start if it finds no folder for /sys/devices/system/cpu to mount on.
            let _ = write!(
                text,
                "lxc.no_new_privs = 1\nlxc.cap.drop =\nlxc.cap.keep =\nlxc.cap.keep = {}\nlxc.mount.auto =\nlxc.mount.auto = proc:rw\n\
                 lxc.mount.entry = tmpfs sys tmpfs nosuid,nodev,noexec,size=64k,create=dir 0 0\n\
                 lxc.mount.entry = tmpfs sys/devices/system/cpu tmpfs ro,nosuid,nodev,noexec,size=4k,create=dir 0 0\nlxc.tty.max = 0\n",
                kept.join(" ")
            );
        }
        text
    }
}

/// A word as a shell takes it (LXC gives hooks to sh(1)); `None` for one that a line of the configuration cannot hold.
pub fn quote(word: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=,./:@+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return Some(word.to_owned());
    }
    (!word.contains(|c: char| c == '\'' || c.is_control())).then(|| format!("'{word}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(keep_privileges: bool) -> String {
        let program = Path::new("/usr/bin/nicdock");
        let memlock = Memlock::Bytes(1 << 20);
        Fragment { program, options: "--nic rxe1", memlock, seccomp: None, keep_privileges }.text()
    }

    #[test]
    fn capabilities_are_set_anew_unless_they_are_kept() {
        let strict = text(false);
        assert!(strict.contains("lxc.hook.start-host = /usr/bin/nicdock lxc hook start-host --nic rxe1\n"));
        assert!(strict.contains("lxc.cap.drop =\n") && strict.contains("lxc.cap.keep = chown dac_override"));
        assert!(!strict.contains("sys_admin") && strict.contains("lxc.prlimit.memlock = 1048576\n"));
        assert!(!text(true).contains("lxc.cap") && !text(true).contains("lxc.mount.auto"));
        assert!(text(true).contains("lxc.cgroup2.devices.deny = c 5:1 rwm\n"));
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted_and_what_cannot_be_is_refused() {
        assert_eq!(quote("2xkind=roce,numa=0").as_deref(), Some("2xkind=roce,numa=0"));
        assert_eq!(quote("a b;$(c)").as_deref(), Some("'a b;$(c)'"));
        assert_eq!(quote("it's"), None);
        assert_eq!(quote("a\nlxc.cap.keep = sys_admin"), None);
    }
}
