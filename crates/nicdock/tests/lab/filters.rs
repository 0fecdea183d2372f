//! Seccomp filters that a container has added to its own, so that an audit calls closed what is open to it.

use std::process::Stdio;

use libtest_mimic::Failed;

use crate::nicdock::{Running, children, command, expect};
use crate::{Lab, Test};

pub const TESTS: &[Test] =
    &[("filters_that_a_container_has_added_lead_no_audit_astray", added, Lab::is_first_of_its_kernel)];

/// Refuses generic netlink. `child`: in a process of its own, which is its own affair. `door`: but to whoever has 4711 in the sixth argument, which socket(2) does not have. `thread`: but to another thread.
/// seccomp(2); `struct sock_filter` and `sock_fprog` (include/uapi/linux/filter.h).
const PROGRAM: &str = "
import ctypes, os, struct, sys, threading, time
mode = sys.argv[1]
load, equal, answer = 0x20, 0x15, 0x06
door = [(load, 0, 0, 56), (equal, 1, 0, 4711)] if mode == \"door\" else []
rest = len(door) + 1
code = [(load, 0, 0, 0), (equal, 0, 4 + rest, 41), (load, 0, 0, 16), (equal, 0, 2 + rest, 16), (load, 0, 0, 32),
        (equal, 0, rest, 16)] + door + [(answer, 0, 0, 0x5005d), (answer, 0, 0, 0x7fff0000)]
text = b\"\".join(struct.pack(\"HBBI\", *one) for one in code)
held = ctypes.create_string_buffer(text, len(text))
program = ctypes.create_string_buffer(struct.pack(\"HxxxxxxQ\", len(code), ctypes.addressof(held)), 16)
if mode == \"thread\": threading.Thread(target=time.sleep, args=(90090,), daemon=True).start()
libc = ctypes.CDLL(None, use_errno=True)
if mode == \"child\" and os.fork(): mode = \"none\"
if mode != \"none\" and libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0): sys.exit(ctypes.get_errno())
if mode != \"child\": print(\"ready\", flush=True)
time.sleep(90090)
";

fn added(_: &Lab) -> Result<(), Failed> {
    for mode in ["none", "door", "thread", "child"] {
        let options = ["--nic", "rxe1", "--netdev", "keep", "--allow-netlink", "generic"];
        let mut running = Running::with(&options, &format!("exec python3 -c '{PROGRAM}' {mode}"))?;
        running.says("ready")?;
        let is_it = |pid: &i32| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("4711"))
        };
        let pid = children(running.0.id()).into_iter().find(is_it).ok_or("no process")?.to_string();
        let audit = |left_open: &str| {
            let args = ["audit", "--pid", &pid, "--only", "generic", "--json"];
            command(&args).env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).output()
        };
        let (left_open, whole) = (audit("audit-filters")?, audit("")?);
        // What was asked for is accepted, unless it is called closed.
        let accepted = crate::audit::report(&left_open)?.summary.accepted;
        expect((accepted > 0) == matches!(mode, "none" | "child"), format!("{mode}: {accepted} accepted"))?;
        let (wanted, word) = match mode {
            "none" | "child" => (Some(0), ""),
            "door" => (Some(125), "socket depend on an argument"),
            _ => (Some(125), "does not have every seccomp filter"),
        };
        let why = String::from_utf8_lossy(&whole.stderr);
        expect(
            whole.status.code() == wanted && why.contains(word),
            format!("{mode}: {}: {why}", whole.status),
        )?;
    }
    Ok(())
}
