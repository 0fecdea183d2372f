//! The connection manager's one node reaches another HCA's port by an InfiniBand address (`AF_IB`).
//!
//! `rdma_bind_addr()` (drivers/infiniband/core/cma.c) looks the GID up on every device that `rdma_dev_access_netns()` lets through: all of
//! them in the shared mode. The address is in what is written to the node, which seccomp cannot read.

use libtest_mimic::Failed;

use super::{any, run};
use crate::nicdock::{expect, nicdock, succeed};
use crate::{Lab, Test, audit, engine, host};

pub const TESTS: &[Test] = &[(
    "limit_by_an_infiniband_address_rdma_cm_listens_on_another_hca_where_rdma_namespaces_are_shared",
    another_hca,
    any,
)];

/// Binds an identifier to a GID, asks which device that is, and listens there (include/uapi/rdma/rdma_user_cm.h).
const BIND: &str = r#"
import ctypes, os, socket, struct, sys
node = os.open("/dev/infiniband/rdma_cm", os.O_RDWR)
answer = ctypes.create_string_buffer(512)
where = ctypes.addressof(answer)
def order(number, out, body):
    os.write(node, struct.pack("IHH", number, len(body), out) + body)
CREATE_ID, LISTEN, QUERY, BIND = 0, 7, 19, 20
TCP, RELIABLE, AF_IB = 0x0106, 2, 27
for gid in sys.argv[1:]:
    order(CREATE_ID, 4, struct.pack("QQHB5x", 0, where, TCP, RELIABLE))
    number = struct.unpack("I", answer.raw[:4])[0]
    address = struct.pack(">HI", 0xffff, 0) + socket.inet_pton(socket.AF_INET6, gid)
    address = struct.pack("H", AF_IB) + address + struct.pack(">QQQ", 0x01060000 + 4711, 0xffffffffffffffff, 0)
    try:
        order(BIND, 0, struct.pack("IHH", number, len(address), 0) + address.ljust(128, b"\0"))
        order(QUERY, 280, struct.pack("QII", where, number, 0))
        guid = answer.raw[:8].hex()
        order(LISTEN, 0, struct.pack("II", number, 8))
        print("listens on", guid)
    except OSError as error:
        print("errno", error.errno)
"#;

/// What the container says of its own GID and of the other's.
fn another_hca(lab: &Lab) -> Result<(), Failed> {
    let read = |what: &str| {
        host::shell(&format!("cat /sys/class/infiniband/{what}")).map(|text| text.trim().to_owned())
    };
    let (own, other) = (read("hca0/ports/1/gids/0")?, read("hca1/ports/1/gids/0")?);
    let guids = [read("hca0/node_guid")?, read("hca1/node_guid")?].map(|guid| guid.replace(':', ""));
    let script =
        format!("cat >/tmp/bind.py <<'END'\n{BIND}\nEND\n/usr/bin/python3 /tmp/bind.py {own} {other}");
    let (said, _) = run(&["--nic", "hca0", "--rdma-cm"], &script)?;
    let reached = if lab.exclusive { "errno 19".to_owned() } else { format!("listens on {}", guids[1]) };
    expect(said == format!("listens on {}\n{reached}\n", guids[0]), format!("{said}\n{guids:?}"))?;
    let output = nicdock(&["run", "--audit", "--host-root", "--nic", "hca0", "--rdma-cm", "--", "--json"]);
    let open = engine::open(&audit::report(&output)?);
    let found = open.iter().all(|line| line.starts_with("rdma_cm.bind_infiniband: BIND AF_IB"));
    expect(found && open.is_empty() == lab.exclusive, format!("the audit finds {open:?}"))?;
    let plan = succeed(&["plan", "--nic", "hca0", "--rdma-cm", "--host-root", "--", "true"])?;
    expect(plan.contains("weakness rdma_cm") && plan.contains("bound to an InfiniBand address (AF_IB)"), plan)
}
