//! One text with the licence of every crate inside, as most of them ask of whoever gives copies away.

use super::crates::Crate;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// What the files of a crate with its terms are called, in the beginning, whatever the case.
const NAMES: [&str; 6] = ["licen", "copying", "copyright", "notice", "unlicense", "authors"];

/// The list of crates, and after it each text once with the crates it is from.
pub fn text(crates: &[Crate]) -> Result<String> {
    let mut list = "The programs of this package contain these Rust crates:\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in crates.iter().filter(|one| one.is_foreign) {
        let name = format!("{} {}", one.name, one.version);
        writeln!(list, "{name}: {}", one.licence)?;
        let found = files(one)?;
        if found.is_empty() {
            texts.entry(stand_in(one)?).or_default().push(name.clone());
        }
        for file in found {
            let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim_end().to_owned();
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (text, mut names) in texts {
        names.dedup();
        write!(list, "\n{}\n{}\n\n{text}\n", "=".repeat(72), names.join(", "))?;
    }
    Ok(list)
}

fn files(one: &Crate) -> Result<Vec<PathBuf>> {
    let wanted = |path: &std::path::Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        path.is_file() && NAMES.iter().any(|begin| name.starts_with(begin))
    };
    crate::stamp::list(&one.folder, wanted)
}

/// For a crate that comes without the text of its licence.
fn stand_in(one: &Crate) -> Result<String> {
    let authors =
        if one.authors.is_empty() { format!("the authors of {}", one.name) } else { one.authors.join(", ") };
    let alternatives: Vec<&str> = one.licence.split([' ', '/']).collect();
    if alternatives.contains(&"Apache-2.0") {
        Ok(format!(
            "Copyright {authors}. Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0"
        ))
    } else if alternatives.contains(&"MIT") {
        Ok(format!("Copyright {authors}\n\n{MIT}"))
    } else {
        bail!("{} {} comes without the text of its licence, {}", one.name, one.version, one.licence)
    }
}

/// <https://spdx.org/licenses/MIT.html>
const MIT: &str = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated \
documentation files (the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, \
copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software \
is furnished to do so, subject to the following conditions:\n\nThe above copyright notice and this permission notice shall be \
included in all copies or substantial portions of the Software.\n\nTHE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, \
EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND \
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN \
AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN \
THE SOFTWARE.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_inside_has_a_text() {
        let crates = super::super::crates::linked().unwrap();
        let text = text(&crates).unwrap();
        for one in crates.iter().filter(|one| one.is_foreign) {
            // In the list, and above a text.
            let name = format!("{} {}", one.name, one.version);
            assert!(text.matches(&name).count() >= 2, "{name}");
        }
    }
}
