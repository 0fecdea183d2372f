//! The caller's terminal stays the caller's: a program has pipes, or a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};

use libtest_mimic::Failed;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::nicdock::{command, eventually, expect, succeed};
use crate::probe::receive;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_program_reads_and_writes_a_terminal_that_it_does_not_have", relayed, Lab::is_first),
    ("a_program_that_steals_its_own_output_keeps_nicdock_from_nothing", stolen, Lab::is_oldest_or_newest),
    ("a_program_has_no_supplementary_groups_of_the_callers", groups, Lab::is_first),
    (
        "what_is_typed_after_a_container_has_ended_is_read_by_nobody_outside_either",
        typed_later,
        Lab::is_first,
    ),
];

/// A program takes back what it has written, before nicdock reads it: nicdock still hears its user.
fn stolen(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    for terminal in [&[][..], &["-t"]] {
        let args =
            [&["run", "--nic", "eth3", "--host-root"], terminal, &["--", &this, "--probe", "steal"]].concat();
        let mut user = User::starts(&args, "")?;
        user.says_until("stealing")?;
        // What is not stolen is read: a user who stops a terminal stops who writes to it.
        let mut screen = user.keyboard.try_clone()?;
        let reader =
            std::thread::spawn(move || while screen.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
        // Long enough for some thousand tries.
        std::thread::sleep(std::time::Duration::from_secs(3));
        crate::lifecycle::kill(user.nicdock.id().try_into()?, "TERM")?;
        eventually("nicdock hears the signal", || matches!(user.nicdock.try_wait(), Ok(Some(_))))?;
        drop(user);
        drop(reader.join());
    }
    Ok(())
}

/// nicdock waits in this system call (proc_pid_syscall(5)), hears no signal, and is killed then.
pub fn waits_in(user: &mut User, call: i64) -> Result<(), Failed> {
    let path = format!("/proc/{}/syscall", user.nicdock.id());
    let is_in = || std::fs::read_to_string(&path).is_ok_and(|text| text.starts_with(&format!("{call} ")));
    let result = eventually("nicdock waits for the program", is_in).and_then(|()| {
        crate::lifecycle::kill(user.nicdock.id().try_into()?, "TERM")?;
        expect(is_in() && matches!(user.nicdock.try_wait(), Ok(None)), "it hears a signal all the same")
    });
    user.nicdock.kill()?;
    user.nicdock.wait()?;
    succeed(&["reconcile"])?;
    result
}

/// Supplementary groups of whoever calls nicdock are nothing to the program, whoever it is.
fn groups(_: &Lab) -> Result<(), Failed> {
    for (user, left_open, has) in
        [("0", "", "Groups:"), ("1000", "", "Groups:"), ("1000", "callers-groups,verify", "Groups:\t0 6 42")]
    {
        let output = Command::new("setpriv")
            .env("NICDOCK_LEAVE_OPEN", left_open)
            .args([
                "--groups",
                "0,6,42",
                "nicdock",
                "run",
                "--nic",
                "eth3",
                "--user",
                user,
                "--host-root",
                "--",
            ])
            .args(["grep", "Groups", "/proc/self/status"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        expect(text.trim() == has, format!("'{left_open}' left out: {output:?}"))?;
    }
    Ok(())
}

const FOLDER: &str = "/tmp/terminal";

/// The user's side of a terminal on which nicdock runs.
pub struct User {
    pub keyboard: File,
    pub nicdock: Child,
}

impl User {
    pub fn starts(args: &[&str], left_open: &str) -> Result<Self, Failed> {
        let mut command = command(args);
        command.env("NICDOCK_LEAVE_OPEN", left_open);
        Self::of(command)
    }

    /// The same with any program.
    pub fn of(mut command: Command) -> Result<Self, Failed> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname(&master, Vec::new())?;
        // Else it becomes this process's own, which ends with it (`SIGHUP`, credentials(7)).
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = File::from(rustix::fs::open(path.as_c_str(), flags, Mode::empty())?);
        command.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?).stderr(terminal);
        let nicdock = command.spawn()?;
        Ok(Self { keyboard: File::from(master), nicdock })
    }

    pub fn types(&mut self, line: &str) -> Result<(), Failed> {
        Ok(self.keyboard.write_all(line.as_bytes())?)
    }

    /// Reads the screen until this is on it.
    pub fn says_until(&mut self, word: &str) -> Result<(), Failed> {
        let mut text = Vec::new();
        let mut buffer = [0; 1000];
        while !String::from_utf8_lossy(&text).contains(word) {
            let count = self.keyboard.read(&mut buffer)?;
            text.extend(&buffer[..count]);
        }
        Ok(())
    }

    /// What is on the screen when nicdock has ended.
    pub fn sees(mut self) -> Result<String, Failed> {
        let mut text = Vec::new();
        // A terminal that nobody has open any more ends with an error (pty(7)).
        let _ = self.keyboard.read_to_end(&mut text);
        let status = self.nicdock.wait()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        expect(status.success(), format!("{status}: {text}"))?;
        Ok(text)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.nicdock.kill();
        let _ = self.nicdock.wait();
    }
}

fn relayed(_: &Lab) -> Result<(), Failed> {
    let script = "for i in 0 1 2; do test -t $i && echo has $i; done; read line; echo got $line; \
                  seq 20000 | tail -c 100000; echo error >&2; cat; echo end > /dev/stdout";
    let args = ["run", "--nic", "eth3", "--host-root", "--", "sh", "-c", script];
    let mut user = User::starts(&args, "")?;
    // The last is the end of the input, as it is typed.
    user.types("hello\nmore\n\x04")?;
    let text = user.sees()?;
    for word in ["got hello\r\n", "\r\n19999\r\n20000\r\n", "error\r\n", "more\r\n", "end\r\n"] {
        expect(text.contains(word), format!("no {word:?} in {text:?}"))?;
    }
    expect(!text.contains("has "), &text)?;
    let mut user = User::starts(&args, "terminal-streams")?;
    user.types("hello\nmore\n\x04")?;
    let text = user.sees()?;
    expect(["has 0", "has 1", "has 2"].iter().all(|word| text.contains(word)), text)
}

/// What a process outside reads, by a descriptor that the container has passed to it, of what the user types when nicdock has ended.
fn read_later(which: &[&str], left_open: &str) -> Result<String, Failed> {
    let _ = std::fs::remove_dir_all(FOLDER);
    std::fs::create_dir(FOLDER)?;
    let socket = UnixListener::bind(format!("{FOLDER}/socket"))?;
    let this = std::env::current_exe()?.display().to_string();
    let volume = format!("{FOLDER}:/passing");
    let args = ["--host-root", "-v", &volume, "--", &this, "--probe", "pass", "input", "/passing/socket"];
    let args = [&["run"], which, &args].concat();
    let mut user = User::starts(&args, left_open)?;
    let passed = receive(&socket)?;
    let status = user.nicdock.wait()?;
    expect(status.success(), format!("{status}"))?;
    user.types("secret\n")?;
    let read = all(passed)?;
    std::fs::remove_dir_all(FOLDER)?;
    Ok(read)
}

/// What there is to read until the end, or for two seconds.
pub fn all(descriptor: OwnedFd) -> Result<String, Failed> {
    let mut file = File::from(descriptor);
    let mut text = Vec::new();
    loop {
        let patience = Timespec { tv_sec: 2, tv_nsec: 0 };
        let mut buffer = [0; 100];
        if poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&patience))? == 0 {
            break;
        }
        match file.read(&mut buffer)? {
            0 => break,
            count => text.extend(&buffer[..count]),
        }
        if text.ends_with(b"\n") {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn typed_later(_: &Lab) -> Result<(), Failed> {
    typed_later_in(&["--nic", "eth3"])
}

/// It is read by who has the terminal as a standard stream, and by nobody else.
pub fn typed_later_in(which: &[&str]) -> Result<(), Failed> {
    let read = read_later(which, "terminal-streams")?;
    expect(read == "secret\n", format!("with its streams left to it: {read:?}"))?;
    let read = read_later(which, "")?;
    expect(read.is_empty(), read)
}
