//! Writes the shell scripts that both ends run, and takes apart what they print.
//!
//! Host and container run the same script of the client: nothing but the place differs.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};

use crate::measurement::{Measurement, Test};

/// One end of the measurement.
#[derive(Clone, Debug)]
pub struct End {
    pub rdma_device: String,
    pub port: u32,
    pub address: Address,
}

/// By what a queue pair is addressed.
#[derive(Clone, Debug)]
pub enum Address {
    /// RoCE: the GID that stands for this IP address.
    Ip(IpAddr),
    /// InfiniBand: the LID alone.
    Lid,
}

/// How a program waits for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It asks again and again, as programs that have processors of their own do.
    Polling,
    /// It sleeps where the tool can, since both ends share one processor.
    Events,
}

/// What the server says when the first program may connect.
pub const READY: &str = "ready";

/// A link takes seconds to be there again after its NIC has come back from a container. A place in a table of GIDs depends on the network
/// namespace; so the script looks it up where it runs.
const FUNCTIONS: &str = r#"await_active() {
    tries=0
    until grep -q ACTIVE "/sys/class/infiniband/$1/ports/$2/state"; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "port $2 of $1 is not ACTIVE after 30 s" >&2; exit 1; }
        sleep 0.05
    done
}
gid_index() {
    folder=/sys/class/infiniband/$1/ports/$2
    for file in "$folder"/gids/*; do
        index=${file##*/}
        [ "$(cat "$file" 2>/dev/null)" = "$3" ] || continue
        [ "$(cat "$folder/gid_attrs/types/$index" 2>/dev/null)" = "RoCE v2" ] || continue
        echo "$index"
        return
    done
    echo "$1 has no RoCE v2 GID $3 on port $2: see $folder/gids" >&2
    exit 1
}
"#;

/// Serves the measurements in this order, one program each. One that fails before its client has come ends it, so that no client waits for the wrong one.
/// Later the client knows best: it has all answers, and ends, before the last acknowledgement has reached the server, which then gives up
/// (`rxe_responder()`, drivers/infiniband/sw/rxe/rxe_resp.c, completes a receive first and acknowledges it afterwards).
pub fn server(end: &End, measurements: &[Measurement], waiting: Waiting) -> String {
    let mut script = format!("{FUNCTIONS}{}echo {READY}\n", beginning(end));
    script.push_str(
        r#"serve() {
    "$@" >/tmp/nicdock-bench 2>&1 && return
    tail -n 5 /tmp/nicdock-bench >&2
    grep -q "remote address" /tmp/nicdock-bench || exit 1
}
"#,
    );
    for measurement in measurements {
        let _ = writeln!(script, "serve {}", command_line(end, *measurement, waiting));
    }
    script
}

/// Measures in this order against a server. Only a refused connection is tried again: the server's next program is not there yet.
pub fn client(end: &End, server: IpAddr, measurements: &[Measurement], waiting: Waiting) -> String {
    let mut script = format!("{FUNCTIONS}{}", beginning(end));
    script.push_str(
        r#"measure() {
    tries=0
    while :; do
        said=$("$@" 2>&1)
        status=$?
        case $said in
        *"Couldn't connect"*) tries=$((tries + 1)); [ $tries -lt 200 ] && sleep 0.05 && continue ;;
        esac
        break
    done
    printf '%s\nmeasured: %s\n' "$said" "$status"
    [ "$status" = 0 ] || exit 1
}
"#,
    );
    for measurement in measurements {
        let _ = writeln!(script, "measure {} {server}", command_line(end, *measurement, waiting));
    }
    script
}

/// What each of the client's programs printed, in order. One that failed is the last, and not among them.
pub fn answers(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((answer, after)) = rest.split_once("\nmeasured: ") {
        let (status, after) = after.split_once('\n').unwrap_or((after, ""));
        if status != "0" {
            break;
        }
        found.push(answer);
        rest = after;
    }
    found
}

/// Waits for the port, and finds its GID.
fn beginning(End { rdma_device, port, address }: &End) -> String {
    let active = format!("await_active {rdma_device} {port}\n");
    let address = match address {
        Address::Ip(IpAddr::V4(address)) => address.to_ipv6_mapped(),
        Address::Ip(IpAddr::V6(address)) => *address,
        Address::Lid => return active,
    };
    format!("{active}gid=$(gid_index {rdma_device} {port} {}) || exit 1\n", spelt_out(address))
}

/// As `show_port_gid()` prints it.
fn spelt_out(address: Ipv6Addr) -> String {
    address.segments().map(|part| format!("{part:04x}")).join(":")
}

/// The program that measures it.
pub fn program(measurement: Measurement, waiting: Waiting) -> &'static str {
    words(measurement, waiting).0
}

/// A program, its options, and how many messages it sends.
fn words(Measurement { test, .. }: Measurement, waiting: Waiting) -> (&'static str, &'static str, u32) {
    // Waiting for events, ib_send_lat of perftest 4.5 loses completions on soft-RoCE (rxe_cq_post(): queue full), and ib_write_bw refuses to.
    // rdma-core's own ping-pong and ib_send_bw do.
    match (test, waiting) {
        (Test::Latency, Waiting::Polling) => ("ib_send_lat", " -U -F", 1000),
        (Test::Latency, Waiting::Events) => ("ibv_rc_pingpong", " -e", 100),
        (Test::Bandwidth, Waiting::Polling) => ("ib_write_bw", " -F", 5000),
        (Test::Bandwidth, Waiting::Events) => ("ib_send_bw", " -e -F", 100),
        (Test::Rate, Waiting::Polling) => ("ib_write_bw", " -F", 100_000),
        (Test::Rate, Waiting::Events) => ("ib_send_bw", " -e -F", 1000),
    }
}

fn command_line(end: &End, measurement: Measurement, waiting: Waiting) -> String {
    let (tool, options, count) = words(measurement, waiting);
    let size = measurement.size;
    let option = if tool == "ibv_rc_pingpong" { "-g" } else { "-x" };
    let gid = match end.address {
        Address::Ip(_) => format!(" {option} \"$gid\""),
        Address::Lid => String::new(),
    };
    format!("{tool}{options} -d {} -i {}{gid} -s {size} -n {count}", end.rdma_device, end.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(address: Address) -> End {
        End { rdma_device: "rxe0".into(), port: 1, address }
    }

    #[test]
    fn host_and_container_look_their_gid_up_and_measure_in_order() {
        let address = Address::Ip("10.77.1.1".parse().expect("an address"));
        let all = Measurement::of(&[Test::Latency]);
        let script =
            client(&end(address), "10.77.1.254".parse().expect("an address"), &all, Waiting::Polling);
        assert!(
            script.contains(
                "await_active rxe0 1\ngid=$(gid_index rxe0 1 0000:0000:0000:0000:0000:ffff:0a4d:0101"
            ),
            "{script}"
        );
        let words = "measure ib_send_lat -U -F -d rxe0 -i 1 -x \"$gid\" -s 8 -n 1000 10.77.1.254\nmeasure";
        assert!(script.contains(words), "{script}");
    }

    #[test]
    fn infiniband_needs_no_gid() {
        let script = server(&end(Address::Lid), &Measurement::of(&[Test::Bandwidth]), Waiting::Events);
        assert!(script.ends_with("serve ib_send_bw -e -F -d rxe0 -i 1 -s 65536 -n 100\n"), "{script}");
    }

    #[test]
    fn answers_end_at_the_first_failure() {
        let text = "a\nb\nmeasured: 0\nc\nmeasured: 0\nd\nmeasured: 17\n";
        assert_eq!(answers(text), ["a\nb", "c"]);
        assert_eq!(answers(""), [""; 0]);
    }
}
