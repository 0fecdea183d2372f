//! A scheduler's job: processes in the host's network that wait, are given a NIC by `nicdock call`, and reach no other.

use std::fs;
use std::process::Command;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::call::{done, method, refused, start_of, state};
use crate::host::{settled, stays};
use crate::nicdock::{command, eventually, expect, fail, succeed};
use crate::shell::Shell;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_job_in_the_hosts_network_reaches_its_own_nic_and_no_other", isolated, Lab::is_first_of_its_kernel),
    (
        "a_job_has_its_nic_until_its_last_process_ends_and_its_steps_share_it",
        shared,
        Lab::is_oldest_or_newest,
    ),
    ("a_job_whose_give_is_killed_at_any_step_leaves_its_nic_home", killed, Lab::is_newest),
    ("what_a_jobs_scheduler_refuses_it_stays_refused", not_given, |lab| {
        lab.cgroup == "v1" && Lab::is_first_of_its_kernel(lab)
    }),
    ("what_is_no_job_is_refused_and_nothing_changes", wrong, Lab::is_first),
];

/// A step of a job as a scheduler makes it: each process waits in a control group of its own, all in one mount namespace.
struct Step {
    tasks: Vec<Shell>,
    pids: Vec<String>,
}

/// As a user of the host: what a job's program is.
const USER: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups sh -c";

impl Step {
    fn start(lab: &Lab, name: &str, count: usize) -> Result<Self, Failed> {
        let mut step = Self { tasks: Vec::new(), pids: Vec::new() };
        for number in 0..count {
            let enter = match step.pids.first() {
                None => "unshare --mount --propagation slave".to_owned(),
                Some(first) => format!("nsenter --mount=/proc/{first}/ns/mnt"),
            };
            let mut task = task(lab, name, number, &enter)?;
            step.pids.push(task.ask("echo $$")?.trim().to_owned());
            step.tasks.push(task);
        }
        Ok(step)
    }

    fn processes(&self) -> Result<Value, Failed> {
        let of = |pid: &String| Ok(json!({"pid": pid.parse::<u32>()?, "start": start_of(pid)?}));
        Ok(Value::Array(self.pids.iter().map(of).collect::<Result<_, Failed>>()?))
    }

    /// The request that gives it the NICs, as step `name`.
    fn give(&self, name: &str, fields: &Value) -> Result<Value, Failed> {
        let mut request = json!({
            "owner": {"engine": "example", "name": name}, "net": "host", "access": self.processes()?, "moment": "created",
            "options": {"user": {"uid": 65534, "gid": 65534}},
        });
        for (key, value) in fields.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        Ok(method("give", &request))
    }
}

/// A process in groups as Slurm's plugins make them: one of the step, one of the task below it.
fn task(lab: &Lab, step: &str, number: usize, enter: &str) -> Result<Shell, Failed> {
    let (own, whole) = if lab.cgroup == "v1" {
        let own = format!("/sys/fs/cgroup/devices/{step}/task_{number}");
        (own, format!("/sys/fs/cgroup/freezer/{step}"))
    } else {
        (format!("/sys/fs/cgroup/{step}/task_{number}"), format!("/sys/fs/cgroup/{step}"))
    };
    fs::create_dir_all(&own)?;
    fs::create_dir_all(&whole)?;
    let join = if lab.cgroup == "v1" { format!("echo $$ >{whole}/cgroup.procs;") } else { String::new() };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("echo $$ >{own}/cgroup.procs; {join} exec {enter} sh")]);
    let parent = own.rsplit_once('/').map_or_else(String::new, |(parent, _)| parent.to_owned());
    Shell::start(command, vec![own, parent, whole])
}

const JOB: &str = "job-7";

fn reserve(select: &str) -> Value {
    let owner = json!({"engine": "example", "name": JOB});
    method("reserve", &json!({"owner": owner, "net": "host", "nics": [{"select": select}]}))
}

fn by_reservation() -> Value {
    json!({"reservation": {"engine": "example", "name": JOB}})
}

fn end_job() -> Result<(), Failed> {
    done(&method("release", &json!({"owner": {"engine": "example", "name": JOB}}))).map(drop)
}

/// Nodes of every NIC in a folder that the job sees as the host does.
fn nodes_elsewhere() -> Result<&'static str, Failed> {
    let folder = "/run/nodes-elsewhere";
    fs::create_dir_all(folder)?;
    for number in ["0", "1"] {
        let device = fs::read_to_string(format!("/sys/class/infiniband_verbs/uverbs{number}/dev"))?;
        let (major, minor) = device.trim().split_once(':').ok_or("no number")?;
        let node = format!("{folder}/uverbs{number}");
        let _ = fs::remove_file(&node);
        let made = Command::new("mknod").args(["-m", "666", &node, "c", major, minor]).status()?;
        expect(made.success(), "no node")?;
    }
    Ok(folder)
}

fn isolated(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let elsewhere = nodes_elsewhere()?;
    let mut step = Step::start(lab, "isolated", 2)?;
    let request = step.give("isolated", &json!({"nics": [{"select": "rxe1"}]}))?;
    let given = done(&request)?;
    expect(given["nics"][0]["nodes"] == json!(["/dev/infiniband/uverbs1"]), &given)?;
    let mut ids: Vec<&str> =
        given["weaknesses"].as_array().into_iter().flatten().filter_map(|one| one["id"].as_str()).collect();
    ids.sort_unstable();
    expect(
        ids.starts_with(&["gids"]) || ids.contains(&"namespace.net") && ids.contains(&"namespace.pid"),
        &given,
    )?;
    for task in &mut step.tasks {
        for (script, succeeds) in [
            ("exec 9<>/dev/infiniband/uverbs1", true),
            (&*format!("exec 9<>{elsewhere}/uverbs1"), true),
            (&*format!("exec 9<>{elsewhere}/uverbs0"), false),
            ("test -e /dev/infiniband/uverbs0", false),
            ("test -e /sys/class/infiniband/rxe0", false),
            ("test -e /sys/class/infiniband/rxe1", true),
            ("test -e /sys/class/net/eth0", false),
            ("ip link show eth0", true),
            ("rdma link", false),
            ("test $(ulimit -l) = unlimited", true),
            ("ibv_devinfo -d rxe1", true),
        ] {
            // As a user, and as root, which a job may be, too.
            for who in [USER, "sh -c"] {
                let (status, said) = task.ask_for(&format!("{who} '{script}'"))?;
                expect((status == 0) == succeeds, format!("{who} {script}: {status} {said}"))?;
            }
        }
        // Root of the job's own makes no node and takes no view off.
        for script in ["mknod /run/new c 231 192", "umount /sys", "mount -t sysfs none /mnt"] {
            let (status, said) = task.ask_for(script)?;
            expect(status != 0, format!("{script}: {said}"))?;
        }
    }
    drop(step);
    done(&method("release", &json!({"owner": {"engine": "example", "name": "isolated"}, "wait": 10})))?;
    fs::remove_dir_all(elsewhere)?;
    stays(&before)
}

fn shared(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    done(&reserve("kind=soft-roce,any"))?;
    let mut step = Step::start(lab, "step-0", 2)?;
    let given = done(&step.give("step-0", &by_reservation())?)?;
    let node = given["nics"][0]["nodes"][0].as_str().ok_or("no node")?.to_owned();
    let open = format!("{USER} 'exec 9<>{node}'");
    // The first process ends before the other.
    drop(step.tasks.remove(0));
    succeed(&["reconcile"])?;
    expect(state()? == "held", "it is not held by what still runs")?;
    step.tasks[0].ask(&open)?;
    let error =
        refused(&method("release", &json!({"owner": {"engine": "example", "name": "step-0"}})), 5, "held")?;
    expect(error["holder"] == "step-0", &error)?;
    // A job's NIC is taken by ending it.
    let said = fail(5, &["detach", "step-0"])?;
    expect(said.contains("was not attached"), said)?;
    let said = fail(5, &["return", "step-0"])?;
    expect(said.contains("end the job"), said)?;
    // Another step shares it, another job does not, though both are in the host's network.
    let second = Step::start(lab, "step-1", 1)?;
    let nic = given["nics"][0]["nic"].as_str().ok_or("no NIC")?;
    refused(&second.give("step-1", &json!({"nics": [{"select": nic}]}))?, 5, "held")?;
    drop(second);
    let mut second = Step::start(lab, "step-1", 1)?;
    done(&second.give("step-1", &by_reservation())?)?;
    second.tasks[0].ask(&open)?;
    drop(step);
    done(&method("release", &json!({"owner": {"engine": "example", "name": "step-0"}, "wait": 10})))?;
    expect(state()? == "held", "the second step has lost it")?;
    second.tasks[0].ask(&open)?;
    // An administrator ends what is left of it.
    succeed(&["return", "--force", "step-1"])?;
    eventually("it is its owner's again", || state().is_ok_and(|state| state == "reserved"))?;
    drop(second);
    end_job()?;
    stays(&before)
}

fn killed(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    for (number, point) in
        ["reserve.begun", "give.begun", "narrow.begun", "refuse.begun", "show.begun", "attach.begun"]
            .into_iter()
            .enumerate()
    {
        let name = format!("killed-{number}");
        let step = Step::start(lab, &name, 2)?;
        let request = step.give(&name, &json!({"nics": [{"select": "rxe1"}]}))?;
        let mut child = command(&["call"])
            .env("NICDOCK_FAIL_AT", format!("{point}=kill"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()?;
        std::io::Write::write_all(
            &mut child.stdin.take().ok_or("no input")?,
            request.to_string().as_bytes(),
        )?;
        expect(child.wait()?.code().is_none(), format!("{point}: it was not killed"))?;
        // Whether the job goes on, or its scheduler ends it, as it does what it has refused.
        drop(step);
        succeed(&["reconcile"])?;
        stays(&before).map_err(|error| format!("{point}: {error:?}"))?;
    }
    Ok(())
}

fn wrong(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let nics = json!({"nics": [{"select": "rxe1"}]});
    // In the host's mounts; of several; a part of what is in the group.
    let mut step = Step { tasks: vec![task(lab, "wrong", 0, "env")?], pids: Vec::new() };
    step.pids.push(step.tasks[0].ask("echo $$")?.trim().to_owned());
    let error = refused(&step.give("wrong", &nics)?, 12, "bad_input")?;
    expect(error["message"].as_str().is_some_and(|text| text.contains("unshare --mount")), &error)?;
    drop(step);
    let step = Step::start(lab, "wrong", 2)?;
    let mut part = step.give("wrong", &nics)?;
    part["access"] = json!([part["access"][0]]);
    let error = refused(&part, 12, "bad_input")?;
    expect(error["message"].as_str().is_some_and(|text| text.contains("was not named")), &error)?;
    let mut running = step.give("wrong", &nics)?;
    running["moment"] = json!("running");
    let mut moved = step.give("wrong", &json!({"nics": [{"select": "rxe1", "netdev": "move"}]}))?;
    let mut own = step.give("wrong", &nics)?;
    own["net"] = own["access"][0].clone();
    own["access"] = json!([own["access"][0]]);
    own["options"] = json!({});
    for request in [&mut running, &mut moved, &mut own] {
        refused(request, 12, "bad_input")?;
    }
    drop(step);
    stays(&before)
}

/// As Slurm does with a device that it has not given the job (ConstrainDevices).
fn not_given(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let step = Step::start(lab, "denied", 1)?;
    let device = fs::read_to_string("/sys/class/infiniband_verbs/uverbs1/dev")?;
    fs::write("/sys/fs/cgroup/devices/denied/devices.deny", format!("c {} rwm", device.trim()))?;
    let error = refused(&step.give("denied", &json!({"nics": [{"select": "rxe1"}]}))?, 8, "not_closed")?;
    expect(error["message"].as_str().is_some_and(|said| said.contains("scheduler has not given")), &error)?;
    drop(step);
    stays(&before)
}
