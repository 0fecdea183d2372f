//! Rules that lead received packets to queues (`ethtool -N`, ntuple).

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use nicdock_sys::ethtool::Ethtool;

const GET_COUNT: u32 = 0x2e;
const GET_RULE: u32 = 0x2f;
const GET_ALL: u32 = 0x30;
const DELETE: u32 = 0x31;
const INSERT: u32 = 0x32;

/// `struct ethtool_rxnfc`: command, flow type, data (2), a rule (42), count, and then places; 8-byte aligned.
const LENGTH: usize = 48;
const RULE: std::ops::Range<usize> = 4..46;
/// `location` is the rule's last word but for padding.
const LOCATION: usize = 44;
const COUNT: usize = 46;
const PLACES: usize = 47;

/// Each rule (`struct ethtool_rx_flow_spec`) by its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules(BTreeMap<String, Vec<u32>>);

impl Rules {
    pub fn read(door: &Ethtool) -> Self {
        Self(read(door).unwrap_or_default())
    }

    pub fn restore(&self, door: &Ethtool, now: &Self, note: &mut dyn FnMut(&str, io::Result<()>)) {
        let mut words = vec![0; LENGTH];
        for (place, rule) in &now.0 {
            if self.0.get(place) != Some(rule) {
                words[0] = DELETE;
                words[LOCATION] = place.parse().unwrap_or_default();
                note("its receive rules (ntuple)", door.call(&words).map(drop));
            }
        }
        for (place, rule) in &self.0 {
            if now.0.get(place) != Some(rule) {
                words[0] = INSERT;
                words[RULE].copy_from_slice(rule);
                note(&format!("receive rule {place} (ntuple)"), door.call(&words).map(drop));
            }
        }
    }
}

fn read(door: &Ethtool) -> io::Result<BTreeMap<String, Vec<u32>>> {
    let mut words = vec![0; LENGTH];
    words[0] = GET_COUNT;
    let count = door.call(&words)?[COUNT];
    let mut all = vec![0; LENGTH + count as usize];
    all[0] = GET_ALL;
    all[COUNT] = count;
    let all = door.call(&all)?;
    let mut rules = BTreeMap::new();
    for place in all[PLACES..].iter().take(count as usize) {
        let mut words = vec![0; LENGTH];
        words[0] = GET_RULE;
        words[LOCATION] = *place;
        rules.insert(place.to_string(), door.call(&words)?[RULE].to_vec());
    }
    Ok(rules)
}
