//! Running nicdock as a user does.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new("nicdock");
    command.args(args);
    command
}

pub fn nicdock(args: &[&str]) -> Output {
    command(args).stdin(Stdio::null()).output().expect("nicdock is in PATH in the lab")
}

/// Runs nicdock, which must succeed; gives its standard output.
pub fn succeed(args: &[&str]) -> Result<String, Failed> {
    let output = nicdock(args);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "nicdock {args:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// Runs a shell's script in a container over the host's root, which must succeed; gives its standard output.
pub fn shell(options: &[&str], script: &str) -> Result<String, Failed> {
    succeed(&[&["run", "--host-root"], options, &["--", "sh", "-c", script]].concat())
}

/// Runs nicdock, which must end with `status`; gives its standard error.
pub fn fail(status: i32, args: &[&str]) -> Result<String, Failed> {
    let output = nicdock(args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(status) {
        return Ok(text);
    }
    Err(format!("nicdock {args:?}: {} instead of {status}\n{text}", output.status).into())
}

/// A container that runs until its script ends; ended, and its NIC given back, when this is dropped.
pub struct Running(pub Child);

impl Running {
    /// Starts a container and waits until its program runs.
    pub fn start(nic: &str, more: &[&str], script: &str) -> Result<Self, Failed> {
        Self::with(&[&["--nic", nic], more].concat(), script)
    }

    /// The same, with whatever says which NIC.
    pub fn with(options: &[&str], script: &str) -> Result<Self, Failed> {
        let script = format!("echo ready; {script}");
        let mut args = vec!["run", "--host-root"];
        args.extend(options);
        args.extend(["--", "sh", "-c", &script]);
        let mut this = Self(command(&args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        this.says("ready")?;
        Ok(this)
    }

    /// The same, with standard error to be read.
    pub fn with_errors(options: &[&str], script: &str) -> Result<Self, Failed> {
        let mut args = vec!["run", "--host-root"];
        args.extend(options);
        args.extend(["--", "sh", "-c", script]);
        Ok(Self(command(&args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?))
    }

    /// Waits for a line of its program's.
    pub fn says(&mut self, wanted: &str) -> Result<(), Failed> {
        let before = self.says_until(wanted)?;
        expect(before.is_empty(), format!("it says '{before}', not '{wanted}'"))
    }

    /// The lines of its program's before this one.
    pub fn says_until(&mut self, wanted: &str) -> Result<String, Failed> {
        let output = self.0.stdout.as_mut().ok_or("piped")?;
        let mut before = String::new();
        loop {
            // No more than the line, which leaves the next one for the next call.
            let bytes =
                std::io::Read::bytes(&mut *output).map_while(Result::ok).take_while(|byte| *byte != b'\n');
            let line = String::from_utf8(bytes.collect())?;
            if line.trim() == wanted {
                return Ok(before);
            }
            expect(!line.is_empty(), format!("it ended before '{wanted}': {before}"))?;
            before.push_str(&line);
            before.push('\n');
        }
    }

    /// The exit status of nicdock.
    pub fn wait(mut self) -> Result<Option<i32>, Failed> {
        Ok(self.0.wait()?.code())
    }

    /// The exit status of nicdock, and what it said.
    pub fn output(mut self) -> Result<Output, Failed> {
        let mut stderr = Vec::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            std::io::Read::read_to_end(&mut pipe, &mut stderr)?;
        }
        Ok(Output { status: self.0.wait()?, stdout: Vec::new(), stderr })
    }

    /// Sends a signal to the container's first process, whose command line has `part`.
    pub fn signal(&self, signal: &str, part: &str) -> Result<(), Failed> {
        let has = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(part))
        };
        let pid = children(self.0.id()).into_iter().find(has).ok_or("no such process")?;
        crate::lifecycle::kill(pid, signal)
    }

    /// Kills nicdock itself, as nothing can be caught of.
    pub fn kill_supervisor(&mut self) -> Result<(), Failed> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
            nicdock(&["reconcile"]);
        }
    }
}

/// The children of a process, by its number, as its first thread has them; none of one that has ended.
pub fn children(parent: impl std::fmt::Display) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> Result<(), Failed> {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() > Duration::from_secs(30) {
            return Err(format!("not within 30 s: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

pub fn expect(condition: bool, what: impl std::fmt::Display) -> Result<(), Failed> {
    if condition { Ok(()) } else { Err(what.to_string().into()) }
}

/// Lines and words of a listing, sorted.
pub fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words
}

/// The process of a container's program, `sleep ARGUMENT`, by an argument that no other has.
pub fn sleeping(argument: &str) -> Option<i32> {
    let wanted = format!("sleep\0{argument}\0");
    let entries = std::fs::read_dir("/proc").ok()?;
    let mut pids = entries.filter_map(|e| e.ok()?.file_name().to_string_lossy().parse::<i32>().ok());
    pids.find(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes()))
}
