//! On root folders of their own.

mod engines;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::part::{Found, Part, Undo, Wanted};
use super::plan::Is;
use super::*;
use nicdock_core::kind::Kind;

/// A root with these empty files, or with `=` before their text.
fn root(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let (path, text) = file.split_once('=').unwrap_or((file, ""));
        put(root.path(), path, text);
    }
    root
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn machine(root: &TempDir) -> Machine {
    Machine::new(root.path(), Path::new("/usr/bin/nicdock"))
}

/// Everything below a root: kind, mode, content.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let what = if found.is_symlink() {
            format!("to {}", path.read_link().unwrap().display())
        } else if found.is_dir() {
            all.extend(tree(&path));
            "folder".to_owned()
        } else {
            fs::read_to_string(&path).unwrap()
        };
        all.insert(path.display().to_string(), format!("{:o} {what}", found.permissions().mode()));
    }
    all
}

fn all(machine: &Machine) -> Plan {
    plan(machine, PARTS, Scope::Everything).unwrap()
}

/// Carries it out and gives the commands.
fn done(machine: &Machine, plan: &Plan) -> Result<Vec<String>, SetupError> {
    let mut ran = Vec::new();
    apply(machine, plan, &mut |run| {
        ran.push(run.0.join(" "));
        Ok(())
    })?;
    Ok(ran)
}

fn undone(machine: &Machine, parts: &[Part]) -> change::Undone {
    undo(machine, parts, None, &mut |_| Ok(())).unwrap()
}

fn part<'a>(plan: &'a Plan, name: &str) -> &'a plan::PartPlan {
    plan.parts.iter().find(|part| part.name == name).unwrap()
}

const PACKAGED: [&str; 4] = [
    "usr/lib/systemd/systemd",
    "usr/lib/systemd/system/nicdock-reconcile.timer",
    "usr/lib/systemd/system/nicdock-reconcile.service",
    "usr/lib/udev/rules.d/90-nicdock.rules",
];
const ENABLED: &str = "etc/systemd/system/timers.target.wants/nicdock-reconcile.timer";

#[test]
fn a_machine_without_systemd_udev_nics_and_engines_gets_nothing_and_hears_why() {
    let root = root(&["etc/passwd"]);
    let before = tree(root.path());
    let plan = all(&machine(&root));
    assert!(!plan.changes());
    assert!(done(&machine(&root), &plan).unwrap().is_empty());
    assert_eq!(tree(root.path()), before);
    let said = text(&plan, true);
    for wanted in ["no systemd is here", "no udev is here", "no RDMA device", "not installed"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn what_is_missing_is_made_once_and_undone_to_the_byte() {
    let root =
        root(&[&PACKAGED[..], &["run/systemd/system/x", "usr/lib/systemd/system/docker.service"]].concat());
    put(root.path(), "sys/class/infiniband/mlx5_0", "");
    // The folder is dpkg's, and stays.
    put(root.path(), "var/lib/dpkg/status", "");
    let before = tree(root.path());
    let machine = machine(&root);
    let ran = done(&machine, &all(&machine)).unwrap();
    for wanted in ["modprobe ib_uverbs", "systemctl daemon-reload", "systemctl start nicdock-reconcile.timer"]
    {
        assert!(ran.iter().any(|run| run == wanted), "{wanted}: {ran:?}");
    }
    let drop_in = root.path().join("etc/systemd/system/docker.service.d/50-nicdock-memlock.conf");
    assert!(fs::read_to_string(&drop_in).unwrap().contains("LimitMEMLOCK=infinity"));
    assert!(root.path().join(ENABLED).is_symlink());

    let again = all(&machine);
    assert!(!again.changes() && !again.keeps(), "{}", text(&again, false));
    let made = tree(root.path());
    assert!(done(&machine, &again).unwrap().is_empty());
    assert_eq!(tree(root.path()), made);

    assert!(undone(&machine, PARTS).kept.is_empty());
    assert_eq!(tree(root.path()), before);
    assert!(undone(&machine, PARTS).removed.is_empty());
}

#[test]
fn what_an_administrator_made_stays_as_it_is() {
    let root = root(&PACKAGED);
    put(root.path(), "usr/lib/systemd/system/docker.service", "[Service]\nLimitMEMLOCK=64M\n");
    put(root.path(), "usr/lib/systemd/system/slurmd.service", "[Service]\nLimitMEMLOCK=infinity\n");
    put(root.path(), "usr/lib/systemd/system/crio.service", "");
    put(root.path(), "etc/systemd/system/crio.service.d/own.conf", "[Service]\nLimitMEMLOCK=1G\n");
    fs::create_dir_all(root.path().join("etc/systemd/system")).unwrap();
    symlink("/dev/null", root.path().join("etc/systemd/system/nicdock-reconcile.timer")).unwrap();
    let plan = all(&machine(&root));
    let paths: Vec<_> = part(&plan, "memlock").steps.iter().map(|(wanted, _)| wanted.path.clone()).collect();
    assert_eq!(paths, [Path::new("/etc/systemd/system/docker.service.d/50-nicdock-memlock.conf")]);
    assert!(part(&plan, "memlock").says.contains("crio.service (LimitMEMLOCK=1G, left so)"));
    assert!(part(&plan, "timer").steps.is_empty() && part(&plan, "timer").says.contains("masked"));
}

#[test]
fn a_file_that_was_edited_is_neither_replaced_nor_removed() {
    let root = root(&[]);
    put(root.path(), "sys/class/infiniband/mlx5_0", "");
    let machine = machine(&root);
    done(&machine, &all(&machine)).unwrap();
    let file = root.path().join("etc/modules-load.d/nicdock.conf");
    fs::write(&file, "ib_uverbs\nib_umad\n").unwrap();
    let plan = all(&machine);
    assert!(plan.keeps() && !plan.changes());
    assert_eq!(part(&plan, "modules").steps[0].1, Is::Edited);
    assert!(text(&plan, false).contains("edited since"));
    let undone = undone(&machine, PARTS);
    assert_eq!(undone.kept[0].path, Path::new("/etc/modules-load.d/nicdock.conf"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "ib_uverbs\nib_umad\n");
    // As it was made, it goes.
    fs::remove_file(&file).unwrap();
    assert!(
        !super::tests::undone(&machine, PARTS).removed.iter().any(|made| made.path.ends_with("nicdock.conf"))
    );
    assert!(!root.path().join("var/lib/nicdock").exists());
}

#[test]
fn a_file_of_somebody_elses_under_the_same_name_stays() {
    let root = root(&["etc/modules-load.d/nicdock.conf=my own"]);
    put(root.path(), "sys/class/infiniband/mlx5_0", "");
    let machine = machine(&root);
    let plan = all(&machine);
    assert!(plan.keeps());
    done(&machine, &plan).unwrap();
    undone(&machine, PARTS);
    assert_eq!(fs::read_to_string(root.path().join("etc/modules-load.d/nicdock.conf")).unwrap(), "my own");
}

#[test]
fn a_nicdock_from_source_gets_units_and_a_rule_that_name_it() {
    let root = root(&["usr/lib/systemd/systemd", "usr/lib/udev/x", "usr/bin/systemd-run"]);
    let machine = Machine::new(root.path(), Path::new("/usr/local/bin/nicdock"));
    done(&machine, &all(&machine)).unwrap();
    for file in ["systemd/system/nicdock-reconcile.service", "udev/rules.d/90-nicdock.rules"] {
        let text = fs::read_to_string(root.path().join("etc").join(file)).unwrap();
        assert!(
            text.contains("/usr/local/bin/nicdock reconcile") && !text.contains("/usr/bin/nicdock"),
            "{text}"
        );
    }
    let target = root.path().join(ENABLED).read_link().unwrap();
    assert_eq!(target, Path::new("/etc/systemd/system/nicdock-reconcile.timer"));
}

#[test]
fn what_usnic_needs_is_said_and_its_driver_is_loaded() {
    let root = root(&[
        "sys/module/ib_core/parameters/netns_mode=N",
        "etc/modprobe.d/own.conf=options ib_core netns_mode=0",
    ]);
    put(root.path(), "sys/bus/pci/devices/0000:01:00.1/vendor", "0x1137\n");
    put(root.path(), "sys/bus/pci/devices/0000:01:00.1/device", "0x00cf\n");
    let plan = all(&machine(&root));
    assert!(part(&plan, "iommu").hints[0].contains("intel_iommu=on"));
    assert!(part(&plan, "modules").hints[0].contains("/etc/modprobe.d/own.conf"));
    let commands: Vec<String> = part(&plan, "modules").commands.iter().map(|run| run.0.join(" ")).collect();
    assert_eq!(commands, ["modprobe usnic_verbs", "modprobe ib_uverbs"]);
}

const fn made_of(look: fn(&Machine) -> Result<Found, SetupError>) -> Part {
    Part { name: "test", look, undo: |_| Undo::default() }
}

fn wants(files: &[(&str, &str)]) -> Found {
    let wants = files.iter().map(|(path, content)| Wanted::file(*path, *content)).collect();
    Found { wants, ..Found::default() }
}

#[test]
fn an_upgrade_replaces_what_was_made_and_makes_nothing_new() {
    const OLD: [Part; 1] = [made_of(|_| Ok(wants(&[("/etc/a", "old")])))];
    const NEW: [Part; 1] = [made_of(|_| Ok(wants(&[("/etc/a", "new"), ("/etc/b", "b")])))];
    let root = root(&[]);
    let machine = machine(&root);
    done(&machine, &plan(&machine, &OLD, Scope::Everything).unwrap()).unwrap();
    done(&machine, &plan(&machine, &NEW, Scope::Outdated).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("etc/a")).unwrap(), "new");
    assert!(!root.path().join("etc/b").exists());
    undone(&machine, &NEW);
    assert!(tree(root.path()).keys().all(|path| path.ends_with("/var") || path.ends_with("/var/lib")));
}

#[test]
fn a_failure_halfway_leaves_nothing_half_done() {
    const OLD: [Part; 1] = [made_of(|_| Ok(wants(&[("/etc/a", "old")])))];
    // Below a file nothing can be made.
    const FAILS: [Part; 1] =
        [made_of(|_| Ok(wants(&[("/etc/a", "new"), ("/etc/new/b", "b"), ("/etc/file/below/c", "c")])))];
    let root = root(&["etc/file"]);
    let machine = machine(&root);
    done(&machine, &plan(&machine, &OLD, Scope::Everything).unwrap()).unwrap();
    let before = tree(root.path());
    let error = done(&machine, &plan(&machine, &FAILS, Scope::Everything).unwrap()).unwrap_err();
    assert!(error.to_string().contains("etc/file/below"), "{error}");
    assert_eq!(tree(root.path()), before);
}

#[test]
fn two_at_once_are_refused_and_one_after_the_other_is_not() {
    let root = root(&[]);
    let machine = machine(&root);
    let first = Lock::take(&machine).unwrap();
    let error = Lock::take(&machine).err().unwrap();
    assert!(matches!(error, SetupError::Busy) && error.kind() == Kind::InUse);
    drop(first);
    Lock::take(&machine).unwrap();
}

#[test]
fn a_record_that_cannot_be_read_stops_everything() {
    let root = root(&["var/lib/nicdock/setup.json={\"schema\":2,\"made\":[]}"]);
    let machine = machine(&root);
    let error = plan(&machine, PARTS, Scope::Everything).err().unwrap();
    assert!(error.to_string().contains("schema is 2"), "{error}");
    assert!(undo(&machine, PARTS, None, &mut |_| Ok(())).is_err());
}

#[test]
fn a_command_that_fails_is_told_and_the_files_stay() {
    let root = root(&[]);
    put(root.path(), "sys/class/infiniband/mlx5_0", "");
    let machine = machine(&root);
    let fails = &mut |run: &Run| {
        Err(SetupError::Command { command: run.0.join(" "), reason: "no such module".to_owned() })
    };
    let error = apply(&machine, &all(&machine), fails).unwrap_err();
    assert!(error.to_string().contains("modprobe ib_uverbs: no such module"), "{error}");
    assert!(root.path().join("etc/modules-load.d/nicdock.conf").exists());
}
