//! The terminal on which nicdock is called, and the one that a program has of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;

use libtest_mimic::Failed;
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use super::{Attempt, PYTHON, all_is_free, python, steers_nothing, try_each};
use crate::holders::Holder;
use crate::lifecycle::kill;
use crate::nicdock::{Running, eventually, expect, nicdock};
use crate::probe::receive;
use crate::terminals::{User, all};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_terminal_is_not_held_up_left_changed_or_read_by_a_program", streams, Lab::is_first),
    ("what_is_done_to_a_terminal_of_its_own_stays_in_the_container", own, Lab::is_first),
    ("a_name_that_steers_a_terminal_is_shown_without_what_steers", names, Lab::is_first),
];

const RUN: [&str; 4] = ["run", "--nic", "eth3", "--host-root"];

fn starts(options: &[&str], script: &str) -> Result<User, Failed> {
    User::starts(&[&RUN[..], options, &["--", "sh", "-c", script]].concat(), "")
}

/// A shell in whose session the terminal is the controlling one, as at a login.
fn login(script: &str) -> Result<User, Failed> {
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", "bash", "-c", script]);
    User::of(command)
}

/// nicdock is told to end, hears it, and the NIC goes back.
fn ends(user: &mut User) -> Result<(), Failed> {
    kill(user.nicdock.id().try_into()?, "TERM")?;
    eventually("nicdock hears a signal", || matches!(user.nicdock.try_wait(), Ok(Some(_))))?;
    all_is_free()
}

fn streams(_: &Lab) -> Result<(), Failed> {
    let attempts: &[Attempt<()>] = &[
        ("a program reads nothing of what is typed without end", |()| typed_without_end()),
        ("the terminal is closed while a program writes to it", |()| closed_early()),
        ("a program in the background is typed at", |()| background()),
        ("a program in the background has a terminal of its own", |()| background_terminal()),
        ("the terminal's settings are changed and nicdock is ended", |()| settings()),
    ];
    try_each(&mut (), attempts)
}

/// More than the pipe, or the program's terminal, takes.
fn typed_without_end() -> Result<(), Failed> {
    for options in [&[][..], &["-t"]] {
        let mut user = starts(options, "echo ready; exec sleep 8300")?;
        user.says_until("ready")?;
        rustix::io::ioctl_fionbio(&user.keyboard, true)?;
        for _ in 0..4000 {
            // What does not fit any more is not typed.
            let _ = user.keyboard.write(b"0123456789 0123456789 0123456789\n");
        }
        ends(&mut user)?;
    }
    Ok(())
}

/// As when the connection of a login breaks.
fn closed_early() -> Result<(), Failed> {
    for terminal in ["", "-t"] {
        let mut user = login(&format!(
            "exec nicdock run --nic eth3 --host-root {terminal} -- sh -c 'echo ready; exec yes'"
        ))?;
        user.says_until("ready")?;
        // The other end stays open with this one only.
        user.keyboard = File::open("/dev/null")?;
        eventually("nicdock ends", || matches!(user.nicdock.try_wait(), Ok(Some(_))))?;
        all_is_free()?;
    }
    Ok(())
}

/// Who reads a terminal from its background is stopped (`SIGTTIN`), and would hold its NIC for ever.
fn background() -> Result<(), Failed> {
    let mut user = login(
        "set -m; nicdock run --nic eth3 --host-root -- sh -c 'echo ready; sleep 1; echo done' & \
         wait -f %1; echo ended $?; read line; echo got $line",
    )?;
    user.says_until("ready")?;
    user.keyboard.write_all(b"typed\n")?;
    let text = user.sees()?;
    // What is typed is the shell's, which is in the foreground.
    expect(text.contains("ended 0") && text.contains("got typed"), text)
}

/// It must not change the settings of a terminal that another program uses at the moment.
fn background_terminal() -> Result<(), Failed> {
    let user = login(
        "set -m; before=$(stty -g); nicdock run --nic eth3 --host-root -t -- sh -c 'echo ready; sleep 1; echo done' & \
         sleep 3; test $before = $(stty -g) && echo as before; jobs; kill -KILL %1; wait; nicdock reconcile; stty sane; echo over",
    )?;
    let text = user.sees()?;
    println!("{text:?}");
    expect(text.contains("as before"), text)
}

fn settings() -> Result<(), Failed> {
    let mut user = starts(&["-t"], "stty raw -echo -ixon intr ^A cols 3; echo ready; exec sleep 8301")?;
    let before = format!("{:?}", tcgetattr(&user.keyboard)?);
    user.says_until("ready")?;
    ends(&mut user)?;
    let after = format!("{:?}", tcgetattr(&user.keyboard)?);
    expect(before == after, format!("before: {before}\nafter: {after}"))
}

fn own(_: &Lab) -> Result<(), Failed> {
    let attempts: &[Attempt<()>] = &[
        ("the terminal's size changes all the time", |()| resized()),
        ("a program types into its own terminal", |()| types()),
        ("a program passes its own terminal to a process outside", |()| passed()),
        ("a program asks its terminal for what reaches the kernel", |()| asks()),
        ("a program takes every terminal that there is", |()| takes_all()),
    ];
    try_each(&mut (), attempts)
}

fn resized() -> Result<(), Failed> {
    let mut user = starts(&["-t"], "echo ready; read line; stty size; echo over")?;
    user.says_until("ready")?;
    let resize = |rows, columns| -> Result<(), Failed> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&user.keyboard, size)?;
        kill(user.nicdock.id().try_into()?, "WINCH")
    };
    for round in 0..100 {
        let (rows, columns) = if round % 2 == 0 { (0, 0) } else { (u16::MAX, u16::MAX) };
        resize(rows, columns)?;
    }
    resize(33, 77)?;
    // The signals are heard before what is typed later, or the last is left.
    user.keyboard.write_all(b"\r")?;
    user.says_until("33 77")?;
    user.says_until("over")
}

/// `TIOCSTI` (ioctl_tty(2)): what it types is its own to read, and nothing for the shell that comes after it.
fn types() -> Result<(), Failed> {
    let program = "import fcntl, termios
for letter in \"echo owned\\n\": fcntl.ioctl(0, termios.TIOCSTI, letter.encode())";
    let script = format!(
        "nicdock run --nic eth3 --host-root -t -- {PYTHON} -c '{program}' >/dev/null; read -t 1 line; echo \"typed:$line.\""
    );
    let mut user = login(&script)?;
    user.says_until("typed:.")
}

/// It is gone when nicdock has ended, so that nothing can be read from it later.
fn passed() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let socket = UnixListener::bind(folder.path().join("socket"))?;
    let volume = format!("{}:/passing", folder.path().display());
    let this = std::env::current_exe()?.display().to_string();
    let script = format!("{this} --probe pass input /passing/socket");
    let mut user = starts(&["-t", "-v", &volume], &script)?;
    let terminal = receive(&socket)?;
    let status = user.nicdock.wait()?;
    expect(status.success(), format!("nicdock waits for who has its terminal: {status}"))?;
    user.keyboard.write_all(b"secret\n")?;
    let read = all(terminal).unwrap_or_default();
    expect(!read.contains("secret"), read)
}

/// The console's output, another's controlling terminal, the state of virtual ones; and line disciplines, of which some make interfaces.
fn asks() -> Result<(), Failed> {
    let program = python(
        "import fcntl, os
def t(name, number, value=0):
    try: fcntl.ioctl(0, number, value); print(name, \"open\")
    except OSError as e: print(name, e.errno)
t(\"console\", 0x541d)
t(\"steal\", 0x540e, 1)
t(\"virtual\", 0x541c, bytes([12]))
kept = []
for n in range(1, 31):
    pair = os.openpty(); kept.append(pair)
    try: fcntl.ioctl(pair[1], 0x5423, n.to_bytes(4, \"little\"))
    except OSError: pass
print(*sorted(os.listdir(\"/sys/class/net\")), \"over\")",
    );
    let interfaces = || crate::host::shell("ls /sys/class/net");
    let before = interfaces()?;
    let text = starts(&["-t"], &program)?.sees()?;
    expect(text.contains("eth3 lo over") && !text.contains("open"), text)?;
    let after = interfaces()?;
    expect(before == after, after)
}

/// The kernel keeps some for the host's own devpts (`kernel.pty.reserve`).
fn takes_all() -> Result<(), Failed> {
    let program = "import os, time
r, w = os.pipe()
for i in range(8):
    if os.fork() == 0:
        taken = []
        try:
            while True: taken.append(os.open(\"/dev/ptmx\", os.O_RDWR | os.O_NOCTTY))
        except OSError: pass
        os.write(w, b\"x\"); time.sleep(600)
for i in range(8): os.read(r, 1)
print(\"full\", flush=True); time.sleep(600)";
    let script = format!("ulimit -n $(ulimit -H -n); exec {}", python(program));
    let mut running = Running::start("eth3", &[], &script)?;
    running.says("full")?;
    println!("terminals: {}", std::fs::read_to_string("/proc/sys/kernel/pty/nr")?.trim());
    let opened = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY);
    drop(running);
    opened?;
    all_is_free()
}

/// By whoever is on the host: a program and a device.
fn names(_: &Lab) -> Result<(), Failed> {
    let mut holder = Holder::start("process", "named")?;
    holder.does("called \u{1b}[2J\u{1b}[31m", "called")?;
    holder.does("open /dev/infiniband/uverbs1", "has")?;
    let commands: [&[&str]; 6] = [
        &["ls"],
        &["ls", "--json"],
        &["ls", "--tree"],
        &["plan", "--nic", "rxe1", "--netdev", "keep", "--host-root", "--", "true"],
        &["run", "--nic", "rxe1", "--netdev", "keep", "--host-root", "--", "true"],
        &["run", "--nic", "eth3", "--host-root", "--name", "\u{1b}[31mx", "--", "true"],
    ];
    for args in commands {
        let output = nicdock(args);
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        steers_nothing(&format!("what nicdock {args:?} says"), &text)?;
        let is_named = text.contains(&holder.pid().to_string()) || args.contains(&"eth3") || args[0] == "ls";
        expect(is_named, format!("{args:?} does not name the process: {text}"))?;
    }
    // An error that has a program's own words in it.
    let mut user = starts(&["--rootfs-that-is-none"], "true")?;
    let mut text = String::new();
    let _ = user.keyboard.read_to_string(&mut text);
    expect(!text.contains('\u{9b}'), text)
}
