//! An OCI bundle as a request: its root, process and bind mounts. What could weaken the plan is not taken over.
//!
//! Whoever owns the bundle can exchange what is in it at any time. So its folder is opened once, and everything in it below that
//! descriptor, over no link; what was opened is what the container gets.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{Mount, Process, Spec};
use rustix::fs::OFlags;

use super::source::{self, Source};
use nicdock_core::lifecycle::LaunchError;
use nicdock_core::request::{Request, User, Volume};
use nicdock_sys::closing::Closing;
use nicdock_sys::{child, mount};

/// More than any engine writes.
const MAX_LEN: u64 = 4 << 20;

/// What was taken from a bundle, beside what the request has by now.
pub struct Taken {
    pub root: Source,
    pub volumes: Vec<(Volume, Source)>,
    pub notes: Vec<String>,
}

/// Takes over from `folder/config.json` what the command line leaves open, and opens its root and binds.
///
/// Its namespaces, devices, seccomp, hooks, capabilities and mounts other than binds are nicdock's to decide.
pub fn read(folder: &Path, request: &mut Request) -> Result<Taken, LaunchError> {
    let bundle = Bundle::open(folder)?;
    let config = folder.join("config.json");
    let refuse = |reason: String| LaunchError::path(&config, reason);
    let text = bundle.load().map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => refuse("is a symbolic link, and none is followed in a bundle".to_owned()),
        _ => refuse(e.to_string()),
    })?;
    let wanted = bundle.names.take_over(&text, request).map_err(refuse)?;
    let root = bundle
        .open_below(&wanted.root)
        .map_err(|reason| refuse(format!("its root.path: {reason}, or give the root with --rootfs")))?;
    let root = Source::of(root, &folder.join(&wanted.root))?;
    let mut volumes = Vec::new();
    for Bind { below, volume } in wanted.binds {
        let source = match below {
            None => Source::open(&volume.source)?,
            Some(below) => {
                let opened = bundle.open_below(&below).map_err(|reason| {
                    refuse(format!("its bind on {}: {reason}, or show it with -v", volume.destination))
                })?;
                Source::of(opened, &volume.source)?
            }
        };
        volumes.push((volume, source.into_volume()?));
    }
    Ok(Taken { root, volumes, notes: wanted.notes })
}

/// A bundle's folder, open.
struct Bundle {
    handle: OwnedFd,
    names: Names,
}

impl Bundle {
    fn open(folder: &Path) -> Result<Self, LaunchError> {
        let fail = |e: io::Error| LaunchError::path(folder, e);
        let handle = source::handle(folder)?;
        let given = std::path::absolute(folder).map_err(fail)?;
        let real = fs::read_link(child::proc_path(&handle)).map_err(fail)?;
        Ok(Self { handle, names: Names { given, real } })
    }

    /// Whoever made the bundle may have put a pipe, a device or a file without an end there.
    fn load(&self) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(mount::open_inside(&self.handle, "config.json", flags)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file"));
        }
        let mut text = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_LEN {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 4 MiB"));
        }
        Ok(text)
    }

    /// Opens a path below the bundle's folder. Errors: the part that is a link, and what to do.
    fn open_below(&self, below: &Path) -> Result<OwnedFd, String> {
        let open = |path: &Path| {
            let text = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
            if Closing::BundleLinks.is_left_open() {
                return mount::open_host_path(&self.names.real.join(path));
            }
            mount::open_inside(&self.handle, if text.is_empty() { "." } else { text }, OFlags::PATH)
        };
        open(below).map_err(|error| {
            let is_link = |path: &&Path| open(path).is_err_and(|e| e.raw_os_error() == Some(libc::ELOOP));
            let mut parts: Vec<&Path> = below.ancestors().collect();
            parts.reverse();
            match parts.iter().find(|path| is_link(path)) {
                Some(link) => format!(
                    "{} is a symbolic link, and none is followed in a bundle, since whoever owns the bundle could exchange it: put the folder itself there",
                    self.names.given.join(link).display()
                ),
                None => format!("{}: {error}: put it there", self.names.given.join(below).display()),
            }
        })
    }
}

/// The names of a bundle's folder by which `config.json` may call it.
pub struct Names {
    /// On the command line.
    pub given: PathBuf,
    /// Without links.
    pub real: PathBuf,
}

/// What `config.json` wants, as far as it can be told from its text.
pub struct Wanted {
    /// Below the bundle's folder.
    pub root: PathBuf,
    pub binds: Vec<Bind>,
    pub notes: Vec<String>,
}

pub struct Bind {
    /// Where its source is below the bundle's folder; `None` if that is outside.
    pub below: Option<PathBuf>,
    pub volume: Volume,
}

impl Names {
    /// Takes over what the text of `config.json` says of the process; gives what is to be opened.
    pub fn take_over(&self, text: &[u8], request: &mut Request) -> Result<Wanted, String> {
        let spec: Spec = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let root = spec.root().as_ref().map_or_else(|| PathBuf::from("rootfs"), |root| root.path().clone());
        if root.components().any(|part| part == Component::ParentDir) {
            return Err(format!("its root.path {} climbs out with '..'", root.display()));
        }
        let root = self.below(&root).ok_or_else(|| {
            format!(
                "its root.path leads out of the bundle, to {}, and a root is writable: give it with --rootfs",
                root.display()
            )
        })?;
        if let Some(process) = spec.process() {
            check(process)?;
            take_over_process(process, request);
        }
        let mut notes = vec![
            "the bundle's namespaces, devices, capabilities and seccomp are replaced by this plan's"
                .to_owned(),
        ];
        if spec.hooks().is_some() {
            notes.push("the bundle's hooks are not run".to_owned());
        }
        let mut binds = Vec::new();
        for mount in spec.mounts().iter().flatten() {
            if options(mount).any(|option| option == "bind" || option == "rbind") {
                binds.push(self.bind(mount, &mut notes)?);
            } else if !["/proc", "/dev", "/sys"].iter().any(|top| mount.destination().starts_with(top)) {
                notes.push(format!(
                    "the bundle's mount on {} is left out: only binds are taken over",
                    mount.destination().display()
                ));
            }
        }
        let outside: Vec<String> =
            binds.iter().filter(|bind| bind.below.is_none()).map(Bind::named).collect();
        if !request.bundle_binds && !outside.is_empty() {
            return Err(format!(
                "it binds from outside of the bundle: {}. Whoever wrote it chose these: look at them, and say --bundle-binds to show them read-only, or take them out",
                outside.join(", ")
            ));
        }
        Ok(Wanted { root, binds, notes })
    }

    fn bind(&self, mount: &Mount, notes: &mut Vec<String>) -> Result<Bind, String> {
        let named = mount.source().clone().unwrap_or_default();
        let below = self.below(&named);
        let writable = options(mount).any(|o| o == "rw") || !options(mount).any(|o| o == "ro" || o == "rro");
        let volume = Volume {
            // A relative one is below the bundle (config.md of the runtime-spec, mounts).
            source: self.real.join(&named),
            destination: mount.destination().display().to_string(),
            read_only: below.is_none() || !writable,
        };
        volume.check()?;
        let bind = Bind { below, volume };
        if bind.below.is_none() {
            let more = if writable { "; -v makes it writable" } else { "" };
            notes.push(format!(
                "the bundle's bind {} comes from outside of it and is read-only, which does not stop a program from connecting to a daemon's socket or writing to a pipe there{more}",
                bind.named()
            ));
        }
        Ok(bind)
    }

    /// A path of `config.json` as one below the bundle's folder, if its name says that it is there.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        if path.is_relative() {
            return (!path.as_os_str().is_empty()).then(|| path.components().collect());
        }
        let names = [&self.given, &self.real];
        names.into_iter().find_map(|folder| path.strip_prefix(folder).ok()).map(Path::to_owned)
    }
}

impl Bind {
    fn named(&self) -> String {
        format!("{} on {}", self.volume.source.display(), self.volume.destination)
    }
}

fn options(mount: &Mount) -> impl Iterator<Item = &str> {
    mount.options().iter().flatten().map(String::as_str)
}

fn take_over_process(process: &Process, request: &mut Request) {
    if request.command.is_empty() {
        request.command = process.args().clone().unwrap_or_default();
    }
    if request.workdir.is_none() {
        request.workdir = Some(process.cwd().display().to_string());
    }
    if request.user == User::default() {
        request.user = User { uid: process.user().uid(), gid: process.user().gid() };
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.append(&mut request.env);
    request.env = env;
}

/// What no command line could hold: execve(2) ends a text at a NUL, and setenv(3) wants a name.
fn check(process: &Process) -> Result<(), String> {
    let args = process.args().iter().flatten();
    let env = process.env().iter().flatten();
    if args.chain(env.clone()).any(|text| text.contains('\0')) {
        return Err("its process has a NUL in an argument or a variable".to_owned());
    }
    if let Some(bad) = env.clone().find(|text| text.find('=').is_none_or(|at| at == 0)) {
        return Err(format!("its process.env has '{}', which is not KEY=VALUE", bad.escape_debug()));
    }
    let cwd = process.cwd();
    if !cwd.is_absolute() || cwd.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(format!("its process.cwd '{}' is no absolute path", cwd.display()));
    }
    Ok(())
}
