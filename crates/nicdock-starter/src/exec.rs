//! The starter's door to the kernel: execve(2), and what a program was given by its own.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::ptr;

unsafe extern "C" {
    /// environ(7)
    static environ: *const *const c_char;
}

/// Replaces the program (execve(2)). Returns only the error.
pub fn exec(path: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> io::Error {
    let pointers = |texts: &[&CStr]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with null, and every string lives until the call returns.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// The words of a command line as `main` is given them.
///
/// # Safety
/// `list` has `count` pointers to strings that live as long as the program and that nobody changes (C standard, 5.1.2.2.1).
pub unsafe fn words(count: c_int, list: *const *const c_char) -> Vec<&'static CStr> {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: as the caller promises.
    (0..count).map(|index| unsafe { CStr::from_ptr(*list.add(index)) }).collect()
}

/// The environment that the program was given.
pub fn environment() -> Vec<&'static CStr> {
    let mut found = Vec::new();
    // SAFETY: the kernel gives each program a list that ends with null; the starter has one thread and never changes it.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            found.push(CStr::from_ptr(*next));
            next = next.add(1);
        }
    }
    found
}
