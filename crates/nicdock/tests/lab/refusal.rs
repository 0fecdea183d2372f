//! Bad input gets a clear error, changes nothing and loses nothing.

use std::path::Path;

use libtest_mimic::Failed;

use crate::nicdock::{Running, eventually, expect, fail};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("an_unknown_nic_is_refused_with_the_candidates", unknown, Lab::is_first),
    ("a_nic_in_a_container_is_refused_with_its_holder", held, Lab::is_first),
    ("a_nic_in_use_by_the_host_is_refused_with_the_reason", in_use, Lab::is_first),
    ("moving_soft_roce_is_refused_where_the_kernel_cannot_make_it_anew", soft_roce, |lab| {
        !lab.moves_soft_roce()
    }),
    ("a_capability_that_opens_a_way_needs_weaken", capability, Lab::is_first),
    ("a_root_with_links_for_its_mount_points_is_refused", hostile_root, Lab::is_first),
    ("volumes_that_show_the_hosts_devices_are_refused", volumes, Lab::is_first),
    ("a_netdev_renamed_after_the_plan_is_refused_and_left_alone", renamed, Lab::is_first),
    ("run_needs_root", not_root, Lab::is_first),
    ("a_wrong_command_line_ends_with_2", usage, Lab::is_first),
];

fn refused(args: &[&str], parts: &[&str]) -> Result<(), Failed> {
    let mut all = vec!["run"];
    all.extend(args);
    let text = fail(125, &all)?;
    parts.iter().try_for_each(|part| expect(text.contains(part), format!("no '{part}' in: {text}")))
}

fn unknown(_: &Lab) -> Result<(), Failed> {
    refused(&["--nic", "mlx5_0", "--host-root", "--", "true"], &["mlx5_0", "rxe0", "does not match"])?;
    refused(
        &["--nic", "kind=soft-roce", "--netdev", "keep", "--host-root", "--", "true"],
        &["2 free NICs match", "any"],
    )
}

fn held(_: &Lab) -> Result<(), Failed> {
    let _running = Running::start("rxe1", &["--netdev", "keep", "--name", "first"], "sleep 90010; true")?;
    refused(
        &["--nic", "rxe1", "--netdev", "keep", "--host-root", "--", "true"],
        &["held by container first"],
    )?;
    refused(
        &["--nic", "rxe0", "--netdev", "keep", "--name", "first", "--host-root", "--", "true"],
        &["first", "--name"],
    )
}

fn in_use(_: &Lab) -> Result<(), Failed> {
    let route = |action: &str| {
        std::process::Command::new("ip").args(["route", action, "default", "via", "10.77.4.254"]).status()
    };
    route("add")?;
    let result =
        refused(&["--nic", "eth3", "--host-root", "--", "true"], &["default route", "--take-in-use"]);
    let taken = crate::nicdock::succeed(&[
        "run",
        "--nic",
        "eth3",
        "--take-in-use",
        "--host-root",
        "--",
        "ip",
        "route",
    ]);
    route("del")?;
    result?;
    expect(taken?.contains("default via 10.77.4.254"), "the default route goes along")
}

fn soft_roce(_: &Lab) -> Result<(), Failed> {
    refused(&["--nic", "rxe1", "--host-root", "--", "true"], &["rxe1", "--netdev keep"])
}

fn capability(_: &Lab) -> Result<(), Failed> {
    refused(
        &["--nic", "eth3", "--cap-add", "SYS_ADMIN", "--host-root", "--", "true"],
        &["CAP_SYS_ADMIN", "--weaken"],
    )
}

fn hostile_root(_: &Lab) -> Result<(), Failed> {
    for (name, make) in [("sys", "link"), ("dev", "link"), ("proc", "link"), ("sys", "file")] {
        let root = Path::new("/tmp/hostile");
        std::fs::create_dir_all(root)?;
        if make == "link" {
            std::os::unix::fs::symlink("/etc", root.join(name))?;
        } else {
            std::fs::write(root.join(name), "")?;
        }
        let result =
            refused(&["--nic", "eth3", "--rootfs", "/tmp/hostile", "--", "true"], &[&format!("/{name}")]);
        std::fs::remove_dir_all(root)?;
        result?;
    }
    refused(&["--nic", "eth3", "--rootfs", "/no/such/root", "--", "true"], &["/no/such/root"])
}

fn volumes(_: &Lab) -> Result<(), Failed> {
    for source in ["/sys", "/proc/self", "/dev", "/", "/run", "/run/nicdock", "/sys/fs/cgroup"] {
        refused(
            &["--nic", "eth3", "-v", &format!("{source}:/data"), "--host-root", "--", "true"],
            &[source],
        )?;
    }
    Ok(())
}

/// strace(1) holds nicdock up after it has planned and leased, and before it takes the NIC.
fn renamed(_: &Lab) -> Result<(), Failed> {
    let child = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "-e", "trace=unshare", "-e", "inject=unshare:delay_enter=3000000:when=1"])
        .args(["nicdock", "run", "--nic", "eth3", "--host-root", "--", "true"])
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    eventually("nicdock has the lease", || {
        std::path::Path::new("/run/nicdock/leases/0000:04:00.0.json").exists()
    })?;
    let rename = |from: &str, to: &str| {
        let script = format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n");
        std::process::Command::new("sh").args(["-c", &format!("printf '{script}' | ip -batch -")]).status()
    };
    rename("eth3", "renamed3")?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let routes = "ip address add 10.77.4.1/24 dev eth3; ip address add fd77:4::1/64 dev eth3 nodad; \
                  ip route add 10.99.0.0/16 via 10.77.4.9";
    let still = std::path::Path::new("/sys/class/net/renamed3").exists();
    rename("renamed3", "eth3")?;
    std::process::Command::new("sh").args(["-c", routes]).stderr(std::process::Stdio::null()).status()?;
    expect(still, "the renamed netdev was touched")?;
    expect(output.status.code() == Some(125) && text.contains("eth3") && text.contains("renamed"), text)
}

fn not_root(_: &Lab) -> Result<(), Failed> {
    let output = std::process::Command::new("setpriv")
        .args([
            "--reuid",
            "1000",
            "--clear-groups",
            "nicdock",
            "run",
            "--nic",
            "eth3",
            "--host-root",
            "--",
            "true",
        ])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(output.status.code() == Some(125) && text.contains("root"), text)
}

fn usage(_: &Lab) -> Result<(), Failed> {
    for args in [
        &["run"][..],
        &["run", "--nic", "x=1", "--host-root", "--", "true"],
        &["run", "--nic", "eth3", "--", "true"],
    ] {
        fail(2, args)?;
    }
    Ok(())
}
