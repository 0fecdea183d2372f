//! Whether every dependency's licence is one that an Apache-2.0 program can be given away with. From cargo's own metadata,
//! so it needs no network; advisories would.

use crate::cargo;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use spdx::{Expression, ParseMode};

/// SPDX identifiers.
const ALLOWED: [&str; 7] =
    ["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MPL-2.0", "Unicode-3.0", "Zlib"];

/// Packages that name no licence in their metadata, and where it is found.
const NAMELESS: [(&str, &str, &str); 1] = [("rust-criu", "Apache-2.0", "its README and LICENSE file")];

/// Says which packages may not be used, or how many may.
pub fn check() -> Result<String> {
    // Of the platform it is for: no other crates need to be fetched.
    let platform = ["--filter-platform", "x86_64-unknown-linux-gnu"];
    let metadata = crate::process::capture(
        cargo::command().args(["metadata", "--format-version", "1", "--locked"]).args(platform),
    )?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata gave no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata named no packages")?;
    let foreign: Vec<&Value> = packages.iter().filter(|package| !package["source"].is_null()).collect();
    let refused: Vec<String> = foreign.iter().filter_map(|package| refusal(package)).collect();
    if !refused.is_empty() {
        bail!("{}", refused.join("\n"));
    }
    Ok(format!("{} dependencies, all under {}", foreign.len(), ALLOWED.join(", ")))
}

/// The licence that cargo's metadata of a package names, or what is known of one that names none.
pub fn of(package: &Value) -> Option<String> {
    if let Some(licence) = package["license"].as_str() {
        return Some(licence.to_owned());
    }
    let known = NAMELESS.iter().find(|(name, ..)| package["name"] == *name);
    known.map(|(_, licence, _)| (*licence).to_owned())
}

fn refusal(package: &Value) -> Option<String> {
    let name = package["name"].as_str().unwrap_or("?");
    let Some(licence) = of(package) else { return Some(format!("{name} names no licence")) };
    (!is_allowed(&licence)).then(|| format!("{name}: {licence} is not among {}", ALLOWED.join(", ")))
}

/// Older packages separate alternatives by a slash.
fn is_allowed(licence: &str) -> bool {
    let allowed = |requirement: &spdx::LicenseReq| {
        requirement.license.id().is_some_and(|id| ALLOWED.contains(&id.name))
    };
    Expression::parse_mode(licence, ParseMode::LAX).is_ok_and(|expression| expression.evaluate(allowed))
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn one_of_the_alternatives_and_all_of_the_parts_must_be_allowed() {
        for good in ["MIT/Apache-2.0", "MIT OR GPL-3.0-only", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["GPL-2.0-only", "MIT AND GPL-3.0-only", "whatever", ""] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
