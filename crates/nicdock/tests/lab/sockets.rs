//! Ways by which a socket reaches RDMA devices that are not the container's: generic netlink, SMC by a protocol's number, SMC by an option
//! of TCP's.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::Failed;
use nicdock_audit::Verdict;
use nicdock_audit::report::Report;

use crate::closings::audited;
use crate::engine::rxe1;
use crate::nicdock::{expect, shell, succeed};
use crate::shell::{accepting, forget_bundle, of_runtime};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("generic_netlink_lists_no_rdma_device_of_the_host", generic, Lab::is_first_of_its_kernel),
    ("no_internet_socket_is_one_of_smc_or_of_another_module", protocols, Lab::is_first_of_its_kernel),
    ("no_tcp_socket_becomes_one_of_smc", option, Lab::is_first_of_its_kernel),
    ("generic_netlink_is_given_on_request_and_the_plan_says_what_it_reaches", on_request, Lab::is_first),
    ("an_attached_container_makes_no_socket_that_reaches_others_nics", attached, |lab| {
        lab.is_first_of_its_kernel() && lab.cgroup == "v2"
    }),
    ("asking_for_the_sockets_of_smc_loads_no_module", sock_diag, has_smc),
];

/// Debian's kernel 7.2 has none.
fn has_smc(lab: &Lab) -> bool {
    lab.is_first_of_its_kernel() && lab.kernel.starts_with("6.")
}

/// Each layer left out closes alone what the other would; both left out close nothing. The BPF programs need cgroup version 2.
const NEITHER: &str = "seccomp-sockets,socket-program,verify";
const WITHOUT_SECCOMP: &str = "seccomp-sockets,verify";
const WITHOUT_PROGRAM: &str = "socket-program,verify";

/// What is tried. SMC's module is loaded by the first of them.
const TRIED: &str = "generic.,netlink.generic,socket.inet.,socket.inet6.,socket.tcp_ulp";

/// What an audit says inside with this left out: made once.
fn tried(left_open: &'static str) -> Result<Report, Failed> {
    static REPORTS: Mutex<BTreeMap<&str, Report>> = Mutex::new(BTreeMap::new());
    let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    if !reports.contains_key(left_open) {
        reports.insert(left_open, audited(left_open, TRIED)?);
        forget_smc();
    }
    Ok(reports[left_open].clone())
}

/// The module, which is the host's, that an attack has loaded; not if somebody uses it.
fn forget_smc() {
    let _ = std::process::Command::new("modprobe").args(["--quiet", "-r", "smc_diag", "smc"]).status();
}

/// Which of the probes whose names begin so are open, with the evidence.
fn open(report: &Report, begin: &str) -> Vec<String> {
    let found = report.probes.iter().filter(|probe| probe.id.starts_with(begin));
    let open = found.filter(|probe| probe.result == Verdict::Open);
    open.map(|probe| format!("{}: {}", probe.id, probe.evidence)).collect()
}

/// Nothing that begins so is open by default, nor with one of the two layers left out; it was tried.
fn closed(lab: &Lab, begin: &str) -> Result<(), Failed> {
    let alone: &[&str] =
        if lab.cgroup == "v2" { &[WITHOUT_PROGRAM, WITHOUT_SECCOMP] } else { &[WITHOUT_PROGRAM] };
    for left_open in alone {
        let report = tried(left_open)?;
        let open = open(&report, begin);
        expect(open.is_empty(), format!("{left_open} left out: {open:?}"))?;
        let closed = report.probes.iter().filter(|probe| probe.id.starts_with(begin));
        expect(closed.clone().count() > 0, format!("{begin}: nothing was tried"))?;
        expect(
            closed.clone().all(|probe| probe.result == Verdict::Closed),
            format!(
                "{left_open} left out, not closed: {:?}",
                closed
                    .filter(|p| p.result != Verdict::Closed)
                    .map(|p| (&p.id, &p.evidence))
                    .collect::<Vec<_>>()
            ),
        )?;
    }
    Ok(())
}

fn generic(lab: &Lab) -> Result<(), Failed> {
    let report = tried(NEITHER)?;
    expect(!open(&report, "netlink.generic").is_empty(), "no socket can be made with nothing closed")?;
    let smc = open(&report, "generic.family.smc_gen_netlink");
    let lists = smc.iter().any(|line| line.contains(" has "));
    expect(lists == has_smc(lab), format!("SMC lists foreign devices: {smc:?}"))?;
    closed(lab, "generic.")?;
    closed(lab, "netlink.generic")
}

fn protocols(lab: &Lab) -> Result<(), Failed> {
    let report = tried(NEITHER)?;
    for family in ["inet", "inet6"] {
        let l2tp = open(&report, &format!("socket.{family}.l2tp"));
        let smc = open(&report, &format!("socket.{family}.smc"));
        expect(l2tp.len() == 1, format!("{family}: no module's protocol with nothing closed"))?;
        // IPPROTO_SMC came with Linux 6.11.
        expect(smc.is_empty() == (lab.kernel != "6.12"), format!("{family}: {smc:?}"))?;
        closed(lab, &format!("socket.{family}."))?;
    }
    let script = "ping -c 1 -W 5 -q 127.0.0.1 >/dev/null && python3 -c '
import socket as s
for kind, protocol in (s.SOCK_STREAM, 0), (s.SOCK_STREAM, 262), (s.SOCK_DGRAM, 17), (s.SOCK_RAW, 89), (s.SOCK_RAW, 255):
    for family in s.AF_INET, s.AF_INET6: s.socket(family, kind, protocol)
print(*s.socketpair()[0].getsockname(), end=\"made\")'";
    let text = shell(&["--nic", "rxe1", "--netdev", "keep", "--cap-add", "NET_RAW", "--weaken"], script)?;
    expect(text == "made", text)
}

fn option(lab: &Lab) -> Result<(), Failed> {
    let report = tried(NEITHER)?;
    expect(!open(&report, "socket.tcp_ulp").is_empty(), "the option cannot be set with nothing closed")?;
    // Linux 6.12 has SMC without it.
    let smc = open(&report, "socket.tcp_ulp.smc");
    expect(smc.is_empty() == (lab.kernel != "6.1"), format!("{smc:?}"))?;
    closed(lab, "socket.tcp_ulp")?;
    // Other options of TCP's are as they were.
    let script = "python3 -c '
import socket as s
a = s.socket(); a.setsockopt(6, 1, 1); a.setsockopt(6, 13, b\"cubic\"); a.setsockopt(1, 2, 1); a.setsockopt(0, 2, 64)
print(a.getsockopt(6, 1))
try: a.setsockopt(6, 31, b\"tls\")
except OSError as e: print(e.errno)'";
    let text = shell(&["--nic", "rxe1", "--netdev", "keep"], script)?;
    expect(text == "1\n2\n", text)
}

fn on_request(_: &Lab) -> Result<(), Failed> {
    let options = ["--nic", "rxe1", "--netdev", "keep", "--allow-netlink", "generic"];
    let text = shell(&options, "genl ctrl list | grep -c '^Name: '; rdma link; true")?;
    expect(text.trim().parse::<u32>().is_ok_and(|families| families > 3), text)?;
    let plan = succeed(&[&["plan"][..], &options, &["--host-root", "--", "true"]].concat())?;
    expect(plan.contains("--allow-netlink generic reaches") && plan.contains("SMC"), plan)?;
    let error = crate::nicdock::fail(
        2,
        &["plan", "--nic", "rxe1", "--host-root", "--allow-netlink", "rdma", "--", "true"],
    )?;
    expect(error.contains("generic"), error)
}

/// Generic netlink, SMC by number and by family, RDS, the option of TCP's; last what is none of nicdock's business.
pub const FROM_INSIDE: &str = "python3 -c '
import socket as s
def t(make):
    try: make(); print(\"open\")
    except OSError as e: print(e.errno)
for a in (16, 3, 16), (2, 1, 256), (43, 1, 0), (21, 5, 0): t(lambda: s.socket(*a))
t(lambda: s.socket().setsockopt(6, 31, b\"mptcp\"))
for a in (16, 3, 9), (38, 5, 0), (2, 1, 132): t(lambda: s.socket(*a))'";

fn attached(lab: &Lab) -> Result<(), Failed> {
    let result = from_attached(lab);
    forget_bundle();
    forget_smc();
    result
}

fn from_attached(lab: &Lab) -> Result<(), Failed> {
    let mut shell = of_runtime("crun")?;
    let pid = shell.pid()?;
    let before = shell.ask(FROM_INSIDE)?;
    let lines: Vec<&str> = before.lines().collect();
    // What the kernel has; EOPNOTSUPP is said by MPTCP itself.
    expect(lines[0] == "open" && lines[4] == "95", &before)?;
    expect((lines[2] == "open") == has_smc(lab), &before)?;
    let attach = |more: &[&str]| {
        let options = [&["attach", "--pid", &pid, "--name", "theirs"][..], &rxe1(lab), accepting(lab), more];
        succeed(&options.concat())
    };
    attach(&[])?;
    let text = shell.ask(FROM_INSIDE)?;
    let inside: Vec<&str> = text.lines().collect();
    expect(inside[..5] == ["93", "93", "1", "1", "2"] && inside[5..] == lines[5..], text)?;
    succeed(&["detach", "theirs"])?;
    attach(&["--allow-netlink", "generic"])?;
    let text = shell.ask(FROM_INSIDE)?;
    let inside: Vec<&str> = text.lines().collect();
    expect(inside[..5] == ["open", "93", "1", "1", "2"], text)?;
    succeed(&["detach", "theirs"])?;
    let after = shell.ask(FROM_INSIDE)?;
    expect(before == after, format!("before:\n{before}\nafter:\n{after}"))
}

/// `SOCK_DIAG_BY_FAMILY` of AF_SMC as a list (include/uapi/linux/smc_diag.h); prints the kind of the answer's first message, and an error's number.
const ASK_FOR_SMC: &str = "python3 -c '
import socket as s, struct
a = s.socket(16, 3, 4)
a.send(struct.pack(\"IHHII\", 72, 20, 0x301, 1, 0) + struct.pack(\"BBBB\", 43, 0, 0, 255) + bytes(52))
answer = a.recv(65536)
print(struct.unpack(\"IH\", answer[:6])[1], struct.unpack(\"i\", answer[16:20])[0])'";

/// Of a family that is not there the kernel loads no module for this (`sock_load_diag_module()`): `NLMSG_ERROR` with `ENOENT`.
fn sock_diag(_: &Lab) -> Result<(), Failed> {
    forget_smc();
    let text = shell(&["--nic", "rxe1", "--netdev", "keep"], ASK_FOR_SMC)?;
    let modules = std::fs::read_to_string("/proc/modules")?;
    expect(text.trim() == "2 -2", text)?;
    expect(!modules.lines().any(|line| line.starts_with("smc ")), "the module is loaded")
}
