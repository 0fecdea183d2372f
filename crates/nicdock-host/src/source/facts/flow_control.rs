use std::fs;
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use nicdock_netlink::wire::{Attributes, Connection, Messages, push_attribute};

/// `RTM_GETDCB` (include/uapi/linux/rtnetlink.h).
const RTM_GETDCB: u16 = 78;
// include/uapi/linux/dcbnl.h
const DCB_CMD_IEEE_GET: u8 = 21;
const DCB_ATTR_IFNAME: u16 = 1;
const DCB_ATTR_IEEE: u16 = 13;
const DCB_ATTR_IEEE_PFC: u16 = 2;
/// `EOPNOTSUPP`: the driver has no DCB.
const EOPNOTSUPP: i32 = 95;

/// What `dcb pfc show dev NETDEV` asks. Netdevs that cannot be asked for another reason are left out.
pub fn lines() -> io::Result<String> {
    let connection = Connection::open(NETLINK_ROUTE)?;
    let line = |name: &String| match ask(&connection, name) {
        Ok(Some(mask)) => Some(format!("{name} {mask:02x}\n")),
        Ok(None) => Some(format!("{name} -\n")),
        Err(error) if error.raw_os_error() == Some(EOPNOTSUPP) => Some(format!("{name} -\n")),
        Err(_) => None,
    };
    let physical = |name: &&String| fs::symlink_metadata(format!("/sys/class/net/{name}/device")).is_ok();
    Ok(super::netdevs()?.iter().filter(physical).filter_map(line).collect())
}

/// `pfc_en` of `struct ieee_pfc`, its second byte.
fn ask(connection: &Connection, netdev: &str) -> io::Result<Option<u8>> {
    // struct dcbmsg: family, command, padding.
    let mut payload = vec![0, DCB_CMD_IEEE_GET, 0, 0];
    push_attribute(&mut payload, DCB_ATTR_IFNAME, format!("{netdev}\0").as_bytes());
    let answer = connection.request(RTM_GETDCB, &payload)?;
    let mut mask = None;
    for message in Messages::new(&answer) {
        let message = message?;
        for attribute in Attributes::new(message.payload().get(4..).unwrap_or_default()) {
            let attribute = attribute?;
            if attribute.kind != DCB_ATTR_IEEE {
                continue;
            }
            for inner in Attributes::new(attribute.payload) {
                let inner = inner?;
                if inner.kind == DCB_ATTR_IEEE_PFC {
                    mask = inner.payload.get(1).copied();
                }
            }
        }
    }
    Ok(mask)
}
