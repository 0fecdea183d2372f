//! Collects what turns measured and makes the report of it, which is the JSON of `--json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measurement::Measurement;
use crate::perftest::Output;
use crate::plan::Profile;
use crate::statistics::{interval, median, quantile, verdict};

/// What was measured where, and on what.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub kernel: String,
    pub processor: String,
    pub processors: usize,
    /// The measured NIC, and the one at the other end.
    pub nic: Nic,
    pub nic2: Nic,
    /// The version of the programs.
    pub perftest: String,
    pub nicdock: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Nic {
    pub name: String,
    pub rdma_device: String,
    pub netdev: String,
    pub driver: String,
    pub mtu: u32,
    pub speed_mbps: Option<u32>,
    pub numa_node: Option<u32>,
}

/// What one profile did, in the test's unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// The median of the rounds' figures.
    pub median: Option<f64>,
    /// Of the single messages of all rounds; a test without single times has none.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    /// The figure of each round, in the order of `Row::rounds`.
    pub rounds: Vec<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub size: u32,
    pub unit: &'static str,
    pub host: Figures,
    pub container: Figures,
    /// container/host.
    pub ratio: Option<f64>,
    /// Where that is with 95 %.
    pub interval: Option<[f64; 2]>,
    pub verdict: String,
    #[serde(skip)]
    pub measurement: Measurement,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this format: 1.
    pub schema: u32,
    pub machine: Machine,
    pub tests: Vec<Row>,
    pub disturbances: Vec<String>,
    /// Rounds that were asked for, and the seed of their order.
    pub rounds: u32,
    pub seed: u64,
    /// The command line that repeats it.
    pub command: String,
    /// It was interrupted, and fewer rounds are in it than were asked for.
    pub interrupted: bool,
}

/// What turns have measured so far. Warm-ups do not come here.
#[derive(Clone, Debug, Default)]
pub struct Results(BTreeMap<Measurement, BTreeMap<u32, BTreeMap<Profile, Output>>>);

impl Results {
    pub fn add(&mut self, round: u32, profile: Profile, measurement: Measurement, output: Output) {
        self.0.entry(measurement).or_default().entry(round).or_default().insert(profile, output);
    }

    /// One row a measurement, of the rounds that have both profiles.
    pub fn rows(&self) -> Vec<Row> {
        self.0.iter().map(|(measurement, rounds)| row(*measurement, rounds)).collect()
    }
}

fn row(measurement: Measurement, rounds: &BTreeMap<u32, BTreeMap<Profile, Output>>) -> Row {
    let both: Vec<[&Output; 2]> = rounds
        .values()
        .filter_map(|of| Some([of.get(&Profile::Host)?, of.get(&Profile::Container)?]))
        .collect();
    let pairs: Vec<(f64, f64)> =
        both.iter().map(|[host, container]| (host.figure, container.figure)).collect();
    let found = interval(&pairs);
    let test = measurement.test;
    Row {
        name: test.name(),
        size: measurement.size,
        unit: test.unit(),
        host: figures(both.iter().map(|pair| pair[0])),
        container: figures(both.iter().map(|pair| pair[1])),
        ratio: found.map(|found| found.ratio),
        interval: found.map(|found| [found.low, found.high]),
        verdict: found
            .map_or_else(|| "not measured".to_owned(), |found| verdict(&found, test.is_better_when_higher())),
        measurement,
    }
}

fn figures<'a>(outputs: impl Iterator<Item = &'a Output> + Clone) -> Figures {
    let rounds: Vec<f64> = outputs.clone().map(|output| output.figure).collect();
    let samples: Vec<f64> = outputs.flat_map(|output| output.samples.iter().copied()).collect();
    Figures {
        median: median(&rounds),
        p50: quantile(&samples, 0.5),
        p99: quantile(&samples, 0.99),
        p999: quantile(&samples, 0.999),
        rounds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Test;

    fn output(figure: f64) -> Output {
        Output { figure, samples: vec![figure, figure * 3.0] }
    }

    #[test]
    fn a_round_that_has_one_profile_only_does_not_count() {
        let latency = Measurement { test: Test::Latency, size: 8 };
        let mut results = Results::default();
        for round in 1..=6 {
            results.add(round, Profile::Host, latency, output(2.0));
            results.add(round, Profile::Container, latency, output(2.02));
        }
        results.add(7, Profile::Host, latency, output(100.0));
        let rows = results.rows();
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.name, row.size, row.unit), ("lat", 8, "us"));
        assert_eq!((row.host.median, row.host.rounds.len()), (Some(2.0), 6));
        assert_eq!((row.host.p50, row.host.p999), (Some(4.0), Some(6.0)));
        assert_eq!(row.verdict, "the container is 1.0 % worse, ± 0.0 %");
    }

    #[test]
    fn without_a_pair_nothing_is_said() {
        let mut results = Results::default();
        let bandwidth = Measurement { test: Test::Bandwidth, size: 65536 };
        results.add(1, Profile::Host, bandwidth, output(10.0));
        assert_eq!((results.rows()[0].ratio, results.rows()[0].verdict.as_str()), (None, "not measured"));
    }
}
