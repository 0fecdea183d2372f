//! Routes of every kind on a NIC: each comes back as it was, or the NIC is refused before anything moves.

use libtest_mimic::Failed;

use super::on_a_host_with;
use crate::nicdock::{expect, nicdock};
use crate::{Lab, Test, host};

pub const TESTS: &[Test] = &[
    ("a_route_comes_back_with_its_nic_as_it_was", come_back, Lab::is_oldest_or_newest),
    ("a_nic_whose_host_would_lose_a_route_is_refused", refused, Lab::is_oldest_or_newest),
    (
        "a_route_that_cannot_be_in_the_container_is_left_out_there_and_told",
        left_out,
        Lab::is_oldest_or_newest,
    ),
];

/// What `ip` adds, and deletes by the same words.
const COME_BACK: [&str; 19] = [
    "route|10.60.0.0/16 via 10.77.4.9",
    "route|10.61.0.0/16 via inet6 fe80::1 dev eth3",
    "route|10.62.0.0/16 via 192.0.2.9 dev eth3 onlink",
    "route|10.63.0.0/16 dev eth3 mtu lock 1300 advmss 1200 initcwnd 30 quickack 1",
    "route|10.64.0.0/16 via 10.77.4.9 dev eth3 src 10.77.1.1",
    "route|10.66.0.0/16 via 10.77.4.9 dev eth3 table 4000 proto bgp metric 7",
    "route|10.67.0.0/16 nexthop via 10.77.4.9 weight 3 nexthop via 10.77.4.10 weight 5",
    "route|10.69.0.0/16 tos 0x10 via 10.77.4.9",
    "route|10.71.0.0/16 dev eth3 scope link",
    "route|224.5.0.0/16 dev eth3",
    "route|local 192.0.2.5 dev eth3",
    "route|default via 10.77.4.9 metric 900",
    "-6 route|fd63::/64 via fd77:4::9 dev eth3 expires 600",
    "-6 route|fd67::/64 nexthop via fd77:4::9 nexthop via fd77:4::10",
    "-6 route|fd68::/64 nexthop via fd77:4::9 dev eth3 nexthop via fd77:3::9 dev eth2",
    "-6 route|fd71::/64 dev eth3 metric 5 pref high",
    "-6 route|default via fd77:4::9 metric 900",
    "rule|from 10.77.4.1 lookup 4000",
    "rule|oif eth3 lookup 4000 pref 500",
];

/// The same, and what nicdock says; of several lines each is one of them.
const REFUSED: [(&str, &str); 5] = [
    ("route|10.68.0.0/16 nexthop via 10.77.4.9 nexthop via 10.77.3.9", "leaves by other interfaces, too"),
    ("nexthop|id 7 via 10.77.4.9 dev eth3", "nexthop object 7"),
    ("nexthop|id 8 dev eth3", "nexthop object 8"),
    ("route|10.73.0.0/16 via 10.77.3.9 dev eth2 src 10.77.4.1", "with its address 10.77.4.1 as the source"),
    ("-6 route|fd73::/64 via fd77:3::9 dev eth2 src fd77:4::1", "with its address fd77:4::1 as the source"),
];

/// The commands that make it, and that take it away.
fn commands(what: &str) -> (String, String) {
    let (object, words) = what.split_once('|').unwrap_or((what, ""));
    // A nexthop object goes by its number alone (ip-nexthop(8)).
    let number: Vec<&str> = words.split(' ').take(2).collect();
    let by = if object == "nexthop" { number.join(" ") } else { words.to_owned() };
    (format!("ip {object} add {words}"), format!("ip {object} del {by}"))
}

fn with(what: &str, test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let (make, undo) = commands(what);
    on_a_host_with(&make, &undo, test)
        .map_err(|error| format!("{what}: {}", error.message().unwrap_or_default()).into())
}

/// The rest but the time that it has left.
fn routes() -> Result<String, Failed> {
    let list = "jq -S -c 'map(del(.expires)) | sort_by(tostring) | .[]'";
    let wanted = ["route show table all", "-6 route show table all", "rule", "-6 rule", "nexthop"];
    wanted.iter().map(|what| host::shell(&format!("ip -d -j {what} | {list}"))).collect()
}

fn come_back(_: &Lab) -> Result<(), Failed> {
    let (make, undo): (Vec<String>, Vec<String>) = COME_BACK.into_iter().map(commands).unzip();
    // Those on a gateway go before the route to it.
    let undo: Vec<String> = undo.into_iter().rev().collect();
    let Err(all) = on_a_host_with(&make.join(" && "), &undo.join("; "), comes_back) else { return Ok(()) };
    // Each for itself tells which it is.
    COME_BACK.into_iter().try_for_each(|what| with(what, comes_back))?;
    Err(format!("all at once: {}", all.message().unwrap_or_default()).into())
}

fn comes_back() -> Result<(), Failed> {
    let before = routes()?;
    let output = nicdock(&["run", "--host-root", "--nic", "eth3", "--take-in-use", "--", "true"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    expect(output.status.success() && !errors.contains("is back without"), &*errors)?;
    host::settle();
    let after = routes()?;
    let changes = host::difference(&before, &after);
    expect(changes.is_empty(), changes.join("\n"))
}

fn refused(_: &Lab) -> Result<(), Failed> {
    for (what, reason) in REFUSED {
        with(what, || {
            let before = routes()?;
            let output = nicdock(&["run", "--host-root", "--nic", "eth3", "--take-in-use", "--", "true"]);
            let errors = String::from_utf8_lossy(&output.stderr);
            expect(output.status.code() == Some(125) && errors.contains(reason), &*errors)?;
            let plan = nicdock(&["plan", "--host-root", "--nic", "eth3", "--take-in-use", "--", "true"]);
            expect(String::from_utf8_lossy(&plan.stderr).contains(reason), "the plan says something else")?;
            expect(before == routes()?, "a refused run changed the routes")
        })?;
    }
    Ok(())
}

fn left_out(_: &Lab) -> Result<(), Failed> {
    with("route|10.64.0.0/16 via 10.77.4.9 dev eth3 src 10.77.1.1", || {
        let output = nicdock(&["run", "--host-root", "--nic", "eth3", "--", "ip", "route"]);
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        expect(output.status.success() && said.contains("10.99.0.0/16") && !said.contains("10.64."), &*said)?;
        expect(errors.contains("without the route to 10.64.0.0/16 via 10.77.4.9"), &*errors)
    })
}
