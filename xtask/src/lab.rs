//! `cargo xtask lab`: a stock Debian kernel with soft-RoCE NICs in QEMU, over the host's own files.

mod accelerator;
mod boot;
mod channels;
mod console;
mod initramfs;
pub mod job;
pub mod machine;
mod run_dir;
mod terminal;

use crate::cargo::{self, Profile};
use crate::kernels::{self, Kernel, Line, edited_rxe, modules};
use crate::vic::{self, MAX_VFS, MAX_VICS};
use accelerator::Accelerator;
use anyhow::{Context, Result, bail};
use console::Console;
use initramfs::Initramfs;
use job::{Cgroup, Job, Rdma};
use machine::Machine;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const QEMU: &str = "qemu-system-x86_64";
const BUSYBOX: &str = "/bin/busybox";

/// What the first process needs before it sees the host's files, and the channels.
const EARLY_MODULES: [&str; 5] = ["virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay"];
const NIC_MODULES: [&str; 2] = ["e1000e", "virtio_net"];
/// A VIC's netdev, and after that its RDMA device (to which Linux 7.2 gives no node by itself).
const VIC_MODULE: &str = "enic";
const USNIC_MODULES: [&str; 2] = ["ib_uverbs", "usnic_verbs"];
const RXE_MODULES: [&str; 4] = ["ib_uverbs", "ib_umad", "rdma_ucm", "rdma_rxe"];

/// With InfiniBand: its netdevs beside what soft-RoCE's devices have.
const IPOIB_MODULE: &str = "ib_ipoib";

/// VICs take the place of a fifteenth.
const MAX_NICS_BESIDE_VICS: u8 = 14;

/// The status that says the lab failed, not the command in it.
const LAB_FAILED: u8 = 125;

#[derive(clap::Args)]
pub struct Options {
    /// Which kernel: the newest of this line that Debian has when it is first used
    #[arg(long, value_enum, default_value = "6.1")]
    kernel: Line,
    /// How many NICs on the one switch: eth0 (e1000e), eth1 (virtio), eth2 (e1000e), … (with --vic: at most 14)
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=15))]
    nics: u8,
    /// How many processors. One is much quicker where they are emulated; more imply --own-qemu
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    cpus: u8,
    /// Control groups as systemd would mount them
    #[arg(long, value_enum, default_value = "v2")]
    cgroup: Cgroup,
    /// How many virtual Cisco VICs, with a usNIC each, beside the NICs: vic0, vic1, … (implies --iommu)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=i64::from(MAX_VICS)))]
    vic: u8,
    /// How many VFs a VIC has: the programs that can use its usNIC at once
    #[arg(long, value_name = "V", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_VFS)))]
    vfs: u8,
    /// How many of the e1000e NICs are InfiniBand HCAs instead, by a test build of rdma_rxe that pretends to be InfiniBand
    /// (--kernel 6.1 only): hca0 with ib0, hca1 with ib1, … No NIC has soft-RoCE then
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=8))]
    ib: u8,
    /// No soft-RoCE devices, and none of RDMA's modules but what a VIC needs
    #[arg(long)]
    no_rxe: bool,
    /// RDMA network namespaces. `exclusive` (--kernel 6.1 only) builds, for tests only, an rdma_rxe whose devices can move
    #[arg(long, value_enum, default_value = "shared")]
    rdma: Rdma,
    /// QEMU built from source even without --vic: emulates faster, and knows more devices to plug in, such as igb (SR-IOV)
    #[arg(long)]
    own_qemu: bool,
    /// An IOMMU, so that PCI functions have IOMMU groups
    #[arg(long)]
    iommu: bool,
    /// More words for the kernel's command line (can be repeated)
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    append: Vec<String>,
    /// A directory of the host that the guest can write to, as /lab
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Build nicdock with optimisations
    #[arg(long)]
    release: bool,
    /// Take nicdock as it was last built
    #[arg(long)]
    no_build: bool,
    /// Count instructions instead of time (QEMU's -icount): each takes two nanoseconds, whatever else this machine does. Emulates, with one
    /// processor
    #[arg(long, conflicts_with_all = ["cpus", "accel"])]
    icount: bool,
    /// Do not try which accelerator works
    #[arg(long, value_enum)]
    accel: Option<Accelerator>,
    /// Say which kernel runs, and how long it took
    #[arg(long, short)]
    verbose: bool,
    /// The command and its arguments; a shell when there is none
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Gives the command's exit status, or 125 with an error on standard error when the lab itself failed.
pub fn run(options: &Options) -> ExitCode {
    match try_run(options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(LAB_FAILED)
        }
    }
}

fn try_run(options: &Options) -> Result<u8> {
    if options.vic > 0 && options.nics > MAX_NICS_BESIDE_VICS {
        bail!("with --vic there is room for {MAX_NICS_BESIDE_VICS} other NICs");
    }
    if u16::from(options.ib) * 2 > u16::from(options.nics) + 1 {
        bail!("every other NIC is an e1000e: --ib {} needs --nics {}", options.ib, options.ib * 2 - 1);
    }
    crate::setup::install_missing()?;
    let kernel = kernels::obtain(options.kernel)?;
    let accelerator = match options.accel {
        _ if options.icount => Accelerator::CountingTcg,
        Some(accelerator) => accelerator,
        None => Accelerator::find(&kernel)?,
    };
    // Debian 12's QEMU translates a page that another processor is writing to and keeps what it read: a kernel that patches
    // itself, as it does for the BPF program of every container, then dies of an int3 that is not there any more.
    let own_qemu = options.own_qemu || options.vic > 0 || options.cpus > 1;
    let built = own_qemu.then(vic::build).transpose()?;
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    if !options.no_build {
        cargo::build_nicdock(profile)?;
    }

    let run_dir = run_dir::create()?;
    let out = options.out.clone().unwrap_or_else(|| run_dir.path().join("out"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let job = job(options, &kernel, profile, built.as_ref())?;
    let initramfs = run_dir.path().join("initramfs");
    write_initramfs(&kernel, &job, &initramfs)?;

    let mut console = Console::create(kernel.line.name())?;
    let machine = Machine {
        own_qemu,
        qemu: built.map_or_else(|| QEMU.into(), |built| built.qemu),
        accelerator,
        cpus: options.cpus,
        kernel: kernel.image(),
        initramfs,
        append: options.append.clone(),
        iommu: options.iommu || options.vic > 0,
        nics: options.nics,
        vics: options.vic,
        vfs: options.vfs,
        out: fs::canonicalize(&out)?,
        sockets: run_dir.path().to_owned(),
        console: console.file().to_owned(),
    };
    let raw = job.terminal.map(|_| terminal::Raw::enter()).transpose()?;
    let outcome = boot::boot(&machine, &mut console, Duration::from_secs(options.timeout));
    drop(raw);
    let outcome = outcome?;
    if options.verbose {
        let release = &kernel.release;
        eprintln!(
            "lab: {release} ({accelerator:?}): the command started after {:.1} s",
            outcome.boot.as_secs_f64()
        );
    }
    Ok(outcome.status)
}

/// What the guest mounts before it reads anything else of the host's (lab/init.sh).
const HIDDEN: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

fn job(options: &Options, kernel: &Kernel, profile: Profile, built: Option<&vic::Built>) -> Result<Job> {
    let terminal = terminal::size();
    let cwd = std::env::current_dir().context("cannot tell the current directory")?;
    let mut keep = vec![crate::workspace::root(), cargo::output_dir(profile), cwd.clone()];
    keep.retain(|dir| dir.exists());
    if let Some(hidden) = keep.iter().find(|dir| HIDDEN.iter().any(|own| dir.starts_with(own))) {
        bail!(
            "the lab has a /dev and a /run of its own and cannot see {}: go or clone elsewhere",
            hidden.display()
        );
    }
    let load_order = |modules: &[&str], wanted: bool| {
        if wanted { modules::load_order(kernel, modules) } else { Ok(Vec::new()) }
    };
    let vics = options.vic > 0;
    let nic_modules = [NIC_MODULES.as_slice(), if vics { &[VIC_MODULE] } else { &[] }].concat();
    let infiniband = options.ib > 0;
    let rdma_modules = [RXE_MODULES.as_slice(), if infiniband { &[IPOIB_MODULE] } else { &[] }].concat();
    let mut rdma_modules = load_order(&rdma_modules, infiniband || !options.no_rxe)?;
    if let Some(build) = edited_rxe_of(options) {
        let edited = edited_rxe::ensure(kernel, build)?;
        for file in rdma_modules.iter_mut().filter(|file| file.file_name() == edited.file_name()) {
            file.clone_from(&edited);
        }
    }
    Ok(Job {
        cgroup: options.cgroup,
        nics: options.nics,
        vics: options.vic,
        rxe: !options.no_rxe && !infiniband,
        ib: options.ib,
        rdma: options.rdma,
        terminal,
        modules_dir: kernel.modules(),
        nic_modules: load_order(&nic_modules, true)?,
        rdma_modules,
        usnic_modules: load_order(&USNIC_MODULES, vics)?,
        keep,
        cwd,
        env: environment(options, profile, built),
        argv: if options.command.is_empty() { vec!["bash".into()] } else { options.command.clone() },
    })
}

/// The test build of `rdma_rxe` that is loaded instead of the kernel's own, if any.
fn edited_rxe_of(options: &Options) -> Option<&'static edited_rxe::Build> {
    if options.ib > 0 {
        return Some(&edited_rxe::INFINIBAND);
    }
    (options.rdma == Rdma::Exclusive).then_some(&edited_rxe::MOVABLE)
}

/// A login's environment, not the caller's: of that only what is nicdock's, Rust's or the terminal's.
fn environment(options: &Options, profile: Profile, built: Option<&vic::Built>) -> Vec<OsString> {
    let inherited = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name == "TERM" || name.starts_with("NICDOCK_") || name.starts_with("RUST_")
    });
    let mut path = cargo::output_dir(profile).into_os_string();
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut own: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), path),
        ("HOME".into(), "/root".into()),
        ("USER".into(), "root".into()),
        ("LANG".into(), "C.UTF-8".into()),
        ("NICDOCK_LAB".into(), "1".into()),
        ("NICDOCK_LAB_KERNEL".into(), options.kernel.name().into()),
        ("NICDOCK_LAB_CGROUP".into(), options.cgroup.name().into()),
        ("NICDOCK_LAB_NICS".into(), options.nics.to_string().into()),
        ("NICDOCK_LAB_VICS".into(), options.vic.to_string().into()),
        ("NICDOCK_LAB_IB".into(), options.ib.to_string().into()),
        ("NICDOCK_LAB_RDMA".into(), options.rdma.name().into()),
    ];
    if let Some(built) = built {
        own.extend([
            ("NICDOCK_LAB_VFS".into(), options.vfs.to_string().into()),
            ("NICDOCK_LAB_LIBFABRIC".into(), built.libfabric.clone().into()),
            ("NICDOCK_LAB_VIC_TEST".into(), built.test.clone().into()),
            ("NICDOCK_LAB_KNOB".into(), vic::knob().into()),
        ]);
    }
    let all = inherited.chain(own);
    all.map(|(name, value)| [name, value].join(std::ffi::OsStr::new("="))).collect()
}

fn write_initramfs(kernel: &Kernel, job: &Job, to: &Path) -> Result<()> {
    let mut archive = Initramfs::default();
    for name in ["bin", "dev", "layer", "lower", "modules", "proc", "root", "sys"] {
        archive.directory(name);
    }
    let busybox = fs::read(BUSYBOX)
        .with_context(|| format!("cannot read {BUSYBOX}; `cargo xtask setup` installs it"))?;
    archive.file("bin/busybox", &busybox);
    archive.file("init", include_bytes!("../../lab/init.sh"));
    archive.file("job", &job.encode());
    let xtask = std::env::current_exe().context("cannot tell where xtask is")?;
    archive.file("xtask", xtask.as_os_str().as_encoded_bytes());
    for (index, module) in modules::load_order(kernel, &EARLY_MODULES)?.iter().enumerate() {
        archive.file(&format!("modules/{index:02}"), &fs::read(module)?);
    }
    archive.write(to).with_context(|| format!("cannot write {}", to.display()))
}
