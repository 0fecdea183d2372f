//! The guest's end of the channels: virtio-serial ports, found by name.

use super::wait;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{self, File};
use std::path::PathBuf;

/// Opens a port and waits until the host is there: before, reading would look like the end of input.
pub fn open(name: &str) -> Result<File> {
    wait::until(&format!("port {name} exists"), 10, || find(name).is_some())?;
    let device = find(name).context("the port vanished")?;
    let port = File::options()
        .read(true)
        .write(true)
        .open(&device)
        .with_context(|| format!("cannot open port {name} ({})", device.display()))?;
    wait::until(&format!("the host opens port {name}"), 10, || !hung_up(&port))?;
    Ok(port)
}

/// Ports have their names in sysfs (Linux, `drivers/char/virtio_console.c`).
fn find(name: &str) -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    let entry = ports
        .flatten()
        .find(|entry| fs::read_to_string(entry.path().join("name")).is_ok_and(|n| n.trim() == name))?;
    let device = PathBuf::from("/dev").join(entry.file_name());
    device.exists().then_some(device)
}

fn hung_up(port: &File) -> bool {
    let mut fds = [PollFd::new(port, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}
