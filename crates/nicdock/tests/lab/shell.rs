//! Containers of others' making, in which a shell is told what to do line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use libtest_mimic::Failed;

use crate::Lab;
use crate::nicdock::expect;

/// A shell in a container, which is told what to do line by line.
pub struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Directories of cgroups to remove.
    groups: Vec<String>,
}

impl Shell {
    pub fn start(mut command: Command, groups: Vec<String>) -> Result<Self, Failed> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let input = child.stdin.take();
        let mut this = Self { child, input, output, groups };
        this.ask("true")?;
        Ok(this)
    }

    /// The process that was started: nicdock, or the engine.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the script says, and its exit status.
    pub fn ask_for(&mut self, script: &str) -> Result<(i32, String), Failed> {
        let input = self.input.as_mut().ok_or("it has ended")?;
        writeln!(input, "{{ {script} ; }} 2>&1; echo \"END $?\"")?;
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                return Err(format!("the shell ended after: {said}").into());
            }
            if let Some((before, status)) = line.split_once("END ") {
                said.push_str(before);
                return Ok((status.trim().parse()?, said));
            }
            said.push_str(&line);
        }
    }

    /// The script must succeed.
    pub fn ask(&mut self, script: &str) -> Result<String, Failed> {
        match self.ask_for(script)? {
            (0, said) => Ok(said),
            (status, said) => Err(format!("in the container, {script}: {status}\n{said}").into()),
        }
    }

    /// Kills what was started, and waits for its end.
    pub fn kill(&mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// A process of the container, as the host numbers it: the shell.
    pub fn pid(&mut self) -> Result<String, Failed> {
        let namespace = self.ask("readlink /proc/self/ns/mnt")?.trim().to_owned();
        let is_in = |pid: &String| {
            std::fs::read_link(format!("/proc/{pid}/ns/mnt"))
                .is_ok_and(|link| link.to_string_lossy() == namespace)
                && std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "sh")
        };
        let listed = std::fs::read_dir("/proc")?.flatten();
        let mut pids = listed.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(pids.find(is_in).ok_or("no process in its mount namespace")?)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
        for group in &self.groups {
            for _ in 0..100 {
                if std::fs::remove_dir(group).is_ok() || !std::path::Path::new(group).exists() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

/// Namespaces and a cgroup, and nothing else.
pub fn unshared(lab: &Lab) -> Result<Shell, Failed> {
    unshared_as(lab, "plain", "unshare --net")
}

/// The same in the network namespace of a process.
pub fn beside(lab: &Lab, pid: &str) -> Result<Shell, Failed> {
    unshared_as(lab, "beside", &format!("nsenter --net=/proc/{pid}/ns/net unshare"))
}

fn unshared_as(lab: &Lab, group: &str, unshare: &str) -> Result<Shell, Failed> {
    let hierarchy = if lab.cgroup == "v1" { "/sys/fs/cgroup/devices" } else { "/sys/fs/cgroup" };
    let group = format!("{hierarchy}/{group}");
    std::fs::create_dir_all(&group)?;
    if lab.cgroup == "v1" {
        // As engines do.
        std::fs::write(format!("{group}/devices.deny"), "a")?;
        for rule in ["c *:* m", "c 1:* rw", "c 5:* rw", "c 136:* rw"] {
            std::fs::write(format!("{group}/devices.allow"), rule)?;
        }
    }
    let script =
        format!("echo $$ >{group}/cgroup.procs; exec {unshare} --mount --pid --fork --mount-proc sh");
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    Shell::start(command, vec![group])
}

/// One of an OCI runtime's, over the host's root.
pub fn of_runtime(runtime: &str) -> Result<Shell, Failed> {
    let bundle = "/tmp/attach-bundle";
    let script = format!(
        "mkdir -p {bundle}/rootfs && cd {bundle} && {{ mountpoint -q rootfs || mount --bind / rootfs; }} && rm -f config.json && \
         runc spec && jq '.process.terminal=false|.process.args=[\"sh\"]|.root.readonly=true|.linux.cgroupsPath=\"/oci-attach\"' \
         config.json >new && mv new config.json"
    );
    let made = Command::new("sh").args(["-c", &script]).output()?;
    expect(made.status.success(), String::from_utf8_lossy(&made.stderr))?;
    let mut command = Command::new(runtime);
    command.args(["run", "--bundle", bundle, &format!("attach-{runtime}")]);
    Shell::start(command, Vec::new())
}

/// The bundle's root is unmounted again.
pub fn forget_bundle() {
    let _ = Command::new("umount").arg("/tmp/attach-bundle/rootfs").status();
}

/// Of a foreign container on version 1 nothing can refuse RDMA netlink.
pub fn accepting(lab: &Lab) -> &'static [&'static str] {
    if lab.cgroup == "v1" { &["--accept-netlink"] } else { &[] }
}
