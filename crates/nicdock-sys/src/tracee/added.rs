//! A filter that a process gets from outside (x86-64).

use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::ptr;

use super::Instruction;
use rustix::process::{WaitOptions, WaitStatus, waitpid};

use super::{Stopped, number};

/// What is below the stack pointer is the function's (System V ABI for AMD64, 3.2.2).
const RED_ZONE: u64 = 128;
/// The instruction.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Makes process `pid`, which waits in a system call, add `filter` to its own: it is stopped, makes one call of nicdock's, and waits on as if nothing had been.
/// The filters that it has do not hinder it.
///
/// Needs what [`seccomp_filters`] does, and the process `no_new_privs` or `CAP_SYS_ADMIN` in its user namespace (seccomp(2)). It must have one thread.
pub fn add_seccomp_filter(pid: u32, filter: &[Instruction]) -> io::Result<()> {
    // A filter is a thread's.
    if std::fs::read_dir(format!("/proc/{pid}/task"))?.count() != 1 {
        return Err(io::Error::other("it has more than one thread"));
    }
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_SUSPEND_SECCOMP;
    let stopped = Stopped::new(number(pid)?, options)?;
    let had = stopped.registers()?;
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
    let mut instruction = [0; SYSCALL.len()];
    let at = had.rip.checked_sub(SYSCALL.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
    memory.read_exact_at(&mut instruction, at)?;
    if instruction != SYSCALL || had.orig_rax > i64::MAX as u64 {
        return Err(io::Error::other("it does not wait in a 64-bit system call"));
    }
    // `struct sock_fprog` with its instructions behind it (include/uapi/linux/filter.h).
    let length = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut program = Vec::new();
    program.extend(u64::from(length).to_ne_bytes());
    program.extend([0; 8]);
    for Instruction { code, jt, jf, k } in filter {
        program.extend(code.to_ne_bytes());
        program.extend([*jt, *jf]);
        program.extend(k.to_ne_bytes());
    }
    let place = had.rsp.wrapping_sub(RED_ZONE + program.len() as u64) & !15;
    program[8..16].copy_from_slice(&(place + 16).to_ne_bytes());
    memory.write_all_at(&program, place)?;
    let call = libc::user_regs_struct {
        rip: at,
        rax: libc::SYS_seccomp as u64,
        // No call is interrupted that would have to be restarted (`arch_do_signal_or_restart()`, arch/x86/kernel/signal.c).
        orig_rax: u64::MAX,
        rdi: u64::from(libc::SECCOMP_SET_MODE_FILTER),
        rsi: 0,
        rdx: place,
        ..had
    };
    stopped.set_registers(&call)?;
    let result = stopped.to_the_calls_end().and_then(|()| stopped.registers());
    stopped.set_registers(&restarted(had, at))?;
    match i64::from_ne_bytes(result?.rax.to_ne_bytes()) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(i32::try_from(-error).unwrap_or(libc::EINVAL))),
    }
}

/// What makes an interrupted call go on, as the kernel itself would have done it.
fn restarted(had: libc::user_regs_struct, at: u64) -> libc::user_regs_struct {
    // `ERESTARTNOHAND` to `ERESTARTSYS`, `ERESTART_RESTARTBLOCK` (include/linux/errno.h).
    let rax = match i64::from_ne_bytes(had.rax.to_ne_bytes()) {
        -514..=-512 => had.orig_rax,
        -516 => libc::SYS_restart_syscall as u64,
        // It had just ended.
        _ => return libc::user_regs_struct { orig_rax: u64::MAX, ..had },
    };
    libc::user_regs_struct { rip: at, rax, orig_rax: u64::MAX, ..had }
}

impl Stopped {
    fn registers(&self) -> io::Result<libc::user_regs_struct> {
        let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
        let none = ptr::null_mut::<libc::c_void>();
        // SAFETY: there is a place for the registers; all zero is valid for them, too.
        unsafe {
            if libc::ptrace(libc::PTRACE_GETREGS, self.0.as_raw_nonzero().get(), none, registers.as_mut_ptr())
                < 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(registers.assume_init())
        }
    }

    fn set_registers(&self, registers: &libc::user_regs_struct) -> io::Result<()> {
        let none = ptr::null_mut::<libc::c_void>();
        // SAFETY: the registers are read only.
        let result = unsafe {
            libc::ptrace(libc::PTRACE_SETREGS, self.0.as_raw_nonzero().get(), none, ptr::from_ref(registers))
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// It goes on until it has made the call before which it stands.
    fn to_the_calls_end(&self) -> io::Result<()> {
        let none = ptr::null_mut::<libc::c_void>();
        for _ in ["begin", "end"] {
            // SAFETY: lets the process go on; no memory of ours is involved.
            if unsafe { libc::ptrace(libc::PTRACE_SYSCALL, self.0.as_raw_nonzero().get(), none, none) } < 0 {
                return Err(io::Error::last_os_error());
            }
            let status = waitpid(Some(self.0), WaitOptions::UNTRACED)?.map(|(_, status)| status);
            let signal = status.and_then(WaitStatus::stopping_signal);
            // `PTRACE_O_TRACESYSGOOD` sets the bit.
            if signal != Some(libc::SIGTRAP | 0x80) {
                return Err(io::Error::other("a signal came"));
            }
        }
        Ok(())
    }
}
