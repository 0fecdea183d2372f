//! Where a probe of mounts works: namespaces of its own, in which success changes nothing for others.

use crate::kernel::errno::Errno;
use crate::kernel::namespace::{self, NEWPID};
use crate::probe::{Context, Finding};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A mount namespace of its own: with the capabilities that the container has.
    Mounts,
    /// A user namespace of its own, with a mount namespace and others: with every capability in it, and with the inherited
    /// mounts locked (mount_namespaces(7)).
    User,
}

pub const SCENES: [Scene; 2] = [Scene::Mounts, Scene::User];

impl Scene {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::User => "userns",
        }
    }

    /// Runs `attempt` in the scene, with `more` kinds of namespaces (`CLONE_NEW*`) beside a user namespace. `direct` is what is tried where the scene cannot be had: harmless without it.
    pub fn play(
        self,
        context: &Context,
        more: i32,
        attempt: impl FnOnce(&Context) -> Finding,
        direct: impl FnOnce() -> Finding,
    ) -> Finding {
        match self {
            Self::Mounts => match namespace::own_mounts() {
                Ok(()) => attempt(context),
                Err(errno) => {
                    let finding = direct();
                    Finding { evidence: format!("unshare(mount): {errno}; {}", finding.evidence), ..finding }
                }
            },
            Self::User => {
                let entered: Result<(), Errno> = namespace::own_user(more);
                let played = entered.and_then(|()| {
                    if more & NEWPID == 0 {
                        Ok(attempt(context))
                    } else {
                        namespace::in_child(|| attempt(context))
                    }
                });
                match played {
                    Ok(finding) => finding,
                    Err(errno) => Finding::refused("unshare(user, mount, …)", errno),
                }
            }
        }
    }
}

/// A folder to mount on.
pub fn folder() -> &'static str {
    ["/tmp", "/mnt", "/run", "/var", "/"]
        .into_iter()
        .find(|folder| std::path::Path::new(folder).is_dir())
        .unwrap_or("/")
}
