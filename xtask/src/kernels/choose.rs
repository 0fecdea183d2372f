//! Which packages make a kernel, and which kernel is the newest. Pure.

use std::cmp::Reverse;

/// A kernel that a suite offers.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The version in the package's name, such as `6.1.0-53`.
    pub version: String,
    /// The packages to download and unpack together.
    pub packages: Vec<String>,
}

/// The plain amd64 kernels among `names` whose version starts with `prefix`, newest first.
///
/// Up to trixie all of a kernel is in `linux-image-V-amd64`. Later it is in `linux-binary-` (the kernel), `linux-modules-`
/// and `linux-base-` (the list of what is built in, without which depmod and modprobe are lost).
pub fn candidates(names: &[String], prefix: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = ["linux-binary-", "linux-image-"]
        .iter()
        .flat_map(|kind| {
            names.iter().filter_map(move |name| name.strip_prefix(kind).map(|rest| (name, rest)))
        })
        .filter_map(|(name, rest)| {
            let version = rest.strip_suffix("-amd64")?;
            (version.starts_with(prefix) && is_plain(version)).then(|| candidate(name, version, names))
        })
        .collect();
    // Stable: of the same version, linux-binary- stays before linux-image-, which may be a mere wrapper of it.
    found.sort_by_key(|candidate| Reverse(numbers(&candidate.version)));
    found.dedup_by(|later, earlier| later.version == earlier.version);
    found
}

fn candidate(main: &str, version: &str, names: &[String]) -> Candidate {
    let companions = ["modules", "base"].map(|part| format!("linux-{part}-{version}-amd64"));
    let companions = companions.into_iter().filter(|name| names.contains(name));
    Candidate {
        version: version.to_owned(),
        packages: std::iter::once(main.to_owned()).chain(companions).collect(),
    }
}

/// A version, not a flavour (`cloud`, `rt`, `unsigned`, `dbg`): it starts with a digit, and its only word may be Debian's `deb`.
fn is_plain(version: &str) -> bool {
    let words = version.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    version.starts_with(|c: char| c.is_ascii_digit()) && words.into_iter().all(|word| word == "deb")
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(names: &[&str], prefix: &str) -> Vec<String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        candidates(&names, prefix).into_iter().map(|candidate| candidate.version).collect()
    }

    #[test]
    fn versions_compare_as_numbers_newest_first() {
        let names = ["linux-image-6.1.0-9-amd64", "linux-image-6.1.0-53-amd64", "linux-image-6.1.0-10-amd64"];
        assert_eq!(versions(&names, "6.1."), ["6.1.0-53", "6.1.0-10", "6.1.0-9"]);
    }

    #[test]
    fn flavours_meta_packages_and_other_lines_are_left_out() {
        let names = [
            "linux-image-6.1.0-53-cloud-amd64",
            "linux-image-6.1.0-53-rt-amd64",
            "linux-image-6.1.0-53-amd64-unsigned",
            "linux-image-6.1.0-53-amd64-dbg",
            "linux-binary-unsigned-7.2.13+deb14-amd64",
            "linux-image-amd64",
            "linux-image-6.12.117+deb13-amd64",
        ];
        assert_eq!(versions(&names, "6.12."), ["6.12.117+deb13"]);
        assert_eq!(versions(&names, "6.1."), [""; 0]);
    }

    #[test]
    fn a_split_kernel_is_downloaded_with_its_companions() {
        let names = [
            "linux-binary-7.2.13+deb14-amd64",
            "linux-modules-7.2.13+deb14-amd64",
            "linux-image-7.2.13+deb14-amd64",
        ]
        .map(str::to_owned);
        let newest = candidates(&names, "").remove(0);
        assert_eq!(newest.packages, ["linux-binary-7.2.13+deb14-amd64", "linux-modules-7.2.13+deb14-amd64"]);
    }
}
