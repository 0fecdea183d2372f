//! Finds rdma-core in an image: the libraries by which its programs open RDMA devices.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat2};

/// Where distributions have libraries; `*` is one folder, that of an architecture.
const FOLDERS: [&str; 6] = [
    "usr/lib64",
    "usr/lib",
    "lib64",
    "usr/local/lib",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
];

/// The libraries of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// For people.
    pub root: String,
    /// Providers of libibverbs (`mlx5`, `rxe`) with the version of libibverbs' private interface that each is for
    /// (`libmlx5-rdmav34.so`: 34; `IBVERBS_PROVIDER_SUFFIX` in rdma-core's CMakeLists.txt).
    pub providers: Vec<(String, u32)>,
    /// The release of rdma-core (`libibverbs.so.1.14.50.0`: 50.0; Documentation/versioning.md), where a library is there.
    pub release: Option<String>,
    /// Whether libfabric is there, whose usnic provider needs no libibverbs.
    pub libfabric: bool,
}

impl Image {
    /// Looks below `root`, out of which no link of the image leads (openat2(2), `RESOLVE_IN_ROOT`).
    pub fn read(root: &Path) -> io::Result<Self> {
        let door = File::open(root)?;
        if !door.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let mut image = Self { root: root.display().to_string(), ..Self::default() };
        for folder in FOLDERS {
            image.libraries(&names(&door, folder)?);
            image.libraries(&names(&door, &format!("{folder}/libibverbs"))?);
        }
        image.providers.sort_unstable();
        image.providers.dedup();
        Ok(image)
    }

    fn libraries(&mut self, names: &[String]) {
        for name in names {
            self.libfabric |= name.starts_with("libfabric.so");
            self.providers.extend(provider(name));
            if let Some(release) = name.strip_prefix("libibverbs.so.").and_then(release) {
                self.release = Some(release);
            }
        }
    }
}

/// The names in a folder of the image; none where there is no such folder.
fn names(root: &File, folder: &str) -> io::Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened: Result<OwnedFd, _> =
        openat2(root, folder, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS);
    let folder = match opened {
        Ok(folder) => folder,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let entries = Dir::read_from(&folder)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// `libmlx5-rdmav34.so`.
fn provider(name: &str) -> Option<(String, u32)> {
    let (provider, version) = name.strip_prefix("lib")?.strip_suffix(".so")?.rsplit_once("-rdmav")?;
    Some((provider.to_owned(), version.parse().ok()?))
}

/// The release in `1.14.50.0`.
fn release(version: &str) -> Option<String> {
    let parts: Vec<&str> = version.split('.').collect();
    let &[_, _, major, minor] = parts.as_slice() else { return None };
    Some(format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_providers_and_release_are_in_its_libraries_names() {
        let mut image = Image::default();
        let names = ["libmlx5-rdmav34.so", "librxe-rdmav34.so", "libibverbs.so.1", "libibverbs.so.1.14.44.0"];
        image.libraries(&names.map(str::to_owned));
        assert_eq!(image.providers, [("mlx5".to_owned(), 34), ("rxe".to_owned(), 34)]);
        assert_eq!(image.release.as_deref(), Some("44.0"));
        assert!(!image.libfabric);
    }

    #[test]
    fn a_root_that_is_no_folder_is_an_error() {
        assert!(Image::read(Path::new("/nowhere")).is_err());
        assert!(Image::read(Path::new("/proc/version")).is_err());
    }
}
