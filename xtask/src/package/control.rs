//! Writes what dpkg reads of the package: fields, scripts, change log.

use super::installed::{glibc_version, put, put_compressed, set_times};
use super::{Programs, epoch};
use crate::process::capture;
use crate::workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

pub const ARCHITECTURE: &str = "amd64";
/// Of the packaging, after nicdock's own version.
pub const REVISION: &str = "1";
const MAINTAINER: &str = "The authors of nicdock <nicdock@users.noreply.github.com>";

const SCRIPTS: [(&str, &str); 4] = [
    ("preinst", include_str!("../../../packaging/deb/preinst")),
    ("postinst", include_str!("../../../packaging/deb/postinst")),
    ("prerm", include_str!("../../../packaging/deb/prerm")),
    ("postrm", include_str!("../../../packaging/deb/postrm")),
];

/// Adds what only the Debian package has.
pub fn write(root: &Path, programs: &Programs, version: &str) -> Result<()> {
    let epoch = epoch::of_commit()?;
    let overrides = fs::read(workspace::root().join("packaging/deb/lintian-overrides"))?;
    put(root, "usr/share/lintian/overrides/nicdock", &overrides, 0o644)?;
    let log = format!(
        "nicdock ({version}-{REVISION}) unstable; urgency=medium\n\n  * nicdock {version}: changelog.gz says what is new.\n\n -- {MAINTAINER}  {}\n",
        epoch::in_words(epoch)?
    );
    put_compressed(root, "usr/share/doc/nicdock/changelog.Debian", log.as_bytes())?;
    let size = installed_size(root)?;
    put(
        root,
        "DEBIAN/control",
        fields(version, &libraries(programs)?, &glibc_version()?, size).as_bytes(),
        0o644,
    )?;
    put(root, "DEBIAN/md5sums", sums(root)?.as_bytes(), 0o644)?;
    let formats = lease_formats(programs)?;
    for (name, script) in SCRIPTS {
        let script = script.replace("@VERSION@", version).replace("@LEASE_FORMATS@", &formats);
        put(root, &format!("DEBIAN/{name}"), script.as_bytes(), 0o755)?;
    }
    set_times(root, epoch)
}

fn fields(version: &str, libraries: &str, glibc: &str, size: u64) -> String {
    format!(
        "Package: nicdock
Version: {version}-{REVISION}
Architecture: {ARCHITECTURE}
Maintainer: {MAINTAINER}
Installed-Size: {size}
Depends: {libraries}
Suggests: ibverbs-providers, ibverbs-utils, lxc, libvirt-daemon-driver-lxc
Built-Using: glibc (= {glibc})
Section: admin
Priority: optional
Homepage: https://github.com/nicdock/nicdock
Description: gives a Linux container one of the host's fabric NICs and nothing else
 A fabric NIC (Cisco usNIC, RoCE, InfiniBand, iWARP, EFA, soft-RoCE) is used from
 user space through a character device and /sys, which Linux cannot make
 namespace-aware. nicdock finds the NICs, plans what a container needs to have
 one, applies the plan, checks before its program starts that the container has
 just that, and takes the NIC back however the container ends.
 .
 It starts containers itself, and gives NICs to those of LXC and libvirt from
 their start, and to any other that runs. There is no daemon.
"
    )
}

/// The packages with the libraries that nicdock is linked to, in the versions that its symbols ask for (dpkg-shlibdeps(1)).
fn libraries(programs: &Programs) -> Result<String> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("debian"))?;
    fs::write(
        folder.path().join("debian/control"),
        "Source: nicdock\n\nPackage: nicdock\nArchitecture: any\n",
    )?;
    let nicdock = std::path::absolute(programs.nicdock())?;
    let said =
        capture(Command::new("dpkg-shlibdeps").current_dir(folder.path()).args(["-O", "-e"]).arg(nicdock))?;
    let found = said.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    found.map(str::to_owned).with_context(|| format!("dpkg-shlibdeps says no dependencies: {said}"))
}

/// The formats of leases that this nicdock reads, by its own word, with blanks between them.
fn lease_formats(programs: &Programs) -> Result<String> {
    let said = capture(Command::new(programs.nicdock()).arg("--version"))?;
    let formats = said.lines().find_map(|line| line.strip_prefix("lease formats "));
    formats.map(str::to_owned).with_context(|| format!("nicdock --version names no lease formats: {said}"))
}

/// KiB, as dpkg-gencontrol(1) counts: each file in whole ones, each folder one.
fn installed_size(root: &Path) -> Result<u64> {
    let mut size = 0;
    for path in super::installed::below(root)? {
        let found = path.metadata()?;
        size += if found.is_file() { found.len().div_ceil(1024) } else { 1 };
    }
    Ok(size)
}

/// For `dpkg --verify`.
fn sums(root: &Path) -> Result<String> {
    let files: Vec<_> =
        super::installed::below(&root.join("usr"))?.into_iter().filter(|path| path.is_file()).collect();
    let names = files.iter().map(|path| path.strip_prefix(root)).collect::<Result<Vec<_>, _>>()?;
    capture(Command::new("md5sum").current_dir(root).args(names))
}
