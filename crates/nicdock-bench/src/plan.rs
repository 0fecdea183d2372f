//! Draws the order of what is measured: host and container take turns, and which is first is left to chance.

use fastrand::Rng;

use crate::measurement::Measurement;

/// Where the measuring program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    Host,
    Container,
}

impl Profile {
    pub const ALL: [Self; 2] = [Self::Host, Self::Container];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Container => "container",
        }
    }
}

/// What one start of the program's script measures, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Counted from 1; `None` is the warm-up, of which nothing is kept.
    pub round: Option<u32>,
    pub profile: Profile,
    pub measurements: Vec<Measurement>,
}

/// Every turn of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub turns: Vec<Turn>,
    /// Gives the same order again.
    pub seed: u64,
}

impl Plan {
    /// A warm-up and then `rounds` rounds. In a round each profile has one turn, and both measure in the same order: what drifts slowly
    /// (temperature, other load) then meets both, and a cost of being first or second falls on both alike.
    pub fn draw(measurements: &[Measurement], rounds: u32, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut turns = Vec::new();
        for round in std::iter::once(None).chain((1..=rounds).map(Some)) {
            let (mut profiles, mut measurements) = (Profile::ALL, measurements.to_vec());
            random.shuffle(&mut profiles);
            random.shuffle(&mut measurements);
            turns.extend(profiles.map(|profile| Turn { round, profile, measurements: measurements.clone() }));
        }
        Self { turns, seed }
    }

    /// What the other end serves, in this order.
    pub fn served(&self) -> Vec<Measurement> {
        self.turns.iter().flat_map(|turn| turn.measurements.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Test;
    use std::collections::BTreeSet;

    fn plan(seed: u64) -> Plan {
        Plan::draw(&Measurement::of(&Test::ALL), 40, seed)
    }

    #[test]
    fn in_each_round_both_profiles_measure_the_same_in_the_same_order() {
        let plan = plan(1);
        assert_eq!(plan.turns.len(), 82);
        for pair in plan.turns.chunks(2) {
            assert_eq!(pair[0].round, pair[1].round);
            assert_ne!(pair[0].profile, pair[1].profile);
            assert_eq!(pair[0].measurements, pair[1].measurements);
        }
        assert_eq!(plan.turns.iter().filter(|turn| turn.round.is_none()).count(), 2);
        assert_eq!(plan.served().len(), 82 * 4);
    }

    #[test]
    fn chance_decides_who_is_first_and_a_seed_repeats_it() {
        assert_eq!(plan(7), plan(7));
        let first: BTreeSet<Profile> = plan(7).turns.chunks(2).map(|pair| pair[0].profile).collect();
        assert_eq!(first.len(), 2);
        assert_ne!(plan(7).turns, plan(8).turns);
    }
}
