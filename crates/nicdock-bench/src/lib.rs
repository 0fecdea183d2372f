//! Compares what a NIC does on the host and in a container. It decides, reads and judges; it starts nothing.

mod disturbance;
mod measurement;
mod page;
mod perftest;
mod picture;
mod plan;
mod report;
mod script;
mod statistics;
mod text;

pub use disturbance::{Readings, disturbances};
pub use measurement::{Measurement, Test};
pub use page::page;
pub use perftest::{Output, ParseOutputError, parse};
pub use picture::{DARK, LIGHT, picture};
pub use plan::{Plan, Profile, Turn};
pub use report::{Figures, Machine, Nic, Report, Results, Row};
pub use script::{Address, End, READY, Waiting, answers, client, program, server};
pub use statistics::{Interval, MIN_ROUNDS, interval, median, quantile, verdict};
pub use text::table;
