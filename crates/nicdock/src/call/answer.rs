//! Makes the answers.

use nicdock_core::lifecycle::Recovered;
use nicdock_core::node::{Given, Offer};
use nicdock_core::plan::Grant;
use nicdock_core::say::notice;
use serde_json::{Value, json};

use crate::failure::{Failure, kind_of_returns};

/// What a container would have.
pub fn offer(offer: &Offer) -> Value {
    json!({"nics": nics(&offer.grants), "weaknesses": offer.weaknesses, "warnings": offer.warnings})
}

/// What a container has.
pub fn given(given: &Given) -> Value {
    json!({"nics": nics(&given.grants), "weaknesses": given.weaknesses, "warnings": given.warnings})
}

/// What was done. That a NIC could not be given back is an error, whatever became of the others.
pub fn recovered(Recovered { done, failed }: Recovered) -> Result<Value, Failure> {
    if failed.is_empty() {
        return Ok(json!({"done": done}));
    }
    done.iter().for_each(notice);
    let words: Vec<String> = failed.iter().map(ToString::to_string).collect();
    Err(Failure::new(kind_of_returns(&failed), words.join("\n")))
}

/// As in a plan, with the NIC's name on the host.
fn nics(grants: &[Grant]) -> Vec<Value> {
    let one = |grant: &Grant| {
        let mut inside = json!(grant.inside());
        inside["nic"] = json!(grant.nic.name);
        inside
    };
    grants.iter().map(one).collect()
}
