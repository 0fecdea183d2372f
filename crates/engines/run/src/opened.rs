//! What a request names on the host: opened once, when the request is made ready, and carried to where it is mounted.

use std::os::fd::OwnedFd;

use rustix::mount::MountAttrFlags;

use super::bundle;
use super::source::Source;
use nicdock_core::lifecycle::LaunchError;
use nicdock_core::request::{Request, Root, Volume};
use nicdock_sys::closing::Closing;

/// Root and volumes of a container. They go beside the plan, which is a value.
#[derive(Debug, Default)]
pub struct Opened {
    /// `None`: the host's own root.
    root: Option<Source>,
    /// As the request has them.
    volumes: Vec<Source>,
}

/// Mounts that are mounted nowhere, of what was opened.
pub struct Copies {
    /// `None`: the host's own root.
    pub root: Option<OwnedFd>,
    /// As the plan has them.
    pub volumes: Vec<OwnedFd>,
}

impl Opened {
    /// Opens everything, a bundle's too, whose process and binds are taken over; the request then says where it is. Gives notes on what
    /// of the bundle was left out.
    pub fn of(request: &mut Request) -> Result<(Self, Vec<String>), LaunchError> {
        let mut opened = Self::default();
        let mut notes = Vec::new();
        for volume in &mut request.volumes {
            let source = Source::open(&volume.source)?.into_volume()?;
            source.real().clone_into(&mut volume.source);
            opened.volumes.push(source);
        }
        let root = match request.root.clone() {
            Root::Host | Root::Unnamed => return Ok((opened, notes)),
            Root::Directory(path) => Source::open(&path)?,
            Root::Bundle(folder) => {
                let taken = bundle::read(&folder, request)?;
                notes = taken.notes;
                for (mut volume, source) in taken.volumes {
                    source.real().clone_into(&mut volume.source);
                    request.volumes.push(volume);
                    opened.volumes.push(source);
                }
                taken.root
            }
        };
        let root = opened.root.insert(root.into_root()?);
        request.root = Root::Directory(root.real().to_owned());
        Ok((opened, notes))
    }

    /// Copies of all mounts. The caller is still in the mount namespace in which they were opened. What leads to the host's own mounts is
    /// closed then: no process of the container's is to inherit it.
    pub fn into_copies(self, volumes: &[Volume]) -> Result<Copies, LaunchError> {
        let root = self.root.map(|root| root.copy_as_root(root_attributes())).transpose()?;
        let copies = self.volumes.iter().zip(volumes);
        let volumes = copies
            .map(|(source, volume)| source.copy_as_volume(volume.read_only))
            .collect::<Result<_, _>>()?;
        Ok(Copies { root, volumes })
    }
}

/// No device node of the root can be opened.
pub fn root_attributes() -> MountAttrFlags {
    if Closing::RootNodev.is_left_open() { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_NODEV }
}
