//! What lets users in works inside: it asks whether the kernel audits, and takes few answers for no (audit_open(3) in libpam and sshd).

use libtest_mimic::Failed;

use crate::nicdock::{expect, shell};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("su_sudo_and_login_let_root_in_with_and_without_a_terminal", by_root, Lab::is_first),
    ("sshd_lets_root_in_with_and_without_a_terminal", sshd, Lab::is_first),
];

const RXE1: [&str; 4] = ["--nic", "rxe1", "--netdev", "keep"];

fn by_root(_: &Lab) -> Result<(), Failed> {
    // A pseudo-terminal is script(1)'s.
    let script = "exec 2>&1
        su -s /bin/sh -c 'id -u' nobody
        sudo -n -u nobody id -u 2>/dev/null
        script -qec \"su -s /bin/sh -c 'tty >/dev/null && id -u' nobody\" /dev/null
        script -qec \"sudo -n -u nobody id -u 2>/dev/null\" /dev/null
        echo 'id -u; exit' | script -qec 'login -f root' /dev/null | tr -d '\\r' | grep -x 0";
    let text = printed(&shell(&RXE1, script)?);
    expect(text == "65534\n65534\n65534\n65534\n0\n", text)
}

fn sshd(_: &Lab) -> Result<(), Failed> {
    let script = "exec 2>&1; set -e
        mkdir -p /run/sshd /root/.ssh; chmod 700 /root/.ssh
        ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/own; cp /root/.ssh/own.pub /root/.ssh/authorized_keys
        ssh-keygen -q -t ed25519 -N '' -f /run/host
        /usr/sbin/sshd -h /run/host -p 2222 -o ListenAddress=127.0.0.1
        go() { ssh -p 2222 -i /root/.ssh/own -o StrictHostKeyChecking=no -o LogLevel=ERROR -o ConnectTimeout=60 \"$@\"; }
        go root@127.0.0.1 id -u
        go -tt root@127.0.0.1 'tty >/dev/null && id -u' </dev/null";
    let text = printed(&shell(&RXE1, script)?);
    expect(text == "0\n0\n", text)
}

/// Without what a terminal adds: carriage returns, and the echo of what ends its input.
fn printed(text: &str) -> String {
    text.replace('\r', "").replace("^@", "").replace("^D", "")
}
