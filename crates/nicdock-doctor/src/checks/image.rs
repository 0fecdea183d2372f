//! Checks that a container's image knows the device (rdma-core's libibverbs/init.c, providers/*).

use nicdock_host::environment::Reading;
use nicdock_host::model::RdmaDevice;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};
#[cfg(test)]
use nicdock_host::environment::Image;

pub const PROVIDER: Check = Check {
    id: "image.provider",
    asks: "that the image has the library by which programs use the device (--image-root)",
    why: "libibverbs loads a provider for each kind of device, made for its own private interface: an image whose rdma-core is older than the \
          device, or lacks the provider, shows no device",
    judge: provider,
    #[cfg(test)]
    cases: || Cases {
        fires: image(&[("rxe", 34)], "50.0"),
        ok: image(&[("mlx5", 34)], "50.0"),
        unknown: Case::roce(),
    },
};

pub const ABI: Check = Check {
    id: "image.abi",
    asks: "the kernel's uverbs ABI against what the image's provider takes",
    why: "a provider that does not know the driver's ABI refuses the device: 'Driver … does not support the kernel ABI of …'",
    judge: abi,
    #[cfg(test)]
    cases: || Cases { fires: abis("9"), ok: abis("1"), unknown: image(&[("mlx5", 34)], "50.0") },
};

/// `IB_USER_VERBS_ABI_VERSION` that libibverbs takes (libibverbs/init.c, `check_abi_version()`).
const CORE_ABI: std::ops::RangeInclusive<u32> = 3..=6;

/// The ABI that a provider takes, least and most.
type Range = Option<(u32, u32)>;

/// A driver of the kernel with the provider for it and the ABI that this takes (`match_min_abi_version`, `match_max_abi_version` in
/// rdma-core's providers/NAME/*.c; include/uapi/rdma/*-abi.h); `None` where it is not known here.
const PROVIDERS: [(&str, &str, Range); 19] = [
    ("mlx5", "mlx5", Some((1, 1))),
    ("mlx4", "mlx4", Some((3, 4))),
    ("rxe", "rxe", Some((1, 2))),
    ("siw", "siw", Some((1, 1))),
    ("efa", "efa", Some((1, 1))),
    ("erdma", "erdma", Some((0, 1))),
    ("mana", "mana", Some((1, 1))),
    ("bnxt", "bnxt_re", None),
    ("irdma", "irdma", None),
    ("i40iw", "i40iw", None),
    ("hns", "hns", None),
    ("qedr", "qedr", None),
    ("qede", "qedr", None),
    ("ocrdma", "ocrdma", None),
    ("cxgb4", "cxgb4", None),
    ("hfi1", "hfi1verbs", None),
    ("mthca", "mthca", None),
    ("vmw_pvrdma", "vmw_pvrdma", None),
    ("ionic", "ionic", None),
];

/// By the driver's name (`mlx5_core`, `mlx5_ib`).
fn provider_of(device: &RdmaDevice) -> Option<(&'static str, Range)> {
    let driver = device.driver.as_deref()?;
    let of = |(begin, ..): &&(&str, &str, _)| driver.starts_with(begin);
    PROVIDERS.iter().find(of).map(|(_, provider, abi)| (*provider, *abi))
}

fn provider(subject: &Subject) -> Vec<Finding> {
    let Some(image) = subject.image else { return not_asked(subject) };
    subject.each_device(|_, device| {
        let driver = device.driver.as_deref().unwrap_or("?");
        if driver.starts_with("usnic") {
            return Some(if image.libfabric {
                Finding::ok(format!("{}: libfabric is there, whose usnic provider opens the device", image.root))
            } else {
                let fix = "install libfabric with its usnic provider (./configure --enable-usnic) in the image";
                Finding::problem(format!("{}: no libfabric.so", image.root), fix)
            });
        }
        let Some((provider, _)) = provider_of(device) else {
            return Some(Finding::unknown(format!("which provider is for driver {driver} is not known here")).fix("ibv_devices in the container"));
        };
        let release = image.release.as_ref().map_or_else(|| "no libibverbs".to_owned(), |release| format!("rdma-core {release}"));
        let made: Vec<u32> = image.providers.iter().filter(|(name, _)| name == provider).map(|(_, version)| *version).collect();
        let newest = image.providers.iter().map(|(_, version)| *version).max();
        let evidence = format!("{} has {release}", image.root);
        let install = format!("install ibverbs-providers (Debian) or libibverbs (Fedora, SUSE) with lib{provider}-rdmav*.so in the image");
        Some(match made.iter().max() {
            None => Finding::problem(format!("{evidence} and no lib{provider}-rdmav*.so"), install),
            Some(_) if image.release.is_none() => Finding::problem(evidence, install),
            Some(version) if Some(*version) != newest => Finding::problem(
                format!("{evidence}; lib{provider}-rdmav{version}.so is older than other providers of it"),
                "install libibverbs and all providers from one release of rdma-core",
            ),
            Some(version) => Finding::ok(format!("{evidence} and lib{provider}-rdmav{version}.so")),
        })
    })
}

fn not_asked(subject: &Subject) -> Vec<Finding> {
    if subject.nics.iter().all(|nic| nic.rdma_devices.is_empty()) {
        return Vec::new();
    }
    vec![
        Finding::unknown("no image was named")
            .fix("nicdock doctor --image-root DIR, where the container's image is unpacked or mounted"),
    ]
}

fn abi(subject: &Subject) -> Vec<Finding> {
    if subject.image.is_none() {
        return not_asked(subject);
    }
    subject.each_device(|_, device| {
        let path = format!("sys/{}/abi_version", device.uverbs.as_ref()?.sysfs);
        let core = "sys/class/infiniband_verbs/abi_version";
        let number = |path: &str| match subject.environment.text(path) {
            Reading::Known(text) => {
                text.parse::<u32>().map_err(|_| format!("/{path}: '{text}' is not understood"))
            }
            Reading::Absent => Err(format!("/{path} is not there")),
            Reading::Unknown(why) => Err(why),
        };
        let (own, all) = match (number(&path), number(core)) {
            (Ok(own), Ok(all)) => (own, all),
            (Err(why), _) | (_, Err(why)) => return Some(Finding::unknown(why)),
        };
        let evidence = format!("/{path}: {own}, /{core}: {all}");
        let update =
            "an image with a newer rdma-core: the one of the host's distribution knows the host's kernel";
        if !CORE_ABI.contains(&all) {
            return Some(Finding::problem(evidence, update));
        }
        Some(match provider_of(device) {
            _ if device.usnic.is_some() => Finding::ok(evidence),
            Some((provider, Some((least, most)))) if !(least..=most).contains(&own) => {
                Finding::problem(format!("{evidence}; lib{provider} takes {least} to {most}"), update)
            }
            Some((_, Some(_))) => Finding::ok(evidence),
            Some((provider, None)) => {
                Finding::unknown(format!("{evidence}; what lib{provider} takes is not known here"))
                    .fix("ibv_devinfo in the container")
            }
            None => Finding::unknown(format!("{evidence}; which provider is for it is not known here"))
                .fix("ibv_devinfo in the container"),
        })
    })
}

/// The RoCE host and an image.
#[cfg(test)]
fn image(providers: &[(&str, u32)], release: &str) -> Case {
    let mut case = Case::roce();
    let providers = providers.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect();
    case.image = Some(Image {
        root: "/images/mpi".to_owned(),
        providers,
        release: Some(release.to_owned()),
        libfabric: false,
    });
    case
}

#[cfg(test)]
fn abis(version: &str) -> Case {
    let mut case = image(&[("mlx5", 34)], "50.0");
    let devices = case.host.nics.iter().flat_map(|nic| &nic.rdma_devices);
    let paths: Vec<String> = devices
        .filter_map(|device| Some(format!("sys/{}/abi_version", device.uverbs.as_ref()?.sysfs)))
        .collect();
    for path in paths {
        case = case.environment(|environment| environment.with_file(&path, version));
    }
    case.environment(|environment| environment.with_file("sys/class/infiniband_verbs/abi_version", "6"))
}
