//! The machine as parts see it: a root folder, read only.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nicdock_core::kind::Kind;
use nicdock_core::node::HostSnapshot;
use nicdock_core::static_program::{INSTALLED, places};

use super::error::{SetupError, at};

/// Where systemd looks for units, the most important first (systemd.unit(5), "Unit File Load Path").
pub const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

const RUNTIME: &str = "nicdock-runtime";

pub struct Machine {
    root: PathBuf,
    /// Where this nicdock is, for what calls it later.
    pub program: PathBuf,
    pub running: Option<Running>,
}

/// What only programs tell, on the machine that runs: not of an image that is not booted.
#[derive(Clone, Copy)]
pub struct Running {
    /// What a command prints, if it succeeds.
    pub ask: fn(&[&str]) -> Option<String>,
    /// The CDI devices of its NICs, with hooks that call this program; as text, if there are any.
    pub devices: fn(&Path) -> Result<Option<String>, SetupError>,
}

impl Machine {
    pub fn new(root: &Path, program: &Path) -> Self {
        Self { root: root.to_owned(), program: program.to_owned(), running: None }
    }

    /// This one.
    pub fn here(program: &Path) -> Self {
        let devices = |program: &Path| {
            let snapshot = HostSnapshot::of_machine()?;
            let spec = nicdock_oci::cdi::devices(&snapshot.host, program).spec;
            Ok(spec.names().next().is_some().then(|| spec.text()))
        };
        let ask = |words: &[&str]| {
            let output = Command::new(words[0]).args(&words[1..]).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        Self { running: Some(Running { ask, devices }), ..Self::new(Path::new("/"), program) }
    }

    /// What a command of the machine's prints.
    pub fn ask(&self, words: &[&str]) -> Option<String> {
        self.running.and_then(|running| (running.ask)(words))
    }

    /// The first of these programs that is there.
    pub fn installed(&self, programs: &[&'static str]) -> Option<&'static str> {
        programs.iter().copied().find(|program| self.has(program))
    }

    /// Whose the machine is: root's.
    pub fn owner(&self) -> Result<u32, SetupError> {
        self.root.metadata().map(|root| root.uid()).map_err(at(&self.root))
    }

    /// Where a path of the machine's is.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Is anything there, be it a link that leads nowhere?
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// A file's text, if it can be read.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read(self.at(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What is in a folder, as paths of the machine, in order.
    pub fn list(&self, folder: impl AsRef<Path>) -> Vec<PathBuf> {
        let folder = folder.as_ref();
        let names =
            fs::read_dir(self.at(folder)).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut paths: Vec<PathBuf> = names.map(|name| folder.join(name)).collect();
        paths.sort();
        paths
    }

    /// Is systemd installed?
    pub fn has_systemd(&self) -> bool {
        self.has("/usr/lib/systemd/systemd") || self.has("/lib/systemd/systemd")
    }

    /// Is systemd the first process (sd_booted(3))?
    pub fn runs_systemd(&self) -> bool {
        self.has("/run/systemd/system")
    }

    /// The file of a unit that systemd uses.
    pub fn unit(&self, name: &str) -> Option<PathBuf> {
        UNITS.iter().map(|folder| Path::new(folder).join(name)).find(|path| self.has(path))
    }

    /// A unit and its drop-ins, the most important last (systemd.unit(5)).
    pub fn files_of_unit(&self, name: &str) -> Vec<PathBuf> {
        let drop_ins =
            UNITS.iter().rev().flat_map(|folder| self.list(Path::new(folder).join(format!("{name}.d"))));
        self.unit(name).into_iter().chain(drop_ins).collect()
    }

    /// The runtime that is registered with engines.
    pub fn runtime(&self) -> Result<PathBuf, SetupError> {
        places(&self.program, RUNTIME).into_iter().find(|path| self.has(path)).ok_or_else(|| {
            SetupError::Refused {
                kind: Kind::Other,
                reason: format!(
                    "{RUNTIME} is neither beside nicdock nor in {INSTALLED}: install or build it there"
                ),
            }
        })
    }

    /// PCI functions as vendor and device, in hexadecimal.
    pub fn pci_functions(&self) -> Vec<(String, String)> {
        let word =
            |path: PathBuf| self.text(path).map(|text| text.trim().trim_start_matches("0x").to_owned());
        self.list("/sys/bus/pci/devices")
            .into_iter()
            .filter_map(|function| Some((word(function.join("vendor"))?, word(function.join("device"))?)))
            .collect()
    }

    /// Has it a usNIC, a virtual function of Cisco's VIC that `usnic_verbs` drives (its PCI table has this one device)?
    pub fn has_usnic(&self) -> bool {
        self.pci_functions().iter().any(|(vendor, device)| vendor == "1137" && device == "00cf")
    }
}
