//! However a run ends, the NIC is the host's again as it was; the harness compares the host after each test.

use std::process::Command;

use libtest_mimic::Failed;

use crate::nicdock::{Running, command, eventually, expect, fail, nicdock, shell, sleeping, succeed};
use crate::upsets::run;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("the_exit_status_is_the_programs", exit_status, Lab::is_first),
    ("the_nic_is_back_after_kill_9_of_the_program", kill_program, Lab::is_first_of_its_kernel),
    ("the_nic_is_back_after_kill_9_of_nicdock", kill_nicdock, Lab::is_first_of_its_kernel),
    ("the_next_run_gives_back_what_a_killed_nicdock_held", next_run, Lab::is_first_of_its_kernel),
    (
        "a_program_that_does_not_end_with_its_nicdock_is_ended_by_the_next_command",
        outlives,
        Lab::is_first_of_its_kernel,
    ),
    ("signals_are_forwarded", forwarded, Lab::is_first),
    ("the_program_starts_with_no_signal_blocked_or_ignored", signal_state, Lab::is_first_of_its_kernel),
    ("standard_input_and_output_pass_through", streams, Lab::is_first),
    ("a_terminal_is_given_on_request", terminal, Lab::is_first),
    ("volumes_environment_and_working_directory_are_as_asked", options, Lab::is_first),
    ("a_signal_ends_a_start_that_waits_for_a_link", interrupted, Lab::is_first),
    (
        "the_name_of_a_nic_that_is_taken_meanwhile_does_not_keep_it_away",
        name_taken,
        Lab::is_first_of_its_kernel,
    ),
    ("the_program_starts_when_the_link_is_up_again", slow_link, Lab::is_first_of_its_kernel),
    ("a_bundle_runs_and_cannot_weaken_the_plan", bundle, Lab::is_first_of_its_kernel),
    ("two_nics_are_given_together", two_nics, Lab::is_first_of_its_kernel),
    ("a_moved_soft_roce_is_back_after_kill_9_of_nicdock", kill_soft_roce, Lab::moves_soft_roce),
];

fn exit_status(_: &Lab) -> Result<(), Failed> {
    let base = ["run", "--nic", "eth3", "--host-root", "--"];
    let with = |program: &[&'static str]| [&base[..], program].concat();
    fail(7, &with(&["sh", "-c", "exit 7"]))?;
    fail(143, &with(&["sh", "-c", "sh -c 'kill -TERM $$'"]))?;
    fail(126, &with(&["/etc/passwd"]))?;
    std::fs::copy("/bin/true", "/tmp/on-the-host")?;
    let text = fail(127, &with(&["/tmp/on-the-host"]));
    std::fs::remove_file("/tmp/on-the-host")?;
    let text = text?;
    expect(text.contains("with --host-root /tmp and /run are its own"), text)?;
    let text = fail(127, &with(&["no-such-program"]))?;
    expect(text.contains("no-such-program"), text)
}

fn kill_program(_: &Lab) -> Result<(), Failed> {
    let running = Running::start("eth3", &[], "exec sleep 90001")?;
    eventually("the program runs", || sleeping("90001").is_some())?;
    kill(sleeping("90001").ok_or("no program")?, "KILL")?;
    let status = running.wait()?;
    expect(status == Some(137), format!("{status:?}"))
}

fn kill_nicdock(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("eth3", &[], "sleep 90002; true")?;
    running.kill_supervisor()?;
    eventually("the container ends with its supervisor", || sleeping("90002").is_none())?;
    let text = succeed(&["reconcile"])?;
    expect(text.contains("eth3"), text)
}

/// A program takes back that it ends with its parent (prctl(2), `PR_SET_PDEATHSIG`), by itself or by a change of its user, as su and sshd
/// do. One of them forks all the time; the lease of another cannot be read.
fn outlives(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let chain = format!("{this} --probe reach chain");
    for (clear, program, broken) in
        [("--pdeathsig clear", chain.as_str(), false), ("--reuid 1000 --clear-groups", "sleep 90007", true)]
    {
        let script = format!("exec setpriv {clear} {program} >/dev/null");
        let mut running = Running::start("eth3", &["--name", "outlives"], &script)?;
        let runs = || {
            Command::new("pgrep").args(["-xf", program]).output().is_ok_and(|found| found.status.success())
        };
        eventually("the program runs", runs)?;
        running.kill_supervisor()?;
        let outlived = runs() && !std::path::Path::new("/sys/class/net/eth3").exists();
        let lease = std::fs::read_dir("/run/nicdock/leases")?.flatten().map(|entry| entry.path());
        let lease = lease.filter(|path| path.extension().is_some_and(|of| of == "json")).collect::<Vec<_>>();
        if broken {
            std::fs::write(&lease[0], "{")?;
        }
        let text = succeed(&["reconcile"]);
        if broken {
            run("ip link set eth3 mtu 1400")?;
            crate::engine::restore_eth3();
            let _ = std::fs::remove_dir_all("/run/nicdock/broken");
        }
        expect(outlived, format!("{clear}: it ended with its nicdock"))?;
        let text = text?;
        let told = if broken { "its NIC is on the host" } else { "gave back eth3" };
        expect(!runs() && text.contains(told), format!("{clear}: {text}"))?;
    }
    Ok(())
}

fn kill_soft_roce(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("rxe1", &[], "sleep 90004; true")?;
    running.kill_supervisor()?;
    succeed(&["reconcile"]).map(drop)
}

/// Somebody takes the name: a NIC that was plugged in, say.
fn name_taken(_: &Lab) -> Result<(), Failed> {
    let ip = |line: &str| Command::new("ip").args(line.split(' ')).status();
    let running = Running::with_errors(&["--nic", "eth3"], "exec sleep 90006")?;
    eventually("the program runs", || sleeping("90006").is_some())?;
    ip("link add eth3 type veth peer name other3")?;
    kill(i32::try_from(running.0.id())?, "TERM")?;
    let output = running.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ip("link delete other3")?;
    let after = text.split_once("is back as ").map_or("", |(_, after)| after);
    let name = after.split(':').next().unwrap_or_default();
    for line in
        [format!("link set {name} down"), format!("link set {name} name eth3"), "link set eth3 up".into()]
    {
        ip(&line)?;
    }
    ip("address add fd77:4::1/64 dev eth3 nodad")?;
    ip("route add 10.99.0.0/16 via 10.77.4.9")?;
    expect(output.status.code() == Some(143) && text.contains("is back as nicdock"), text)
}

fn next_run(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("eth3", &["--as", "other0"], "sleep 90003; true")?;
    running.kill_supervisor()?;
    succeed(&["run", "--nic", "eth3", "--host-root", "--", "true"]).map(drop)
}

fn forwarded(_: &Lab) -> Result<(), Failed> {
    let running =
        Running::start("eth3", &[], "trap 'exit 9' USR1; echo >/dev/null; while :; do sleep 0.1; done")?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    kill(i32::try_from(running.0.id())?, "USR1")?;
    let status = running.wait()?;
    expect(status == Some(9), format!("{status:?}"))?;
    // A program without a handler ends as in a plain run, though it is the first of its PID namespace.
    let running = Running::start("eth3", &[], "exec sleep 90005")?;
    eventually("the program runs", || sleeping("90005").is_some())?;
    kill(i32::try_from(running.0.id())?, "TERM")?;
    let status = running.wait()?;
    expect(status == Some(143), format!("{status:?}"))
}

fn signal_state(_: &Lab) -> Result<(), Failed> {
    let text = succeed(&[
        "run",
        "--nic",
        "eth3",
        "--host-root",
        "--",
        "grep",
        "-E",
        "^Sig(Blk|Ign)",
        "/proc/self/status",
    ])?;
    // 32 and 33 are glibc's own, and whoever started nicdock may have left them so.
    let mask = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    let masks: Vec<Option<u64>> = text.lines().map(|line| Some(mask(line)? & 0x7fff_ffff)).collect();
    expect(masks == [Some(0), Some(0)], text)
}

/// Ended while it waits for a link, as a plain run would be.
fn interrupted(_: &Lab) -> Result<(), Failed> {
    // An e1000e takes two seconds to find its link.
    let mut child = command(&["run", "--nic", "eth2", "--host-root", "--", "true"]).spawn()?;
    eventually("nicdock has the NIC", || {
        std::fs::read_to_string("/run/nicdock/leases/0000:03:00.0.json")
            .is_ok_and(|text| text.contains("take_netdev"))
    })?;
    kill(i32::try_from(child.id())?, "TERM")?;
    let status = child.wait()?;
    expect(status.code() == Some(143), format!("{status:?}"))
}

fn slow_link(_: &Lab) -> Result<(), Failed> {
    let text = succeed(&["run", "--nic", "eth2", "--host-root", "--", "ip", "-br", "link", "show", "eth2"])?;
    expect(text.split_whitespace().nth(1) == Some("UP"), text)
}

fn streams(_: &Lab) -> Result<(), Failed> {
    let mut child =
        command(&["run", "--nic", "eth3", "--host-root", "--", "sh", "-c", "cat; echo error >&2"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()?;
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), b"a\0b")?;
    let output = child.wait_with_output()?;
    // On a busy machine nicdock says that it waits for the link; that comes before the program's own words.
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> =
        said.lines().skip_while(|line| line.starts_with("nicdock: waiting for the link")).collect();
    expect(output.stdout == b"a\0b" && errors == ["error"], format!("{output:?}"))?;
    // Where there is no one to read it a program can write all the same.
    let null = std::process::Stdio::null;
    let mut quiet =
        command(&["run", "--nic", "eth3", "--host-root", "--", "sh", "-c", "echo a && echo b >&2"]);
    let status = quiet.stdin(null()).stdout(null()).stderr(null()).status()?;
    expect(status.success(), format!("writing to /dev/null: {status}"))
}

fn terminal(_: &Lab) -> Result<(), Failed> {
    let text = shell(&["-t", "--nic", "eth3"], "tty; ls -l /dev/console")?;
    expect(text.contains("/dev/pts/0") || text.contains("/dev/console"), text)
}

fn options(_: &Lab) -> Result<(), Failed> {
    std::fs::create_dir_all("/tmp/share")?;
    std::fs::write("/tmp/share/file", "content")?;
    let script = "cat /data/file; echo; touch /data/x 2>/dev/null || echo read-only; echo $COLOUR; pwd; touch /etc/x && echo writable";
    let options = ["--nic", "eth3", "-v", "/tmp/share:/data:ro", "-e", "COLOUR=blue", "-w", "/usr"];
    let text = shell(&options, script)?;
    std::fs::remove_dir_all("/tmp/share")?;
    expect(text == "content\nread-only\nblue\n/usr\nwritable\n", &text)?;
    expect(!std::path::Path::new("/etc/x").exists(), "the host's /etc was written to")
}

fn bundle(_: &Lab) -> Result<(), Failed> {
    std::fs::create_dir_all("/tmp/bundle/rootfs/bin")?;
    std::fs::copy("/bin/busybox", "/tmp/bundle/rootfs/bin/sh")?;
    // Privileged, in the host's namespaces, with a hook and a device of another NIC.
    let config = r#"{"ociVersion": "1.0.2", "root": {"path": "rootfs"},
        "process": {"args": ["/bin/sh", "-c", "echo /sys/class/infiniband/* /dev/infiniband/*"], "cwd": "/",
            "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "capabilities": {"bounding": ["CAP_SYS_ADMIN"]}},
        "hooks": {"prestart": [{"path": "/usr/bin/touch", "args": ["touch", "/tmp/hook-ran"]}]},
        "mounts": [{"destination": "/sys", "type": "sysfs", "source": "sysfs"}],
        "linux": {"namespaces": [], "devices": [{"path": "/dev/infiniband/uverbs0", "type": "c", "major": 231, "minor": 192}]}}"#;
    std::fs::write("/tmp/bundle/config.json", config)?;
    let text = succeed(&["run", "--nic", "rxe1", "--netdev", "keep", "--bundle", "/tmp/bundle"]);
    std::fs::remove_dir_all("/tmp/bundle")?;
    let text = text?;
    expect(text == "/sys/class/infiniband/rxe1 /dev/infiniband/uverbs1\n", &text)?;
    expect(!std::path::Path::new("/tmp/hook-ran").exists(), "the bundle's hook ran on the host")
}

fn two_nics(_: &Lab) -> Result<(), Failed> {
    let text = shell(&["--nic", "rxe0", "--nic", "rxe1", "--netdev", "keep"], "ls /sys/class/infiniband")?;
    expect(text == "rxe0\nrxe1\n", &text)?;
    let output =
        nicdock(&["run", "--nic", "rxe0", "--nic", "rxe0", "--netdev", "keep", "--host-root", "--", "true"]);
    expect(output.status.code() == Some(125), "one NIC for two selectors")
}

pub fn kill(pid: i32, signal: &str) -> Result<(), Failed> {
    let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status()?;
    expect(status.success(), format!("kill -{signal} {pid}"))
}
