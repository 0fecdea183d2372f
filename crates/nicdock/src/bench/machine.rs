//! Reads what the report says of the machine, and what may disturb.

use std::fs;

use super::ends::{Ends, Side};
use nicdock_bench::{Machine, Nic, Readings};
use nicdock_host::model::is_soft;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The line of all processors.
pub fn stat() -> String {
    read("/proc/stat").lines().take(1).collect::<String>() + "\n"
}

pub fn before(processors: usize, ends: &Ends) -> Readings {
    let governors =
        fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten().filter_map(|entry| {
            let governor = fs::read_to_string(entry.path().join("cpufreq/scaling_governor")).ok()?;
            Some(governor.trim().to_owned())
        });
    let software = [&ends.own, &ends.peer].into_iter().filter_map(|side| {
        let driver = side.device.driver.as_ref().filter(|driver| is_soft(driver))?;
        Some((side.device.name.clone(), driver.clone()))
    });
    Readings {
        processors,
        load: read("/proc/loadavg"),
        before: stat(),
        after: String::new(),
        governors: governors.collect(),
        cpuinfo: read("/proc/cpuinfo").split("\n\n").next().unwrap_or_default().to_owned(),
        software: software.collect(),
        numa: [ends.own.nic.numa_node, ends.peer.nic.numa_node],
    }
}

pub fn describe(ends: &Ends, readings: &Readings, perftest: String) -> Machine {
    let model = readings.cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    Machine {
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        processor: model.trim_start_matches([' ', '\t', ':']).to_owned(),
        processors: readings.processors,
        nic: nic(&ends.own),
        nic2: nic(&ends.peer),
        perftest,
        nicdock: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn nic(side: &Side) -> Nic {
    Nic {
        name: side.nic.name.clone(),
        rdma_device: side.device.name.clone(),
        netdev: side.netdev.name.clone(),
        driver: side.device.driver.clone().unwrap_or_default(),
        mtu: side.netdev.mtu,
        speed_mbps: side.netdev.speed_mbps,
        numa_node: side.nic.numa_node,
    }
}
