//! `nicdock-starter`: the last program of nicdock's in a container. It executes the container's own program.
//!
//! A container's program may be `#!/proc/self/exe`, and then the kernel executes once more the file that the process was running: nicdock itself, on the
//! host, with the container's loader, and a descriptor on that file by which it can be overwritten later (CVE-2019-5736). So what runs last is not
//! nicdock but this: static, so that it takes no loader from the container, and executed from a sealed copy in memory.
//!
//! It has no Rust runtime (`no_main`), which would ignore SIGPIPE and open missing standard streams: the container's program inherits what
//! nicdock has left.
#![cfg_attr(not(test), no_main)]
#![allow(unsafe_code)]

#[cfg(not(test))]
mod entry {
    use std::ffi::{c_char, c_int};
    use std::io::Write;

    use nicdock_starter::{FAILURE, NotStarted, command, environment, start, words};

    #[unsafe(no_mangle)]
    extern "C" fn main(count: c_int, list: *const *const c_char) -> c_int {
        // SAFETY: these are what the C library gives to `main`.
        let words = unsafe { words(count, list) };
        let refused = || NotStarted {
            reason: "nicdock-starter is for nicdock: it starts a container's program".to_owned(),
            status: FAILURE,
        };
        let NotStarted { reason, status } =
            command(&words).map_or_else(refused, |command| start(command, &environment()));
        let _ = writeln!(std::io::stderr(), "nicdock: {reason}");
        status
    }
}
