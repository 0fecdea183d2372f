//! Another user owns a bundle, or folders above a root and a volume, and leads their names elsewhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;

use crate::lifecycle::kill;
use crate::nicdock::{command, eventually, expect, fail, nicdock, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_folder_exchanged_after_the_check_is_not_used", exchanged, Lab::is_oldest_or_newest),
    ("folders_exchanged_all_the_time_never_lead_to_the_host", exchanged_all_the_time, Lab::is_first),
    ("a_users_link_leads_to_that_users_own_files_only", links, Lab::is_first),
    ("a_bundles_link_is_named_and_not_followed", bundle_link, Lab::is_first),
    ("what_read_only_does_not_stop_needs_bundle_binds", daemon, Lab::is_first),
    ("no_other_name_shows_devices_or_nicdocks_state", other_names, Lab::is_first),
    (
        "a_set_user_id_file_of_a_containers_root_is_roots_for_whoever_reaches_it_on_the_host",
        set_user_id,
        Lab::is_first,
    ),
];

const USER: u32 = 1000;

/// What a program writes, as root of its container, and where the host's folder or the user's have it then.
const WRITE: &str = "echo x >/written; echo x >/data/written";

/// A bundle of an ordinary user's, with a link to a folder of root's beside its root and one beside its data.
struct Scene {
    folder: tempfile::TempDir,
    host: tempfile::TempDir,
}

impl Scene {
    fn new() -> Result<Self, Failed> {
        let this = Self { folder: tempfile::tempdir()?, host: tempfile::tempdir()? };
        let shell = |root: &Path| -> std::io::Result<()> {
            fs::create_dir_all(root.join("bin"))?;
            fs::copy("/bin/busybox", root.join("bin/sh")).map(drop)
        };
        for root in [this.at("rootfs"), this.host.path().join("root")] {
            shell(&root)?;
        }
        for folder in [this.at("data"), this.host.path().join("data")] {
            fs::create_dir(folder)?;
        }
        symlink(this.host.path().join("root"), this.at("other-root"))?;
        symlink(this.host.path().join("data"), this.at("other-data"))?;
        let mount =
            r#"{"destination": "/data", "type": "bind", "source": "data", "options": ["bind", "rw"]}"#;
        fs::write(this.at("config.json"), config("rootfs", mount, &["/bin/sh", "-c", WRITE]))?;
        for name in ["", "rootfs", "data", "config.json", "other-root", "other-data"] {
            lchown(this.at(name), Some(USER), Some(USER))?;
        }
        fs::set_permissions(this.folder.path(), fs::Permissions::from_mode(0o755))?;
        Ok(this)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// Once, by the user.
    fn exchange(&self) -> Result<(), Failed> {
        for name in ["root", "data"] {
            let status = self.exchanging(name, &[])?.status()?;
            expect(status.success(), "the user could not exchange")?;
        }
        Ok(())
    }

    fn exchanging(&self, name: &str, more: &[&str]) -> Result<Command, Failed> {
        let one = if name == "root" { "rootfs" } else { name };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--probe", "exchange", &self.text(one), &self.text(&format!("other-{name}"))]);
        command.args(more).uid(USER).gid(USER);
        Ok(command)
    }

    /// The same root and data, by the bundle and by the command line.
    fn ways(&self) -> [Vec<String>; 2] {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let volume = format!("{}:/data", self.text("data"));
        let named = ["--rootfs", &self.text("rootfs"), "-v", &volume, "--", "/bin/sh", "-c", WRITE];
        [words(&["--bundle", &self.text("")]), words(&named)]
    }

    /// What was written to the host's folders, of `root` and `data`.
    fn reached(&self) -> Vec<&'static str> {
        let written = |name: &&str| {
            let file = self.host.path().join(name).join("written");
            file.exists() && fs::remove_file(file).is_ok()
        };
        ["root", "data"].into_iter().filter(written).collect()
    }
}

fn config(root: &str, mounts: &str, args: &[&str]) -> String {
    format!(
        r#"{{"ociVersion": "1.0.2", "root": {{"path": "{root}"}}, "mounts": [{mounts}],
            "process": {{"args": {args:?}, "cwd": "/", "user": {{"uid": 0, "gid": 0}}, "env": []}}}}"#
    )
}

/// nicdock is stopped when it has looked and leased and before it mounts; then the user exchanges the folders.
fn stopped_meanwhile(
    which: &[&str],
    scene: &Scene,
    way: &[String],
    left_open: &str,
) -> Result<Output, Failed> {
    let mut command = command(&[&["run"], which].concat());
    let step = if which.contains(&"--join") { "join" } else { "reserve" };
    command.env("NICDOCK_FAIL_AT", format!("{step}.begun=stop"));
    command.args(way).env("NICDOCK_LEAVE_OPEN", left_open);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let status = format!("/proc/{}/stat", child.id());
    let state = || fs::read_to_string(&status).unwrap_or_default();
    let ended_or = |state: &str, wanted: &str| state.contains(wanted) || state.contains(") Z ");
    eventually("nicdock stops", || ended_or(&state(), ") T "))?;
    let exchanged = scene.exchange();
    let _ = kill(i32::try_from(child.id())?, "CONT");
    let output = child.wait_with_output()?;
    exchanged?;
    scene.exchange()?;
    Ok(output)
}

fn exchanged(_: &Lab) -> Result<(), Failed> {
    exchanged_in(&["--nic", "eth3"])
}

/// By name the host's folders are reached, and by what was opened once none.
pub fn exchanged_in(which: &[&str]) -> Result<(), Failed> {
    let scene = Scene::new()?;
    for way in scene.ways() {
        let output = stopped_meanwhile(which, &scene, &way, "opened-once")?;
        let reached = scene.reached();
        expect(reached == ["root", "data"], format!("{way:?}, by name: only {reached:?}: {output:?}"))?;
        let output = stopped_meanwhile(which, &scene, &way, "")?;
        let reached = scene.reached();
        expect(reached.is_empty(), format!("{way:?}: reached {reached:?}: {output:?}"))?;
        // What was looked at is what was used.
        for name in ["rootfs/written", "data/written"] {
            fs::remove_file(scene.at(name)).map_err(|e| format!("{way:?}: {name}: {e}: {output:?}"))?;
        }
    }
    Ok(())
}

fn exchanged_all_the_time(_: &Lab) -> Result<(), Failed> {
    let scene = Scene::new()?;
    let mut users = Vec::new();
    for name in ["root", "data"] {
        users.push(scene.exchanging(name, &["for-ever"])?.spawn()?);
    }
    let mut ran = 0;
    let result = (0..8).try_for_each(|round| {
        let way = &scene.ways()[round % 2];
        let words: Vec<&str> = way.iter().map(String::as_str).collect();
        let output = nicdock(&[&["run", "--nic", "eth3"], &words[..]].concat());
        let reached = scene.reached();
        ran += usize::from(output.status.success());
        println!("round {round}: {}", String::from_utf8_lossy(&output.stderr).trim());
        let refused = output.status.code() == Some(125) && output.stderr.len() > 10;
        expect(reached.is_empty(), format!("{way:?}: reached {reached:?}"))?;
        expect(refused || output.status.success(), format!("{way:?}: {output:?}"))
    });
    for user in &mut users {
        expect(user.try_wait()?.is_none(), "the user has given up")?;
        user.kill()?;
        user.wait()?;
    }
    println!("{ran} of 8 ran, the others were refused");
    result
}

fn links(_: &Lab) -> Result<(), Failed> {
    let scene = Scene::new()?;
    let volume = format!("{}:/data", scene.text("other-data"));
    let args = |root: &str| {
        let root = scene.text(root);
        ["run", "--nic", "eth3", "--rootfs", &root, "-v", &volume, "--", "/bin/sh", "-c", WRITE]
            .map(str::to_owned)
    };
    for root in ["rootfs", "other-root"] {
        let args = args(root);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let text = fail(125, &args)?;
        expect(text.contains("symbolic link of user 1000"), text)?;
    }
    let text = fail(125, &["run", "--nic", "eth3", "--bundle", &scene.text("other-root")])?;
    expect(text.contains("symbolic link of user 1000"), text)?;
    expect(scene.reached().is_empty(), "a refused command wrote")?;
    let output = command(&args("other-root").each_ref().map(String::as_str))
        .env("NICDOCK_LEAVE_OPEN", "foreign-links")
        .output()?;
    let reached = scene.reached();
    expect(reached == ["root", "data"], format!("links followed anywhere reached {reached:?}: {output:?}"))?;
    // To the user's own, and root's link to anything, unless the user could exchange that one.
    let linked = |at: &Path, target: &Path, owner: u32| -> Result<Output, Failed> {
        let _ = fs::remove_file(at);
        symlink(target, at)?;
        lchown(at, Some(owner), None)?;
        let volume = format!("{}:/data", at.display());
        let root = scene.text("rootfs");
        Ok(nicdock(&["run", "--nic", "eth3", "--rootfs", &root, "-v", &volume, "--", "/bin/sh", "-c", WRITE]))
    };
    let (of_user, of_host) = (scene.at("data"), scene.host.path().join("data"));
    for (at, target, owner) in
        [(scene.at("other-data"), &of_user, USER), (scene.host.path().join("link"), &of_host, 0)]
    {
        let output = linked(&at, target, owner)?;
        expect(target.join("written").exists(), format!("{}: {output:?}", target.display()))?;
        fs::remove_file(target.join("written"))?;
        let volume = format!("{}:/data", at.display());
        let text = succeed(&["plan", "--nic", "eth3", "--host-root", "-v", &volume, "--", "true"])?;
        let shown = format!("show {} on /data, WRITABLE", target.display());
        expect(text.contains(&shown), format!("no '{shown}' in {text}"))?;
    }
    let output = linked(&scene.at("other-data"), &of_host, 0)?;
    let text = String::from_utf8_lossy(&output.stderr);
    let refused = output.status.code() == Some(125) && text.contains("in a folder of user 1000");
    expect(refused && scene.reached().is_empty(), text)
}

fn bundle_link(_: &Lab) -> Result<(), Failed> {
    let scene = Scene::new()?;
    let folder = scene.text("");
    let bind = |source: &str| {
        format!(
            r#"{{"destination": "/data", "type": "bind", "source": "{source}", "options": ["bind", "ro"]}}"#
        )
    };
    let own = format!("{folder}other-data");
    for (root, mounts, link, advice) in [
        ("other-root", String::new(), "other-root", "--rootfs"),
        ("other-root/bin", String::new(), "other-root", "--rootfs"),
        ("rootfs", bind("other-data"), "other-data", "-v"),
        ("rootfs", bind(&own), "other-data", "-v"),
    ] {
        fs::write(scene.at("config.json"), config(root, &mounts, &["/bin/sh", "-c", "true"]))?;
        for (command, status) in [("plan", 12), ("run", 125)] {
            let text = fail(status, &[command, "--nic", "eth3", "--bundle", &folder])?;
            let named = text.contains(&format!("{folder}{link} is a symbolic link"));
            expect(named && text.contains(advice), text)?;
        }
    }
    fs::rename(scene.at("config.json"), scene.at("other.json"))?;
    symlink("other.json", scene.at("config.json"))?;
    fail(125, &["run", "--nic", "eth3", "--bundle", &folder]).map(drop)
}

fn daemon(_: &Lab) -> Result<(), Failed> {
    daemon_in(&["--nic", "eth3"])
}

/// A daemon's socket in a folder that is bound read-only.
pub fn daemon_in(which: &[&str]) -> Result<(), Failed> {
    let scene = Scene::new()?;
    let outside = tempfile::tempdir()?;
    let listener = UnixListener::bind(outside.path().join("socket"))?;
    listener.set_nonblocking(true)?;
    let this = std::env::current_exe()?.display().to_string();
    let bind = |source: &str, destination: &str| {
        format!(
            r#"{{"destination": "{destination}", "type": "bind", "source": "{source}", "options": ["rbind", "rw"]}}"#
        )
    };
    let mut mounts: Vec<String> = ["/usr", "/lib", "/lib64"].map(|name| bind(name, name)).into();
    mounts.push(bind(&this, "/probe"));
    mounts.push(bind(&outside.path().display().to_string(), "/daemon"));
    let args = ["/probe", "--probe", "connect", "/daemon/socket"];
    fs::write(scene.at("config.json"), config("rootfs", &mounts.join(","), &args))?;
    let folder = scene.text("");
    let run = [&["run"], which, &["--bundle", &folder]].concat();
    let text = fail(125, &run)?;
    let named = text.contains(&format!("{} on /daemon", outside.path().display()));
    expect(named && text.contains("--bundle-binds") && listener.accept().is_err(), text)?;
    let output = nicdock(&[&run[..], &["--bundle-binds"]].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let connected = output.stdout == b"open\n" && listener.accept().is_ok();
    expect(connected && text.contains("connecting to a daemon's socket"), format!("{output:?}"))?;
    // Files are read-only, all the same.
    fs::write(
        scene.at("config.json"),
        config("rootfs", &mounts.join(","), &["/bin/sh", "-c", "echo >/daemon/x"]),
    )?;
    let output = nicdock(&[&run[..], &["--bundle-binds"]].concat());
    expect(!output.status.success() && !outside.path().join("x").exists(), format!("{output:?}"))?;
    expect(fail(2, &["run", "--nic", "eth3", "--host-root", "--bundle-binds", "--", "true"]).is_ok(), "alone")
}

/// A mount of it elsewhere has another path.
fn other_names(_: &Lab) -> Result<(), Failed> {
    let state = Path::new("/run/nicdock/leases");
    fs::create_dir_all(state)?;
    let place = tempfile::tempdir()?;
    chown(place.path(), Some(0), Some(0))?;
    let named = place.path().display().to_string();
    for (source, word) in
        [("/run", "state"), ("/run/nicdock/leases", "state"), ("/dev", "devtmpfs"), ("/proc", "proc")]
    {
        if source.ends_with("leases") {
            crate::upsets::run(&format!("mount --bind {source} {named}"))?;
            let volume = format!("{named}:/data");
            let mut run = crate::nicdock::command(&["run", "--nic", "eth3", "--host-root", "-v", &volume]);
            let output = run.env("NICDOCK_LEAVE_OPEN", "places").args(["--", "ls", "/data"]).output();
            crate::upsets::run(&format!("umount {named}"))?;
            let output = output?;
            let shown = String::from_utf8_lossy(&output.stdout).contains(".json");
            expect(shown, format!("the attack failed although places are not looked at: {output:?}"))?;
        }
        crate::upsets::run(&format!("mount --bind {source} {named}"))?;
        let volume = format!("{named}:/data");
        let texts = [
            fail(125, &["run", "--nic", "eth3", "--host-root", "-v", &volume, "--", "true"]),
            fail(125, &["run", "--nic", "eth3", "--rootfs", &named, "--", "true"]),
        ];
        crate::upsets::run(&format!("umount {named}"))?;
        for text in texts {
            let text = text?;
            expect(text.contains(&named) && text.contains(word), format!("{source}: {text}"))?;
        }
    }
    Ok(())
}

/// A limit: nicdock does not keep a program from making such a file, which a package manager does.
fn set_user_id(_: &Lab) -> Result<(), Failed> {
    let scene = Scene::new()?;
    let secret = scene.host.path().join("secret");
    fs::write(&secret, "secret")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    for (from, to) in [("busybox", "chown"), ("busybox", "chmod"), ("cat", "read")] {
        fs::copy(Path::new("/bin").join(from), scene.at("rootfs/bin").join(to))?;
    }
    fs::set_permissions(scene.host.path(), fs::Permissions::from_mode(0o711))?;
    let program = scene.at("rootfs/bin/read");
    let reads = || -> Result<bool, Failed> {
        Ok(Command::new(&program)
            .arg(&secret)
            .uid(USER)
            .gid(USER)
            .output()
            .is_ok_and(|o| o.stdout == b"secret"))
    };
    expect(!reads()?, "the user reads root's file anyway")?;
    let make = "chown 0:0 /bin/read && chmod 4755 /bin/read";
    let root = scene.text("rootfs");
    succeed(&["run", "--nic", "eth3", "--rootfs", &root, "--", "/bin/sh", "-c", make])?;
    expect(reads()?, "it is not root's on the host: say so in docs/isolation.md")?;
    // As it says there.
    chown(scene.folder.path(), Some(0), Some(0))?;
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o700))?;
    expect(!reads()?, "a folder that only root can enter does not help")
}
