//! Which labs `cargo xtask test` boots, and what runs in each.

use crate::kernels::Line;
use crate::lab::job::{Cgroup, Rdma};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// What the suite asks for: it takes RDMA off two, so that there are NICs with it and without, of either model.
const NICS: &str = "4";

/// With so many the suite runs its test of contention instead.
const CONTENDED: &str = "8";

/// With VICs the suite runs its tests of usNIC instead, which use a container each at once.
const VICS: &str = "2";
const NICS_BESIDE_VICS: &str = "2";

/// With HCAs the suite runs its tests of InfiniBand instead.
const HCAS: &str = "2";

/// Proves the virtual VIC.
const GUEST_SH: &str = "lab/vic/tests/guest.sh";

#[derive(Debug)]
pub struct Lab {
    pub line: Line,
    cgroup: Cgroup,
    work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// nicdock's tests
    Suite,
    /// The test of many who want the same NICs
    Contention,
    /// Those of nicdock's tests that differ where RDMA network namespaces are exclusive
    ExclusiveSuite,
    /// nicdock's tests of InfiniBand, with RDMA network namespaces of this mode
    InfinibandSuite(Rdma),
    /// nicdock's tests of usNIC
    UsnicSuite,
    /// The virtual VIC's own, with so many VFs. They end with a VIC less, so this lab is theirs alone.
    Vic { vfs: u8 },
}

/// The longest come first, so that none is left to run alone: those that are the first of their kernel
/// (`Lab::is_first_of_its_kernel` in `tests/lab/main.rs`).
pub const LABS: [Lab; 16] = [
    lab(Line::Bookworm, Cgroup::V2, Work::Suite),
    lab(Line::Trixie, Cgroup::V1, Work::Suite),
    lab(Line::Sid, Cgroup::V2, Work::Suite),
    lab(Line::Bookworm, Cgroup::V1, Work::Suite),
    lab(Line::Bookworm, Cgroup::V2, Work::Contention),
    lab(Line::Trixie, Cgroup::V2, Work::Suite),
    lab(Line::Sid, Cgroup::V1, Work::Suite),
    lab(Line::Bookworm, Cgroup::V2, Work::ExclusiveSuite),
    lab(Line::Bookworm, Cgroup::V2, Work::InfinibandSuite(Rdma::Shared)),
    lab(Line::Bookworm, Cgroup::V2, Work::InfinibandSuite(Rdma::Exclusive)),
    lab(Line::Bookworm, Cgroup::V2, Work::UsnicSuite),
    lab(Line::Trixie, Cgroup::V1, Work::UsnicSuite),
    lab(Line::Sid, Cgroup::V2, Work::UsnicSuite),
    lab(Line::Bookworm, Cgroup::V2, Work::Vic { vfs: 64 }),
    lab(Line::Trixie, Cgroup::V1, Work::Vic { vfs: 4 }),
    lab(Line::Sid, Cgroup::V2, Work::Vic { vfs: 4 }),
];

const fn lab(line: Line, cgroup: Cgroup, work: Work) -> Lab {
    Lab { line, cgroup, work }
}

impl Lab {
    pub fn name(&self) -> String {
        let (line, cgroup) = (self.line.name(), self.cgroup.name());
        match self.work {
            Work::Suite => format!("lab {line} cgroup {cgroup}"),
            Work::Contention => format!("lab {line} cgroup {cgroup} {CONTENDED} NICs"),
            Work::ExclusiveSuite => format!("lab {line} cgroup {cgroup} exclusive"),
            Work::InfinibandSuite(Rdma::Shared) => format!("lab {line} cgroup {cgroup} InfiniBand"),
            Work::InfinibandSuite(Rdma::Exclusive) => {
                format!("lab {line} cgroup {cgroup} InfiniBand exclusive")
            }
            Work::UsnicSuite => format!("lab {line} cgroup {cgroup} usNIC"),
            Work::Vic { vfs } => format!("virtual VIC, {line}, {vfs} VFs"),
        }
    }

    fn has_vics(&self) -> bool {
        matches!(self.work, Work::UsnicSuite | Work::Vic { .. })
    }

    /// Does the kernel take x32 system calls, so that it shows whether a filter knows them? Debian's take none unless told
    /// (`CONFIG_X86_X32_DISABLED`); one lab is enough.
    fn has_x32(&self) -> bool {
        (self.line, self.cgroup, self.work) == (Line::Trixie, Cgroup::V2, Work::Suite)
    }

    /// One is emulated three times as fast, for it needs no atomic operations of the host; the tests mostly wait for one program
    /// at a time. What races has two.
    fn cpus(&self) -> &'static str {
        if self.work == Work::Contention { "2" } else { "1" }
    }

    /// Does `suite`, the test binary, run here?
    pub fn needs_suite(&self) -> bool {
        !matches!(self.work, Work::Vic { .. })
    }

    /// Boots the lab and runs what belongs there.
    pub fn command(&self, suite: Option<&Path>, soak: bool) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("cannot tell where xtask is")?);
        command.current_dir(crate::workspace::root());
        if soak {
            command.env("NICDOCK_SOAK", "1");
        }
        command.args(["lab", "--no-build", "--verbose", "--timeout", if soak { "10800" } else { "4500" }]);
        command.args(["--kernel", self.line.name(), "--cgroup", self.cgroup.name()]);
        command.args(["--own-qemu", "--cpus", self.cpus()]);
        if self.has_vics() {
            command.args(["--nics", NICS_BESIDE_VICS, "--vic", VICS]);
        } else {
            command.args(["--nics", if self.work == Work::Contention { CONTENDED } else { NICS }]);
        }
        if matches!(self.work, Work::InfinibandSuite(_)) {
            command.args(["--ib", HCAS]);
        }
        if matches!(self.work, Work::ExclusiveSuite | Work::InfinibandSuite(Rdma::Exclusive)) {
            command.args(["--rdma", "exclusive"]);
        }
        if self.has_x32() {
            command.args(["--append", "syscall.x32=y"]);
        }
        match self.work {
            Work::Suite
            | Work::Contention
            | Work::ExclusiveSuite
            | Work::InfinibandSuite(_)
            | Work::UsnicSuite => {
                command.arg("--").arg(suite.context("the suite is not built")?).arg("--test-threads=1")
            }
            Work::Vic { vfs } => command.args(["--vfs", &vfs.to_string(), "--", GUEST_SH]),
        };
        Ok(command)
    }
}
