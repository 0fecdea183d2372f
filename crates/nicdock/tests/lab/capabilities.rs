//! Each capability opens what the plan says: tried with all of them, and with none but the default ones.

use std::process::Stdio;

use libtest_mimic::Failed;

use crate::nicdock::{command, expect, shell, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("each_capability_opens_what_the_plan_says_and_no_more", each, Lab::is_first_of_its_kernel),
    ("a_node_of_the_hosts_console_opens_nothing", console, Lab::is_first_of_its_kernel),
];

const NIC: [&str; 2] = ["--nic", "eth3"];

/// A capability, what is tried (in a shell; `$SUITE` is this program), and what comes of it with the capability and without.
/// Errors by their numbers: 1 EPERM, 38 ENOSYS, 93 EPROTONOSUPPORT.
const TRIED: [(&str, &str, &str, &str); 21] = [
    (
        "SYS_ADMIN",
        "mkdir -p /tmp/s && mount -t sysfs s /tmp/s && ls -d /tmp/s/class && umount /tmp/s",
        "/tmp/s/class",
        "",
    ),
    ("NET_ADMIN", "ip link set lo txqueuelen 7 && cat /sys/class/net/lo/tx_queue_len", "7", ""),
    ("NET_RAW", "$SUITE --probe socket 2 3 1", "open", "1"),
    ("MKNOD", "rm -f /dev/n; $SUITE --probe mknod /dev/n 1 1", "open", "1"),
    ("MKNOD", "$SUITE --probe open /dev/n", "1", "2"),
    // open_by_handle_at
    ("DAC_READ_SEARCH", "$SUITE --probe call 304", "38", "38"),
    (
        "SYS_PTRACE",
        "setpriv --reuid 1234 --clear-groups sleep 90 & for i in $(seq 300); do grep -q sleep /proc/$!/comm && break; sleep 0.1; done; \
            grep -ao PATH= /proc/$!/environ; kill $!",
        "PATH=",
        "",
    ),
    // init_module
    ("SYS_MODULE", "$SUITE --probe call 175", "38", "38"),
    ("SYS_MODULE", "$SUITE --probe name nlmon >/dev/null; echo asked", "asked", "asked"),
    // iopl
    ("SYS_RAWIO", "$SUITE --probe call 172 3", "38", "38"),
    // kexec_load
    ("SYS_BOOT", "$SUITE --probe call 246", "38", "38"),
    ("SYS_TIME", "$SUITE --probe clock", "open", "1"),
    // vhangup
    ("SYS_TTY_CONFIG", "$SUITE --probe call 153", "38", "38"),
    // acct
    ("SYS_PACCT", "$SUITE --probe call 163", "38", "38"),
    ("SYSLOG", "dmesg >/dev/null 2>&1 && echo read", "read", ""),
    // bpf, perf_event_open
    ("BPF", "$SUITE --probe call 321", "38", "38"),
    ("PERFMON", "$SUITE --probe call 298", "38", "38"),
    (
        "CHECKPOINT_RESTORE",
        "for file in /proc/$$/map_files/*; do head -c 4 $file; break; done | grep -ao ELF",
        "ELF",
        "",
    ),
    ("AUDIT_CONTROL", "$SUITE --probe socket 16 3 9", "93", "93"),
    ("AUDIT_READ", "$SUITE --probe socket 16 3 9", "93", "93"),
    // timerfd_create with CLOCK_BOOTTIME_ALARM
    ("WAKE_ALARM", "$SUITE --probe call 283 9", "open", "1"),
];

fn each(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let tries = TRIED.map(|(name, what, ..)| format!("echo \"= {name}\"; ({what}) 2>/dev/null;"));
    let script = format!("export SUITE={this}; {}", tries.join("\n"));
    let mut more: Vec<&str> = TRIED.iter().flat_map(|(name, ..)| ["--cap-add", name]).collect();
    more.push("--weaken");
    for (options, has) in [(&more[..], true), (&[], false)] {
        let text = shell(&[&NIC[..], options].concat(), &script)?;
        let found = text.split("= ").skip(1).map(|part| part.split_once('\n').unwrap_or((part, "")));
        let found: Vec<_> = found.collect();
        expect(found.len() == TRIED.len(), format!("{} answers to {}: {text}", found.len(), TRIED.len()))?;
        for ((name, answer), (tried, what, with, without)) in found.into_iter().zip(TRIED) {
            expect(name == tried, format!("{name} in the place of {tried}: {text}"))?;
            let wanted = if has { with } else { without };
            expect(answer.trim() == wanted, format!("{name}, {has}: {what}: '{answer}', not '{wanted}'"))?;
        }
        let loaded = std::fs::read_to_string("/proc/modules")?.lines().any(|line| line.starts_with("nlmon "));
        expect(loaded == has, format!("the module nlmon is loaded: {loaded}, with the capability: {has}"))?;
        if loaded {
            std::process::Command::new("rmmod").arg("nlmon").status()?;
        }
    }
    // The plan names each.
    let plan = succeed(&[&["plan"], &NIC[..], &more, &["--host-root", "--", "true"]].concat())?;
    for (name, ..) in TRIED {
        expect(
            plan.contains(&format!("weakness capability.{}: CAP_{name} opens ", name.to_lowercase())),
            format!("{name} is not told: {plan}"),
        )?;
    }
    Ok(())
}

fn console(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let script = format!("{this} --probe mknod /dev/host 5 1; {this} --probe open /dev/host");
    let options = ["run", "--nic", "eth3", "--cap-add", "MKNOD", "--weaken", "--host-root", "--", "sh", "-c"];
    for (left_open, wanted) in [("device-cgroup,verify", "open\nopen\n"), ("", "open\n1\n")] {
        let mut command = command(&[&options[..], &[&script]].concat());
        let output = command.env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).output()?;
        expect(output.stdout == wanted.as_bytes(), format!("'{left_open}' left out: {output:?}"))?;
    }
    Ok(())
}
