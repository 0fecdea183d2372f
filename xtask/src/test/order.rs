//! Holds the folders of each crate in one order: what one of them uses never leads back to it. Tests may look anywhere.

use anyhow::{Context, Result, bail};
use proc_macro2::{Spacing, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// What each folder of a crate uses, with a file that does.
type Uses = BTreeMap<String, BTreeMap<String, PathBuf>>;

/// Fails if folders of a crate use each other in a circle; gives how many folders were looked at. A folder is what is directly in `src`: `a/` with `a.rs`.
pub fn check(root: &Path) -> Result<usize> {
    let (mut folders, mut circles) = (0, Vec::new());
    for of in &crates(root)? {
        let uses = uses(&of.join("src")).with_context(|| format!("reading {}", of.display()))?;
        folders += uses.len();
        if let Some(circle) = circle(&uses) {
            circles.push(format!("{}: {}", of.display(), told(&uses, &circle)));
        }
    }
    if circles.is_empty() {
        Ok(folders)
    } else {
        bail!("folders use each other in a circle:\n{}", circles.join("\n"))
    }
}

/// The folders of all crates: those in `crates`, and in its folders.
pub fn crates(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![root.join("xtask")];
    for folder in entries(&root.join("crates"))? {
        if folder.join("Cargo.toml").exists() {
            found.push(folder);
        } else {
            found.extend(entries(&folder)?);
        }
    }
    Ok(found)
}

fn told(uses: &Uses, circle: &[String]) -> String {
    let step =
        |pair: &[String]| format!("{} uses {} ({})", pair[0], pair[1], uses[&pair[0]][&pair[1]].display());
    circle.windows(2).map(step).collect::<Vec<_>>().join(", ")
}

fn uses(source: &Path) -> Result<Uses> {
    let mut files = Vec::new();
    collect(source, &mut files)?;
    let modules: BTreeSet<String> =
        files.iter().filter_map(|file| module(source, file)?.first().cloned()).collect();
    let mut uses: Uses = modules.iter().map(|name| (name.clone(), BTreeMap::new())).collect();
    for file in &files {
        let Some(place) = module(source, file).filter(|place| !place.is_empty()) else { continue };
        let text = fs::read_to_string(file)?;
        let parsed = syn::parse_file(&text).with_context(|| format!("parsing {}", file.display()))?;
        let of = place[0].clone();
        let mut look = Look { place, modules: &modules, found: BTreeSet::new() };
        look.visit_file(&parsed);
        let found = look.found.into_iter().filter(|name| *name != of);
        uses.entry(of.clone()).or_default().extend(found.map(|name| (name, file.clone())));
    }
    Ok(uses)
}

/// The path of a file's module in its crate; `None` for the crate's root.
fn module(source: &Path, file: &Path) -> Option<Vec<String>> {
    let inside = file.strip_prefix(source).ok()?.with_extension("");
    let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    (!matches!(parts[..], [ref one] if one == "main" || one == "lib")).then_some(parts)
}

/// The Rust files below a folder.
pub fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// In the order of their names, so that the same circle is told each time.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    Ok(entries)
}

/// Looks at every path of a file that begins with `crate`, `self` or `super`, in macros, too.
struct Look<'a> {
    place: Vec<String>,
    modules: &'a BTreeSet<String>,
    found: BTreeSet<String>,
}

impl Look<'_> {
    /// Where a path leads to from here: the first of its names below the crate's root.
    fn path(&mut self, names: &[String]) {
        let mut place = match names.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.place.clone(),
            _ => return,
        };
        for name in names.iter().filter(|name| *name != "crate" && *name != "self") {
            if name == "super" {
                place.pop();
            } else {
                place.push(name.clone());
            }
        }
        self.found.extend(place.into_iter().next().filter(|name| self.modules.contains(name)));
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(before, item)),
            syn::UseTree::Name(name) => self.path(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.path(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.path(before),
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let mut names: Vec<String> = Vec::new();
        // How many colons of a `::` came last.
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.path(&std::mem::take(&mut names));
                    }
                    names.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons = if colons == 1 || punct.spacing() == Spacing::Joint { colons + 1 } else { 0 };
                }
                TokenTree::Group(group) => {
                    self.path(&std::mem::take(&mut names));
                    self.tokens(group.stream());
                    colons = 0;
                }
                _ => {
                    self.path(&std::mem::take(&mut names));
                    colons = 0;
                }
            }
        }
        self.path(&names);
    }
}

impl<'ast> Visit<'ast> for Look<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, of: &'ast syn::Macro) {
        self.tokens(of.tokens.clone());
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            self.place.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.place.pop();
        }
    }
}

/// `#[cfg(test)]`, and what else asks for it.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

/// The names along a circle, the first one again at its end.
fn circle(uses: &Uses) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    uses.keys().find_map(|name| follow(uses, name, &mut Vec::new(), &mut done))
}

fn follow(
    uses: &Uses,
    name: &str,
    way: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(at) = way.iter().position(|one| one == name) {
        return Some([&way[at..], &[name.to_owned()]].concat());
    }
    if done.contains(name) {
        return None;
    }
    way.push(name.to_owned());
    let found = uses.get(name)?.keys().find_map(|next| follow(uses, next, way, done));
    way.pop();
    done.insert(name.to_owned());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate whose files have these contents.
    fn planted(files: &[(&str, &str)]) -> Result<usize> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("xtask/src")).unwrap();
        for (name, text) in files {
            let home = root.path().join("crates/one");
            let path = home.join("src").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            fs::write(home.join("Cargo.toml"), "").unwrap();
        }
        check(root.path())
    }

    fn circle_of(files: &[(&str, &str)]) -> String {
        planted(files).unwrap_err().to_string()
    }

    #[test]
    fn a_circle_is_found_however_it_is_written() {
        for back in [
            "use crate::a::X;",
            "pub use crate::{a, c::Y};",
            "use super::super::a;",
            "fn f() { crate::a::g(); }",
            "fn f() { println!(\"{}\", crate::a::g()); }",
            "fn f(x: crate::a::X) {}",
            "fn f() { vec![S { y: crate::a::g() }]; }",
            "fn f() { vec![y as crate::a::X]; }",
        ] {
            let files = [
                ("main.rs", "mod a; mod b; mod c;"),
                ("a.rs", "use crate::c::Y;"),
                ("c.rs", "use super::b;"),
                ("b/deep.rs", back),
            ];
            let said = circle_of(&files);
            assert!(said.contains("a uses c") && said.contains("b uses a"), "{back}: {said}");
        }
    }

    #[test]
    fn what_is_for_tests_may_look_anywhere() {
        let test = "#[cfg(test)] mod tests { use crate::a::X; } #[cfg(test)] use crate::a::Y;";
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::Y;"), ("b.rs", test)];
        assert_eq!(planted(&files).unwrap(), 2);
        // A folder's own files may use each other as they like.
        let files = [("lib.rs", "mod a;"), ("a/x.rs", "use super::y::Y;"), ("a/y.rs", "use super::x::X;")];
        assert_eq!(planted(&files).unwrap(), 1);
    }

    #[test]
    fn this_tree_has_none() {
        assert!(check(&crate::workspace::root()).unwrap() > 30);
    }
}
