//! A filter that a process gets from outside (x86-64).

use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::ptr;

use super::Instruction;
use rustix::process::{WaitOptions, WaitStatus, waitpid};

use super::{Stopped, number};

/// The instruction.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Makes process `pid`, which waits in a system call, add `filter` to its own, in all of its threads: it is stopped, makes some calls of nicdock's, and waits on as
/// if nothing had been. The filters that it has do not hinder it.
///
/// Needs what [`seccomp_filters`] does, and the process `no_new_privs` or `CAP_SYS_ADMIN` in its user namespace (seccomp(2)); and that none of its other threads has
/// another filter.
pub fn add_seccomp_filter(pid: u32, filter: &[Instruction]) -> io::Result<()> {
    within(pid, |calls, memory| calls.add(memory, filter))
}

/// Takes these capabilities from the bounding set of process `pid`, which waits in a system call (`PR_CAPBSET_DROP` of prctl(2)): no program that it executes, nor one
/// that comes of it, has them. Only its first thread's set is changed, which is the one that executes programs.
///
/// Needs the process to have `CAP_SETPCAP` in its user namespace.
pub fn drop_capabilities(pid: u32, capabilities: &[u32]) -> io::Result<()> {
    within(pid, |calls, _| {
        let drop = |number: &u32| {
            let arguments = [bits(libc::PR_CAPBSET_DROP), u64::from(*number), 0, 0, 0, 0];
            calls.call(libc::SYS_prctl, arguments).map(|_| ())
        };
        capabilities.iter().try_for_each(drop)
    })
}

fn within(pid: u32, work: impl FnOnce(&Calls<'_>, &std::fs::File) -> io::Result<()>) -> io::Result<()> {
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
    let calls = Calls { stopped: &stopped, had, at };
    let result = work(&calls, &memory);
    stopped.set_registers(&restarted(had, at))?;
    result
}

/// The calls that a stopped process is made to make.
struct Calls<'a> {
    stopped: &'a Stopped,
    had: libc::user_regs_struct,
    /// Where the instruction is that makes a call.
    at: u64,
}

impl Calls<'_> {
    /// The program has a place of its own in memory: a stack may be as small as a few pages (Go's are).
    fn add(&self, memory: &std::fs::File, filter: &[Instruction]) -> io::Result<()> {
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
        let size = program.len() as u64;
        let access = bits(libc::PROT_READ | libc::PROT_WRITE);
        let place = self.call(
            libc::SYS_mmap,
            [0, size, access, bits(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS), u64::MAX, 0],
        )?;
        program[8..16].copy_from_slice(&(place + 16).to_ne_bytes());
        let added = memory.write_all_at(&program, place).and_then(|()| {
            let mode = u64::from(libc::SECCOMP_SET_MODE_FILTER);
            let every_thread = libc::SECCOMP_FILTER_FLAG_TSYNC;
            self.call(libc::SYS_seccomp, [mode, every_thread, place, 0, 0, 0])
        });
        self.call(libc::SYS_munmap, [place, size, 0, 0, 0, 0])?;
        match added? {
            0 => Ok(()),
            thread => Err(io::Error::other(format!("its thread {thread} has a filter of its own"))),
        }
    }

    fn call(&self, number: libc::c_long, arguments: [u64; 6]) -> io::Result<u64> {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let registers = libc::user_regs_struct {
            rip: self.at,
            rax: number.cast_unsigned(),
            // No call is interrupted that would have to be restarted (`arch_do_signal_or_restart()`, arch/x86/kernel/signal.c).
            orig_rax: u64::MAX,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            ..self.had
        };
        self.stopped.set_registers(&registers)?;
        self.stopped.to_the_calls_end()?;
        // The last 4095 numbers are errors (`IS_ERR_VALUE()`, include/linux/err.h).
        match i64::from_ne_bytes(self.stopped.registers()?.rax.to_ne_bytes()) {
            error @ -4095..0 => {
                Err(io::Error::from_raw_os_error(i32::try_from(-error).unwrap_or(libc::EINVAL)))
            }
            result => Ok(result.cast_unsigned()),
        }
    }
}

fn bits(flags: libc::c_int) -> u64 {
    u64::from(flags.cast_unsigned())
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
