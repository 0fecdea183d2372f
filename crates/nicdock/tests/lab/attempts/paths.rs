//! Names and paths: of roots, volumes, bundles, containers and interfaces.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;

use super::{Attempt, PYTHON, all_is_free, steers_nothing, try_each};
use crate::nicdock::{Running, command, eventually, expect, nicdock, sleeping, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("no_path_shows_another_place_than_it_says_and_none_holds_up_others", paths, Lab::is_first),
    ("no_name_leads_out_of_where_nicdock_keeps_what_is_called_so", names, Lab::is_first),
];

/// A folder to make things in, and a container whose process is known.
struct Scene {
    folder: tempfile::TempDir,
    program: i32,
}

impl Scene {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

const RUN: [&str; 5] = ["run", "--nic", "rxe1", "--netdev", "keep"];

/// What nicdock says to a command that it must refuse.
fn refused(args: &[&str]) -> Result<String, Failed> {
    let output = nicdock(args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_refused = matches!(output.status.code(), Some(2..=12 | 125));
    expect(is_refused, format!("{args:?}: {}: {text}", output.status))?;
    steers_nothing(&format!("what nicdock says to {args:?}"), &text)?;
    Ok(text)
}

/// The same for a container.
fn refused_to_run(options: &[&str]) -> Result<String, Failed> {
    refused(&[&RUN[..], options, &["--", "/bin/true"]].concat())
}

/// By each of the two ways in which a folder can be shown.
fn refused_as_folder(path: &str) -> Result<(), Failed> {
    refused_to_run(&["--rootfs", path])?;
    refused_to_run(&["--host-root", "-v", &format!("{path}:/shown")]).map(drop)
}

fn paths(_: &Lab) -> Result<(), Failed> {
    let other = Running::start("eth3", &["--name", "other"], "exec sleep 8310")?;
    eventually("the other container's program", || sleeping("8310").is_some())?;
    let mut scene = Scene { folder: tempfile::tempdir()?, program: sleeping("8310").ok_or("no program")? };
    let attempts: &[Attempt<Scene>] = &[
        ("the root, folders and files of another container's process", |scene| {
            for name in ["root", "cwd", "root/tmp", "fd/0"] {
                refused_as_folder(&format!("/proc/{}/{name}", scene.program))?;
            }
            Ok(())
        }),
        ("descriptors of the caller's", |_| descriptors()),
        ("a link of an ordinary user's to a process's root", |scene| {
            let link = scene.at("link");
            symlink(format!("/proc/{}/root", scene.program), &link)?;
            std::os::unix::fs::lchown(&link, Some(1000), Some(1000))?;
            refused_as_folder(&link.display().to_string())
        }),
        ("a pipe, a socket and a node in the place of a folder", odd_files),
        ("links that lead to each other, and paths without an end", endless),
        ("a bundle whose configuration is larger than memory, or nested without end", large),
        ("the host's file systems, mounted below a volume", submounts),
        ("a file system of a user's that never answers", never_answers),
    ];
    try_each(&mut scene, attempts)?;
    drop(other);
    all_is_free()
}

/// Of folders that are not to be shown, and of a file that is nowhere.
fn descriptors() -> Result<(), Failed> {
    let script = "exec 8</run/nicdock 7</dev 6<<<nowhere
        for way in /proc/self/fd /proc/$$/fd /dev/fd; do for n in 8 7 6; do
            nicdock run --nic rxe1 --netdev keep --host-root -v $way/$n:/shown -- true 2>/dev/null && echo shown $way $n
        done; done; true";
    let output = Command::new("bash").args(["-c", script]).output()?;
    expect(output.status.success() && output.stdout.is_empty(), format!("{output:?}"))
}

/// Opening a pipe waits for another end.
fn odd_files(scene: &mut Scene) -> Result<(), Failed> {
    let (pipe, socket, node) = (scene.at("pipe"), scene.at("socket"), scene.at("node"));
    let listener = UnixListener::bind(&socket)?;
    crate::host::shell(&format!("mkfifo {} && mknod {} c 231 192", pipe.display(), node.display()))?;
    for path in [&pipe, &socket, &node] {
        refused_as_folder(&path.display().to_string())?;
    }
    drop(listener);
    Ok(())
}

fn endless(scene: &mut Scene) -> Result<(), Failed> {
    symlink(scene.at("two"), scene.at("one"))?;
    symlink(scene.at("one"), scene.at("two"))?;
    refused_as_folder(&scene.at("one").display().to_string())?;
    refused_as_folder(&format!("/{}", "x/".repeat(3000)))?;
    refused_as_folder(&format!("/tmp/{}", "y".repeat(4000)))?;
    refused_as_folder("")
}

fn large(scene: &mut Scene) -> Result<(), Failed> {
    for (name, make) in [
        ("large", "truncate -s 40G"),
        ("deep", "head -c 3000000 /dev/zero | tr '\\0' '[' | dd status=none of="),
    ] {
        let bundle = scene.at(name);
        fs::create_dir(&bundle)?;
        let space = if make.ends_with('=') { "" } else { " " };
        crate::host::shell(&format!("{make}{space}{}/config.json", bundle.display()))?;
        refused_to_run(&["--bundle", &bundle.display().to_string()])?;
    }
    Ok(())
}

/// What is mounted below a folder does not come along.
fn submounts(scene: &mut Scene) -> Result<(), Failed> {
    let volume = scene.at("volume");
    let shown: Vec<PathBuf> = ["dev", "sys", "state"].map(|name| volume.join(name)).into();
    for (folder, source) in shown.iter().zip(["/dev", "/sys", "/run/nicdock"]) {
        fs::create_dir_all(folder)?;
        crate::host::shell(&format!("mount --bind {source} {}", folder.display()))?;
    }
    let script = "find /shown -mindepth 2 | head -3";
    let volume = format!("{}:/shown", volume.display());
    let said = crate::nicdock::shell(&["--nic", "rxe1", "--netdev", "keep", "-v", &volume], script);
    for folder in &shown {
        crate::host::shell(&format!("umount {}", folder.display()))?;
    }
    let said = said?;
    expect(said.is_empty(), said)
}

/// A process that has a file system of FUSE, an ordinary user's that all may use, and answers nobody. `within`: the process whose mounts it
/// is put among.
pub fn fuse(at: &Path, within: Option<&str>) -> Result<Child, Failed> {
    let program = "import ctypes, os, sys, time
libc = ctypes.CDLL(None)
fd = os.open(\"/dev/fuse\", os.O_RDWR)
if sys.argv[2] and libc.setns(os.open(\"/proc/%s/ns/mnt\" % sys.argv[2], os.O_RDONLY), 0): sys.exit(1)
data = \"fd=%d,rootmode=40000,user_id=1000,group_id=1000,allow_other\" % fd
if libc.mount(b\"never\", sys.argv[1].encode(), b\"fuse\", 0, data.encode()): sys.exit(1)
print(\"mounted\", flush=True)
time.sleep(600)";
    let _ = Command::new("modprobe").arg("fuse").status();
    let mut command = Command::new(PYTHON);
    command.args(["-c", program]).arg(at).arg(within.unwrap_or_default());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut first = [0; 7];
    let said = child.stdout.as_mut().map(|out| std::io::Read::read_exact(out, &mut first));
    expect(matches!(said, Some(Ok(()))), "no file system could be mounted")?;
    Ok(child)
}

/// Whoever names it waits for it, and nobody else.
fn never_answers(scene: &mut Scene) -> Result<(), Failed> {
    let at = scene.at("never");
    fs::create_dir(&at)?;
    let mut server = fuse(&at, None)?;
    let result = [at.clone(), at.join("below")].iter().try_for_each(|path| {
        let volume = format!("{}:/shown", path.display());
        let args = ["run", "--nic", "rxe0", "--netdev", "keep", "--host-root", "-v", &volume, "--", "true"];
        let mut waits = command(&args).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let wchan = format!("/proc/{}/wchan", waits.id());
        let is_asking =
            || fs::read_to_string(&wchan).is_ok_and(|at| at.contains("fuse") || at.contains("request"));
        eventually("it waits for an answer", || is_asking() || matches!(waits.try_wait(), Ok(Some(_))))?;
        let others = succeed(&[&RUN[..], &["--host-root", "--", "true"]].concat());
        waits.kill()?;
        waits.wait()?;
        others.map(drop)
    });
    let _ = Command::new("umount").arg("-l").arg(&at).status();
    server.kill()?;
    server.wait()?;
    result
}

fn names(_: &Lab) -> Result<(), Failed> {
    let attempts: &[Attempt<()>] = &[
        ("a container called like a path, or so that it steers a terminal", |()| containers()),
        ("an interface called like a path, a template or the settings of all", |()| interfaces()),
        ("a volume at a place that is nicdock's to fill", |()| places()),
        ("a root and a bundle called so that they steer a terminal", |()| {
            ["/tmp/\u{1b}[2J", "/tmp/\u{9b}2J", "/tmp/a\rb", "/tmp/a\nb"].iter().try_for_each(|name| {
                refused_to_run(&["--rootfs", name])?;
                refused_to_run(&["--bundle", name]).map(drop)
            })
        }),
        ("a path in the place of a container to join, detach or end", |()| {
            ["../first", "/proc/1", "\u{1b}[2J"].iter().try_for_each(|name| {
                refused(&["run", "--join", name, "--host-root", "--", "true"])?;
                refused(&["attach", "--container", name, "--nic", "eth3"])?;
                refused(&["detach", name])?;
                refused(&["return", name, "--force"]).map(drop)
            })
        }),
    ];
    try_each(&mut (), attempts)
}

fn containers() -> Result<(), Failed> {
    let long = "x".repeat(65);
    for name in ["", ".", "..", "../x", "a/b", ".lock", "-x", "a\nb", "a b", "\u{1b}[2J", "ä", "a%n", &long]
    {
        refused_to_run(&["--host-root", &format!("--name={name}")])?;
    }
    Ok(())
}

/// `all` and `default` are folders of settings, beside those of interfaces (/proc/sys/net/ipv4/conf).
fn interfaces() -> Result<(), Failed> {
    let names = [
        "",
        ".",
        "..",
        "a/b",
        "a:1",
        "eth%d",
        "lo",
        "a b",
        "\u{1b}[2J",
        "sixteen-letters.",
        "all",
        "default",
    ];
    for name in names {
        let name = format!("--as={name}");
        refused(&["run", "--nic", "eth3", &name, "--host-root", "--", "true"])?;
    }
    all_is_free()
}

fn places() -> Result<(), Failed> {
    for at in [
        "/",
        "/proc",
        "/proc/sys",
        "/sys/class",
        "/dev",
        "/dev/infiniband",
        "/./dev",
        "//dev",
        "/x/../dev",
        "relative",
    ] {
        refused_to_run(&["--host-root", "-v", &format!("/usr:{at}")])?;
    }
    Ok(())
}
