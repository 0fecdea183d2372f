//! Waits until the kernel has done what it does when an interface gets its link.

use std::io;
use std::time::{Duration, Instant};

use nicdock_netlink::rtnl::Rtnl;

pub fn wait(host: &mut Rtnl, ifindex: u32, at_most: Duration) -> io::Result<()> {
    let begin = Instant::now();
    while !host.links()?.iter().any(|link| link.ifindex == ifindex && link.running) {
        if begin.elapsed() > at_most {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // The state is set before others are told, all under one lock (net/core/link_watch.c, linkwatch_do_dev()): who has had
    // the lock since is after that. Setting an interface up that is up does nothing else.
    host.set_up(ifindex, true)
}
