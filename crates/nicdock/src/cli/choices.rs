//! The values of options that have only a few: for help and completion, which the library knows nothing of.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use nicdock_core::request::{NetdevMode, Profile, TERMS};

const NIC: (&str, &str) = ("nic", "The container's NICs, CPUs and memory; nothing else");

/// What a selector can be, for help.
pub fn selector(what: &str) -> String {
    let words = TERMS.map(|(word, _)| word).join(", ");
    format!("{what}: {words}; several are joined with commas, 2x… takes two (docs/selectors.md)")
}

/// How much of the host's /sys a container of nicdock's own is shown.
pub fn view() -> impl TypedValueParser<Value = Profile> {
    let open = ("open", "Everything but other NICs");
    of([NIC, open, ("off", "Everything: every NIC of the host is seen")])
        .try_map(|text| text.parse::<Profile>())
}

/// The same of a container that an engine starts.
pub fn view_of_an_engines() -> impl TypedValueParser<Value = Profile> {
    of([NIC, ("off", "What its engine shows")]).try_map(|text| text.parse::<Profile>())
}

pub fn netdev() -> impl TypedValueParser<Value = NetdevMode> {
    let keep = ("keep", "It stays on the host; the container gets the RDMA device only");
    of([("move", "It moves into the container's network namespace"), keep])
        .try_map(|text| text.parse::<NetdevMode>())
}

fn of<const COUNT: usize>(values: [(&'static str, &'static str); COUNT]) -> PossibleValuesParser {
    PossibleValuesParser::new(values.map(|(value, help)| PossibleValue::new(value).help(help)))
}
