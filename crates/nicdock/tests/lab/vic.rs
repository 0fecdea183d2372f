//! The virtual Cisco VICs of the lab: their knobs, their ports, and a program that has queue pairs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;

use crate::nicdock::{eventually, expect};

/// Turns a knob of a VIC (lab/vic/knob.sh), which is called by the name that its netdev has on the host.
pub fn knob(vic: &str, words: &[&str]) -> Result<(), Failed> {
    let output = Command::new(std::env::var("NICDOCK_LAB_KNOB")?).arg(vic).args(words).output()?;
    expect(output.status.success(), format!("{vic} {words:?}: {output:?}"))
}

/// Waits for the state of a usNIC's port.
pub fn port_becomes(device: &str, state: &str) -> Result<(), Failed> {
    let file = format!("/sys/class/infiniband/{device}/ports/1/state");
    eventually(&format!("{device} is {state}"), || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.trim().ends_with(state))
    })
}

/// The program that proves the VIC (lab/vic/tests/vic-test.c).
pub fn test_program() -> Result<String, Failed> {
    Ok(std::env::var("NICDOCK_LAB_VIC_TEST")?)
}

/// Starts `vic-test goes-silent`, be it in a container or not, and waits until it has two queue pairs, on two VFs; gives
/// the VF of the second. It goes on when it reads a line, and ends at the end of its input.
pub fn with_queue_pairs(mut command: Command) -> Result<(Child, u32), Failed> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().ok_or("piped")?).read_line(&mut line)?;
    if let Some(vf) = line.trim().strip_prefix("vf ").and_then(|vf| vf.parse().ok()) {
        return Ok((child, vf));
    }
    let _ = child.kill();
    Err(format!("no queue pairs: {line}{:?}", child.wait_with_output()?).into())
}
