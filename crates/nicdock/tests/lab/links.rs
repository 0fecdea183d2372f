//! A program starts when the link of what it was given is there, or not at all.

use libtest_mimic::Failed;
use serde_json::json;

use crate::host::stays;
use crate::monitor::Monitor;
use crate::nicdock::{command, eventually, expect, fail, shell};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    ("runs_that_follow_each_other_start_with_their_link_there", follow_each_other, Lab::is_oldest_or_newest),
    (
        "a_nic_whose_link_does_not_come_goes_back_and_its_program_starts_on_request_only",
        does_not_come,
        Lab::is_oldest_or_newest,
    ),
];

fn soak() -> bool {
    std::env::var_os("NICDOCK_SOAK").is_some()
}

/// An e1000e, whose link takes two seconds to come back, and a virtio-net, with their RDMA devices where these can move.
fn moving(lab: &Lab) -> [(&'static str, &'static str); 2] {
    if lab.moves_soft_roce() {
        [("rxe0", "eth0"), ("rxe1", "eth1")]
    } else {
        [("eth2", "eth2"), ("eth3", "eth3")]
    }
}

fn follow_each_other(lab: &Lab) -> Result<(), Failed> {
    let times = if soak() { 20 } else { 5 };
    for (nic, netdev) in moving(lab) {
        let script = format!(
            "cat /sys/class/net/{netdev}/carrier; for port in /sys/class/infiniband/*/ports/*/state; do [ ! -e $port ] || cat $port; done"
        );
        let wanted = if nic == netdev { "1\n" } else { "1\n4: ACTIVE\n" };
        for time in 1..=times {
            let found = shell(&["--nic", nic], &script)?;
            expect(found == wanted, format!("{nic}, run {time} of {times}: {found}"))?;
        }
    }
    Ok(())
}

/// Pulls the cable of the lab's NIC with this number, counted from 1; it is put back when this is dropped.
pub struct Pulled {
    monitor: Monitor,
    end: String,
}

impl Pulled {
    pub fn new(nic: u8) -> Result<Self, Failed> {
        let (mut monitor, end) = (Monitor::open()?, format!("hub{nic}"));
        monitor.execute("set_link", &json!({ "name": end, "up": false }))?;
        Ok(Self { monitor, end })
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        let _ = self.monitor.execute("set_link", &json!({ "name": self.end, "up": true }));
    }
}

fn does_not_come(_: &Lab) -> Result<(), Failed> {
    let before = host::settled();
    let carrier = |netdev: &str| {
        std::fs::read_to_string(format!("/sys/class/net/{netdev}/carrier")).unwrap_or_default()
    };
    // eth2 is the third NIC, eth3 the fourth.
    for (number, netdev) in [(3, "eth2"), (4, "eth3")] {
        let pulled = Pulled::new(number)?;
        eventually("the link is down", || carrier(netdev).trim() == "0")?;
        let run = ["run", "--nic", netdev, "--host-root"];
        let said = fail(125, &[&run[..], &["--link-timeout", "2", "--", "touch", "/tmp/started"]].concat())?;
        for word in ["has no carrier after 2 s", "cable", "--no-link-wait"] {
            expect(said.contains(word), format!("{word}: {said}"))?;
        }
        expect(carrier(netdev).trim() == "0", "the NIC is not home")?;
        let started = command(
            &[&run[..], &["--no-link-wait", "--", "cat", &format!("/sys/class/net/{netdev}/carrier")]]
                .concat(),
        )
        .output()?;
        let (told, found) =
            (String::from_utf8_lossy(&started.stderr), String::from_utf8_lossy(&started.stdout));
        expect(started.status.success() && found == "0\n", format!("{} {found} {told}", started.status))?;
        expect(told.contains("warning") && told.contains("has no carrier"), told)?;
        drop(pulled);
        eventually("the link is up", || carrier(netdev).trim() == "1")?;
    }
    stays(&before)
}
