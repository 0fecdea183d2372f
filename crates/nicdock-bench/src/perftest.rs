//! Reads what perftest's programs and `ibv_rc_pingpong` print: one row of figures, and for latency every single time if the program tells.

use std::fmt;

use crate::measurement::{Measurement, Test};

/// What one run of a program measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Typical latency, average bandwidth or average message rate, in the test's unit.
    pub figure: f64,
    /// Every single latency, in microseconds.
    pub samples: Vec<f64>,
}

/// That a program printed no figures, with the last it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseOutputError {
    measurement: Measurement,
    said: String,
}

impl fmt::Display for ParseOutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gave no figures; it said: {}", self.measurement, self.said)
    }
}

impl std::error::Error for ParseOutputError {}

/// The columns after the size and the number of iterations, as perftest_parameters.h of perftest 4.5 has them.
const LATENCY: [&str; 7] = ["t_min", "t_max", "t_typical", "t_avg", "t_stdev", "99%", "99.9%"];
const BANDWIDTH: [&str; 3] = ["peak", "average", "MsgRate"];

/// The figures in what a program printed for a measurement.
pub fn parse(measurement: Measurement, text: &str) -> Result<Output, ParseOutputError> {
    if let Some(round_trip) = ping_pong(text).filter(|_| measurement.test == Test::Latency) {
        return Ok(Output { figure: round_trip / 2.0, samples: Vec::new() });
    }
    let row =
        row(measurement, text).ok_or_else(|| ParseOutputError { measurement, said: last_words(text) })?;
    Ok(match measurement.test {
        Test::Latency => Output { figure: row[2], samples: text.lines().filter_map(sample).collect() },
        Test::Bandwidth => Output { figure: row[1], samples: Vec::new() },
        Test::Rate => Output { figure: row[2], samples: Vec::new() },
    })
}

/// `1000 iters in 0.52 seconds = 523.53 usec/iter`: there and back (libibverbs/examples/rc_pingpong.c).
fn ping_pong(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains(" iters in ") && line.ends_with(" usec/iter"))?;
    let (_, time) = line.rsplit_once(" = ")?;
    time.strip_suffix(" usec/iter")?.parse().ok().filter(|time: &f64| time.is_finite() && *time > 0.0)
}

/// The row below the header that names the columns we know, for messages of this size. With another header nothing is guessed.
fn row(measurement: Measurement, text: &str) -> Option<Vec<f64>> {
    let columns: &[&str] = if measurement.test == Test::Latency { &LATENCY } else { &BANDWIDTH };
    let mut is_headed = false;
    let mut found = None;
    for line in text.lines() {
        if line.trim_start().starts_with("#bytes") {
            is_headed = in_order(line, columns);
        } else if is_headed {
            found = numbers(line, measurement.size, columns.len()).or(found);
        }
    }
    found
}

fn in_order(header: &str, columns: &[&str]) -> bool {
    let mut rest = header;
    columns.iter().all(|column| match rest.split_once(column) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

fn numbers(line: &str, size: u32, count: usize) -> Option<Vec<f64>> {
    let mut words = line.split_whitespace();
    let is_row = words.next()?.parse() == Ok(size) && words.next()?.parse::<u64>().is_ok();
    let numbers: Vec<f64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    (is_row && numbers.len() == count && numbers.iter().all(|n| n.is_finite() && *n >= 0.0))
        .then_some(numbers)
}

/// A line of the unsorted results: `17, 1098.58`.
fn sample(line: &str) -> Option<f64> {
    let (number, time) = line.split_once(", ")?;
    number.parse::<u64>().ok()?;
    time.trim().parse().ok().filter(|time: &f64| time.is_finite() && *time > 0.0)
}

fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// perftest 4.5 on soft-RoCE, `ib_send_lat -U`, but for the number of samples.
    const LATENCIES: &str = "\
---------------------------------------------------------------------------------------
                    Send Latency Test
 TX depth        : 1
---------------------------------------------------------------------------------------
 #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]   99% percentile[usec]   99.9% percentile[usec] 
#, usec
1, 2627.6
2, 713.041
3, 1284
---------------------------------------------------------------------------------------
 #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]   99% percentile[usec]   99.9% percentile[usec] 
 8       200          470.44         3747.24      1367.58  	       1443.25     	547.87 		3741.88 		3747.24
---------------------------------------------------------------------------------------
";

    const BANDWIDTHS: &str = "\
 CQ Moderation   : 100
 #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   MsgRate[Mpps]
 65536      200              11.10              10.70  		   0.000171
---------------------------------------------------------------------------------------
";

    fn of(test: Test, size: u32, printed: &str) -> Result<Output, ParseOutputError> {
        parse(Measurement { test, size }, printed)
    }

    #[test]
    fn a_latency_has_its_typical_time_and_every_single_one() {
        let found = of(Test::Latency, 8, LATENCIES).expect("figures");
        assert_eq!(found.figure.to_string(), "1367.58");
        assert_eq!(found.samples, [2627.6, 713.041, 1284.0]);
    }

    #[test]
    fn bandwidth_and_rate_are_read_from_one_row() {
        let figure = |test| of(test, 65536, BANDWIDTHS).map(|found| found.figure.to_string());
        assert_eq!(figure(Test::Bandwidth), Ok("10.7".to_owned()));
        assert_eq!(figure(Test::Rate), Ok("0.000171".to_owned()));
    }

    #[test]
    fn a_ping_pong_is_half_of_a_round_trip() {
        let text = "  remote address: LID 0x0000, QPN 0x000012\n16000 bytes in 0.52 seconds = 0.24 Mbit/sec\n\
                    1000 iters in 0.52 seconds = 523.50 usec/iter\n";
        assert_eq!(of(Test::Latency, 8, text).map(|found| found.figure.to_string()), Ok("261.75".to_owned()));
        assert!(of(Test::Latency, 8, &text.replace("523.50", "inf")).is_err());
    }

    #[test]
    fn nothing_is_guessed_of_another_size_other_columns_or_an_error() {
        assert!(of(Test::Latency, 16, LATENCIES).is_err());
        assert!(of(Test::Bandwidth, 65536, &BANDWIDTHS.replace("BW average", "BW median")).is_err());
        assert!(of(Test::Bandwidth, 65536, &BANDWIDTHS.replace("10.70", "nan")).is_err());
        let error = of(Test::Latency, 8, "\n Couldn't connect to 10.0.0.1:18515\n").expect_err("no figures");
        assert!(error.to_string().ends_with("it said: Couldn't connect to 10.0.0.1:18515"), "{error}");
    }
}
