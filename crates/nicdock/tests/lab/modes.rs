//! The caller's umask says nothing of what others may do with what nicdock makes.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::lifecycle::kill;
use crate::nicdock::{Running, command as nicdock_command, expect, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    (
        "what_nicdock_makes_has_the_same_modes_whatever_the_umask_of_who_calls_it",
        modes,
        Lab::is_first_of_its_kernel,
    ),
    (
        "users_of_the_host_cannot_open_the_node_of_a_nic_that_a_container_has",
        host_nodes,
        Lab::is_first_of_its_kernel,
    ),
];

/// Whether an ordinary user of the host opens the node of rxe1.
fn others_open_it() -> Result<bool, Failed> {
    let script =
        "cd /sys/class/infiniband_verbs && exec 3<>/dev/infiniband/$(grep -lx rxe1 */ibdev | cut -d/ -f1)";
    let mut command = Command::new("sh");
    Ok(command.args(["-c", script]).uid(1000).gid(1000).stderr(Stdio::null()).status()?.success())
}

fn host_nodes(_: &Lab) -> Result<(), Failed> {
    expect(others_open_it()?, "the node is not everybody's before")?;
    for (left_open, opens) in [("host-nodes", true), ("", false)] {
        let mut command = nicdock_command(&[
            "run",
            "--nic",
            "rxe1",
            "--netdev",
            "keep",
            "--name",
            "first",
            "--host-root",
            "--",
            "sh",
            "-c",
            "echo ready; exec sleep 90086",
        ]);
        command.env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut first = Running(command.spawn()?);
        first.says("ready")?;
        expect(others_open_it()? == opens, format!("left out: '{left_open}'"))?;
        if opens {
            continue;
        }
        // Who joins and who is attached have it too; who ends last gives it back.
        let mut second =
            Running::with(&["--join", "first", "--name", "second"], "echo ready; exec sleep 90087")?;
        second.says("ready")?;
        first.kill_supervisor()?;
        drop(first);
        succeed(&["reconcile"])?;
        expect(!others_open_it()?, "it is everybody's while the second one has it")?;
        second.kill_supervisor()?;
        drop(second);
        expect(!others_open_it()?, "it is everybody's although nobody has given it back")?;
        succeed(&["reconcile"])?;
    }
    expect(others_open_it()?, "the node is not everybody's again")
}

/// All that nicdock makes on the host, with modes, but for what it makes once.
const LIST: &str = "find /run/nicdock /sys/fs/cgroup/nicdock /sys/fs/cgroup/*/nicdock -maxdepth 3 -not -type l \
    -not -name soft-roce-in-netns \
    \\( -type d -o -path '/run/*' \\) -printf '%m %p\\n' 2>/dev/null | sort -k2";

/// The same inside.
const INSIDE: &str = "find / -maxdepth 1 -name '[drst]*' -printf '%m %p\\n' | sort; \
    find /dev /sys/class -maxdepth 2 -printf '%m %p\\n' | sort; find /proc/1 -maxdepth 0 -printf '%M %u %g %p\\n'";

/// What an ordinary user of the host comes to: a word in a lease, and a group among nicdock's.
const ATTACK: &str = "set -e; for lease in /run/nicdock/leases/*.json; do echo >>$lease; done; mkdir /sys/fs/cgroup/nicdock/container-..";

fn ran(umask: &str, left_open: &str, attack: &str) -> Result<(String, String, i32), Failed> {
    let script = format!(
        "umask {umask}; exec nicdock run -t --host-root --nic rxe1 --netdev keep --name first -- \
         sh -c 'umask; {}; echo ready; exec sleep 90085'",
        INSIDE.replace('\'', "'\\''")
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .env("NICDOCK_LEAVE_OPEN", left_open)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut running = Running(command.spawn()?);
    let inside = running.says_until("ready")?;
    let list = String::from_utf8(Command::new("sh").args(["-c", LIST]).output()?.stdout)?;
    let attack =
        Command::new("sh").args(["-c", attack]).uid(1000).gid(1000).stderr(Stdio::null()).status()?;
    kill(i32::try_from(running.0.id())?, "TERM")?;
    running.0.wait()?;
    Ok((list, inside, attack.code().unwrap_or(-1)))
}

fn forget() {
    let _ = fs::remove_dir_all("/run/nicdock/broken");
    let script = "rmdir /sys/fs/cgroup/nicdock/container-.. /sys/fs/cgroup/*/nicdock/container-..; \
        rmdir /sys/fs/cgroup/nicdock /sys/fs/cgroup/*/nicdock /run/nicdock/containers; \
        rm -rf /run/nicdock/leases";
    let _ = Command::new("sh").args(["-c", script]).stderr(Stdio::null()).status();
}

fn modes(lab: &Lab) -> Result<(), Failed> {
    let attack = if lab.cgroup == "v1" {
        ATTACK.replace("cgroup/nicdock", "cgroup/devices/nicdock")
    } else {
        ATTACK.to_owned()
    };
    forget();
    let (_, _, reached) = ran("0", "modes", &attack)?;
    forget();
    expect(reached == 0, format!("the attack failed although the umask is the caller's: {reached}"))?;
    // Folders that an earlier nicdock left open are closed.
    let folders = ["/run/nicdock", "/run/nicdock/leases", "/run/nicdock/containers"];
    let _ = Command::new("chmod").arg("0777").args(folders).stderr(Stdio::null()).status()?;
    let (wanted, inside, reached) = ran("0", "", &attack)?;
    let open = |line: &&str| line.split(' ').next().is_some_and(|mode| mode.contains(['2', '3', '6', '7']));
    let loose: Vec<&str> = wanted.lines().filter(|line| open(&&line[1..])).collect();
    expect(
        wanted.lines().count() > 10 && loose.is_empty(),
        format!("others can write:\n{}", loose.join("\n")),
    )?;
    expect(reached != 0, "the attack reached its goal")?;
    let (list, found, _) = ran("0777", "", "true")?;
    expect(list == wanted, crate::host::difference(&wanted, &list).join("\n"))?;
    // The program has its caller's, as from a shell; what is made for it has modes of its own.
    let (own, rest) = found.split_once('\n').ok_or("nothing")?;
    let (_, inside) = inside.split_once('\n').ok_or("nothing")?;
    expect(own.trim() == "0777" && rest == inside, crate::host::difference(inside, rest).join("\n"))
}
