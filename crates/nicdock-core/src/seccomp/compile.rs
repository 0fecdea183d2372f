//! The profile as the BPF program that the kernel takes.

use std::fs::File;
use std::io::{self, Read, Seek};

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use serde_json::Value;

use nicdock_sys::memfd;
use nicdock_sys::tracee::Instruction;

/// For this machine's architecture and `more`; calls of every other one end the program. As seccomp_export_bpf(3) writes it.
pub fn compile(profile: &Value, more: &[ScmpArch]) -> io::Result<Vec<u8>> {
    let errno = |value: &Value| value.as_i64().and_then(|errno| i32::try_from(errno).ok());
    let default = errno(&profile["defaultErrnoRet"]).unwrap_or(libc::ENOSYS);
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(default)).map_err(io::Error::other)?;
    for architecture in more {
        filter.add_arch(*architecture).map_err(io::Error::other)?;
    }
    for rule in profile["syscalls"].as_array().into_iter().flatten() {
        let action = match (rule["action"].as_str(), errno(&rule["errnoRet"])) {
            (Some("SCMP_ACT_ALLOW"), None) => ScmpAction::Allow,
            (Some("SCMP_ACT_ERRNO"), Some(errno)) => ScmpAction::Errno(errno),
            _ => return Err(unknown(rule)),
        };
        let comparisons: Vec<ScmpArgCompare> =
            rule["args"].as_array().into_iter().flatten().map(comparison).collect::<io::Result<_>>()?;
        for name in rule["names"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // libcontainer passes over names that libseccomp does not know, too.
            if let Ok(call) = ScmpSyscall::from_name(name) {
                filter.add_rule_conditional(action, call, &comparisons).map_err(io::Error::other)?;
            }
        }
    }
    export(&filter)
}

/// A filter as seccomp_export_bpf(3) writes it.
pub fn export(filter: &ScmpFilterContext) -> io::Result<Vec<u8>> {
    let mut file = File::from(memfd::open("nicdock-seccomp")?);
    filter.export_bpf(&file).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A program as seccomp_export_bpf(3) writes it: `struct sock_filter` after `struct sock_filter`.
pub fn instructions(program: &[u8]) -> Vec<Instruction> {
    let (parts, _) = program.as_chunks::<8>();
    let number = |bytes: [u8; 4]| u32::from_ne_bytes(bytes);
    let one = |part: &[u8; 8]| Instruction {
        code: u16::from_ne_bytes([part[0], part[1]]),
        jt: part[2],
        jf: part[3],
        k: number([part[4], part[5], part[6], part[7]]),
    };
    parts.iter().map(one).collect()
}

/// As libcontainer reads it: for a masked comparison the value is the datum and `valueTwo` the mask.
fn comparison(arg: &Value) -> io::Result<ScmpArgCompare> {
    let number = |field: &str| arg[field].as_u64().ok_or_else(|| unknown(arg));
    let op = match arg["op"].as_str() {
        Some("SCMP_CMP_MASKED_EQ") => ScmpCompareOp::MaskedEqual(number("valueTwo")?),
        Some("SCMP_CMP_EQ") => ScmpCompareOp::Equal,
        _ => return Err(unknown(arg)),
    };
    let index = u32::try_from(number("index")?).map_err(|_| unknown(arg))?;
    Ok(ScmpArgCompare::new(index, op, number("value")?))
}

/// What is not known is no rule that may be left out.
fn unknown(what: &Value) -> io::Error {
    io::Error::other(format!("a seccomp rule with {what}"))
}
