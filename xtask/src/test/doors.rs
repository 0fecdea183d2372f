//! Holds unsafe code in the doors to the kernel, and in the static programs, which have doors of their own.

use anyhow::{Context, Result, bail};
use proc_macro2::TokenTree;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::Visit;

/// The crates that may have it.
const DOORS: [&str; 4] = ["nicdock-sys", "nicdock-audit", "nicdock-gate", "nicdock-starter"];

/// Fails if a file of another crate's `src` lifts the workspace's lint, or if a crate has not that lint; gives how many files of the doors
/// lift it.
pub fn check(root: &Path) -> Result<usize> {
    let (mut doors, mut others) = (0, Vec::new());
    for of in super::order::crates(root)? {
        let manifest = of.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        if !text.contains("[lints]\nworkspace = true\n") {
            bail!("{} has not the workspace's lints, one of which denies unsafe code", manifest.display());
        }
        let mut files = Vec::new();
        super::order::collect(&of.join("src"), &mut files)?;
        let mut has: Vec<PathBuf> = Vec::new();
        for file in files {
            let parsed = syn::parse_file(&fs::read_to_string(&file)?)?;
            let mut look = Look(false);
            look.visit_file(&parsed);
            has.extend(look.0.then_some(file));
        }
        if of.file_name().is_some_and(|name| DOORS.iter().any(|door| name == *door)) {
            doors += has.len();
        } else {
            others.extend(has);
        }
    }
    if others.is_empty() {
        Ok(doors)
    } else {
        bail!("unsafe code belongs in {}: {others:?}", DOORS.join(", "))
    }
}

/// Whether an attribute allows, expects or warns of unsafe code.
struct Look(bool);

impl<'ast> Visit<'ast> for Look {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let lifts =
            ["allow", "expect", "warn", "cfg_attr"].iter().any(|name| attribute.path().is_ident(name));
        if let (true, syn::Meta::List(list)) = (lifts, &attribute.meta) {
            self.0 |= names_it(list.tokens.clone());
        }
    }
}

fn names_it(tokens: proc_macro2::TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(name) => name == "unsafe_code",
        TokenTree::Group(group) => names_it(group.stream()),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_elsewhere_is_found() {
        let root = tempfile::tempdir().unwrap();
        let plant = |of: &str, lints: &str, text: &str| {
            let home = root.path().join(of);
            fs::create_dir_all(home.join("src")).unwrap();
            fs::write(home.join("Cargo.toml"), lints).unwrap();
            fs::write(home.join("src/lib.rs"), text).unwrap();
        };
        let lints = "[lints]\nworkspace = true\n";
        plant("xtask", lints, "#![deny(unsafe_code)]\n// #![allow(unsafe_code)]\n");
        plant("crates/nicdock-sys", lints, "#![allow(unsafe_code)]\n");
        assert_eq!(check(root.path()).unwrap(), 1);
        for text in [
            "mod x {\n    #![allow(unsafe_code)]\n}\n",
            "#[expect(\n    unsafe_code,\n    reason = \"to deny\"\n)]\nfn f() {}\n",
            "#[cfg_attr(test, allow(unsafe_code))]\nfn f() {}\n",
        ] {
            plant("crates/engines/run", lints, text);
            assert!(check(root.path()).unwrap_err().to_string().contains("engines/run"), "{text}");
        }
        plant("crates/engines/run", "", "");
        assert!(check(root.path()).unwrap_err().to_string().contains("lints"));
    }

    #[test]
    fn this_tree_has_them_where_they_belong() {
        assert!(check(&crate::workspace::root()).unwrap() > 15);
    }
}
