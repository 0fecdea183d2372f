//! Who has a descriptor of a NIC's node, in whatever table, is found before the NIC is given to the next.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::descriptors::{AGAIN, FOLDER, lease};
use crate::nicdock::{Running, command, eventually, expect, fail, nicdock, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_descriptor_in_a_threads_own_table_keeps_a_nic", in_a_thread, Lab::is_oldest_or_newest),
    (
        "a_descriptor_of_a_process_without_its_first_thread_keeps_a_nic",
        without_first,
        Lab::is_oldest_or_newest,
    ),
    ("a_node_that_a_threads_own_table_has_open_is_in_use", in_use, Lab::is_first),
    ("limit_a_descriptor_that_nobody_has_received_does_not_keep_a_nic", unread, Lab::is_first),
    ("a_soft_device_is_made_again_when_the_old_one_is_closed", remade, moves),
];

fn moves(lab: &Lab) -> bool {
    lab.is_first_of_its_kernel() && lab.moves_soft_roce()
}

/// A process of an ordinary user's on the host, which listens at `/passing/NAME` of a container.
pub struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
    folder: &'static str,
}

impl Holder {
    /// See `probe/hold.rs`.
    pub fn start(place: &str, name: &str) -> Result<Self, Failed> {
        Self::start_in(FOLDER, place, name)
    }

    /// The same at another place on the host.
    pub fn start_in(folder: &'static str, place: &str, name: &str) -> Result<Self, Failed> {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))?;
        let path = format!("{folder}/{name}");
        let _ = std::fs::remove_file(&path);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--probe", "hold", place, &path]).uid(1000).gid(1000);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut this = Self { child, output, folder };
        this.hears("listening")?;
        Ok(this)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn answer(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn hears(&mut self, wanted: &str) -> Result<(), Failed> {
        let answer = self.answer()?;
        expect(answer == wanted, format!("the holder says '{answer}', not '{wanted}'"))
    }

    pub fn does(&mut self, what: &str, answer: &str) -> Result<(), Failed> {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{what}")?;
        self.hears(answer)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(self.folder);
    }
}

/// The options of a container, and the program, that passes something out by these sockets.
pub fn passes(what: &str, names: &[&str]) -> Result<(String, String), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let paths: Vec<String> = names.iter().map(|name| format!("/passing/{name}")).collect();
    Ok((format!("{FOLDER}:/passing"), format!("{this} --probe pass {what} {}", paths.join(" "))))
}

/// A container with rxe1 passes its node's descriptor, by which nobody has got a context, and ends.
fn pass(holder: &mut Holder, receives: bool, left_open: &str) -> Result<(), Failed> {
    let (volume, script) = passes("node", &["socket"])?;
    let mut args = AGAIN[..6].to_vec();
    args.extend(["--name", "passing", "-v", &volume, "--", "sh", "-c", &script]);
    let child = command(&args).env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).spawn();
    let mut child = child?;
    if receives {
        holder.does("receive", "has")?;
    }
    let status = child.wait()?;
    expect(status.success(), format!("the container that passes: {status}"))
}

/// The next container has the NIC, and so has the holder.
pub fn reaches_it(holder: &mut Holder) -> Result<(), Failed> {
    expect(lease()?.is_null(), "the NIC is not given again")?;
    let next = Running::start("rxe1", &["--netdev", "keep"], "sleep 600")?;
    holder.does("context", "context")?;
    drop(next);
    // By now the kernel counts a context.
    expect(lease()?["state"] == "draining", lease()?)
}

fn hidden(place: &str) -> Result<(), Failed> {
    for left_open in ["thread-tables", ""] {
        let mut holder = Holder::start(place, "socket")?;
        pass(&mut holder, true, left_open)?;
        if left_open.is_empty() {
            let lease = lease()?;
            expect(lease["draining"][0]["process"]["pid"] == holder.pid(), &lease)?;
            let said = fail(125, &AGAIN)?;
            expect(said.contains(&format!("process {} ", holder.pid())), said)?;
        } else {
            reaches_it(&mut holder)?;
        }
        drop(holder);
        eventually("nobody has it any more", || nicdock(&["reconcile"]).status.success())?;
    }
    succeed(&AGAIN).map(drop)
}

fn in_a_thread(_: &Lab) -> Result<(), Failed> {
    hidden("thread")
}

fn without_first(_: &Lab) -> Result<(), Failed> {
    hidden("orphan")
}

fn in_use(_: &Lab) -> Result<(), Failed> {
    let mut holder = Holder::start("thread", "socket")?;
    holder.does("open /dev/infiniband/uverbs1", "has")?;
    let listed = |left_open: &str| -> Result<String, Failed> {
        let output = command(&["ls", "--json"]).env("NICDOCK_LEAVE_OPEN", left_open).output()?;
        let listing: Value = serde_json::from_slice(&output.stdout)?;
        let nics = listing["nics"].as_array().ok_or("no list")?;
        let nic = nics.iter().find(|nic| nic["name"] == "rxe1").ok_or("no rxe1")?;
        Ok(nic["in_use"].to_string())
    };
    let pid = holder.pid().to_string();
    let (before, now) = (listed("thread-tables")?, listed("")?);
    expect(!before.contains(&pid), before)?;
    expect(now.contains(&pid), now)?;
    let said = fail(125, &AGAIN)?;
    expect(said.contains(&pid), said)
}

fn unread(_: &Lab) -> Result<(), Failed> {
    let mut holder = Holder::start("process", "socket")?;
    pass(&mut holder, false, "")?;
    expect(lease()?.is_null(), "the limit is none: documentation says that it is")?;
    let next = Running::start("rxe1", &["--netdev", "keep"], "sleep 600")?;
    holder.does("receive", "has")?;
    holder.does("context", "context")?;
    drop(next);
    // From then on it is seen.
    let lease = lease()?;
    expect(lease["draining"][0]["process"]["pid"] == holder.pid(), &lease)?;
    drop(holder);
    eventually("nobody has it any more", || nicdock(&["reconcile"]).status.success())
}

pub fn rdma(words: &str) -> bool {
    Command::new("rdma").args(words.split(' ')).output().is_ok_and(|output| output.status.success())
}

fn remade(_: &Lab) -> Result<(), Failed> {
    for left_open in ["remade-device", ""] {
        let mut holder = Holder::start("process", "socket")?;
        let (volume, script) = passes("node", &["socket"])?;
        let mut command =
            command(&["run", "--nic", "rxe1", "--host-root", "-v", &volume, "--", "sh", "-c", &script]);
        command.env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn()?;
        holder.does("receive", "has")?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(!rdma("link show rxe1/1"), "it is there although its old one is open")?;
        if left_open.is_empty() {
            expect(output.status.code() == Some(125), format!("{}: {said}", output.status))?;
            let pid = format!("process {} ", holder.pid());
            expect(said.contains("the old device is still there") && said.contains(&pid), said)?;
            expect(lease()?["state"] == "stuck", lease()?)?;
            let begin = std::time::Instant::now();
            let said = fail(9, &["reconcile"])?;
            println!("tried again in {:.1?}", begin.elapsed());
            expect(said.contains(&pid), said)?;
            let said = fail(125, &["run", "--nic", "rxe1", "--host-root", "--", "true"])?;
            expect(said.contains("has left"), said)?;
            drop(holder);
            eventually("it is made again", || nicdock(&["reconcile"]).status.success())?;
        } else {
            // As if nothing were lacking, and nothing makes it again.
            expect(output.status.success() && lease()?.is_null(), format!("{}: {said}", output.status))?;
            drop(holder);
            succeed(&["reconcile"])?;
            expect(!rdma("link show rxe1/1"), "it is there although nothing makes it")?;
            eventually("the old one has gone", || rdma("link add rxe1 type rxe netdev eth1"))?;
        }
    }
    Ok(())
}
