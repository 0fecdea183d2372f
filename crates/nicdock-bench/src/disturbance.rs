//! Names what of the machine disturbs a measurement.

/// What was read of the machine around the measurement, as the kernel prints it. What could not be read is empty.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Processors that this process may use.
    pub processors: usize,
    /// `/proc/loadavg` before the first turn.
    pub load: String,
    /// `/proc/stat` before the first turn and after the last.
    pub before: String,
    pub after: String,
    /// `cpufreq/scaling_governor` of each processor that has one.
    pub governors: Vec<String>,
    /// The first processor's lines of `/proc/cpuinfo`.
    pub cpuinfo: String,
    /// RDMA devices that are software, with their driver.
    pub software: Vec<(String, String)>,
    /// The NUMA nodes of both NICs.
    pub numa: [Option<u32>; 2],
}

/// Sentences, one for each.
pub fn disturbances(read: &Readings) -> Vec<String> {
    let mut found = Vec::new();
    if read.processors == 1 {
        found
            .push("there is one processor for both ends: times have the scheduler's part in them".to_owned());
    }
    let flags = read.cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    if flags.split_whitespace().any(|flag| flag == "hypervisor") {
        found.push("this is a virtual machine: others share its processors".to_owned());
    }
    for (device, driver) in &read.software {
        found.push(format!("{device} is software ({driver}): processors do what a NIC does elsewhere"));
    }
    let slow = read.governors.iter().find(|governor| *governor != "performance");
    if let Some(governor) = slow {
        found.push(format!("the processors' frequency changes (governor {governor})"));
    }
    #[allow(clippy::cast_precision_loss)]
    let processors = read.processors.max(1) as f64;
    let load = read.load.split(' ').next().and_then(|load| load.parse::<f64>().ok());
    if let Some(load) = load.filter(|load| load / processors > 0.5) {
        found.push(format!("other programs ran (load {load:.2} on {processors} processors at the start)"));
    }
    if let Some(stolen) = stolen(&read.before, &read.after).filter(|stolen| *stolen > 0.5) {
        found.push(format!("the hypervisor gave {stolen:.1} % of the time to others (steal)"));
    }
    if let [Some(one), Some(other)] = read.numa
        && one != other
    {
        found.push(format!("the two NICs are on different NUMA nodes ({one} and {other})"));
    }
    found
}

/// Percent of the processors' time that was stolen (proc_stat(5): the eighth field).
#[allow(clippy::cast_precision_loss)]
fn stolen(before: &str, after: &str) -> Option<f64> {
    let fields = |text: &str| -> Option<Vec<u64>> {
        let line = text.lines().find(|line| line.starts_with("cpu "))?;
        line.split_whitespace().skip(1).take(8).map(|field| field.parse().ok()).collect()
    };
    let (before, after) = (fields(before)?, fields(after)?);
    let spent: Vec<u64> = after.iter().zip(&before).map(|(a, b)| a.saturating_sub(*b)).collect();
    let total: u64 = spent.iter().sum();
    (total > 0).then(|| *spent.get(7).unwrap_or(&0) as f64 / total as f64 * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_machine_has_none() {
        let quiet = Readings {
            processors: 64,
            load: "0.10 0.2 0.3 1/100 7".into(),
            before: "cpu  10 0 10 100 0 0 0 0 0 0\n".into(),
            after: "cpu  20 0 20 200 0 0 0 0 0 0\n".into(),
            governors: vec!["performance".into()],
            cpuinfo: "flags\t: fpu sse\n".into(),
            software: Vec::new(),
            numa: [Some(1), Some(1)],
        };
        assert_eq!(disturbances(&quiet), Vec::<String>::new());
    }

    #[test]
    fn each_is_named() {
        let loud = Readings {
            processors: 1,
            load: "3.00 0.2 0.3 1/100 7".into(),
            before: "cpu  10 0 10 100 0 0 0 0 0 0\n".into(),
            after: "cpu  20 0 20 200 0 0 0 80 0 0\n".into(),
            governors: vec!["performance".into(), "powersave".into()],
            cpuinfo: "flags\t: fpu hypervisor\n".into(),
            software: vec![("rxe0".into(), "rxe".into())],
            numa: [Some(0), Some(1)],
        };
        let found = disturbances(&loud).join("\n");
        for word in
            ["one processor", "virtual", "rxe0 is software", "powersave", "load 3.00", "40.0 %", "0 and 1"]
        {
            assert!(found.contains(word), "{word}: {found}");
        }
    }
}
