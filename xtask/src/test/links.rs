//! Holds the documents to what is there: a link leads to a file, and so does a path in `docs/dev/where.md`; no merge is left half done.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Says where to change what, by paths from the root in backquotes.
const WHERE: &str = "docs/dev/where.md";

/// Fails if a link of a document, or a path in [`WHERE`], leads nowhere; gives how many were followed.
pub fn check(root: &Path) -> Result<usize> {
    let mut documents = Vec::new();
    collect(root, &mut documents)?;
    let (mut count, mut missing) = (0, Vec::new());
    let mut halves = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
        halves.extend(markers(&text).map(|line| format!("{}: {line}", document.display())));
        let folder = document.parent().unwrap_or(root);
        let mut paths: Vec<PathBuf> = links(&text).map(|link| folder.join(link)).collect();
        if *document == root.join(WHERE) {
            paths.extend(quoted(&text).filter(|word| word.contains('/')).map(|path| root.join(path)));
        }
        count += paths.len();
        let nowhere = paths.into_iter().filter(|path| !path.exists());
        missing.extend(nowhere.map(|path| format!("{}: {}", document.display(), path.display())));
    }
    if !halves.is_empty() {
        bail!("a merge is not done:\n{}", halves.join("\n"));
    }
    if missing.is_empty() { Ok(count) } else { bail!("links that lead nowhere:\n{}", missing.join("\n")) }
}

/// The documents of the project, without what was built or downloaded.
fn collect(folder: &Path, documents: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
            collect(&path, documents)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    Ok(())
}

/// What is between `](` and `)`, without the part of the page, and none of other machines.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter_map(|target| {
        let path = target.split('#').next()?;
        (!path.is_empty() && !path.contains(':') && !path.contains(char::is_whitespace)).then_some(path)
    })
}

/// Lines that git leaves where two sides differ (git-merge(1), "How conflicts are presented").
fn markers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> "))
}

/// What is in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("README.md", "[a](docs/a.md#part), [b](#here), [c](https://example.org/x), `docs/none.md`");
        write("docs/a.md", "[back](../README.md)");
        write("target/x.md", "[none](none.md)");
        assert_eq!(check(root.path()).unwrap(), 2);
        write(WHERE, "`docs/a.md` `run`");
        assert_eq!(check(root.path()).unwrap(), 3);
        write(WHERE, "`docs/gone.md`");
        assert!(check(root.path()).unwrap_err().to_string().contains("docs/gone.md"));
        write(WHERE, "[x](a.md)");
        assert!(check(root.path()).unwrap_err().to_string().contains("docs/dev/a.md"));
        write(WHERE, "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n");
        assert!(check(root.path()).unwrap_err().to_string().contains("a merge is not done"));
    }

    #[test]
    fn this_trees_links_lead_to_files() {
        assert!(check(&crate::workspace::root()).unwrap() > 50);
    }
}
