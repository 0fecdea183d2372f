//! Edits the configuration of a container that asks for NICs, before its runtime reads it (OCI runtime-spec, "Configuration"): what `nicdock-runtime` is for.
//!
//! The NICs are given by the same hooks as a CDI device's, which look at all of it once more. What is not edited stays as the engine wrote it, also what nicdock does
//! not know: the text is changed in those parts, not written anew from what was understood.

mod nodes;
mod process;
mod seccomp;
mod text;

pub use process::execute;

use std::collections::BTreeSet;
use std::path::Path;

use nicdock_core::kind::Kind;
use nicdock_core::node::{HostSnapshot, NodeError};
use nicdock_core::request::Selector;
use oci_spec::runtime::{Hook, LinuxNamespaceType, LinuxSeccomp, Spec};
use serde_json::{Value, json};

use crate::accepted;
use crate::annotations::{self, Options};
use crate::{hook, profile, spec};
use text::Text;

/// What an annotation that selected a NIC would be called.
const SELECTING: &str = "nicdock.io/nic";

/// Edits the configuration in a bundle, which asks if it has a node of a NIC's or hooks of nicdock's; else nothing is changed. `program` is nicdock's path.
pub fn create(bundle: &Path, program: &Path) -> Result<(), NodeError> {
    let file = spec::file_of(bundle);
    let mut text = Text::new(file, spec::read(bundle)?)?;
    let spec: Spec = text.typed()?;
    let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.create_runtime().as_ref());
    let mut selectors = hook::named(hooks.map_or(&[][..], |hooks| hooks))?;
    let asked = nodes::of(&spec);
    if asked.is_empty() && selectors.is_empty() {
        return check_annotations(&spec);
    }
    nodes::check_not_all(&spec)?;
    let accepted = accepted::read(Path::new(accepted::FILE))?;
    let host = HostSnapshot::of_machine()?.host;
    for nic in nodes::nics(&host, &asked)? {
        let is_named = |one: &Selector| one.names().next().is_some() && one.matches(&host, nic);
        if !selectors.iter().any(is_named) {
            let selector = nodes::selector(nic)?;
            add_hooks(&mut text.value, program, &selector.to_string())?;
            selectors.push(selector);
        }
    }
    nodes::leave_out_soft(&mut text.value, &host, &spec)?;
    let mut annotations = annotations::with_environment(&spec);
    for name in annotations::named_by_nodes(&spec) {
        annotations.entry(format!("{}{name}", annotations::PREFIX)).or_insert_with(|| "true".to_owned());
    }
    let options =
        Options::of(&annotations).map_err(|error| NodeError::refused(Kind::BadInput, error.to_string()))?;
    text.value["annotations"] = json!(annotations);
    close(&mut text.value, &spec, &options, &accepted)?;
    text.write()
}

/// Podman hands an image's annotations on to its containers, so that one of them selecting a NIC would be the image's choice.
fn check_annotations(spec: &Spec) -> Result<(), NodeError> {
    if !spec.annotations().as_ref().is_some_and(|all| all.contains_key(SELECTING)) {
        return Ok(());
    }
    let why = format!(
        "annotation {SELECTING}: an annotation selects no NIC, since an image could bring it: name one by --device /dev/infiniband/uverbsN, or by --device \
         nicdock.io/nic=NAME where the engine knows CDI"
    );
    Err(NodeError::refused(Kind::BadInput, why))
}

/// After those of others, which stay.
fn add_hooks(config: &mut Value, program: &Path, selector: &str) -> Result<(), NodeError> {
    let create = [&hook::CREATE[..], &[selector]].concat();
    for (moment, words) in [("createRuntime", &create[..]), ("poststop", &hook::STOP[..])] {
        let added = serde_json::to_value(own_hook(program, words)).unwrap_or_default();
        let list = text::list(config, &["hooks", moment])?;
        if !list.contains(&added) {
            list.push(added);
        }
    }
    Ok(())
}

fn own_hook(program: &Path, words: &[&str]) -> Hook {
    let args = ["nicdock"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let mut hook = Hook::default();
    hook.set_path(program.to_owned())
        .set_args(Some(args))
        .set_env(Some(vec![hook::ENVIRONMENT.to_owned()]))
        .set_timeout(Some(hook::TIMEOUT.into()));
    hook
}

/// All that the hooks would name as a weakness.
fn close(
    config: &mut Value,
    typed: &Spec,
    options: &Options,
    accepted: &BTreeSet<String>,
) -> Result<(), NodeError> {
    let linux = typed.linux().as_ref();
    if let Some(process) = typed.process() {
        let memlock = options.memlock.bytes().unwrap_or(u64::MAX);
        process::close(&mut config["process"], process, accepted, memlock)?;
    }
    let own: LinuxSeccomp = serde_json::from_value(profile::profile(&options.netlink))
        .map_err(|error| NodeError::refused(Kind::Other, format!("nicdock's seccomp profile: {error}")))?;
    let theirs = linux.and_then(|linux| linux.seccomp().as_ref());
    config["linux"]["seccomp"] =
        json!(theirs.map_or_else(|| own.clone(), |theirs| seccomp::both(theirs, &own)));
    // nicdock would have to close it before the runtime writes to it.
    let paths = text::list(config, &["linux", "readonlyPaths"])?;
    if !paths.iter().any(|path| path == spec::SYS) {
        paths.push(json!(spec::SYS));
    }
    let namespaces = text::list(config, &["linux", "namespaces"])?;
    let cgroup = json!({ "type": LinuxNamespaceType::Cgroup });
    if !accepted.contains("engine.cgroups") && !namespaces.iter().any(|one| one["type"] == cgroup["type"]) {
        namespaces.push(cgroup);
    }
    Ok(())
}
