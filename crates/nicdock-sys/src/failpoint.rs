//! Where nicdock can be made to fail, or to be killed, by name: each step of the journal, before and after it is noted.
//!
//! Only with the feature `failpoints`, which no release has, does the environment have a say: `NICDOCK_FAIL_AT=POINT=WHAT`, where WHAT
//! is `kill`, `stop` (until somebody sends SIGCONT) or an error number.

use std::io;
use std::sync::OnceLock;

/// nicdock itself, of which the process that reaches a point may be a child.
static MAIN: OnceLock<u32> = OnceLock::new();

/// Does what the environment asks for at this point.
pub fn reach(point: &str) -> io::Result<()> {
    if !cfg!(feature = "failpoints") {
        return Ok(());
    }
    let main = *MAIN.get_or_init(std::process::id);
    let Ok(wanted) = std::env::var("NICDOCK_FAIL_AT") else { return Ok(()) };
    trace(point);
    match wanted.split_once('=') {
        Some((name, "kill")) if name == point => die(main),
        Some((name, "stop")) if name == point => {
            Ok(rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?)
        }
        Some((name, errno)) if name == point => {
            Err(io::Error::from_raw_os_error(errno.parse().unwrap_or(libc::EIO)))
        }
        _ => Ok(()),
    }
}

/// As `kill -9` of nicdock: its children have no time for anything either.
fn die(main: u32) -> ! {
    for pid in [main, std::process::id()] {
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
    }
    loop {
        std::thread::park();
    }
}

/// Every point that is reached, a line each, in the file that `NICDOCK_FAIL_TRACE` names.
fn trace(point: &str) {
    use std::io::Write;
    let Some(path) = std::env::var_os("NICDOCK_FAIL_TRACE") else { return };
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
        // In one piece: nicdock and a child of it reach points at the same time.
        let _ = file.write_all(format!("{point}\n").as_bytes());
    }
}
