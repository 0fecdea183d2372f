//! The software bill of materials: CycloneDX 1.5 (ECMA-424), which scanners of vulnerabilities read.
//!
//! Made here because cargo-cyclonedx and cargo-sbom take minutes to build, give each bill a random number or the time of day, and
//! list features of the whole workspace; and all that such a bill has to say of a crate is in cargo's own answer.

use super::crates::Crate;
use super::epoch;
use anyhow::Result;
use serde_json::{Value, json};

/// The document, with all crates inside and who uses them left out: scanners look at name and version.
pub fn document(crates: &[Crate], version: &str, epoch: u64, rust: &str, glibc: &str) -> Result<Vec<u8>> {
    let mut components: Vec<Value> = crates.iter().filter(|one| one.is_foreign).map(component).collect();
    components.push(json!({"type": "library", "name": "rust-std", "version": rust,
        "licenses": [{"expression": "MIT OR Apache-2.0"}], "purl": format!("pkg:generic/rust-std@{rust}")}));
    components.push(json!({"type": "library", "name": "glibc", "version": glibc,
        "licenses": [{"expression": "LGPL-2.1-or-later"}],
        "purl": format!("pkg:deb/debian/glibc@{}?arch=source", glibc.replace('+', "%2B"))}));
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": epoch::as_iso_8601(epoch)?,
            "component": {
                "type": "application", "bom-ref": "nicdock", "name": "nicdock", "version": version,
                "licenses": [{"expression": "Apache-2.0"}], "purl": format!("pkg:generic/nicdock@{}", version.replace('+', "%2B")),
            },
        },
        "components": components,
    });
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    Ok(text)
}

fn component(one: &Crate) -> Value {
    let purl = format!("pkg:cargo/{}@{}", one.name, one.version.replace('+', "%2B"));
    let mut component = json!({
        "type": "library", "bom-ref": purl, "name": one.name, "version": one.version, "purl": purl,
        // An SPDX expression; crates of before 2015 have `/` for `OR`.
        "licenses": [{"expression": one.licence.replace('/', " OR ")}],
    });
    if let Some(url) = &one.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": url}]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_every_crate_inside_and_is_the_same_each_time() {
        let crates = super::super::crates::linked().unwrap();
        let made = || document(&crates, "1.2.3+test1", 1_700_000_000, "1.95.0", "2.36-9+deb12u1").unwrap();
        assert_eq!(made(), made());
        let document: Value = serde_json::from_slice(&made()).unwrap();
        assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
        let components = document["components"].as_array().unwrap();
        assert_eq!(components.len(), crates.iter().filter(|one| one.is_foreign).count() + 2);
        assert!(
            components.iter().any(|one| one["purl"].as_str().unwrap().starts_with("pkg:cargo/libcontainer@"))
        );
        assert!(
            components.iter().all(|one| !one["licenses"][0]["expression"].as_str().unwrap().contains('/'))
        );
    }
}
