//! Netlink: answers and events that somebody else than the kernel sends, and what a socket can be made to hear.

use std::fs::File;
use std::process::Command;

use libtest_mimic::Failed;

use super::{Attempt, PYTHON, all_is_free, python, say_each, try_each};
use crate::host::shell as on_host;
use crate::nicdock::{command, eventually, expect, succeed};
use crate::shell::{Shell, accepting, unshared};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("nobody_but_the_kernel_tells_nicdock_of_links_and_devices", told, Lab::is_first),
    ("a_socket_of_netlink_hears_and_changes_nothing_outside", heard, Lab::is_first),
    ("answers_that_a_container_makes_up_lead_no_attach_astray", answered, Lab::is_first),
];

/// Where nicdock says what it hears.
const SAID: &str = "/tmp/attempts-said";

/// Links as `RTM_NEWLINK` (16) without a carrier, and `RTM_DELLINK` (17), to every socket of rtnetlink in the namespace, and to the group.
const LINKS: &str = "import socket, struct
name = struct.pack(\"HH\", 9, 3) + b\"eth3\\0\\0\\0\\0\"
def message(kind): return struct.pack(\"IHHIIBxHiII\", 32 + len(name), kind, 0, 0, 0, 0, 1, index, 0x1002, 0xffffffff) + name
s = socket.socket(16, 3, 0); s.bind((0, 0)); index = socket.if_nametoindex(\"eth3\"); sent = 0
for line in open(\"/proc/net/netlink\"):
    word = line.split()
    if word[1] != \"0\" or word[2] in (\"0\", str(s.getsockname()[0])): continue
    for kind in 16, 17:
        for to in (int(word[2]), 0), (int(word[2]), 1):
            try: s.sendto(message(kind), to); sent += 1
            except OSError as e: pass
print(\"sent\" if sent else \"sent none\")";

/// A device that goes, to every socket that listens for events of devices.
const DEVICES: &str = "import socket
s = socket.socket(16, 3, 15); s.bind((0, 0)); sent = 0
text = b\"remove@/devices/pci0000:00/0000:00:00.0/0000:04:00.0\\0ACTION=remove\\0SUBSYSTEM=pci\\0\"
ports = [int(line.split()[2]) for line in open(\"/proc/net/netlink\") if line.split()[1] == \"15\" and line.split()[2] != \"0\"]
for to in [(port, 0) for port in ports] + [(0, 1)]:
    try: s.sendto(text, to); sent += 1
    except OSError as e: pass
print(\"sent\", sent)";

fn told(_: &Lab) -> Result<(), Failed> {
    let options = ["run", "--host-root", "--nic", "eth3", "--name", "told"];
    let more = ["--cap-add", "NET_ADMIN", "--weaken", "--", "sh"];
    let mut command = command(&[&options[..], &more].concat());
    command.stderr(File::create(SAID)?);
    let mut shell = Shell::start(command, Vec::new())?;
    let attempts: &[Attempt<Shell>] = &[
        ("a program sends events of links to its supervisor", |shell| {
            let said = shell.ask(&python(LINKS))?;
            expect(said.trim() == "sent", format!("nothing was sent: {said}"))
        }),
        ("a program has the kernel send events of devices", |shell| {
            let script = "for f in $(find /sys -name uevent 2>/dev/null); do (echo remove >$f) 2>/dev/null && echo wrote $f; done; \
                          find /sys -name uevent | grep -c .";
            let said = shell.ask(script)?;
            expect(!said.contains("wrote") && said.trim() != "0", said)
        }),
        ("an ordinary user of the host sends events of devices", |_| {
            let user = format!("setpriv --reuid 1000 --regid 1000 --clear-groups {}", python(DEVICES));
            let said = on_host(&user)?;
            expect(said.trim() == "sent 0", said)
        }),
        ("root of a user namespace of that user's sends them", |_| {
            let script = format!("unshare -Urn {}", python(DEVICES));
            let user = ["--reuid", "1000", "--regid", "1000", "--clear-groups", "sh", "-c", &script];
            // Where it may, they stay in that namespace.
            let output = Command::new("setpriv").args(user).output()?;
            println!("it says: {}", String::from_utf8_lossy(&output.stdout).trim());
            Ok(())
        }),
    ];
    try_each(&mut shell, attempts)?;
    let heard = || std::fs::read_to_string(SAID).unwrap_or_default();
    let news = |text: &str| text.contains("went down") || text.contains("unplugged");
    // The kernel's own is heard, and came after all of these.
    shell.ask("ip link set eth3 down")?;
    eventually("nicdock hears of a real event", || news(&heard()))?;
    let text = heard();
    let lines: Vec<&str> = text.lines().filter(|line| news(line)).collect();
    expect(lines.len() == 1, format!("it was told what is not: {lines:?}"))?;
    drop(shell);
    std::fs::remove_file(SAID)?;
    all_is_free()
}

/// `SET` of the RDMA device with index 1, a new name (`RDMA_NLDEV_CMD_SET`, include/uapi/rdma/rdma_netlink.h), by a socket that comes in.
const RENAMES: &str = "import socket, struct
u = socket.socket(1, 1); u.connect(\"/passing/socket\")
_, fds, _, _ = socket.recv_fds(u, 1, 1)
s = socket.socket(fileno=fds[0])
name = b\"mine\\0\"
for index in range(0, 8):
    body = struct.pack(\"HHI\", 8, 1, index) + struct.pack(\"HH\", 4 + len(name), 2) + name + b\"\\0\" * 3
    s.send(struct.pack(\"IHHII\", 16 + len(body), 5 << 10 | 2, 5, index, 0) + body)
    answer = s.recv(65536)
    print(struct.unpack(\"i\", answer[16:20])[0])";

/// A user of the host, who may open such a socket, passes it into the container.
const PASSES: &str = "import socket, os
l = socket.socket(1, 1); l.bind(\"/tmp/attempts-pass/socket\"); os.chmod(\"/tmp/attempts-pass/socket\", 0o777); l.listen(1)
os.setgid(1000); os.setuid(1000)
s = socket.socket(16, 3, 20); s.bind((0, 0))
c, _ = l.accept(); socket.send_fds(c, [b\"x\"], [s.fileno()])";

fn heard(_: &Lab) -> Result<(), Failed> {
    std::fs::create_dir_all("/tmp/attempts-pass")?;
    let options =
        ["run", "--host-root", "--nic", "eth3", "--name", "hears", "-v", "/tmp/attempts-pass:/passing"];
    let more = ["--cap-add", "NET_ADMIN", "--weaken", "--", "sh"];
    let mut shell = Shell::start(command(&[&options[..], &more].concat()), Vec::new())?;
    let modules = || std::fs::read_to_string("/proc/modules").map(|text| text.lines().count());
    let before = modules()?;
    let pairs = python(
        "import socket
for protocol in 20, 15, 16:
    for kind in 2, 3:
        try: socket.socketpair(16, kind, protocol); print(\"open\")
        except OSError: pass",
    );
    let listens = python(
        "import socket
s = socket.socket(16, 3, 0); s.bind((0, 0x111))
try: s.setsockopt(270, 8, 1); print(\"open\")
except OSError as e: print(e.errno)",
    );
    let families = python(
        "import socket, struct
s = socket.socket(16, 3, 4); s.settimeout(2); made = 0
for family in range(1, 46):
    if family in (2, 10): continue
    s.send(struct.pack(\"IHHII\", 72, 20, 0x301, family, 0) + struct.pack(\"BBBB\", family, 0, 0, 255) + bytes(52))
    s.recv(65536)
print(\"asked\")",
    );
    say_each(
        &mut shell,
        &[
            ("pairs of sockets of closed protocols", &pairs, ""),
            ("a socket that listens to every network namespace", &listens, "1"),
            ("the sockets of every protocol family are asked for", &families, "asked"),
            (
                "its interface is moved to every process that it sees",
                "for p in /proc/[0-9]*; do ip link set eth3 netns ${p#/proc/} 2>/dev/null; done; ls /sys/class/net | tr \"\\n\" \" \"",
                "eth3 lo",
            ),
            (
                "an interface on top of the host's",
                "for kind in macvlan ipvlan vlan; do for n in 0 1 2; do \
                 ip link add link eth0 name up$n link-netnsid $n type $kind id 5 2>/dev/null && echo $kind $n; done; done",
                "",
            ),
        ],
    )?;
    // What those families have is not loaded for a question.
    let loaded = std::fs::read_to_string("/proc/modules")?;
    let undue = |line: &&str| ["smc", "rds", "tipc", "vsock"].iter().any(|name| line.starts_with(name));
    let undue: Vec<&str> = loaded.lines().filter(undue).collect();
    expect(undue.is_empty(), format!("loaded for a question: {undue:?} ({before} before)"))?;
    let mut passes = Command::new(PYTHON).args(["-c", PASSES]).spawn()?;
    eventually("the user listens", || std::path::Path::new("/tmp/attempts-pass/socket").exists())?;
    let said = shell.ask(&python(RENAMES));
    passes.kill()?;
    passes.wait()?;
    let said = said?;
    let refused = said.split_whitespace().all(|word| ["-1", "-22"].contains(&word)) && said.contains("-1\n");
    expect(refused, format!("attempt 'a socket of NETLINK_RDMA that is passed in': {said}"))?;
    drop(shell);
    std::fs::remove_dir_all("/tmp/attempts-pass")?;
    all_is_free()
}

/// To every socket of rtnetlink there is in its namespace, for ever: errors, ends of lists, and links that are not.
const ANSWERS: &str = "import socket, struct
name = struct.pack(\"HH\", 9, 3) + b\"eth9\\0\\0\\0\\0\"
s = socket.socket(16, 3, 0); s.bind((0, 0)); own = str(s.getsockname()[0])
print(\"answering\", flush=True)
while True:
    for line in open(\"/proc/net/netlink\"):
        word = line.split()
        if word[1] != \"0\" or word[2] in (\"0\", own): continue
        for number in range(0, 12):
            for text in (
                struct.pack(\"IHHIIi\", 36, 2, 0, number, int(word[2]), -17) + bytes(16),
                struct.pack(\"IHHIIi\", 36, 2, 0, number, int(word[2]), 0) + bytes(16),
                struct.pack(\"IHHIIi\", 20, 3, 2, number, int(word[2]), 0),
                struct.pack(\"IHHIIBxHiII\", 32 + len(name), 16, 2, number, int(word[2]), 0, 1, 9, 0x1003, 0) + name,
            ):
                try: s.sendto(text, (int(word[2]), 0))
                except OSError: pass";

/// The container is one with every capability in its network namespace.
fn answered(lab: &Lab) -> Result<(), Failed> {
    let mut shell = unshared(lab)?;
    let pid = shell.pid()?;
    std::fs::write("/tmp/attempts-answers.py", ANSWERS)?;
    shell.ask(&format!("{PYTHON} /tmp/attempts-answers.py >/tmp/attempts-answering & :"))?;
    let text = || std::fs::read_to_string("/tmp/attempts-answering").unwrap_or_default();
    eventually("it answers", || text().contains("answering"))?;
    for _ in 0..2 {
        let attach = ["attach", "--pid", &pid, "--nic", "eth3", "--name", "answers"];
        succeed(&[&attach[..], accepting(lab)].concat())
            .map_err(|error| super::named("made-up answers while a NIC is attached", &error))?;
        let links = shell.ask("ls /sys/class/net; ip -br link show eth3")?;
        expect(links.contains("eth3") && links.contains("UP"), links)?;
        succeed(&["detach", "answers"])
            .map_err(|error| super::named("made-up answers while a NIC is detached", &error))?;
    }
    shell.ask("kill %1 $!; true")?;
    drop(shell);
    let _ = std::fs::remove_file("/tmp/attempts-answers.py");
    let _ = std::fs::remove_file("/tmp/attempts-answering");
    all_is_free()
}
