//! The virtual machine, as QEMU's command line. Pure: a description in, words out.

use super::accelerator::Accelerator;
use crate::vic;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The channels between host and guest, each a virtio-serial port by this name and a socket `NAME` in the run's directory.
pub const CHANNELS: [&str; 4] = ["control", "stdin", "stdout", "stderr"];

/// The tags of the two shares: the host's `/`, read-only, and the directory for results.
pub const HOST_SHARE: &str = "host";
pub const OUT_SHARE: &str = "out";

/// A root port with nothing in it, for what is plugged in later. It is the last function of the chipset's own slot, the last
/// of all: its bus has the highest number and renumbers no NIC's. Room for the BARs of an SR-IOV NIC and its VFs.
const SPARE_PORT: &str = "pcie-root-port,id=spare,chassis=200,slot=200,addr=0x1f.7,multifunction=on,mem-reserve=8M,pref64-reserve=64M";

/// Firmware, from the packages that the packaged QEMU depends on: a QEMU that was not installed has none of its own.
const FIRMWARE: [&str; 4] = ["-L", "/usr/share/qemu", "-L", "/usr/share/seabios"];

/// PCI Express's own hot plug, as on a server. ACPI's, which this chipset prefers, takes a VIC's PF away before the VFs that do
/// not share its slot, and then the kernel waits for ever for `usnic_verbs` to let go of the netdev.
const HOTPLUG: [&str; 2] = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"];

#[derive(Clone, Debug)]
pub struct Machine {
    pub qemu: PathBuf,
    /// Is it the one that was built from source?
    pub own_qemu: bool,
    pub accelerator: Accelerator,
    pub cpus: u8,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    /// More for the kernel's command line.
    pub append: Vec<String>,
    pub iommu: bool,
    pub nics: u8,
    /// VICs, each with so many VFs. They need a QEMU that knows them, and the IOMMU.
    pub vics: u8,
    pub vfs: u8,
    /// A host directory, read and written as `/lab`.
    pub out: PathBuf,
    /// Holds the channels' sockets.
    pub sockets: PathBuf,
    pub console: PathBuf,
}

/// NIC models take turns, so that tests meet a plain PCI netdev and a virtio one (whose netdev sits one level deeper in sysfs).
const MODELS: [&str; 2] = ["e1000e", "virtio-net-pci"];

/// The MAC address of a NIC, by which the guest finds it. NICs count from 1.
pub fn mac(nic: u8) -> String {
    format!("52:54:00:4e:49:{nic:02x}")
}

impl Machine {
    /// The program and its arguments.
    pub fn command_line(&self) -> Vec<OsString> {
        let mut line = Line(vec![self.qemu.clone().into()]);
        line.base(self);
        line.boot(self);
        line.channels(self);
        line.share(HOST_SHARE, Path::new("/"), true);
        line.share(OUT_SHARE, &self.out, false);
        (1..=self.nics).for_each(|nic| line.nic(nic));
        (1..=self.vics).for_each(|vic| line.0.extend(vic::vic_args(vic, self.vfs).map(OsString::from)));
        line.add(&["-device", SPARE_PORT]);
        line.0
    }

    fn kernel_command_line(&self) -> String {
        // no_timer_check: under load an emulated timer may miss the moment at which the kernel tests it, and then the kernel
        // panics ("IO-APIC + timer doesn't work").
        // tsc=reliable: else the kernel holds the TSC against a jiffy that an emulated timer delivers late, distrusts it
        // (clocksource_watchdog()), and asks an I/O port for the time, in each clock_gettime() too.
        // init_on_alloc=0: Debian's kernels clear all memory when it is given out, much of it for a second time.
        // rcupdate.rcu_expedited=1: taking a netdev or a namespace away waits for several grace periods of RCU, each of which an idle
        // emulated processor draws out; the suite takes an eighth less time.
        // oops=panic, panic=-1: a guest whose kernel failed reboots at once, which -no-reboot turns into an end.
        let mut words = vec![
            "console=ttyS0",
            "quiet",
            "oops=panic",
            "panic=-1",
            "mitigations=off",
            "no_timer_check",
            "tsc=reliable",
            "init_on_alloc=0",
            "rcupdate.rcu_expedited=1",
        ];
        if self.iommu {
            words.push("intel_iommu=on");
        }
        words.extend(self.append.iter().map(String::as_str));
        words.join(" ")
    }
}

struct Line(Vec<OsString>);

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    /// An option whose value ends with a path. QEMU splits values at commas; a doubled one stands for itself.
    fn add_path(&mut self, option: &str, prefix: &str, path: &Path, suffix: &str) {
        let escaped = path
            .as_os_str()
            .as_bytes()
            .iter()
            .flat_map(|&byte| if byte == b',' { vec![byte; 2] } else { vec![byte] });
        let value = prefix.bytes().chain(escaped).chain(suffix.bytes()).collect();
        self.0.extend([option.into(), OsString::from_vec(value)]);
    }

    fn base(&mut self, machine: &Machine) {
        let board = if machine.iommu { "q35,kernel-irqchip=split" } else { "q35" };
        self.add(&["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-M", board]);
        self.add(machine.accelerator.arguments());
        self.add(&["-smp", &machine.cpus.to_string(), "-m", "3072"]);
        if machine.own_qemu {
            self.add(&FIRMWARE);
        }
        self.add(&HOTPLUG);
        if machine.iommu {
            // Before every other device: those that come earlier escape it.
            self.add(&["-device", "intel-iommu,intremap=on"]);
        }
    }

    fn boot(&mut self, machine: &Machine) {
        self.0.extend([
            "-kernel".into(),
            machine.kernel.clone().into(),
            "-initrd".into(),
            machine.initramfs.clone().into(),
        ]);
        self.add(&["-append", &machine.kernel_command_line()]);
        self.add_path("-serial", "file:", &machine.console, "");
    }

    fn channels(&mut self, machine: &Machine) {
        self.add(&["-device", "virtio-serial-pci"]);
        for name in CHANNELS {
            self.add_path("-chardev", &format!("socket,id={name},path="), &machine.sockets.join(name), "");
            self.add(&["-device", &format!("virtserialport,chardev={name},name={name}")]);
        }
        self.monitor(&machine.sockets.join("qmp"));
    }

    /// A virtio-serial port `qmp`, on which the guest talks to QEMU's own monitor: so a test in it can plug and pull NICs.
    /// QEMU connects to itself: a serial port and a monitor cannot share one end of a socket.
    fn monitor(&mut self, socket: &Path) {
        self.add_path("-chardev", "socket,id=qmpport,path=", socket, ",server=on,wait=off");
        self.add(&["-device", "virtserialport,chardev=qmpport,name=qmp"]);
        self.add_path("-chardev", "socket,id=qmpmonitor,path=", socket, "");
        self.add(&["-mon", "chardev=qmpmonitor,mode=control"]);
    }

    fn share(&mut self, tag: &str, path: &Path, read_only: bool) {
        let access = if read_only { ",readonly=on" } else { "" };
        let suffix = format!(",security_model=none,multidevs=remap{access}");
        self.add_path("-fsdev", &format!("local,id={tag},path="), path, &suffix);
        self.add(&["-device", &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}")]);
    }

    /// A NIC on the one switch, behind a root port of its own at a fixed address: NIC N is PCI function 0N:00.0.
    fn nic(&mut self, nic: u8) {
        let model = MODELS[usize::from(nic - 1) % MODELS.len()];
        let mac = mac(nic);
        let slot = nic + 15;
        self.add(&["-netdev", &format!("hubport,id=hub{nic},hubid=0")]);
        self.add(&[
            "-device",
            &format!("pcie-root-port,id=port{nic},chassis={nic},slot={nic},addr=0x{slot:x}"),
        ]);
        // Without an option ROM: nobody boots from it, and the firmware takes seconds to look.
        self.add(&["-device", &format!("{model},bus=port{nic},netdev=hub{nic},mac={mac},romfile=")]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            qemu: "qemu-system-x86_64".into(),
            own_qemu: false,
            accelerator: Accelerator::Tcg,
            cpus: 2,
            kernel: "/k/vmlinux".into(),
            initramfs: "/run/initramfs".into(),
            append: vec!["debug".into()],
            iommu: false,
            nics: 2,
            vics: 0,
            vfs: 4,
            out: "/out".into(),
            sockets: "/run".into(),
            console: "/console.log".into(),
        }
    }

    fn words(machine: &Machine) -> Vec<String> {
        machine.command_line().into_iter().map(|word| word.into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn nics_take_turns_behind_root_ports_of_their_own() {
        let words = words(&machine());
        assert!(words.contains(&"e1000e,bus=port1,netdev=hub1,mac=52:54:00:4e:49:01,romfile=".to_owned()));
        assert!(
            words.contains(&"virtio-net-pci,bus=port2,netdev=hub2,mac=52:54:00:4e:49:02,romfile=".to_owned())
        );
        assert!(words.contains(&"pcie-root-port,id=port2,chassis=2,slot=2,addr=0x11".to_owned()));
        assert_eq!(words.iter().filter(|word| word.starts_with("hubport,")).count(), 2);
    }

    #[test]
    fn the_host_is_shared_read_only_and_the_results_are_not() {
        let words = words(&machine());
        let share = |tag: &str| {
            words.iter().find(|word| word.starts_with(&format!("local,id={tag},"))).expect("a share")
        };
        assert!(share(HOST_SHARE).contains("path=/,") && share(HOST_SHARE).contains("readonly=on"));
        assert!(share(OUT_SHARE).contains("path=/out,") && !share(OUT_SHARE).contains("readonly"));
    }

    #[test]
    fn the_iommu_comes_before_every_other_device_and_the_kernel_is_told() {
        let words = words(&Machine { iommu: true, ..machine() });
        let first = words.iter().position(|word| word == "-device").expect("a device");
        assert!(words[first + 1].starts_with("intel-iommu"));
        assert!(words.iter().any(|word| word.contains("intel_iommu=on debug")));
    }

    #[test]
    fn vics_come_after_the_nics_and_the_spare_port_last() {
        let words = words(&Machine { vics: 2, own_qemu: true, ..machine() });
        let at = |start: &str| words.iter().position(|word| word.starts_with(start)).expect(start);
        assert!(
            at("virtio-net-pci,") < at("cisco-vic,id=vic0,")
                && at("cisco-vic,id=vic0,") < at("cisco-vic,id=vic1,")
                && at("cisco-vic,id=vic1,") < at("pcie-root-port,id=spare,")
        );
        assert!(words.contains(&"-L".to_owned()) && !self::words(&machine()).contains(&"-L".to_owned()));
    }

    #[test]
    fn both_ends_of_the_monitor_name_one_socket() {
        let words = words(&Machine { sockets: "/run/a,b".into(), ..machine() });
        let at = |word: &str| words.iter().position(|w| w == word).expect(word);
        assert!(at("virtio-serial-pci") < at("virtserialport,chardev=qmpport,name=qmp"));
        at("socket,id=qmpport,path=/run/a,,b/qmp,server=on,wait=off");
        at("socket,id=qmpmonitor,path=/run/a,,b/qmp");
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        let words = words(&Machine { out: "/a,b".into(), ..machine() });
        assert!(words.iter().any(|word| word.contains("path=/a,,b,")));
    }
}
