//! The options that `run` and `plan` share.

use super::choices;
use std::path::PathBuf;

use super::nics::NicOptions;
use super::terms::NetlinkOptions;
use nicdock_core::audit;
use nicdock_core::request::limits::{self, Limits, Processes, Size};
use nicdock_core::request::{Family, Memlock, Profile, RdmaLimits, Request, Root, User, Volume};

#[derive(clap::Args)]
pub struct RequestOptions {
    #[command(flatten)]
    nics: NicOptions,
    /// Share the NICs and the network namespace of this running container, instead of taking any
    #[arg(long, value_name = "NAME", conflicts_with = "NicOptions")]
    join: Option<String>,
    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    root: RootOptions,
    /// Also show what the bundle binds from outside of it, read-only. Look at its config.json first: it can name any file of the host, and
    /// read-only does not stop a program from connecting to a daemon's socket or writing to a pipe there
    #[arg(long, requires = "bundle", conflicts_with_all = ["rootfs", "host_root"])]
    bundle_binds: bool,
    /// RLIMIT_MEMLOCK: 'unlimited' or a size like 64M
    #[arg(long, default_value = "unlimited", value_name = "SIZE")]
    memlock: Memlock,
    /// Numeric user of the program
    #[arg(long, default_value = "0", value_name = "UID[:GID]")]
    user: User,
    /// Folder or file of the host to show inside (may be repeated). With ro its files cannot be changed, but a program can still connect to
    /// sockets and write to pipes in it
    #[arg(short = 'v', long = "volume", value_name = "SRC:DST[:ro]")]
    volumes: Vec<Volume>,
    /// Environment variable (may be repeated)
    #[arg(short = 'e', long = "env", value_name = "K=V", value_parser = variable)]
    env: Vec<String>,
    /// Working directory
    #[arg(short = 'w', long, value_name = "DIR", value_parser = absolute)]
    workdir: Option<String>,
    /// Give the program a terminal of its own, as an interactive one needs. It never has yours: without -t, pipes lead there
    #[arg(short = 't', long)]
    terminal: bool,
    /// Add a capability, as podman's --cap-add
    #[arg(long = "cap-add", value_name = "CAP")]
    capabilities: Vec<String>,
    /// Allow capabilities that open a way around the isolation; the plan names what they open
    #[arg(long)]
    weaken: bool,
    /// How much of the host's /sys is shown
    #[arg(long, value_name = "PROFILE", default_value = "nic", value_parser = choices::view())]
    view: Profile,
    /// Also show config, rom and resource* of the NIC's PCI function, read-only
    #[arg(long)]
    registers: bool,
    /// Allow sockets of one more address family, like vsock (may be repeated); the plan says what it reaches
    #[arg(long = "allow-family", value_name = "NAME")]
    families: Vec<Family>,
    #[command(flatten)]
    netlink: NetlinkOptions,
    /// Give the container a user namespace of its own: same user numbers, but capabilities that count inside only
    #[arg(long)]
    userns: bool,
    /// How many contexts of its RDMA devices the container may have, one for each open (rdma cgroup, hca_handle)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=0x7fff_ffff))]
    hca_handles: Option<u32>,
    /// How many protection domains, queue pairs and the like of its RDMA devices (rdma cgroup, hca_object)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=0x7fff_ffff))]
    hca_objects: Option<u32>,
    /// How many processes and threads the container may have (cgroup controller pids), or 'unlimited'. Left out, 2048 where the host has the
    /// controller
    #[arg(long, value_name = "N")]
    pids_limit: Option<Processes>,
    /// How much memory, with swap and with its files in memory (cgroup controller memory): a size like 8G. No limit unless told
    #[arg(long, value_name = "SIZE", value_parser = limits::memory)]
    memory: Option<Size>,
    /// Size of /dev/shm, like 1G, which MPI, UCX and NCCL fill. Half of the host's memory unless told
    #[arg(long, value_name = "SIZE", value_parser = limits::shm)]
    shm_size: Option<Size>,
    /// Instead of a program run the audit (see nicdock audit); CMD are its options, like --json
    #[arg(long)]
    pub audit: bool,
    /// The program and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct RootOptions {
    /// Directory with a root file system
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// The host's own file system, read-only under a writable layer in memory; /tmp and /run are the container's own, empty
    #[arg(long)]
    host_root: bool,
    /// OCI bundle: its root, process and binds, all from inside of it and over no symbolic link
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
}

impl RequestOptions {
    pub fn request(&self) -> Request {
        let root = match (&self.root.rootfs, &self.root.bundle) {
            (Some(path), _) => Root::Directory(path.clone()),
            (None, Some(path)) => Root::Bundle(path.clone()),
            (None, None) if self.root.host_root => Root::Host,
            (None, None) => Root::Unnamed,
        };
        Request {
            nics: self.nics.request(),
            join: self.join.clone(),
            name: self.name.clone(),
            root,
            bundle_binds: self.bundle_binds,
            memlock: self.memlock,
            user: self.user,
            volumes: self.volumes.clone(),
            env: self.env.clone(),
            workdir: self.workdir.clone(),
            terminal: self.terminal,
            extra_capabilities: self.capabilities.clone(),
            weaken: self.weaken,
            view: self.view,
            registers: self.registers,
            families: self.families.clone(),
            netlink: self.netlink.allowed.clone(),
            userns: self.userns,
            rdma_limits: RdmaLimits { handles: self.hca_handles, objects: self.hca_objects },
            limits: Limits { processes: self.pids_limit, memory: self.memory, shm: self.shm_size },
            command: if self.audit { audit::arguments(&self.command) } else { self.command.clone() },
        }
    }
}

fn variable(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

fn absolute(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("expected an absolute path".to_owned()) }
}
