//! Changes parts of a JSON file of an engine's, and leaves the others as they are.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nicdock_core::kind::Kind;
use nicdock_core::node::NodeError;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub struct Text {
    file: PathBuf,
    pub value: Value,
}

impl Text {
    pub fn new(file: PathBuf, content: Vec<u8>) -> Result<Self, NodeError> {
        let value = serde_json::from_slice(&content).map_err(|error| wrong(&file, &error))?;
        drop(content);
        Ok(Self { file, value })
    }

    /// As the specification has it.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        T::deserialize(&self.value).map_err(|error| wrong(&self.file, &error))
    }

    /// As a whole or not at all, with the mode and the owner that the file had.
    pub fn write(&self) -> Result<(), NodeError> {
        replace(&self.file, &self.value.to_string()).map_err(|error| {
            NodeError::refused(Kind::of_io(&error), format!("writing {}: {error}", self.file.display()))
        })
    }
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let had = fs::metadata(file)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut aside = tempfile::Builder::new().prefix(".nicdock.").tempfile_in(folder)?;
    aside.write_all(text.as_bytes())?;
    aside.as_file().set_permissions(fs::Permissions::from_mode(had.mode() & 0o7777))?;
    std::os::unix::fs::fchown(aside.as_file(), Some(had.uid()), Some(had.gid()))?;
    aside.persist(file)?;
    Ok(())
}

fn wrong(file: &Path, error: &serde_json::Error) -> NodeError {
    NodeError::refused(Kind::BadInput, format!("{}: {error}", file.display()))
}

/// The list at the end of a way of objects; those that are not there are made.
pub fn list<'a>(value: &'a mut Value, way: &[&str]) -> Result<&'a mut Vec<Value>, NodeError> {
    let mut at = value;
    for name in way {
        if at.is_null() {
            *at = json!({});
        }
        let object = at.as_object_mut().ok_or_else(|| not_a("object", way))?;
        at = object.entry(*name).or_insert(Value::Null);
    }
    if at.is_null() {
        *at = json!([]);
    }
    at.as_array_mut().ok_or_else(|| not_a("list", way))
}

fn not_a(what: &str, way: &[&str]) -> NodeError {
    NodeError::refused(
        Kind::BadInput,
        format!("the container's configuration: {} is no {what}", way.join(".")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_stays_and_a_list_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, r#"{"later":{"x":18446744073709551615},"hooks":{"prestart":[1]}}"#).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let mut text = Text::new(file.clone(), fs::read(&file).unwrap()).unwrap();
        list(&mut text.value, &["hooks", "poststop"]).unwrap().push(json!(2));
        list(&mut text.value, &["linux", "namespaces"]).unwrap();
        assert!(list(&mut text.value, &["later", "x", "y"]).is_err());
        text.write().unwrap();
        let wanted = json!({ "later": { "x": u64::MAX }, "hooks": { "prestart": [1], "poststop": [2] }, "linux": { "namespaces": [] } });
        assert_eq!(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap(), wanted);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
