//! This program as an attacker inside a container (`lab --probe WHAT …`).
#![allow(unsafe_code)]

mod chain;
mod entry;
mod exchange;
mod hold;
mod listen;
mod mpi;
mod pass;
mod reach;
mod steal;
mod xdp;

use std::process::ExitCode;

pub use hold::receive;

/// Prints `open` or the errno's name of what it tried.
pub fn run(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["socket", domain, kind, protocol] => {
            system_call(libc::SYS_socket, [number(domain), number(kind), number(protocol)])
        }
        ["x32", call, a, b, c] => entry::x32(number(call), [number(a), number(b), number(c)]),
        ["i386", call, a, b, c] => entry::i386(number(call), [number(a), number(b), number(c)]),
        ["socketcall", domain, kind, protocol] => {
            entry::socketcall([number(domain), number(kind), number(protocol)])
        }
        ["listen", ref words @ ..] => return end("listen", &listen::run(words)),
        ["xdp", interface] => return end("xdp", &xdp::xdp(interface)),
        ["tcx", interface] => return end("tcx", &xdp::tcx(interface)),
        ["mpi"] => return end("mpi", &mpi::run()),
        ["context", path] => return context(path),
        ["pass", what, ref sockets @ ..] => return end("pass", &pass::run(what, sockets)),
        ["hold", place, socket] => return end("hold", &hold::run(place, socket)),
        ["exchange", one, other] => return end("exchange", &exchange::run(one, other, false)),
        ["exchange", one, other, "for-ever"] => return end("exchange", &exchange::run(one, other, true)),
        ["connect", socket] => std::os::unix::net::UnixStream::connect(socket).map(drop),
        ["reach", "chain", ..] => return end("chain", &chain::run()),
        ["reach", mode, word, secret, written] => {
            let goals = reach::Goals { word, secret, written };
            return end("reach", &reach::run(&goals, mode == "hold"));
        }
        ["call", call, ref arguments @ ..] => {
            let argument = |place: usize| arguments.get(place).map_or(0, |text| number(text));
            system_call(number(call), [argument(0), argument(1), argument(2)])
        }
        ["clock"] => set_clock(),
        ["name", name] => ask_for_interface(name),
        ["steal"] => return end("steal", &steal::run()),
        ["io_uring"] => system_call(libc::SYS_io_uring_setup, [1, 0, 0]),
        ["open", path] => std::fs::OpenOptions::new().read(true).write(true).open(path).map(drop),
        ["mknod", path, major, minor] => mknod(path, number(major), number(minor)),
        _ => return ExitCode::from(2),
    };
    match result {
        Ok(()) => println!("open"),
        Err(error) => println!("{}", error.raw_os_error().unwrap_or(0)),
    }
    ExitCode::SUCCESS
}

/// Prints `context`, or the error's number.
fn context(path: &str) -> ExitCode {
    match pass::context(path.as_ref()) {
        Ok(_) => println!("context"),
        Err(error) => println!("{}", error.raw_os_error().unwrap_or(0)),
    }
    ExitCode::SUCCESS
}

/// Of what prints its own answers.
fn end(what: &str, result: &std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{what}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> i64 {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    i64::from_str_radix(digits, radix).expect("a number")
}

fn system_call(call: i64, arguments: [i64; 3]) -> std::io::Result<()> {
    // SAFETY: the calls tried take numbers, or a null pointer that the kernel refuses.
    let result = unsafe { libc::syscall(call, arguments[0], arguments[1], arguments[2]) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets the length of a tick to what it is.
fn set_clock() -> std::io::Result<()> {
    // SAFETY: a timex is plain numbers, and the kernel fills it.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: it lives for the call.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    timex.modes = libc::ADJ_TICK;
    // SAFETY: as before.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// Asks for an interface of a name: the kernel loads a module called so for who may load modules (`dev_load()`).
fn ask_for_interface(name: &str) -> std::io::Result<()> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: the name is a C string.
    if unsafe { libc::if_nametoindex(name.as_ptr()) } == 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn mknod(path: &str, major: i64, minor: i64) -> std::io::Result<()> {
    let path = std::ffi::CString::new(path)?;
    let device =
        libc::makedev(u32::try_from(major).expect("a major"), u32::try_from(minor).expect("a minor"));
    // SAFETY: the path is a C string.
    let result = unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, device) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
