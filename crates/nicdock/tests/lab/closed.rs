//! What is closed beside nodes and netlink, and what a user can open.

use std::process::Stdio;

use libtest_mimic::Failed;

use crate::nicdock::{command, expect, fail, shell};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_descriptor_of_another_nic_makes_no_context", passed_descriptor, |_| true),
    ("in_a_user_namespace_capabilities_do_not_reach_the_nic", user_namespace, |_| true),
    ("proc_names_no_device_of_the_host", proc_shows_no_device, Lab::is_first_of_its_kernel),
    ("control_groups_are_the_containers_and_name_no_rdma_device", control_groups, |_| true),
    ("no_mount_shows_where_nicdock_keeps_its_state", no_state_folder, |_| true),
    ("the_functions_registers_are_shown_on_request_only", registers, Lab::is_first_of_its_kernel),
    ("an_open_view_shows_disks_and_no_other_nic", open_view, Lab::is_first_of_its_kernel),
    ("without_a_view_everything_is_shown_and_the_plan_warns", no_view, Lab::is_first_of_its_kernel),
    ("a_family_of_sockets_is_allowed_by_name", family, Lab::is_first_of_its_kernel),
    ("rdma_cm_is_given_on_request_only", rdma_cm, Lab::moves_soft_roce),
    ("a_volume_is_mounted_where_no_link_leads", volume, Lab::is_first_of_its_kernel),
];

const RXE1: [&str; 4] = ["--nic", "rxe1", "--netdev", "keep"];

/// Opens a NIC's node as root of the host and sends the descriptor into a container, as a helper inside a cluster's shared
/// folder might; there a context is made with it, by ioctl (the write interface compares credentials).
///
/// Gives what the container says of the other's and of its own.
pub fn foreign_context(environment: &[(&str, &str)]) -> Result<String, Failed> {
    let folder = "/tmp/passed";
    std::fs::create_dir_all(folder)?;
    let sender = "import array, os, socket, sys
server = socket.socket(socket.AF_UNIX); server.bind('/tmp/passed/s'); server.listen()
print('ready', flush=True)
for node in sys.argv[1:]:
    peer = server.accept()[0]
    fd = os.open('/dev/infiniband/' + node, os.O_RDWR)
    peer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
";
    // include/uapi/rdma/rdma_user_ioctl_cmds.h: RDMA_VERBS_IOCTL, struct ib_uverbs_ioctl_hdr, UVERBS_METHOD_GET_CONTEXT;
    // RDMA_DRIVER_RXE.
    let receiver = "import array, fcntl, socket, struct
for _ in range(2):
    s = socket.socket(socket.AF_UNIX); s.connect('/passed/s')
    data, control, _, _ = s.recvmsg(1, socket.CMSG_SPACE(4))
    fd = array.array('i', control[0][2][:4])[0]
    header = struct.pack('HHHHQIIQ', 24, 0, 3, 0, 0, 14, 0, 0)[:24]
    try:
        fcntl.ioctl(fd, 0xc0181b01, bytearray(header)); print('context')
    except OSError as e:
        print(e.errno)
";
    let mut sender = std::process::Command::new("python3")
        .args(["-c", sender, "uverbs0", "uverbs1"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = [0; 6];
    std::io::Read::read_exact(sender.stdout.as_mut().expect("piped"), &mut ready)?;
    let mut args = vec!["run", "--host-root", "-v", "/tmp/passed:/passed"];
    args.extend(RXE1);
    args.extend(["--", "python3", "-c", receiver]);
    let output = command(&args).envs(environment.iter().copied()).output();
    let _ = sender.kill();
    let _ = sender.wait();
    std::fs::remove_dir_all(folder)?;
    let output = output?;
    expect(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn passed_descriptor(_: &Lab) -> Result<(), Failed> {
    // EAGAIN of the rdma cgroup for the other's, a context of its own.
    let text = foreign_context(&[])?;
    expect(text == "11\ncontext\n", text)
}

fn user_namespace(_: &Lab) -> Result<(), Failed> {
    let script = "cat /proc/self/uid_map; grep CapEff /proc/self/status; ip link set eth3 mtu 1300; ip link set eth3 address 02:00:00:00:00:01; ip -o link show eth3; ip -o address show eth3";
    let text = shell(&["--nic", "eth3", "--userns", "--cap-add", "NET_ADMIN"], script)?;
    expect(text.contains("65536") && text.contains("mtu 1400") && text.contains("10.77.4.1"), &text)?;
    // Bit 12 is CAP_NET_ADMIN's: held, and of no use.
    expect(text.contains("CapEff:\t00000000800415fb"), text)?;
    let text =
        shell(&[&RXE1[..], &["--userns", "--user", "1000"]].concat(), "ulimit -l; ibv_devinfo -d rxe1")?;
    expect(text.contains("unlimited") && text.contains("PORT_ACTIVE"), text)?;
    fail(125, &["run", "--nic", "eth3", "--userns", "--cap-add", "SYS_ADMIN", "--host-root", "--", "true"])
        .map(drop)
}

fn proc_shows_no_device(_: &Lab) -> Result<(), Failed> {
    let files = "interrupts iomem ioports modules devices misc kallsyms cmdline kmsg kcore keys partitions";
    let folders = "bus irq driver acpi fs tty dynamic_debug sys/dev sys/debug";
    let script = format!(
        "cd /proc; for f in {files}; do test -s $f && echo $f; (echo x >$f) 2>/dev/null && echo written $f; done; \
         for d in {folders}; do ls -A $d 2>/dev/null; (mkdir $d/x) 2>/dev/null && echo made $d; done; \
         (echo 1 >sys/net/ipv4/ip_forward) 2>/dev/null && echo forward; cat cpuinfo meminfo | wc -l"
    );
    let text = shell(&RXE1, &script)?;
    let lines: Vec<&str> = text.lines().collect();
    expect(lines.len() == 1 && lines[0].parse::<u32>().is_ok_and(|lines| lines > 40), text)
}

fn control_groups(_: &Lab) -> Result<(), Failed> {
    let script = "find /sys/fs/cgroup -maxdepth 2 -type d | sort; find /sys/fs/cgroup -name 'rdma.*' -exec cat {} +; \
        (mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/memory/x) 2>/dev/null && echo made; cat /proc/self/cgroup; \
        find /sys/fs/cgroup -name cgroup.procs | head -1 | xargs cat | wc -l";
    let text = shell(&RXE1, script)?;
    expect(text.contains("/sys/fs/cgroup\n") && !text.contains("made"), &text)?;
    expect(!text.contains("hca_handle") && !text.contains("rxe0") && !text.contains("nicdock"), text)
}

fn no_state_folder(_: &Lab) -> Result<(), Failed> {
    let text =
        shell(&[&RXE1[..], &["-v", "/tmp:/volume:ro"]].concat(), "cat /proc/1/mountinfo /proc/self/mounts")?;
    expect(!text.contains("nicdock") && !text.contains("/run/"), text)
}

fn registers(_: &Lab) -> Result<(), Failed> {
    let list = "ls /sys/class/net/eth3/device/.. ; cat /sys/class/net/eth3/device/../uevent >/dev/null; echo; \
        head -c 4 /sys/class/net/eth3/device/../config 2>/dev/null | wc -c; (echo 0 >/sys/class/net/eth3/device/../config) 2>/dev/null && echo written; true";
    let text = shell(&["--nic", "eth3"], list)?;
    let is_mapped = |line: &str| line.strip_prefix("resource").is_some_and(|number| !number.is_empty());
    expect(!text.lines().any(is_mapped), &text)?;
    for name in ["config", "rom", "driver_override", "remove", "reset", "sriov"] {
        expect(!text.lines().any(|line| line.starts_with(name)), format!("{name} in {text}"))?;
    }
    let text = shell(&["--nic", "eth3", "--registers"], list)?;
    expect(text.contains("config\n") && text.lines().any(is_mapped) && text.contains("\n4\n"), &text)?;
    expect(!text.contains("written") && !text.contains("remove"), text)
}

fn open_view(_: &Lab) -> Result<(), Failed> {
    let script = "ls /sys/class /sys/bus/pci/devices /sys/class/infiniband; ls /sys/class/net; \
        find -L /sys/class /sys/bus -maxdepth 2 -type l; grep -rlE 'rxe0|52:54:00:4e:49:01' /sys/class /sys/bus /sys/module 2>/dev/null; true";
    let text = shell(&[&RXE1[..], &["--view", "open"]].concat(), script)?;
    expect(text.contains("tty\n") && text.contains("0000:00:1f.2") && text.contains("rxe1\nlo\n"), &text)?;
    expect(!text.contains("rxe0") && !text.contains("0000:01:00.0") && !text.contains("uverbs0"), text)
}

fn no_view(_: &Lab) -> Result<(), Failed> {
    let mut args = vec!["run", "--host-root", "--view", "off"];
    args.extend(RXE1);
    args.extend(["--", "ls", "/sys/bus/pci/devices", "/sys/fs/cgroup"]);
    let output = command(&args).output()?;
    let (text, notice) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    expect(
        text.contains("0000:01:00.0") && notice.contains("--view off shows every NIC"),
        format!("{text}{notice}"),
    )
}

fn family(_: &Lab) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    // AF_ALG, SOCK_SEQPACKET.
    let script = format!("{this} --probe socket 38 5 0");
    let refused = shell(&RXE1, &script)?;
    expect(refused.trim() == libc::EAFNOSUPPORT.to_string(), refused)?;
    let allowed = shell(&[&RXE1[..], &["--allow-family", "alg"]].concat(), &script)?;
    expect(allowed.trim() == "open", allowed)?;
    let error =
        fail(2, &["plan", "--nic", "rxe1", "--host-root", "--allow-family", "netlink", "--", "true"])?;
    expect(error.contains("vsock"), error)
}

fn rdma_cm(_: &Lab) -> Result<(), Failed> {
    let list = "ls /dev/infiniband";
    expect(shell(&["--nic", "rxe1"], list)?.trim() == "uverbs1", "without")?;
    expect(shell(&["--nic", "rxe1", "--rdma-cm"], list)?.contains("rdma_cm"), "with")?;
    let error =
        fail(125, &["run", "--nic", "rxe1", "--netdev", "keep", "--rdma-cm", "--host-root", "--", "true"])?;
    expect(error.contains("netdev inside"), error)
}

fn volume(_: &Lab) -> Result<(), Failed> {
    std::fs::create_dir_all("/tmp/volume")?;
    std::fs::write("/tmp/volume/file", "content")?;
    let options = ["-v", "/tmp/volume:/a/b c/d", "-v", "/tmp/volume/file:/tmp/one:ro"];
    let script = "cat '/a/b c/d/file' /tmp/one; (echo x >/tmp/one) 2>/dev/null && echo written; true";
    let text = shell(&[&RXE1[..], &options].concat(), script)?;
    std::fs::remove_dir_all("/tmp/volume")?;
    expect(text == "contentcontent", text)
}
