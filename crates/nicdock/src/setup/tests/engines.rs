//! Files that are an engine's administrator's.

use super::*;

use super::machine::Running;

const DAEMON: &str = "etc/docker/daemon.json";
const RUNTIME: &str = "usr/libexec/nicdock/nicdock-runtime";
const OWN: &str =
    "{\n  \"zeta\": 1,\n  \"runtimes\": {\n    \"x\": { \"path\": \"/x\" }\n  },\n  \"alpha\": [1,2]\n}\n";

fn docker(text: Option<&str>) -> TempDir {
    let root = root(&["usr/sbin/dockerd", RUNTIME]);
    if let Some(text) = text {
        put(root.path(), DAEMON, text);
    }
    // The folder is dpkg's, and stays.
    put(root.path(), "var/lib/dpkg/status", "");
    root
}

fn daemon(root: &TempDir) -> String {
    fs::read_to_string(root.path().join(DAEMON)).unwrap()
}

/// What the part of an engine's says, the plan carried out.
fn said(root: &TempDir) -> String {
    let machine = machine(root);
    let plan = all(&machine);
    done(&machine, &plan).unwrap();
    text(&plan, true)
}

#[test]
fn docker_is_told_the_runtime_and_all_else_of_its_file_stays_to_the_byte() {
    let root = docker(Some(OWN));
    let path = root.path().join(DAEMON);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = tree(root.path());
    let said = said(&root);
    for part in ["added to /etc/docker/daemon.json, of which a copy", "+     \"nicdock\": {"] {
        assert!(said.contains(part), "{said}");
    }
    let wanted = OWN.replace(
        "/x\" }",
        "/x\" },\n    \"nicdock\": {\n      \"path\": \"/usr/libexec/nicdock/nicdock-runtime\"\n    }",
    );
    assert_eq!(daemon(&root), wanted);
    let backup = path.with_file_name("daemon.json.before-nicdock");
    assert_eq!(fs::read_to_string(&backup).unwrap(), OWN);
    for file in [&path, &backup] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    }
    let again = all(&machine(&root));
    assert!(!again.changes() && !again.keeps(), "{}", text(&again, false));
    undone(&machine(&root), PARTS);
    assert_eq!(tree(root.path()), before);
}

#[test]
fn a_file_that_docker_did_not_have_goes_again_with_its_folder() {
    let root = docker(None);
    let before = tree(root.path());
    said(&root);
    assert!(daemon(&root).starts_with("{\n  \"runtimes\": {"));
    undone(&machine(&root), PARTS);
    assert_eq!(tree(root.path()), before);
}

#[test]
fn what_was_edited_meanwhile_stays_and_the_runtime_goes() {
    let root = docker(None);
    said(&root);
    put(root.path(), DAEMON, &daemon(&root).replacen('{', "{\n  \"debug\": true,", 1));
    assert!(undone(&machine(&root), PARTS).kept.is_empty());
    let left: serde_json::Value = serde_json::from_str(&daemon(&root)).unwrap();
    assert_eq!(left, serde_json::json!({"debug": true}));
}

#[test]
fn a_runtime_of_that_name_that_is_somebody_elses_stays() {
    let theirs = r#"{"runtimes":{"nicdock":{"path":"/theirs"}}}"#;
    let root = docker(Some(theirs));
    let plan = all(&machine(&root));
    assert!(plan.keeps() && !plan.changes());
    let said = text(&plan, false);
    assert!(said.contains("its runtimes.nicdock is not {\"path\":\"/usr/libexec"), "{said}");
    // One that was nicdock's and was changed since.
    let root = docker(None);
    self::said(&root);
    put(root.path(), DAEMON, theirs);
    assert!(all(&machine(&root)).keeps());
    let undone = undone(&machine(&root), PARTS);
    assert_eq!(undone.kept[0].label(), "runtimes.nicdock in /etc/docker/daemon.json");
    assert_eq!(daemon(&root), theirs);
}

#[test]
fn a_file_that_is_not_to_be_edited_is_left_and_the_reason_said() {
    for (text, part) in
        [("", "no JSON object"), ("[]", "no JSON object"), ("{\"runtimes\":1}", "no JSON object")]
    {
        let root = docker(Some(text));
        let said = said(&root);
        assert!(said.contains(part) && said.contains("nothing was changed"), "{said}");
        assert_eq!(daemon(&root), text);
        assert!(!root.path().join("etc/docker/daemon.json.before-nicdock").exists());
        // An upgrade has nothing to do with a file in which nicdock has nothing.
        assert!(!plan(&machine(&root), PARTS, Scope::Outdated).unwrap().keeps());
    }
    let root = docker(None);
    put(root.path(), "srv/daemon.json", "{}");
    fs::create_dir_all(root.path().join("etc/docker")).unwrap();
    symlink("../../srv/daemon.json", root.path().join(DAEMON)).unwrap();
    assert!(said(&root).contains("is a link"));
    assert!(root.path().join(DAEMON).is_symlink());
    if rustix::process::geteuid().is_root() {
        let root = docker(Some("{}"));
        std::os::unix::fs::chown(root.path().join(DAEMON), Some(1000), None).unwrap();
        assert!(said(&root).contains("belongs to user 1000"));
    }
    let root = docker(None);
    put(root.path(), "lib/systemd/system/docker.service", "ExecStart=dockerd --config-file=/x.json\n");
    assert!(said(&root).contains("--config-file"));
    let root = super::root(&["usr/bin/dockerd"]);
    assert!(said(&root).contains("nicdock-runtime is neither beside nicdock"));
}

#[test]
fn a_file_that_is_edited_between_looking_and_writing_is_not_written() {
    let root = docker(Some("{}"));
    let machine = machine(&root);
    let plan = all(&machine);
    put(root.path(), DAEMON, "{\"debug\":true}");
    let before = tree(root.path());
    let error = done(&machine, &plan).unwrap_err();
    assert!(error.to_string().contains("edited at this moment") && error.kind() == Kind::InUse, "{error}");
    assert_eq!(tree(root.path()), before);
}

#[test]
fn a_runtime_at_another_place_after_an_upgrade_is_told_and_one_undoing_takes_all_back() {
    let root = docker(Some("{}"));
    let before = tree(root.path());
    let first = Machine::new(root.path(), Path::new("/opt/nicdock"));
    put(root.path(), "opt/nicdock-runtime", "");
    done(&first, &all(&first)).unwrap();
    fs::remove_dir_all(root.path().join("opt")).unwrap();
    let second = machine(&root);
    let plan = plan(&second, PARTS, Scope::Outdated).unwrap();
    done(&second, &plan).unwrap();
    assert!(daemon(&root).contains("/usr/libexec/nicdock/nicdock-runtime"));
    undone(&second, PARTS);
    assert_eq!(tree(root.path()), before);
}

#[test]
fn a_daemon_that_runs_reads_its_file_anew() {
    let root = docker(None);
    put(root.path(), "run/docker.pid", "1");
    let hints = part(&all(&machine(&root)), "docker").hints.clone();
    assert!(hints[0].contains("kill -HUP"), "{hints:?}");
    put(root.path(), "run/systemd/system/x", "");
    let machine = machine(&root);
    let ran = done(&machine, &all(&machine)).unwrap();
    assert!(ran.iter().any(|run| run == "systemctl reload docker.service"), "{ran:?}");
}

#[test]
fn one_engine_is_undone_by_itself() {
    let root = docker(None);
    put(root.path(), "sys/class/infiniband/mlx5_0", "");
    said(&root);
    let machine = machine(&root);
    let undone = undo(&machine, PARTS, Some("docker"), &mut |_| Ok(())).unwrap();
    let labels: Vec<String> = undone.removed.iter().map(Made::label).collect();
    assert_eq!(labels, ["runtimes.nicdock in /etc/docker/daemon.json", "/etc/docker"]);
    assert!(root.path().join("etc/modules-load.d/nicdock.conf").exists());
    assert!(!all(&machine).parts.iter().any(|part| part.name == "modules" && part.changes()));
}

#[test]
fn podmans_devices_are_brought_up_to_date_without_counting_as_edited() {
    let ask = |words: &[&str]| (words[0] == "/usr/bin/podman").then(|| "podman version 4.3.1\n".to_owned());
    let devices = |_: &Path| Ok(Some("{\"kind\":\"nicdock.io/nic\",\"devices\":[{}]}\n".to_owned()));
    let root = root(&["usr/bin/podman", "var/lib/dpkg/status"]);
    let before = tree(root.path());
    let mut machine = machine(&root);
    machine.running = Some(Running { ask, devices });
    let plan = all(&machine);
    assert!(part(&plan, "podman").says.contains("4.3.1 is here"));
    done(&machine, &plan).unwrap();
    assert!(!all(&machine).changes());
    // As `nicdock reconcile` does.
    put(root.path(), "etc/cdi/nicdock.json", "{\"kind\":\"nicdock.io/nic\",\"devices\":[]}");
    assert!(all(&machine).changes() && !all(&machine).keeps());
    assert!(undone(&machine, PARTS).kept.is_empty());
    assert_eq!(tree(root.path()), before);

    put(root.path(), "etc/cdi/nicdock.json", "{\"kind\":\"vendor.com/nic\"}");
    assert!(all(&machine).keeps() && !all(&machine).changes());
    machine.running = Some(Running { ask, devices: |_| Ok(None) });
    assert!(part(&all(&machine), "podman").absent);
}

#[test]
fn containerd_gets_a_drop_in_only_where_its_file_imports_it() {
    let imports = "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n";
    let root = root(&["usr/bin/containerd", RUNTIME, "var/lib/dpkg/status"]);
    let file = "etc/containerd/config.toml";
    put(root.path(), file, "version = 2\n");
    assert!(said(&root).contains("imports = [\"/etc/containerd/conf.d/*.toml\"]"));
    put(root.path(), file, imports);
    let before = tree(root.path());
    let said = self::said(&root);
    assert!(said.contains("made     /etc/containerd/conf.d/nicdock.toml"), "{said}");
    assert!(!all(&machine(&root)).changes());
    undone(&machine(&root), PARTS);
    assert_eq!(tree(root.path()), before);
    put(root.path(), "etc/containerd/conf.d/z.toml", "[plugins.\"io.containerd.grpc.v1.cri\"]\n");
    assert!(!all(&machine(&root)).changes());
    put(root.path(), file, "not toml");
    assert!(all(&machine(&root)).keeps());
}
