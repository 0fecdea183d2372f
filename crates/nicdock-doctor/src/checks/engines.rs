//! Engines and runtimes, and what they can do with NICs.

use nicdock_host::environment::Reading;
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const VERSIONS: Check = Check {
    id: "engines.versions",
    asks: "which engines are here, with what versions, and whether they know CDI and netDevices",
    why: "a runtime before OCI's runtime-spec 1.3 leaves out linux.netDevices without an error, and an engine without CDI refuses --device \
          vendor/class=name; nicdock run, attach and the hooks for LXC and libvirt need neither",
    judge: versions,
    #[cfg(test)]
    cases: || Cases {
        fires: told("runc 1.1.5\n"),
        ok: told("crun 1.22\npodman 5.4.0\n"),
        unknown: told("podman ?\n"),
    },
};

/// From which version an engine can do what it is asked for: linux.netDevices (crun 1.22, runc 1.4, youki 0.6), CDI (Podman 4.1, Docker 25,
/// containerd 1.7, CRI-O 1.23).
const LEAST: [(&str, u32, u32, &str); 7] = [
    ("crun", 1, 22, "linux.netDevices"),
    ("runc", 1, 4, "linux.netDevices"),
    ("youki", 0, 6, "linux.netDevices"),
    ("podman", 4, 1, "CDI"),
    ("docker", 25, 0, "CDI"),
    ("containerd", 1, 7, "CDI"),
    ("crio", 1, 23, "CDI"),
];

fn versions(subject: &Subject) -> Vec<Finding> {
    let lines = match subject.environment.fact(Fact::Engines) {
        Reading::Known(lines) => lines,
        Reading::Absent => String::new(),
        Reading::Unknown(why) => return vec![Finding::unknown(why)],
    };
    let cdi: Vec<&str> = lines.lines().filter_map(|line| line.strip_prefix("cdi ")).collect();
    let cdi = if cdi.is_empty() {
        "neither /etc/cdi nor /run/cdi is there".to_owned()
    } else {
        format!("CDI: {}", cdi.join(", "))
    };
    let engines = lines.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| *name != "cdi");
    let mut found: Vec<Finding> = engines.map(|(name, version)| of_engine(name, version, &cdi)).collect();
    if found.is_empty() {
        found.push(Finding::ok("no engine is installed: nicdock run needs none"));
    }
    found
}

fn of_engine(name: &str, version: &str, cdi: &str) -> Finding {
    let Some((major, minor)) = parse(version) else {
        return Finding::unknown(format!("{name} does not tell its version"))
            .fix(format!("{name} --version"));
    };
    match LEAST.iter().find(|(engine, ..)| *engine == name) {
        Some((_, least_major, least_minor, what)) if (major, minor) < (*least_major, *least_minor) => {
            Finding::hint(
                format!("{name} {version} has no {what} (from {least_major}.{least_minor})"),
                "nicdock run, or nicdock attach to a container of it that runs",
            )
        }
        Some((.., "CDI")) => Finding::ok(format!("{name} {version} has CDI; {cdi}")),
        Some((.., what)) => Finding::ok(format!("{name} {version} has {what}")),
        None => Finding::ok(format!("{name} {version}")),
    }
}

/// `1.22`, `20.10.24+dfsg1`, `1.6.20~ds1`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
fn told(lines: &str) -> Case {
    Case::usnic().environment(|environment| environment.with_fact(Fact::Engines, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse("20.10.24+dfsg1"), Some((20, 10)));
        assert_eq!(parse("1.6.20~ds1"), Some((1, 6)));
        assert_eq!(parse("2"), Some((2, 0)));
        assert_eq!(parse("?"), None);
        assert!(of_engine("crun", "1.8.1", "").fix.is_some(), "1.8 is before 1.22");
    }
}
