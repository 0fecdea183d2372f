//! What must hold of a view for any machine and any choice of NIC.

mod machines;
mod measured;
mod subfunctions;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tree::{ancestors, resolve, split};
use super::{View, nic, open};
use crate::request::Profile;
use machines::{Described, Plugged};

fn view(described: &Described, profile: Profile) -> View {
    match profile {
        Profile::Nic => nic::nic(&described.tree, &described.shown),
        Profile::Open => open::open(&described.tree, &described.shown),
        Profile::Off => open::all(&described.tree),
    }
    .unwrap()
}

/// Every path that the view makes, with the texts of its links.
fn everything(view: &View) -> impl Iterator<Item = &str> {
    let paths = view.mounts.iter().chain(&view.files).chain(&view.folders);
    let links = view.links.iter().flat_map(|(path, text)| [path, text]);
    paths.chain(links).map(String::as_str)
}

/// Whether something is there: made, or below a mount.
fn is_shown(view: &View, path: &str) -> bool {
    let made = view.folders.contains(path) || view.links.contains_key(path) || view.mounts.contains(path);
    let above_something = everything(view).any(|other| ancestors(other).any(|above| above == path));
    made || above_something || view.is_below_a_mount(path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_path_mentions_a_foreign_nic(plugged in machines::any_machine(), own in any::<prop::sample::Index>()) {
        let described = Plugged::describe(&plugged, own.index(plugged.len()));
        for profile in [Profile::Nic, Profile::Open] {
            let view = view(&described, profile);
            for path in everything(&view) {
                for part in path.split('/') {
                    prop_assert!(!described.foreign.contains(part), "{profile:?}: {path}");
                }
            }
            // What is mounted shows all that is in it.
            for path in described.tree.paths() {
                let below = view.mounts.contains(path) || view.is_below_a_mount(path);
                let foreign = path.split('/').any(|part| described.foreign.contains(part));
                prop_assert!(!(below && foreign), "{profile:?}: {path} lies in a mount");
            }
        }
    }

    #[test]
    fn every_link_leads_to_something(plugged in machines::any_machine(), own in any::<prop::sample::Index>()) {
        let described = Plugged::describe(&plugged, own.index(plugged.len()));
        for profile in [Profile::Nic, Profile::Open] {
            let view = view(&described, profile);
            for (path, text) in &view.links {
                let target = resolve(split(path).0, text);
                prop_assert!(target.as_deref().is_some_and(|target| is_shown(&view, target)), "{path} -> {text}");
            }
        }
    }

    #[test]
    fn every_device_above_what_is_shown_is_there_with_what_identifies_it(
        plugged in machines::any_machine(), own in any::<prop::sample::Index>()
    ) {
        let described = Plugged::describe(&plugged, own.index(plugged.len()));
        let view = view(&described, Profile::Nic);
        let devices: BTreeSet<&str> = view.mounts.iter().flat_map(|path| ancestors(path)).collect();
        for device in devices.into_iter().filter(|path| described.tree.is_device(path)) {
            prop_assert!(view.folders.contains(device), "{device}");
            prop_assert!(view.files.contains(&format!("{device}/vendor")), "{device}");
        }
        for (netdev, device) in &described.own {
            let name = format!("class/net/{netdev}");
            prop_assert!(view.links.contains_key(&name));
            let rdma = format!("class/infiniband/{device}");
            prop_assert!(device.is_empty() || view.links.contains_key(&rdma));
        }
    }
}
