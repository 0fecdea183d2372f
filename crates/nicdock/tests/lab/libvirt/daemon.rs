//! libvirtd with its container driver alone, and domains over the host's root.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::engine::free;
use crate::nicdock::{eventually, expect, succeed};
use crate::probing::binary;

const DRIVERS: &str = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver";
const PATH: &str = "/tmp/libvirt";
/// What keeps libvirtd from ending itself with a container, and where that tells how often it has: `group.c`.
const GROUP: &str = "/tmp/libvirt/group.so";
const SPARED: &str = "/tmp/libvirt/spared";
/// In the containers, and on the host.
const OUTPUT: &str = "/var/lib/nicdock-libvirt";

/// Ended when this is dropped.
pub struct Daemon {
    conf: String,
    pid: String,
    uri: &'static str,
}

impl Daemon {
    pub fn start() -> Result<Self, Failed> {
        let own = format!("{PATH}/driver");
        for folder in [&own, "/var/log/libvirt/lxc", OUTPUT] {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::set_permissions(OUTPUT, std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
        // The others end it here, where there is no D-Bus.
        std::fs::copy(format!("{DRIVERS}/libvirt_driver_lxc.so"), format!("{own}/libvirt_driver_lxc.so"))?;
        run("mount", &["--bind", &own, DRIVERS])?;
        run("modprobe", &["fuse"])?;
        let (conf, pid) = (format!("{PATH}/conf"), format!("{PATH}/pid"));
        std::fs::write(&conf, "auth_unix_rw=\"none\"\nauth_unix_ro=\"none\"\n")?;
        if !Path::new(GROUP).exists() {
            let source = format!("{PATH}/group.c");
            std::fs::write(&source, include_str!("group.c"))?;
            run(
                "gcc",
                &["-shared", "-fPIC", "-O2", &format!("-DSPARED=\"{SPARED}\""), "-o", GROUP, &source],
            )?;
        }
        let this = Self { conf, pid, uri: "lxc:///system" };
        this.begin()?;
        Ok(this)
    }

    pub fn begin(&self) -> Result<(), Failed> {
        let preloaded = format!("LD_PRELOAD={GROUP}");
        run("env", &[&preloaded, "libvirtd", "-d", "-f", &self.conf, "-p", &self.pid])?;
        let answers = || self.ask(&["version"]).output();
        eventually("libvirtd answers", || answers().is_ok_and(|output| output.status.success()))
    }

    pub fn pid(&self) -> Result<i32, Failed> {
        Ok(std::fs::read_to_string(&self.pid)?.trim().parse()?)
    }

    pub fn kill(&self, signal: &str) -> Result<(), Failed> {
        let pid = self.pid()?;
        crate::lifecycle::kill(pid, signal)?;
        eventually("libvirtd ends", || !Path::new(&format!("/proc/{pid}")).exists())
    }

    /// virsh. When libvirtd hangs or has ended, it is started again, and asked once more.
    pub fn call(&self, args: &[&str]) -> Result<Output, Failed> {
        let output = self.ask(args).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        // timeout(1) says 124.
        let hangs = output.status.code() == Some(124);
        if !hangs && !said.contains("end of file") && !said.contains("Failed to connect socket") {
            return Ok(output);
        }
        println!("libvirtd hangs or ends by itself, in virsh {args:?} or before, and is started again");
        if hangs {
            self.kill("KILL")?;
        }
        eventually("it ends", || !self.runs())?;
        self.begin()?;
        Ok(self.ask(args).output()?)
    }

    fn ask(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "40", "virsh", "-q", "-c", self.uri]).args(args).stdin(Stdio::null());
        command
    }

    /// nicdock's own command, when libvirtd answers.
    pub fn nicdock(&self, args: &[&str]) -> Result<String, Failed> {
        self.virsh(&["version"])?;
        succeed(args)
    }

    fn runs(&self) -> bool {
        self.pid().is_ok_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
    }

    pub fn virsh(&self, args: &[&str]) -> Result<String, Failed> {
        let output = self.call(args)?;
        expect(output.status.success(), format!("virsh {args:?}: {output:?}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What virsh says when it refuses.
    pub fn refused(&self, args: &[&str]) -> Result<String, Failed> {
        let output = self.call(args)?;
        expect(!output.status.success(), format!("virsh {args:?} was done"))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.kill("TERM");
        let _ = run("umount", &[DRIVERS]);
        if let Ok(times) = std::fs::read_to_string(SPARED) {
            println!("libvirtd would have ended itself with a container ({} times)", times.lines().count());
            let _ = std::fs::remove_file(SPARED);
        }
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), Failed> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output()?;
    expect(output.status.success(), format!("{program} {args:?}: {output:?}"))
}

/// A domain over the host's root; ended when this is dropped.
pub struct Container<'a> {
    pub daemon: &'a Daemon,
    pub name: &'static str,
}

impl<'a> Container<'a> {
    pub fn new(daemon: &'a Daemon, name: &'static str) -> Result<Self, Failed> {
        let this = Self { daemon, name };
        std::fs::create_dir_all(this.root())?;
        run("mount", &["--bind", "/", &this.root()])?;
        Ok(this)
    }

    pub fn root(&self) -> String {
        format!("{PATH}/{}", self.name)
    }

    /// What its program says goes there.
    pub fn output(&self) -> String {
        format!("{OUTPUT}/{}", self.name)
    }

    /// Its program looks at the NIC at once, and stays.
    pub fn program(&self) -> Result<String, Failed> {
        let look = "ls /dev/infiniband /sys/class/infiniband";
        Ok(format!("({look}; {} probe) > {} 2>&1; exec sleep 1000", binary()?, self.output()))
    }

    pub fn xml(&self, options: &[&str]) -> Result<String, Failed> {
        self.xml_of(options, &self.program()?)
    }

    /// With another program.
    pub fn xml_of(&self, options: &[&str], program: &str) -> Result<String, Failed> {
        let root = self.root();
        let fixed = ["libvirt", "xml", "--name", self.name, "--rootfs", &root];
        succeed(&[&fixed, options, &["--", "/bin/sh", "-c", program]].concat())
    }

    /// The same without nicdock, with `devices` beside.
    pub fn plain(&self, devices: &str) -> Result<String, Failed> {
        let program = self.program()?.replace('&', "&amp;").replace('>', "&gt;");
        Ok(format!(
            "<domain type='lxc'><name>{}</name><memory unit='MiB'>512</memory><os><type>exe</type><init>/bin/sh</init><initarg>-c</initarg>\
             <initarg>{program}</initarg></os><features><privnet/></features><devices><filesystem type='mount'><source dir='{}'/><target dir='/'/>\
             </filesystem>{devices}<console type='pty'/></devices></domain>",
            self.name,
            self.root()
        ))
    }

    pub fn define(&self, options: &[&str]) -> Result<(), Failed> {
        self.define_xml(&self.xml(options)?)
    }

    /// What it is defined by.
    pub fn defined(&self) -> Result<String, Failed> {
        Ok(std::fs::read_to_string(format!("{PATH}/{}.xml", self.name))?)
    }

    pub fn define_xml(&self, xml: &str) -> Result<(), Failed> {
        let path = format!("{PATH}/{}.xml", self.name);
        std::fs::write(&path, xml)?;
        // Without its UUID it would be another domain of that name.
        let _ = self.daemon.call(&["undefine", self.name]);
        self.daemon.virsh(&["define", "--validate", &path]).map(drop)
    }

    pub fn start(&self) -> Result<(), Failed> {
        let _ = std::fs::remove_file(self.output());
        let output = self.daemon.call(&["start", self.name])?;
        // Asked once more, when the daemon had ended.
        let runs =
            output.status.success() || String::from_utf8_lossy(&output.stderr).contains("already active");
        expect(runs, format!("start {}: {output:?}", self.name))
    }

    /// Its program has ended, and the NIC is free again. A libvirtd that is ending itself (`group.c`) hears no container's monitor any more: nobody calls
    /// nicdock then, and its next command finds it.
    pub fn has_ended(&self) -> Result<(), Failed> {
        let within = |seconds: u64, condition: &dyn Fn() -> bool| {
            (0..seconds * 5).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(200));
                condition()
            })
        };
        // It takes its time on a busy machine, and while its first process lives there is nothing that nicdock could give back.
        if !within(45, &|| free().is_ok()) {
            println!("libvirt has not told nicdock of the end of {}", self.name);
            // With its controller killed such a libvirtd leaves its first process, too, whose NIC nobody may take.
            let _ = self.daemon.call(&["destroy", self.name])?;
            if let Some(first) = self.first_in_the_lease()? {
                println!("and has left its first process {first}");
                let _ = crate::lifecycle::kill(first, "KILL");
                eventually("it ends", || !Path::new(&format!("/proc/{first}")).exists())?;
            }
            succeed(&["reconcile"])?;
            free()?;
        }
        let known =
            || self.daemon.virsh(&["domstate", self.name]).is_ok_and(|state| state.contains("shut off"));
        if within(5, &known) { Ok(()) } else { self.stop() }
    }

    /// Its first process, if the lease of its NIC says that it lives.
    fn first_in_the_lease(&self) -> Result<Option<i32>, Failed> {
        let listing: serde_json::Value = serde_json::from_str(&succeed(&["leases", "--json"])?)?;
        let leases =
            listing["leases"].as_array().into_iter().flatten().filter(|lease| lease["state"] == "held");
        let mut holders = leases.flat_map(|lease| lease["holders"].as_array().into_iter().flatten());
        let its = holders.find(|holder| holder["container"] == self.name);
        Ok(its.and_then(|holder| holder["supervisor"]["pid"].as_i64()?.try_into().ok()))
    }

    pub fn refused(&self) -> Result<String, Failed> {
        let _ = std::fs::remove_file(self.output());
        self.daemon.refused(&["start", self.name])
    }

    /// Not started, because `holder` has the NIC. A libvirtd that was started anew ends a container that it does not find again (`virLXCProcessReconnectDomain()`,
    /// src/lxc/lxc_process.c), and then the NIC is free: that is told, and tried again.
    pub fn is_refused_as_long_as_there_is(&self, holder: &Self) -> Result<(), Failed> {
        for _ in 0..3 {
            holder.start()?;
            let process = holder.pid()?;
            let said = match self.refused() {
                Ok(said) => said,
                Err(_) if !Path::new(&format!("/proc/{process}")).exists() => {
                    println!("libvirtd has ended container {} by itself", holder.name);
                    self.stop()?;
                    continue;
                }
                Err(error) => {
                    let leases = succeed(&["leases", "--json"])?;
                    return Err(format!(
                        "{}; {} has process {process}: {leases}",
                        error.message().unwrap_or_default(),
                        holder.name
                    )
                    .into());
                }
            };
            expect(said.contains(&format!("held by container {}", holder.name)), said)?;
            return expect(!self.has_run(), "its program ran");
        }
        Err(format!("libvirtd ended container {} three times", holder.name).into())
    }

    /// Whether its program ran since the last start.
    pub fn has_run(&self) -> bool {
        Path::new(&self.output()).exists()
    }

    pub fn stop(&self) -> Result<(), Failed> {
        let output = self.daemon.call(&["destroy", self.name])?;
        if String::from_utf8_lossy(&output.stderr).contains("is not running") {
            // It ended with the daemon, which then may have called nobody.
            succeed(&["reconcile"])?;
        } else {
            expect(output.status.success(), format!("destroy {}: {output:?}", self.name))?;
        }
        // It may end by that a little later, and nicdock asks it, too.
        std::thread::sleep(std::time::Duration::from_millis(200));
        self.daemon.virsh(&["version"]).map(drop)
    }

    /// By nsenter(1): lxc-enter-namespace needs a libvirtd that knows the first process, and one that is ending itself does not.
    pub fn inside(&self, script: &str) -> Result<String, Failed> {
        let pid = self.pid()?.to_string();
        let namespaces = ["--target", &pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"];
        let output = Command::new("nsenter").args(namespaces).args(["/bin/sh", "-c", script]).output()?;
        expect(output.status.success(), format!("{script}: {output:?}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn controller(&self) -> Result<i32, Failed> {
        Ok(self.daemon.virsh(&["domid", self.name])?.trim().parse()?)
    }

    pub fn pid(&self) -> Result<i32, Failed> {
        let controller = self.controller()?;
        let mut children = String::new();
        for thread in std::fs::read_dir(format!("/proc/{controller}/task"))?.flatten() {
            children += &std::fs::read_to_string(thread.path().join("children"))?;
        }
        Ok(children.split_whitespace().next().ok_or("no child")?.parse()?)
    }

    /// What its program has said, as soon as that is in it.
    pub fn output_with(&self, part: &str) -> Result<String, Failed> {
        let text = || std::fs::read_to_string(self.output()).unwrap_or_default();
        eventually("its program says what it has", || text().contains(part))?;
        Ok(text())
    }

    /// The NIC worked when the program started, and nothing else of the fabric was there.
    pub fn has_rxe1(&self) -> Result<(), Failed> {
        let text = self.output_with("rxe1 /dev")?;
        let listed = "/dev/infiniband:\nuverbs1\n\n/sys/class/infiniband:\nrxe1\n";
        expect(text.starts_with(listed), &text)?;
        expect(text.contains("rxe1 /dev/infiniband/uverbs1: usable"), &text)?;
        expect(text.contains("memlock       unlimited"), &text)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.stop();
        let _ = self.daemon.call(&["undefine", self.name]);
        let _ = run("umount", &[&self.root()]);
    }
}
