//! Many want few NICs, some of them two or three at once: never two have one, none waits for ever, none is lost.

use std::process::{Child, Stdio};

use libtest_mimic::Failed;

use crate::nicdock::{command, expect};
use crate::{Lab, Test};

pub const TESTS: &[Test] =
    &[("sixty_four_fight_for_the_nics_and_each_has_them_alone_once", fight, Lab::is_for_contention)];

const FOLDER: &str = "/tmp/fight";

/// Takes a folder for each NIC that it has, which must not be there, and gives it back.
const SCRIPT: &str = "for nic in $(ls /sys/class/infiniband); do mkdir /fight/$nic || echo $nic >>/fight/twice; done; \
    sleep 0.1; for nic in $(ls /sys/class/infiniband); do rmdir /fight/$nic; echo $nic; done";

fn fight(_: &Lab) -> Result<(), Failed> {
    let contenders = 64;
    let _ = std::fs::remove_dir_all(FOLDER);
    std::fs::create_dir(FOLDER)?;
    let volume = format!("{FOLDER}:/fight");
    let start = |n: usize| -> Result<(usize, Child), Failed> {
        let wanted = [1, 1, 2, 1, 3][n % 5];
        let selector = if wanted == 1 {
            "kind=soft-roce,any".to_owned()
        } else {
            format!("{wanted}xkind=soft-roce,any")
        };
        let mut command = command(&["run", "--wait", "--netdev", "keep", "--host-root", "--nic", &selector]);
        command.args(["-v", &volume, "--", "sh", "-c", SCRIPT]);
        Ok((wanted, command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?))
    };
    let children: Vec<(usize, Child)> = (0..contenders).map(start).collect::<Result<_, _>>()?;
    for (wanted, child) in children {
        let output = child.wait_with_output()?;
        let had = String::from_utf8_lossy(&output.stdout).lines().count();
        expect(output.status.success() && had == wanted, format!("{wanted} wanted: {output:?}"))?;
    }
    let twice = std::fs::read_to_string(format!("{FOLDER}/twice"));
    std::fs::remove_dir_all(FOLDER)?;
    expect(twice.is_err(), format!("had by two at once: {twice:?}"))
}
