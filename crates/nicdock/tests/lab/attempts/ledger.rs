//! The ledger: leases that are torn, made up or from a later time, and what ordinary users can do to it.

use std::fs;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use super::{Attempt, all_is_free, try_each};
use crate::descriptors::AGAIN;
use crate::nicdock::{Running, command, eventually, expect, fail, sleeping, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("no_lease_that_is_torn_or_made_up_gives_a_nic_twice", torn, Lab::is_first),
    ("what_is_no_file_among_the_leases_is_told_and_not_waited_for", odd, Lab::is_first),
    ("an_ordinary_user_neither_changes_nor_holds_up_the_ledger", user, Lab::is_first),
    ("a_nicdock_that_has_ended_and_was_not_waited_for_keeps_no_nic", zombie, Lab::is_first),
];

const LEASES: &str = "/run/nicdock/leases";

/// A container with rxe1, and the file of its lease with what is in it.
struct Scene {
    _running: Running,
    path: String,
    text: String,
}

impl Scene {
    fn new() -> Result<Self, Failed> {
        let running = Running::start("rxe1", &["--netdev", "keep", "--name", "first"], "exec sleep 8320")?;
        let mut files = fs::read_dir(LEASES)?.flatten().map(|entry| entry.path());
        let is_lease = |path: &std::path::PathBuf| path.extension().is_some_and(|kind| kind == "json");
        let path = files.find(is_lease).ok_or("no lease")?.display().to_string();
        let text = fs::read_to_string(&path)?;
        Ok(Self { _running: running, path, text })
    }

    /// The lease with something else in it, and the checksum that belongs to that.
    fn changed(&self, from: &str, to: &str) -> Result<Vec<u8>, Failed> {
        let (_, lease) = self.text.split_once("\"lease\":").ok_or("no lease in it")?;
        let lease = lease.strip_suffix('}').ok_or("no end")?;
        expect(lease.contains(from), format!("no {from} in {lease}"))?;
        let lease = lease.replace(from, to);
        Ok(format!("{{\"checksum\":\"{:08x}\",\"lease\":{lease}}}", crc32(lease.as_bytes())).into_bytes())
    }

    /// While this is the lease nobody gets a NIC; with the old one the container has it as before.
    fn refuses(&self, content: &[u8]) -> Result<(), Failed> {
        fs::write(&self.path, content)?;
        let said = fail(125, &AGAIN);
        fs::write(&self.path, &self.text)?;
        let said = said?;
        expect(said.contains("no NIC is given") && said.len() < 4000, said)
    }
}

/// CRC-32 (IEEE), as a lease has it.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| sum >> 1 ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1));
    !bytes.iter().fold(!0, |sum: u32, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum)))
}

fn torn(_: &Lab) -> Result<(), Failed> {
    let mut scene = Scene::new()?;
    // What is changed below must fail for its content, not for its checksum.
    fs::write(&scene.path, scene.changed("\"schema\":4", "\"schema\":4")?)?;
    expect(succeed(&["leases"])?.contains("first (process"), "a lease with its own checksum is not read")?;
    let attempts: &[Attempt<Scene>] = &[
        ("a lease without content, as after a crash", |scene| scene.refuses(b"")),
        ("a lease of zeroes, as after a crash", |scene| scene.refuses(&vec![0; scene.text.len()])),
        ("the first half of a lease", |scene| scene.refuses(&scene.text.as_bytes()[..scene.text.len() / 2])),
        ("two leases in one file", |scene| scene.refuses(scene.text.repeat(2).as_bytes())),
        ("a lease that is no text", |scene| scene.refuses(&[0xff; 300])),
        ("a lease nested without end", |scene| scene.refuses("[".repeat(1 << 20).as_bytes())),
        ("a lease of a later nicdock's, with its checksum", |scene| {
            scene.refuses(&scene.changed("\"schema\":4", "\"schema\":999")?)
        }),
        ("a lease whose holder is called like a path", |scene| {
            scene.refuses(&scene.changed("\"container\":\"first\"", "\"container\":\"../first\"")?)
        }),
        ("a lease with a number that no process has", |scene| {
            scene.refuses(&scene.changed("\"pid\":", "\"pid\":9999999999")?)
        }),
    ];
    try_each(&mut scene, attempts)?;
    expect(succeed(&["leases"])?.contains("first (process"), "the lease is not as it was")?;
    drop(scene);
    all_is_free()
}

/// Of root's making, as by a wrong script: a command says what is wrong, and neither waits nor reads for ever.
fn odd(_: &Lab) -> Result<(), Failed> {
    fs::create_dir_all(LEASES)?;
    let path = format!("{LEASES}/0000:7f:00.0.json");
    let mut reached = Vec::new();
    for (name, make) in [
        ("a pipe among the leases", "mkfifo"),
        ("a link to a file without end among the leases", "ln -s /dev/zero"),
        ("a folder among the leases", "mkdir"),
        ("a lease larger than memory", "truncate -s 40G"),
        ("a link to itself among the leases", "ln -s 0000:7f:00.0.json"),
    ] {
        crate::host::shell(&format!("{make} {path}"))?;
        for args in [&["leases"][..], &AGAIN, &["reconcile"]] {
            let limited = "ulimit -v 4000000; exec timeout -s KILL 10 nicdock \"$@\"";
            let mut command = Command::new("bash");
            let output = command.args(["-c", limited, "bash"]).args(args).stdin(Stdio::null()).output()?;
            let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
            let ended = output.status.code().is_some_and(|code| code < 126);
            println!("{name}, nicdock {}: {} {}", args[0], output.status, text.trim());
            if !ended || !text.contains("0000:7f:00.0.json") {
                reached.push(format!("attempt '{name}', nicdock {}: {}: {text}", args[0], output.status));
            }
        }
        crate::host::shell(&format!("rm -rf {path} /run/nicdock/broken"))?;
    }
    expect(reached.is_empty(), reached.join("\n"))?;
    all_is_free()
}

/// What an ordinary user may not do: a script each, which must fail. `$F` is the folder of leases, `$L` a lease.
const OF_A_USER: [(&str, &str); 11] = [
    ("the lock is held by an ordinary user", "flock -n $F/.lock true"),
    ("the lock is held by a descriptor that can only read", "exec 9<$F/.lock && flock -n 9"),
    ("a lease is written", "echo x >>$L"),
    ("a lease is removed", "rm -f $L"),
    ("a lease's temporary name is planted", "ln -s /etc/passwd ${L%json}tmp"),
    ("a lease of another NIC is planted", "echo x >$F/0000:7f:00.0.json"),
    ("the folder is exchanged", "mv $F /run/nicdock/other || mv /run/nicdock /run/other"),
    ("a lease is linked elsewhere", "ln $L /run/user-lease"),
    ("a container's environment is read", "grep -rqs hidden-8321 /run/nicdock"),
    ("a socket by which a container is started is found", "find /run/nicdock -type s | grep ."),
    ("the NIC is taken back", "nicdock return first --force"),
];

fn user(_: &Lab) -> Result<(), Failed> {
    let options = ["--netdev", "keep", "--name", "first", "-e", "TOKEN=hidden-8321"];
    let running = Running::start("rxe1", &options, "exec sleep 8321")?;
    let mut reached = Vec::new();
    for (name, script) in OF_A_USER {
        let script = format!("F={LEASES}; L=$(ls $F/*.json); {script}");
        let user = ["--reuid", "1000", "--regid", "1000", "--clear-groups", "sh", "-c", &script];
        let output = Command::new("setpriv").args(user).stdin(Stdio::null()).output()?;
        if output.status.success() {
            reached.push(format!("attempt '{name}': {output:?}"));
        }
    }
    expect(reached.is_empty(), reached.join("\n"))?;
    expect(succeed(&["leases"])?.contains("first (process"), "the lease is not as it was")?;
    drop(running);
    all_is_free()
}

/// As when whoever started it does not care: it has a number still.
fn zombie(_: &Lab) -> Result<(), Failed> {
    let args =
        ["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--name", "gone", "--", "sleep", "8322"];
    let mut child = command(&args).stdin(Stdio::null()).spawn()?;
    eventually("the program runs", || sleeping("8322").is_some())?;
    child.kill()?;
    let stat = format!("/proc/{}/stat", child.id());
    let is_over = || fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "));
    eventually("it has ended", is_over)?;
    let told = succeed(&["reconcile"]);
    let was_over = is_over();
    child.wait()?;
    let told = told?;
    expect(was_over && told.contains("rxe1"), told)?;
    all_is_free()
}
