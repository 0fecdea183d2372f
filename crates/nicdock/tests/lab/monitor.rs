//! QEMU's monitor, on the guest's virtio-serial port `qmp`: NICs are plugged in and pulled.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::nicdock::eventually;

pub struct Monitor(BufReader<File>);

impl Monitor {
    pub fn open() -> Result<Self, Failed> {
        let port = port().ok_or("this lab has no port to QEMU's monitor")?;
        let file = File::options().read(true).write(true).open(port)?;
        let mut this = Self(BufReader::new(file));
        // The monitor lives on when the port is closed: whoever comes later is told that it has negotiated already.
        let _ = this.execute("qmp_capabilities", &json!({}));
        Ok(this)
    }

    /// Whether this QEMU has devices of such a kind.
    pub fn knows(&mut self, driver: &str) -> bool {
        self.execute("device-list-properties", &json!({ "typename": driver })).is_ok()
    }

    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, Failed> {
        let question = json!({ "execute": command, "arguments": arguments, "id": command });
        self.0.get_mut().write_all(format!("{question}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let answer: Value = serde_json::from_str(&line)?;
            // Events come in between.
            if answer["id"] == command {
                return match answer.get("return") {
                    Some(value) => Ok(value.clone()),
                    None => Err(format!("QEMU: {command} {arguments}: {}", answer["error"]["desc"]).into()),
                };
            }
        }
    }
}

fn port() -> Option<PathBuf> {
    let ports = std::fs::read_dir("/sys/class/virtio-ports").ok()?.flatten();
    let mut ports = ports.filter(|port| {
        std::fs::read_to_string(port.path().join("name")).is_ok_and(|name| name.trim() == "qmp")
    });
    Some(PathBuf::from("/dev").join(ports.next()?.file_name()))
}

/// The MAC address of what is plugged in; no other NIC's begins so.
pub const SPARE_MAC: &str = "52:54:00:53:50:01";

/// A NIC in the lab's spare root port, on the lab's switch; pulled when dropped.
pub struct Plugged {
    monitor: Monitor,
    id: String,
    /// Its PCI function.
    pub address: String,
}

impl Plugged {
    pub fn new(mut monitor: Monitor, driver: &str) -> Result<Self, Failed> {
        let id = format!("spare-{driver}");
        // The slot's number is on QEMU's command line (xtask/src/lab/machine.rs, SPARE_PORT).
        let port = std::fs::read_to_string("/sys/bus/pci/slots/200/address")?;
        monitor.execute("netdev_add", &json!({ "type": "hubport", "id": id, "hubid": 0 }))?;
        // Without an option ROM, as the lab's other NICs.
        let arguments = json!({ "driver": driver, "id": id, "bus": "spare", "netdev": id, "mac": SPARE_MAC, "romfile": "" });
        // The slot may not have let go of the last one yet.
        let begin = Instant::now();
        while let Err(error) = monitor.execute("device_add", &arguments) {
            if begin.elapsed() > Duration::from_secs(30) {
                monitor.execute("netdev_del", &json!({ "id": id }))?;
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let this = Self { monitor, id, address: format!("{}.0", port.trim()) };
        eventually("the NIC that was plugged in is there", || this.is_there())?;
        Ok(this)
    }

    fn is_there(&self) -> bool {
        std::path::Path::new("/sys/bus/pci/devices").join(&self.address).exists()
    }

    /// The name of its netdev, once it has one.
    pub fn netdev(&self) -> Result<String, Failed> {
        let place = PathBuf::from("/sys/bus/pci/devices").join(&self.address);
        // A virtio-net's is one level deeper.
        let find = || {
            let folders = std::fs::read_dir(&place).ok()?.flatten().map(|entry| entry.path().join("net"));
            let mut folders = folders.chain([place.join("net")]);
            folders.find_map(|folder| std::fs::read_dir(folder).ok()?.flatten().next())
        };
        eventually("the NIC that was plugged in has a netdev", || find().is_some())?;
        Ok(find().ok_or("it has gone")?.file_name().to_string_lossy().into_owned())
    }

    pub fn pull(mut self) -> Result<(), Failed> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), Failed> {
        let id = self.id.clone();
        self.monitor.execute("device_del", &json!({ "id": id }))?;
        eventually("the NIC that was pulled is gone", || !self.is_there())?;
        self.monitor.execute("netdev_del", &json!({ "id": id })).map(drop)
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = self.remove();
        }
    }
}
