//! An unpacked capture. Links in it are data: none is followed.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::path::Path;

use nicdock_netlink::name;

use super::{CaptureError, MAX_BYTES, Member};

/// What a name costs against [`MAX_BYTES`], as in a tar.
const NAME_COST: u64 = 512;

pub fn read(root: &Path) -> Result<BTreeMap<String, Member>, CaptureError> {
    let mut members = BTreeMap::new();
    let mut budget = MAX_BYTES;
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let path = root.join(&directory);
        for entry in fs::read_dir(&path).map_err(|source| CaptureError::open(&path, source))? {
            let entry = entry.map_err(|source| CaptureError::open(&path, source))?;
            let member = member(root, &entry, &mut budget)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                CaptureError::member(root, name.to_string_lossy(), "has a name that is not UTF-8")
            })?;
            let name = name::canonical(name);
            let name = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            if matches!(member, Member::Directory) {
                directories.push(name.clone());
            }
            members.insert(name, member);
        }
    }
    Ok(members)
}

fn member(root: &Path, entry: &DirEntry, budget: &mut u64) -> Result<Member, CaptureError> {
    let path = entry.path();
    let open = |source| CaptureError::open(&path, source);
    // lstat(2): the link itself.
    let metadata = entry.metadata().map_err(open)?;
    let kind = metadata.file_type();
    let cost = if kind.is_file() { metadata.len().saturating_add(NAME_COST) } else { NAME_COST };
    *budget = budget.checked_sub(cost).ok_or_else(|| CaptureError::too_large(root))?;
    if kind.is_dir() {
        Ok(Member::Directory)
    } else if kind.is_symlink() {
        let target = fs::read_link(&path).map_err(open)?;
        Ok(Member::Link(name::canonical(&target.to_string_lossy())))
    } else if kind.is_file() {
        Ok(Member::File(fs::read(&path).map_err(open)?))
    } else {
        Err(CaptureError::member(root, path.to_string_lossy(), "is neither a file, a link nor a directory"))
    }
}
