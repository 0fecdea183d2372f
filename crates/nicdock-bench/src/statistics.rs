//! Computes medians, percentiles, and the ratio of paired figures with its uncertainty.

use fastrand::Rng;
use serde::Serialize;

/// Fewer pairs than these cannot give an interval of 95 % for a median: the median of all that could have been measured is outside of the
/// lowest and the highest of n with a probability of 2^(1-n), and 2^(1-6) is the first below 5 %.
pub const MIN_ROUNDS: usize = 6;

const RESAMPLES: usize = 10_000;

/// The bootstrap's draws are the same each time: the same figures give the same interval.
const SEED: u64 = 0x006e_6963_646f_636b;

/// By linear interpolation between the two nearest ranks (type 7 of Hyndman and Fan, R's default). `None` without values.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    of_sorted(&sorted, share)
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// A ratio and where it lies with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
    /// From how many pairs.
    pub pairs: usize,
}

impl Interval {
    /// Half of the interval's width, in percent of the ratio.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.ratio * 100.0
    }
}

/// The median of the rounds' ratios container/host, with the percentile bootstrap's interval (Efron and Tibshirani, An Introduction to the
/// Bootstrap, chapter 13). A round is what is drawn: the messages within one are not independent of each other. `None` without pairs.
pub fn interval(pairs: &[(f64, f64)]) -> Option<Interval> {
    let usable = pairs.iter().filter(|(host, container)| *host > 0.0 && *container > 0.0);
    let ratios: Vec<f64> = usable.map(|(host, container)| container / host).collect();
    let ratio = median(&ratios)?;
    let mut random = Rng::with_seed(SEED);
    let mut drawn = vec![0.0; ratios.len()];
    let resampled = (0..RESAMPLES).filter_map(|_| {
        for one in &mut drawn {
            *one = ratios[random.usize(..ratios.len())];
        }
        median(&drawn)
    });
    let mut medians: Vec<f64> = resampled.collect();
    medians.sort_unstable_by(f64::total_cmp);
    let (low, high) = (of_sorted(&medians, 0.025)?, of_sorted(&medians, 0.975)?);
    Some(Interval { ratio, low, high, pairs: ratios.len() })
}

/// What can be said of a container against the host. Nothing is said from too few rounds or too wide an interval.
pub fn verdict(found: &Interval, is_better_when_higher: bool) -> String {
    let half = found.half_width();
    if found.pairs < MIN_ROUNDS {
        let pairs = found.pairs;
        return format!("not decided, ± {half:.1} % (of {pairs} rounds; at least {MIN_ROUNDS} are needed)");
    }
    if half > 5.0 {
        return format!("not decided, ± {half:.1} %");
    }
    let difference = (found.ratio - 1.0) * 100.0;
    if found.low <= 1.0 && found.high >= 1.0 {
        return format!("no difference found, ± {half:.1} %");
    }
    let word = match (difference > 0.0, is_better_when_higher) {
        (true, true) | (false, false) => "better",
        _ => "worse",
    };
    format!("the container is {:.1} % {word}, ± {half:.1} %", difference.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<f64>, wanted: f64) {
        let found = found.expect("a number");
        assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
    }

    /// R: `quantile(c(1, 2, 3, 4, 10), c(.5, .99, .999))`.
    #[test]
    fn quantiles_are_those_of_r() {
        let values = [10.0, 3.0, 1.0, 4.0, 2.0];
        near(median(&values), 3.0);
        near(quantile(&values, 0.99), 9.76);
        near(quantile(&values, 0.999), 9.976);
        near(median(&[1.0, 2.0]), 1.5);
        near(quantile(&[7.0], 0.999), 7.0);
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn equal_pairs_give_a_ratio_without_doubt() {
        let found = interval(&[(2.0, 2.02); 10]).expect("pairs");
        near(Some(found.ratio), 1.01);
        assert!(found.half_width() < 1e-9);
        assert_eq!(verdict(&found, false), "the container is 1.0 % worse, ± 0.0 %");
        assert_eq!(verdict(&found, true), "the container is 1.0 % better, ± 0.0 %");
    }

    #[test]
    fn a_drift_that_meets_both_does_not_count() {
        let pairs: Vec<(f64, f64)> = (1..=10).map(|i| (f64::from(i), f64::from(i) * 1.03)).collect();
        let found = interval(&pairs).expect("pairs");
        near(Some(found.ratio), 1.03);
        assert!(found.half_width() < 1e-9);
    }

    /// For seven values the exact bootstrap distribution of the median is known: it is at most the k-th smallest with the probability that at
    /// least four of seven draws are among the k smallest. Of the first that is 1.0 %, of the second 10.2 %.
    #[test]
    fn the_interval_is_that_of_the_exact_bootstrap() {
        let pairs: Vec<(f64, f64)> = (1..=7).map(|i| (1.0, f64::from(i))).collect();
        let found = interval(&pairs).expect("pairs");
        assert_eq!((found.low, found.ratio, found.high), (2.0, 4.0, 6.0));
    }

    /// Of samples from a known distribution about 95 % of the intervals have the true median.
    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        let mut random = Rng::with_seed(3);
        let mut covered = 0;
        for _ in 0..100 {
            let pairs: Vec<(f64, f64)> = (0..20).map(|_| (1.0, 1.0 + random.f64())).collect();
            let found = interval(&pairs).expect("pairs");
            covered += usize::from(found.low <= 1.5 && 1.5 <= found.high);
        }
        assert!((88..=100).contains(&covered), "{covered} of 100");
    }

    #[test]
    fn nothing_is_said_from_few_rounds_or_a_wide_interval() {
        let few = interval(&[(1.0, 1.2); 3]).expect("pairs");
        assert_eq!(verdict(&few, false), "not decided, ± 0.0 % (of 3 rounds; at least 6 are needed)");
        let wide = Interval { ratio: 1.0, low: 0.9, high: 1.1, pairs: 10 };
        assert_eq!(verdict(&wide, false), "not decided, ± 10.0 %");
        let same = Interval { ratio: 1.001, low: 0.99, high: 1.01, pairs: 10 };
        assert_eq!(verdict(&same, false), "no difference found, ± 1.0 %");
        let worse = Interval { ratio: 0.9, low: 0.89, high: 0.91, pairs: 10 };
        assert_eq!(verdict(&worse, true), "the container is 10.0 % worse, ± 1.1 %");
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[(0.0, 1.0)]), None);
    }
}
