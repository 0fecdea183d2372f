//! Ordinary users of the host who call nicdock.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use libtest_mimic::Failed;

use crate::nicdock::{command, expect};
use crate::probing::binary;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[(
    "nicdock_has_no_rights_but_its_callers_and_tells_of_no_file_that_they_cannot_see",
    told,
    Lab::is_first,
)];

/// As lxc-user-nic did, which is a set-user-ID program (CVE-2022-47952): its errors told which files there are.
fn told(_: &Lab) -> Result<(), Failed> {
    let programs = ["nicdock", nicdock_starter::NAME, "nicdock-audit", "nicdock-gate"];
    for path in programs.map(|name| Path::new(&binary().unwrap_or_default()).with_file_name(name)) {
        let mode =
            fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.permissions().mode();
        let capabilities = rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64][..]);
        let has_none = matches!(capabilities, Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP));
        expect(mode & 0o6000 == 0 && has_none, format!("{}: {mode:o}, {capabilities:?}", path.display()))?;
    }
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
    fs::create_dir_all(folder.path().join("there/rootfs"))?;
    let said = |name: &str, option: &str| -> Result<String, Failed> {
        let path = folder.path().join(name).display().to_string();
        let volume = format!("{path}:/data");
        let words: &[&str] = match option {
            "-v" => &["--host-root", "-v", &volume],
            _ => &[option, &path],
        };
        let program: &[&str] = if option == "--bundle" { &[] } else { &["--", "true"] };
        let plan = [&["plan", "--nic", "eth3"], words, program];
        let output = command(&plan.concat()).uid(1000).gid(1000).output()?;
        let text =
            String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).replace(&path, "PATH");
        expect(text.contains("PATH"), format!("{option}: {text}"))?;
        Ok(text)
    };
    for option in ["--rootfs", "--bundle", "-v"] {
        let texts = [said("there", option)?, said("lacks", option)?];
        expect(texts[0] == texts[1] && texts[0].contains("Permission denied"), texts.join("\n"))?;
    }
    Ok(())
}
