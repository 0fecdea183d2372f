//! Programs and root file systems that mean ill.

use std::os::unix::fs::symlink;
use std::path::Path;

use libtest_mimic::Failed;

use crate::nicdock::{expect, fail, nicdock, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_program_makes_no_namespace_and_mounts_nothing", namespaces, Lab::is_first_of_its_kernel),
    ("home_is_never_looked_up_in_the_root", home, Lab::is_first),
    ("the_callers_other_descriptors_stay_outside", descriptors, Lab::is_first),
    ("cgroups_that_a_program_nests_are_ended_too", nested, Lab::is_first_of_its_kernel),
    ("a_container_may_be_called_like_a_cgroups_file", odd_name, Lab::is_first_of_its_kernel),
    ("a_link_in_the_root_leads_no_volume_astray", linked_volume, Lab::is_first),
    ("the_hosts_root_and_nicdocks_state_are_no_roots", roots, Lab::is_first),
    ("a_bundle_writes_to_nothing_outside_of_it", bundle, Lab::is_first),
    ("the_plan_shows_the_root_and_every_volume", shown, Lab::is_first),
];

const RUN: [&str; 4] = ["run", "--nic", "eth3", "--host-root"];

fn namespaces(_: &Lab) -> Result<(), Failed> {
    for script in [
        "unshare -Ur true",
        "unshare -m true",
        "mount -t tmpfs none /mnt",
        "umount /sys",
        "nsenter -t 1 -n true",
        "dmesg",
    ] {
        let output = nicdock(&[&RUN[..], &["--", "sh", "-c", script]].concat());
        let code = output.status.code();
        expect(code.is_some_and(|code| code != 0 && code != 125), format!("{script}: {output:?}"))?;
    }
    succeed(&[&RUN[..], &["--", "sh", "-c", "(true) & wait"]].concat()).map(drop)
}

/// getpwuid(3) would load the root's name service modules before anything is closed.
fn home(_: &Lab) -> Result<(), Failed> {
    for (options, expected) in [
        (&[][..], "/root\n"),
        (&["-e", "HOME="], "/root\n"),
        (&["-e", "HOME=/data"], "/data\n"),
        (&["--user", "1000"], "/\n"),
    ] {
        let text = succeed(&[&RUN[..], options, &["--", "sh", "-c", "echo $HOME"]].concat())?;
        expect(text == expected, format!("{options:?}: {text}"))?;
    }
    Ok(())
}

fn descriptors(_: &Lab) -> Result<(), Failed> {
    let script = "LISTEN_FDS=5 LISTEN_PID=$$ exec nicdock run --nic eth3 --host-root -- ls /proc/self/fd 5</sys/class/net";
    let output = std::process::Command::new("sh").args(["-c", script]).output()?;
    expect(output.stdout == b"0\n1\n2\n3\n", format!("{output:?}"))
}

fn nested(_: &Lab) -> Result<(), Failed> {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        // Version 1 shows a container no cgroup file system that it could nest in.
        return Ok(());
    }
    let script = "mount -t cgroup2 none /mnt && mkdir -p /mnt/a/b && (sleep 90040 & echo $! >/mnt/a/b/cgroup.procs); exit 3";
    let args = [&RUN[..], &["--cap-add", "SYS_ADMIN", "--weaken", "--", "sh", "-c", script]].concat();
    fail(3, &args).map(drop)
}

fn odd_name(_: &Lab) -> Result<(), Failed> {
    for name in ["cgroup.procs", "tasks"] {
        succeed(&[&RUN[..], &["--name", name, "--", "true"]].concat())?;
    }
    Ok(())
}

/// A root with a shell, and whatever else `with` makes.
fn root(with: impl Fn(&Path) -> std::io::Result<()>) -> Result<tempfile::TempDir, Failed> {
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("bin"))?;
    std::fs::copy("/bin/busybox", root.path().join("bin/sh"))?;
    with(root.path())?;
    Ok(root)
}

fn linked_volume(_: &Lab) -> Result<(), Failed> {
    let volume = tempfile::tempdir()?;
    let volume_text = format!("{}:/data/inner", volume.path().display());
    for target in ["/sys", "/proc", "/dev", "/", "bin"] {
        let root = root(|root| symlink(target, root.join("data")))?;
        let root_text = root.path().display().to_string();
        let text = fail(
            125,
            &[
                "run",
                "--nic",
                "eth3",
                "--rootfs",
                &root_text,
                "-v",
                &volume_text,
                "--",
                "/bin/sh",
                "-c",
                "true",
            ],
        )?;
        expect(text.contains("/data/inner") && text.contains("link"), text)?;
        expect(volume.path().read_dir()?.next().is_none(), "something was written to the volume")?;
    }
    Ok(())
}

fn roots(_: &Lab) -> Result<(), Failed> {
    for root in ["/", "/run", "/run/nicdock"] {
        let text = fail(125, &["run", "--nic", "eth3", "--rootfs", root, "--", "true"])?;
        expect(text.contains(root) && text.contains("state"), text)?;
    }
    Ok(())
}

/// A bundle with this root and these mounts, whose program tries to write to /data.
fn with_bundle(options: &[&str], root_path: &str, mounts: &str) -> Result<(i32, String), Failed> {
    let bundle = root(|_| Ok(()))?;
    std::fs::create_dir(bundle.path().join("own"))?;
    let config = format!(
        r#"{{"ociVersion": "1.0.2", "root": {{"path": "{root_path}"}}, "mounts": [{mounts}],
            "process": {{"args": ["/bin/sh", "-c", "echo >/data/written"], "cwd": "/", "user": {{"uid": 0, "gid": 0}}, "env": []}}}}"#
    );
    std::fs::write(
        bundle.path().join("config.json"),
        config.replace("BUNDLE", &bundle.path().display().to_string()),
    )?;
    let folder = bundle.path().display().to_string();
    let output = nicdock(&[&["run", "--nic", "eth3", "--bundle", &folder], options].concat());
    Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn bundle(_: &Lab) -> Result<(), Failed> {
    let bind = |source: &str| {
        format!(
            r#"{{"destination": "/data", "type": "bind", "source": "{source}", "options": ["bind", "rw"]}}"#
        )
    };
    let (status, text) = with_bundle(&[], "../..", "")?;
    expect(status == 125 && text.contains(".."), text)?;
    let outside = tempfile::tempdir()?;
    let outside_bind = bind(&outside.path().display().to_string());
    let (status, text) = with_bundle(&[], ".", &outside_bind)?;
    let named = text.contains(&format!("{} on /data", outside.path().display()));
    expect(status == 125 && named && text.contains("--bundle-binds"), format!("{status}: {text}"))?;
    let (status, text) = with_bundle(&["--bundle-binds"], ".", &outside_bind)?;
    expect(status != 0 && status != 125 && text.contains("read-only"), format!("{status}: {text}"))?;
    expect(!outside.path().join("written").exists(), "the bundle wrote to the host")?;
    for inside in ["BUNDLE/own", "own"] {
        let (status, text) = with_bundle(&[], ".", &bind(inside))?;
        expect(status == 0, format!("{inside}: {status}: {text}"))?;
    }
    let (status, text) = with_bundle(&[], "BUNDLE/.", &bind("BUNDLE/own"))?;
    expect(status == 0, format!("{status}: {text}"))
}

fn shown(_: &Lab) -> Result<(), Failed> {
    let text = succeed(&[
        "plan",
        "--nic",
        "eth3",
        "-v",
        "/etc:/data",
        "-v",
        "/usr:/more:ro",
        "--rootfs",
        "/opt",
        "--",
        "true",
    ])?;
    for part in ["show /opt as /", "show /etc on /data, WRITABLE", "show /usr on /more, read-only"] {
        expect(text.contains(part), format!("no '{part}' in {text}"))?;
    }
    Ok(())
}
