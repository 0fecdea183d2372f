//! The profile as the BPF program that the kernel takes.

use std::fs::File;
use std::io::{self, Read, Seek};

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use serde_json::Value;

use crate::kernel::memfd;

/// For this machine's architecture and `more`; calls of every other one end the program. As seccomp_export_bpf(3) writes it.
pub fn compile(profile: &Value, more: &[ScmpArch]) -> io::Result<Vec<u8>> {
    let errno = |value: &Value| value.as_i64().and_then(|errno| i32::try_from(errno).ok());
    let default = errno(&profile["defaultErrnoRet"]).unwrap_or(libc::ENOSYS);
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(default)).map_err(io::Error::other)?;
    for architecture in more {
        filter.add_arch(*architecture).map_err(io::Error::other)?;
    }
    for rule in profile["syscalls"].as_array().into_iter().flatten() {
        let action = errno(&rule["errnoRet"]).map_or(ScmpAction::Allow, ScmpAction::Errno);
        let comparisons: Vec<ScmpArgCompare> =
            rule["args"].as_array().into_iter().flatten().map(comparison).collect();
        for name in rule["names"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // libcontainer passes over names that libseccomp does not know, too.
            if let Ok(call) = ScmpSyscall::from_name(name) {
                filter.add_rule_conditional(action, call, &comparisons).map_err(io::Error::other)?;
            }
        }
    }
    let mut file = File::from(memfd::open("nicdock-seccomp")?);
    filter.export_bpf(&file).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As libcontainer reads it: for a masked comparison the value is the datum and `valueTwo` the mask.
fn comparison(arg: &Value) -> ScmpArgCompare {
    let number = |field: &str| arg[field].as_u64().unwrap_or_default();
    let op = match arg["op"].as_str() {
        Some("SCMP_CMP_MASKED_EQ") => ScmpCompareOp::MaskedEqual(number("valueTwo")),
        _ => ScmpCompareOp::Equal,
    };
    ScmpArgCompare::new(u32::try_from(number("index")).unwrap_or_default(), op, number("value"))
}
