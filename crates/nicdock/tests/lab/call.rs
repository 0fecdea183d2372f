//! `nicdock call`: a program gives a NIC to a process, as an engine would, and never more than it said.

use std::io::Write;
use std::process::Stdio;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::engine::rxe1;
use crate::host::{settled, stays};
use crate::nicdock::{Running, command, expect, nicdock, succeed};
use crate::shell::{accepting, unshared};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("an_engine_of_a_few_lines_gives_a_nic_by_call_and_takes_it_home", engine, Lab::is_oldest_or_newest),
    (
        "what_is_reserved_by_call_goes_to_its_owners_containers_alone_until_it_is_released",
        reserved,
        Lab::is_newest,
    ),
    ("what_call_is_asked_wrongly_is_refused_and_nothing_changes", wrong, Lab::is_first),
];

/// One request: the exit status, and the answer.
fn call(request: &Value) -> Result<(i32, Value), Failed> {
    send(request.to_string().as_bytes())
}

fn send(bytes: &[u8]) -> Result<(i32, Value), Failed> {
    let mut command = command(&["call"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // It may have seen enough before the end.
    let _ = child.stdin.take().ok_or("no input")?.write_all(bytes);
    let output = child.wait_with_output()?;
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stdout)))?;
    expect(answer["schema"] == 1, &answer)?;
    Ok((output.status.code().unwrap_or(-1), answer))
}

pub fn done(request: &Value) -> Result<Value, Failed> {
    let (status, answer) = call(request)?;
    expect(status == 0, format!("{request}: {status} {answer}"))?;
    Ok(answer["ok"].clone())
}

pub fn refused(request: &Value, status: i32, kind: &str) -> Result<Value, Failed> {
    let (was, answer) = call(request)?;
    let error = answer["error"].clone();
    expect(
        was == status && error["kind"] == kind,
        format!("{request}: {was} instead of {status}: {answer}"),
    )?;
    Ok(error)
}

pub fn method(name: &str, fields: &Value) -> Value {
    let mut request = json!({"schema": 1, "method": name, "owner": {"engine": "example", "name": "mine"}});
    for (key, value) in fields.as_object().into_iter().flatten() {
        request[key] = value.clone();
    }
    request
}

/// Field 22 of /proc/PID/stat.
pub fn start_of(pid: &str) -> Result<u64, Failed> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').ok_or("no command in it")?.1;
    Ok(fields.split_whitespace().nth(19).ok_or("too short")?.parse()?)
}

fn engine(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let nic = json!([if lab.moves_soft_roce() {
        json!({"select": "rxe1"})
    } else {
        json!({"select": "rxe1", "netdev": "keep"})
    }]);
    let offered = done(&method("check", &json!({"nics": nic})))?;
    expect(offered["nics"][0]["nic"] == "rxe1" && offered["nics"][0]["rdma_device"] == "rxe1", &offered)?;
    stays(&before)?;

    let mut shell = unshared(lab)?;
    let pid = shell.pid()?;
    let process = json!({"pid": pid.parse::<u32>()?, "start": start_of(&pid)?});
    let options = json!({"accept_netlink": !accepting(lab).is_empty()});
    let give = |process: &Value, moment: &str| {
        method(
            "give",
            &json!({"nics": nic, "net": process, "access": [process], "moment": moment, "options": options}),
        )
    };
    // Another process with that number, and one whose engine has closed nothing.
    let later = json!({"pid": process["pid"], "start": start_of(&pid)? + 1});
    refused(&give(&later, "running"), 3, "no_match")?;
    let error = refused(&give(&process, "created"), 8, "not_closed")?;
    expect(error["message"].as_str().is_some_and(|text| text.contains("CAP_")), &error)?;
    stays(&before)?;

    let given = done(&give(&process, "running"))?;
    expect(given["nics"][0]["nodes"][0] == "/dev/infiniband/uverbs1", &given)?;
    expect(given["weaknesses"].as_array().is_some_and(|list| !list.is_empty()), &given)?;
    shell.ask("ls /sys/class/infiniband/rxe1 >/dev/null && exec 9<>/dev/infiniband/uverbs1 9>&-")?;
    let leases = done(&json!({"schema": 1, "method": "list"}))?;
    expect(leases["leases"][0]["holders"][0]["container"] == "mine", &leases)?;

    let taken = refused(
        &method("check", &json!({"owner": {"engine": "example", "name": "other"}, "nics": nic})),
        5,
        "held",
    )?;
    expect(taken["nic"] == "rxe1" && taken["holder"] == "mine", &taken)?;
    let error = refused(&method("release", &json!({})), 5, "held")?;
    expect(error["holder"] == "mine", &error)?;
    drop(shell);
    done(&method("release", &json!({"wait": 10})))?;
    stays(&before)?;
    done(&method("release", &json!({}))).map(drop)
}

/// A NIC as its owner has it in the ledger.
pub fn state() -> Result<Value, Failed> {
    let leases = done(&json!({"schema": 1, "method": "list"}))?;
    Ok(leases["leases"][0]["state"].clone())
}

fn reserved(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let claim = json!({"engine": "example", "name": "claim-7"});
    let movable = lab.moves_soft_roce();
    let nics = json!([if movable {
        json!({"select": "kind=soft-roce,any", "ifname": "fab0"})
    } else {
        json!({"select": "kind=soft-roce,any", "netdev": "keep"})
    }]);
    let reserve = |owner: &Value, nics: &Value| method("reserve", &json!({"owner": owner, "nics": nics}));
    let chosen = done(&reserve(&claim, &nics))?["nics"][0].clone();
    let (nic, node) =
        (chosen["nic"].as_str().ok_or("no NIC")?, chosen["nodes"][0].as_str().ok_or("no node")?);
    expect(state()? == "reserved", "it is not reserved")?;
    let mode = |of: &str| -> Result<u32, Failed> {
        use std::os::unix::fs::PermissionsExt as _;
        Ok(std::fs::metadata(of)?.permissions().mode() & 0o77)
    };
    expect(mode(node)? == 0, "users of the host can open its node")?;
    // Again, as when the answer was lost; and otherwise.
    expect(done(&reserve(&claim, &nics))?["nics"][0] == chosen, "it is another one")?;
    refused(&reserve(&claim, &json!([{"select": nic, "netdev": "keep", "umad": true}])), 5, "held")?;
    // Others: a claim, a container of nicdock's own, recovery, and an administrator without force.
    let other = json!({"engine": "example", "name": "claim-8"});
    let one = json!([{"select": nic, "netdev": "keep"}]);
    let error = refused(&reserve(&other, &one), 5, "held")?;
    expect(error["holder"] == "claim-7" && error["nic"] == nic, &error)?;
    let ran = nicdock(&["run", "--nic", nic, "--netdev", "keep", "--host-root", "--", "true"]);
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    expect(ran.status.code() == Some(125) && text.contains("reservation claim-7 of example"), text)?;
    succeed(&["reconcile"])?;
    let returned = nicdock(&["return", nic]);
    let text = String::from_utf8_lossy(&returned.stderr).into_owned();
    expect(returned.status.code() == Some(5) && text.contains("--force"), text)?;
    expect(state()? == "reserved", "it is not reserved any more")?;

    let options = json!({"accept_netlink": !accepting(lab).is_empty()});
    let give = |pid: &str, owner: &Value| -> Result<Value, Failed> {
        let process = json!({"pid": pid.parse::<u32>()?, "start": start_of(pid)?});
        let fields = json!({"reservation": owner, "net": process, "access": [process], "moment": "running", "options": options});
        Ok(method("give", &fields))
    };
    for killed in [false, true] {
        let mut shell = unshared(lab)?;
        let pid = shell.pid()?;
        refused(&give(&pid, &other)?, 3, "no_match")?;
        let given = done(&give(&pid, &claim)?)?;
        expect(given["nics"][0]["nic"] == nic, &given)?;
        let name = if movable { "fab0" } else { "lo" };
        shell.ask(&format!("ls /sys/class/net/{name} >/dev/null && exec 9<>{node} 9>&-"))?;
        expect(state()? == "held", "no container has it")?;
        let error = refused(&method("release", &json!({"owner": claim})), 5, "held")?;
        expect(error["message"].as_str().is_some_and(|text| text.contains("container mine")), &error)?;
        let mut second = unshared(lab)?;
        let mut again = give(&second.pid()?, &claim)?;
        again["owner"]["name"] = json!("second");
        let error = refused(&again, 5, "held")?;
        expect(error["holder"] == "mine", &error)?;
        drop(second);
        drop(shell);
        // Its end is told, or found by the next command.
        if killed {
            succeed(&["reconcile"])?;
        } else {
            done(&method("release", &json!({"wait": 10})))?;
        }
        expect(state()? == "reserved", "it is not its owner's again")?;
    }
    done(&method("release", &json!({"owner": claim})))?;
    stays(&before)?;
    done(&method("release", &json!({"owner": claim})))?;
    done(&reserve(&other, &one))?;
    succeed(&["return", "--force", nic])?;
    stays(&before)?;
    // Killed when one of two is written.
    let two = reserve(&claim, &json!([{"select": "2xkind=soft-roce,any", "netdev": "keep"}]));
    let mut killed =
        command(&["call"]).env("NICDOCK_FAIL_AT", "reserve.begun=kill").stdin(Stdio::piped()).spawn()?;
    killed.stdin.take().ok_or("no input")?.write_all(two.to_string().as_bytes())?;
    expect(killed.wait()?.code().is_none(), "it was not killed")?;
    expect(state()? == "reserved", "nothing was written")?;
    expect(done(&two)?["nics"].as_array().is_some_and(|nics| nics.len() == 2), "it is not two NICs")?;
    done(&method("release", &json!({"owner": claim})))?;
    stays(&before)
}

fn wrong(lab: &Lab) -> Result<(), Failed> {
    let before = settled();
    let good = method("check", &json!({"nics": [{"select": rxe1(lab)[1]}]})).to_string();
    for length in (0..good.len()).step_by(17) {
        let (status, answer) = send(&good.as_bytes()[..length])?;
        expect(
            status == 12 && answer["error"]["kind"] == "bad_input",
            format!("{length}: {status} {answer}"),
        )?;
    }
    let (status, answer) = send(&vec![b' '; (1 << 20) + 1])?;
    expect(
        status == 12 && answer["error"]["message"].as_str().is_some_and(|text| text.contains("1048576")),
        &answer,
    )?;
    let (status, answer) = send(b"\xff\xfe{}")?;
    expect(status == 12, &answer)?;
    for (fields, status, kind) in [
        (json!({"nics": [{"select": "nosuch"}]}), 3, "no_match"),
        (json!({"nics": [{"select": "kind=soft-roce"}]}), 4, "ambiguous"),
        (json!({"nics": [{"select": "rxe1", "ifname": "a/b"}]}), 12, "bad_input"),
        (
            json!({"nics": [{"select": "rxe1"}], "owner": {"engine": "example", "name": "../x"}}),
            12,
            "bad_input",
        ),
        (
            json!({"nics": [{"select": "rxe1", "netdev": "keep"}, {"select": "rxe1", "netdev": "keep"}]}),
            5,
            "held",
        ),
    ] {
        refused(&method("check", &fields), status, kind)?;
    }
    let held = Running::start("eth3", &["--name", "holder"], "exec sleep 90077")?;
    let error = refused(&method("check", &json!({"nics": [{"select": "eth3"}]})), 5, "held")?;
    expect(error["nic"] == "eth3" && error["holder"] == "holder", &error)?;
    drop(held);
    stays(&before)
}
