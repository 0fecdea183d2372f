//! Limits of a container: processes, memory, files in memory.

use libtest_mimic::Failed;

use crate::nicdock::{Running, expect, fail, nicdock, shell};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_container_has_so_many_processes_and_no_more", processes, Lab::is_first_of_its_kernel),
    ("a_container_has_so_much_memory_and_no_more", memory, Lab::is_first_of_its_kernel),
    ("a_containers_files_in_memory_leave_the_host_some", files, Lab::is_first),
];

const RXE1: [&str; 4] = ["--nic", "rxe1", "--netdev", "keep"];

fn processes(lab: &Lab) -> Result<(), Failed> {
    // A limit for one: the shell; the next one's fork fails, and dash ends with 2.
    let few =
        [&["run", "--host-root", "--pids-limit", "1"], &RXE1[..], &["--", "sh", "-c", "(true); echo forked"]];
    let output = nicdock(&few.concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    expect(output.status.code() == Some(2) && errors.contains("fork"), format!("{output:?}"))?;
    let of_group = |options: &[&str]| -> Result<String, Failed> {
        let _running =
            Running::with(&[&RXE1[..], &["--name", "few"], options].concat(), "sleep 90301; true")?;
        let hierarchy = if lab.cgroup == "v1" { "pids/" } else { "" };
        Ok(std::fs::read_to_string(format!("/sys/fs/cgroup/{hierarchy}nicdock/container-few/pids.max"))?)
    };
    let found =
        [of_group(&[])?, of_group(&["--pids-limit", "77"])?, of_group(&["--pids-limit", "unlimited"])?];
    expect(found == ["2048\n", "77\n", "max\n"], format!("{found:?}"))
}

fn memory(lab: &Lab) -> Result<(), Failed> {
    // It is the largest by far when the kernel looks for whom to end.
    let script = "echo started; head -c 200M /dev/zero | tail -c 200M | wc -c";
    let args = [&["run", "--host-root", "--memory", "64M"], &RXE1[..], &["--", "sh", "-c", script]].concat();
    if lab.kernel == "6.12" {
        // Debian builds the controller's version 1 no more.
        let errors = fail(125, &args)?;
        return expect(errors.contains("cgroup controller memory") && errors.contains("--memory"), errors);
    }
    let output = nicdock(&args);
    expect(output.stdout.starts_with(b"started\n"), format!("it did not start: {output:?}"))?;
    expect(output.stdout != b"started\n209715200\n", format!("it had more: {output:?}"))?;
    // Its files count as well, and so does what it would swap.
    let script = "echo started; dd if=/dev/zero of=/dev/shm/file bs=1M count=200 2>/dev/null; echo $?";
    let output = nicdock(&[&args[..args.len() - 1], &[script]].concat());
    expect(output.stdout.starts_with(b"started\n"), format!("it did not start: {output:?}"))?;
    expect(output.stdout != b"started\n0\n", format!("its files had more: {output:?}"))?;
    expect(
        shell(&[&RXE1[..], &["--memory", "512M"]].concat(), script)? == "started\n0\n",
        "it has not what it was given",
    )
}

fn files(_: &Lab) -> Result<(), Failed> {
    // In 1,024 bytes each: what file systems hold, and what the host has.
    let script = "stat -f -c '%S %b' /dev/shm /tmp /run / | while read size blocks; do echo $((size * blocks / 1024)); done
        sed -n 's/MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo";
    let numbers = |options: &[&str]| -> Result<Vec<u64>, Failed> {
        let text = shell(&[&RXE1[..], options].concat(), script)?;
        Ok(text.lines().map(str::parse).collect::<Result<_, _>>()?)
    };
    let found = numbers(&[])?;
    let (sum, memory) = (found[..4].iter().sum::<u64>(), found[4]);
    expect(sum < memory * 95 / 100 && found[0] > memory * 45 / 100, format!("{found:?}"))?;
    // Files without content count as well.
    let script =
        "cd /dev; i=0; while [ $i -lt 2000 ] && true >shm-$i; do i=$((i+1)); done 2>/dev/null; echo $i
        stat -f -c %c /dev/shm /tmp /run /";
    let text = shell(&RXE1, script)?;
    let counts = text.lines().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let most = memory / 64;
    expect(
        counts[0] < 1100 && counts[1..].iter().all(|count| *count <= most),
        format!("{counts:?}, {most}"),
    )?;
    let small = numbers(&["--shm-size", "8M"])?;
    expect(small[0] == 8192, format!("{small:?}"))
}
