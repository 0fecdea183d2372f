//! What closes a container that libvirt leaves open, in two forms.

use std::io;

use nicdock_core::plan::capabilities;
use nicdock_core::request::{Netlink, User};
use nicdock_core::seccomp;

/// Which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closings {
    /// As in a container of nicdock's own launcher.
    Whole,
    /// Capabilities and mounts are the domain's own: for a system with an init.
    KeepPrivileges,
}

impl Closings {
    /// Every filter that a domain may name: the form, and the protocols of netlink that it allows.
    pub const FILTERS: [(Self, &'static [Netlink]); 4] = [
        (Self::Whole, &[]),
        (Self::KeepPrivileges, &[]),
        (Self::Whole, &[Netlink::Generic]),
        (Self::KeepPrivileges, &[Netlink::Generic]),
    ];

    pub fn of(keep_privileges: bool) -> Self {
        if keep_privileges { Self::KeepPrivileges } else { Self::Whole }
    }

    /// The file of the filter in [`super::FOLDER`].
    pub fn file(self, netlink: &[Netlink]) -> &'static str {
        match (self, netlink.contains(&Netlink::Generic)) {
            (Self::Whole, false) => "whole.bpf",
            (Self::KeepPrivileges, false) => "keep-privileges.bpf",
            (Self::Whole, true) => "whole-generic.bpf",
            (Self::KeepPrivileges, true) => "keep-privileges-generic.bpf",
        }
    }

    /// The filter as the gate reads it.
    pub fn filter(self, netlink: &[Netlink]) -> io::Result<Vec<u8>> {
        seccomp::compile(&seccomp::of_engine(self == Self::KeepPrivileges, netlink), &[])
    }

    /// The gate's command line, but for the program, which is to belong to `user`.
    pub fn gate(self, user: Option<User>, netlink: &[Netlink]) -> Vec<String> {
        let mut words = vec![format!("{}/{}", super::FOLDER, nicdock_gate::NAME)];
        let mut say = |word: &str| words.push(word.to_owned());
        if self == Self::Whole {
            say("--own-cgroups");
        }
        // The program does not see where the gate was.
        say("--unmount");
        say(super::FOLDER);
        if let Some(User { uid, gid }) = user {
            say("--user");
            say(&format!("{uid}:{gid}"));
        }
        if self == Self::Whole {
            let numbers = capabilities::DEFAULT.into_iter().filter_map(capabilities::number);
            let kept = numbers.fold(0_u64, |set, number| set | 1 << number);
            say("--capabilities");
            say(&format!("{kept:x}"));
            say("--no-new-privs");
        }
        say("--seccomp");
        say(&format!("{}/{}", super::FOLDER, self.file(netlink)));
        say("--");
        words
    }

    /// What libvirt has to drop by itself, as an element of the domain's features; nothing if that is the domain's own affair. CAP_SYS_ADMIN is for the gate,
    /// which drops it before anything of the container runs.
    pub fn capabilities(self) -> Option<Vec<String>> {
        let named =
            |name: &str| format!("  <{} state='on'/>", name.trim_start_matches("CAP_").to_ascii_lowercase());
        let kept = capabilities::DEFAULT.into_iter().chain(["CAP_SYS_ADMIN"]).map(named);
        let lines = std::iter::once("<capabilities policy='deny'>".to_owned()).chain(kept);
        (self == Self::Whole).then(|| lines.chain(["</capabilities>".to_owned()]).collect())
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;
    use nicdock_core::seccomp::instructions;
    use nicdock_core::seccomp::machine::run;
    use nicdock_sys::tracee::Instruction;

    const X86_64: u32 = 0xc000_003e;

    fn program(closings: Closings, netlink: &[Netlink]) -> Vec<Instruction> {
        instructions(&closings.filter(netlink).unwrap())
    }

    #[test]
    fn each_filter_refuses_rdma_netlink_and_what_the_gate_itself_calls_is_allowed() {
        for (closings, netlink) in Closings::FILTERS {
            let program = program(closings, netlink);
            let answer = |call, arguments| run(&program, X86_64, call, arguments).unwrap();
            assert_eq!(answer(41, [16, 3, 20]), 0x0005_0001, "{closings:?}");
            let generic = if netlink.is_empty() { 0x0005_005d } else { 0x7fff_0000 };
            assert_eq!(answer(41, [16, 3, 16]), generic, "{closings:?} {netlink:?}");
            // rt_sigtimedwait, rt_sigprocmask, write, execve, exit_group.
            for call in [128, 14, 1, 59, 231] {
                assert_eq!(answer(call, [0, 0, 0]), 0x7fff_0000, "{closings:?} {call}");
            }
            // mount
            assert_eq!(answer(165, [0, 0, 0]) == 0x7fff_0000, closings == Closings::KeepPrivileges);
        }
    }

    #[test]
    fn the_gate_keeps_what_libvirt_keeps() {
        let gate = Closings::Whole.gate(None, &[]);
        assert_eq!(gate[4..7], ["--capabilities", "800405fb", "--no-new-privs"]);
        let lines = Closings::Whole.capabilities().unwrap();
        assert!(lines.contains(&"  <setpcap state='on'/>".to_owned()) && lines.len() == 14);
    }
}
