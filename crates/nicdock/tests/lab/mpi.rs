//! An MPI job over two containers of one host, as docs/usnic.md describes it: its launcher goes over ssh to the other container.

use libtest_mimic::Failed;

use crate::nicdock::{Running, expect, shell};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] =
    &[("mpi_starts_a_rank_in_each_of_two_containers_over_ssh", over_ssh, Lab::is_first)];

/// A user of the cluster's, who can go to every node, and the nodes' names.
const PREPARE: &str = "set -e
useradd --uid 1234 --create-home --home-dir /home/mpi --shell /bin/sh mpi
install -d -o mpi -g mpi -m 700 /home/mpi/.ssh
cd /home/mpi/.ssh
ssh-keygen -q -t ed25519 -N '' -f id_ed25519
cp id_ed25519.pub authorized_keys
printf 'StrictHostKeyChecking accept-new\\nConnectTimeout 30\\nLogLevel ERROR\\n' >config
chown mpi:mpi *
printf '127.0.0.1 localhost\\n10.78.9.1 a\\n10.78.9.2 b\\n' >/srv/hosts";

const HOSTS: [&str; 2] = ["-v", "/srv/hosts:/etc/hosts:ro"];

fn over_ssh(_: &Lab) -> Result<(), Failed> {
    host::shell(PREPARE)?;
    let result = job();
    host::shell("userdel --remove mpi 2>/dev/null && rm /srv/hosts")?;
    result
}

fn job() -> Result<(), Failed> {
    let b = [&["--name", "b", "--nic", "usnic_1", "--ip", "10.78.9.2/24"][..], &HOSTS].concat();
    let sshd = Running::with(&b, "mkdir -p /run/sshd && exec /usr/sbin/sshd -D 2>&1")?;
    let a = ["--name", "a", "--nic", "usnic_0", "--ip", "10.78.9.1/24", "--user", "1234"];
    let a = [&a[..], &["-e", "HOME=/home/mpi", "-e", "USER=mpi"], &HOSTS].concat();
    let this = std::env::current_exe()?.display().to_string();
    let rank = format!("echo $(hostname) has $(ls /sys/class/infiniband); exec {this} --probe mpi");
    let script = format!(
        "for i in $(seq 60); do ssh b true && break; sleep 1; done
        mpirun --bind-to none --host a,b sh -c '{rank}' | sort"
    );
    let text = shell(&a, &script)?;
    drop(sshd);
    expect(text == "a has usnic_0\nb has usnic_1\nrank 0 of 2: sum 3\nrank 1 of 2: sum 3\n", text)
}
