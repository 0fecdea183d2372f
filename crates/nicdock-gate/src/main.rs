//! `nicdock-gate`: a container's first program for a moment. It closes what the engine cannot close, waits until nicdock says that the
//! NIC is there and that everything is as promised, and becomes the container's own first program. Should nobody say so, it ends: without nicdock
//! nothing starts.

mod kernel;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nicdock_gate::{NAME, OPENS, PATIENCE};
use rustix::thread::{CapabilitySet, CapabilitySets};

use kernel::{Blocked, filter, only_console, own_cgroups};

/// As nicdock's own failure.
const FAILURE: u8 = 125;
const USAGE: &str = "usage: nicdock-gate [--own-cgroups] [--unmount DIR] [--user UID:GID] [--capabilities HEX] [--no-new-privs] [--seccomp FILE] [--seconds N] -- PROGRAM [ARGUMENT…]";

struct Options {
    own_cgroups: bool,
    /// Where the gate itself is mounted.
    unmount: Option<OsString>,
    /// Whom the program belongs to; without it whom the gate does.
    user: Option<(u32, u32)>,
    /// Those that are kept, as `CapBnd` of proc_pid_status(5) has them; `None` keeps all that there are.
    capabilities: Option<u64>,
    no_new_privs: bool,
    /// A filter as seccomp_export_bpf(3) writes it.
    seccomp: Option<OsString>,
    seconds: u32,
    program: OsString,
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = options(std::env::args_os().skip(1)).and_then(|options| become_program(&options));
    let Err(reason) = result;
    eprintln!("{NAME}: {reason}");
    ExitCode::from(FAILURE)
}

fn options(mut words: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut options = Options {
        own_cgroups: false,
        unmount: None,
        user: None,
        capabilities: None,
        no_new_privs: false,
        seccomp: None,
        seconds: PATIENCE,
        program: OsString::new(),
        arguments: Vec::new(),
    };
    loop {
        let word = words.next().ok_or(USAGE)?;
        let mut text = || words.next().and_then(|value| value.into_string().ok());
        match word.to_str() {
            Some("--capabilities") => {
                let value = text().and_then(|hex| u64::from_str_radix(&hex, 16).ok());
                options.capabilities = Some(value.ok_or(USAGE)?);
            }
            Some("--own-cgroups") => options.own_cgroups = true,
            Some("--unmount") => options.unmount = Some(words.next().ok_or(USAGE)?),
            Some("--user") => {
                let value = text();
                let numbers = value.as_deref().and_then(|value| value.split_once(':'));
                let user = numbers.and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
                options.user = Some(user.ok_or(USAGE)?);
            }
            Some("--no-new-privs") => options.no_new_privs = true,
            Some("--seccomp") => options.seccomp = Some(words.next().ok_or(USAGE)?),
            Some("--seconds") => {
                options.seconds = text().and_then(|number| number.parse().ok()).ok_or(USAGE)?;
            }
            Some("--") => break,
            _ => return Err(USAGE.to_owned()),
        }
    }
    options.program = words.next().ok_or(USAGE)?;
    options.arguments = words.collect();
    Ok(options)
}

/// Returns only the reason why it has not.
fn become_program(options: &Options) -> Result<std::convert::Infallible, String> {
    close(options)?;
    let opened = Blocked::new(OPENS)
        .and_then(|signal| signal.comes_from_outside(Duration::from_secs(options.seconds.into())))
        .map_err(|error| format!("waiting for nicdock: {error}"))?;
    let program = options.program.display();
    if !opened {
        return Err(format!(
            "{program} is not started: nicdock has not given this container its NIC within {} seconds. Its hook was not called, or failed: see the \
             log of libvirtd and nicdock libvirt install",
            options.seconds
        ));
    }
    // Not sooner: whoever is the same user on the host could send the signal.
    if let Some((uid, gid)) = options.user {
        become_user(uid, gid).map_err(|error| format!("becoming user {uid}:{gid}: {error}"))?;
    }
    // Nothing is blocked or ignored any more then (library/std/src/sys/process/unix/unix.rs, `do_exec`).
    let error = Command::new(&options.program).args(&options.arguments).exec();
    Err(format!("{program}: {error}"))
}

/// nicdock looks at what has become of it before it opens the gate.
fn close(options: &Options) -> Result<(), String> {
    // It holds nothing but its console, whoever has executed it.
    only_console().map_err(|error| format!("closing descriptors: {error}"))?;
    std::env::set_current_dir("/").map_err(|error| format!("/: {error}"))?;
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    let program = options
        .seccomp
        .as_ref()
        .map(|path| std::fs::read(path).map_err(failed(&format!("seccomp filter {}", path.display()))));
    let program = program.transpose()?;
    let had = rustix::thread::capabilities(None).map_err(|error| format!("capabilities: {error}"))?;
    // What an ordinary user may not do is left; nicdock looks at what has become of it.
    if had.effective.contains(CapabilitySet::SYS_ADMIN) {
        if options.own_cgroups {
            own_cgroups().map_err(failed("making a cgroup namespace"))?;
        }
        if let Some(folder) = &options.unmount {
            let result = rustix::mount::unmount(folder, rustix::mount::UnmountFlags::DETACH);
            result.map_err(|error| format!("unmounting {}: {error}", folder.display()))?;
        }
    }
    let kept = options.capabilities.map(CapabilitySet::from_bits_retain);
    if let Some(kept) = kept.filter(|_| had.effective.contains(CapabilitySet::SETPCAP)) {
        bound(kept).map_err(|error| format!("bounding capabilities: {error}"))?;
    }
    if options.no_new_privs {
        rustix::thread::set_no_new_privs(true).map_err(|error| format!("no_new_privs: {error}"))?;
    }
    if let Some(program) = program {
        filter(&program).map_err(failed("adding the seccomp filter"))?;
    }
    kept.map_or(Ok(()), keep).map_err(|error| format!("dropping capabilities: {error}"))
}

/// libvirt knows no capability by name that came after it.
fn bound(kept: CapabilitySet) -> rustix::io::Result<()> {
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // An error: the kernel has no such capability, nor any after it.
        match rustix::thread::capability_is_in_bounding_set(one) {
            Err(_) => break,
            Ok(true) if !kept.contains(one) => rustix::thread::remove_capability_from_bounding_set(one)?,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// The capabilities go with it (capabilities(7)).
fn become_user(uid: u32, gid: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (rustix::thread::Uid::from_raw(uid), rustix::thread::Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

fn keep(kept: CapabilitySet) -> rustix::io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let had = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets {
        effective: had.effective & kept,
        permitted: had.permitted & kept,
        inheritable: had.inheritable & kept,
    };
    rustix::thread::set_capabilities(None, sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options, String> {
        options(words.iter().map(OsString::from))
    }

    #[test]
    fn what_comes_after_two_dashes_is_the_programs() {
        let options = parsed(&[
            "--capabilities",
            "a80425fb",
            "--user",
            "7:8",
            "--seconds",
            "5",
            "--",
            "/sbin/init",
            "--",
            "-v",
        ])
        .unwrap();
        assert_eq!(options.capabilities, Some(0xa804_25fb));
        assert_eq!((options.seconds, options.no_new_privs, options.user), (5, false, Some((7, 8))));
        assert_eq!((options.program.to_str(), options.arguments.len()), (Some("/sbin/init"), 2));
    }

    #[test]
    fn a_command_line_that_is_not_understood_starts_nothing() {
        for words in [
            &["/sbin/init"][..],
            &["--"],
            &["--capabilities", "x", "--", "a"],
            &["--later", "--", "a"],
            &["--user", "me", "--", "a"],
            &[],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }
}
