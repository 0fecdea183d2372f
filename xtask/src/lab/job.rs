//! What the host tells the guest: which lab to make and what to run in it. Travels in the initramfs, as bytes, so that no
//! argument is ever quoted.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Which control groups the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cgroup {
    V1,
    V2,
}

impl Cgroup {
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// How RDMA devices belong to network namespaces (`rdma system show netns`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rdma {
    /// Every device is in all of them: the kernel's default
    Shared,
    /// A device is in one of them; the soft-RoCE devices can be moved, by a build of rdma_rxe made for tests only
    Exclusive,
}

impl Rdma {
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        }
    }
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub cgroup: Cgroup,
    pub nics: u8,
    pub vics: u8,
    pub rxe: bool,
    /// How many of the e1000e NICs are InfiniBand HCAs.
    pub ib: u8,
    pub rdma: Rdma,
    /// The command gets a terminal of this size, or else plain pipes.
    pub terminal: Option<Size>,
    /// Becomes `/lib/modules`.
    pub modules_dir: PathBuf,
    /// Kernel modules of the NICs, in load order; those of soft-RoCE; and those that need the VICs' netdevs.
    pub nic_modules: Vec<PathBuf>,
    pub rdma_modules: Vec<PathBuf>,
    pub usnic_modules: Vec<PathBuf>,
    /// Directories of the host that must stay visible when the guest's own `/tmp` hides them.
    pub keep: Vec<PathBuf>,
    pub cwd: PathBuf,
    /// `NAME=value`, the command's whole environment.
    pub env: Vec<OsString>,
    pub argv: Vec<OsString>,
}

impl Job {
    /// Fields as `key=value`, each ended by NUL (which no argument or path can hold); lists repeat their key.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Fields(Vec::new());
        fields.put("cgroup", self.cgroup.name());
        fields.put("nics", self.nics.to_string());
        fields.put("vics", self.vics.to_string());
        fields.put("rxe", self.rxe.to_string());
        fields.put("ib", self.ib.to_string());
        fields.put("rdma", self.rdma.name());
        if let Some(Size { rows, columns }) = self.terminal {
            fields.put("terminal", format!("{rows}x{columns}"));
        }
        fields.put("modules-dir", &self.modules_dir);
        fields.put_all("nic-module", &self.nic_modules);
        fields.put_all("rdma-module", &self.rdma_modules);
        fields.put_all("usnic-module", &self.usnic_modules);
        fields.put_all("keep", &self.keep);
        fields.put("cwd", &self.cwd);
        fields.put_all("env", &self.env);
        fields.put_all("arg", &self.argv);
        fields.0
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let fields = bytes.split(|&byte| byte == 0).filter(|field| !field.is_empty()).map(|field| {
            let equals = field.iter().position(|&byte| byte == b'=').context("a field without =")?;
            Ok((&field[..equals], OsString::from_vec(field[equals + 1..].to_vec())))
        });
        let fields: Vec<_> = fields.collect::<Result<_>>()?;
        let all = |key: &'static str| {
            fields.iter().filter(move |(name, _)| *name == key.as_bytes()).map(|(_, value)| value.clone())
        };
        let one = |key: &'static str| all(key).next().with_context(|| format!("the job lacks {key}"));
        let text = |key: &'static str| Ok::<_, anyhow::Error>(one(key)?.to_string_lossy().into_owned());
        Ok(Self {
            cgroup: Cgroup::from_str(&text("cgroup")?, false).map_err(anyhow::Error::msg)?,
            nics: text("nics")?.parse()?,
            vics: text("vics")?.parse()?,
            rxe: text("rxe")?.parse()?,
            ib: text("ib")?.parse()?,
            rdma: Rdma::from_str(&text("rdma")?, false).map_err(anyhow::Error::msg)?,
            terminal: all("terminal").next().map(|size| parse_size(&size.to_string_lossy())).transpose()?,
            modules_dir: one("modules-dir")?.into(),
            nic_modules: all("nic-module").map(PathBuf::from).collect(),
            rdma_modules: all("rdma-module").map(PathBuf::from).collect(),
            usnic_modules: all("usnic-module").map(PathBuf::from).collect(),
            keep: all("keep").map(PathBuf::from).collect(),
            cwd: one("cwd")?.into(),
            env: all("env").collect(),
            argv: all("arg").collect(),
        })
    }

    pub fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::decode(&bytes).with_context(|| format!("{} is damaged", file.display()))
    }
}

struct Fields(Vec<u8>);

impl Fields {
    fn put(&mut self, key: &str, value: impl AsRef<OsStr>) {
        self.0.extend([key.as_bytes(), b"=", value.as_ref().as_bytes(), b"\0"].concat());
    }

    fn put_all(&mut self, key: &str, values: &[impl AsRef<OsStr>]) {
        for value in values {
            self.put(key, value);
        }
    }
}

fn parse_size(text: &str) -> Result<Size> {
    let Some((rows, columns)) = text.split_once('x') else { bail!("{text} is no terminal size") };
    Ok(Size { rows: rows.parse()?, columns: columns.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_argument_survives_the_journey() {
        let job = Job {
            cgroup: Cgroup::V1,
            nics: 3,
            vics: 2,
            rxe: false,
            ib: 1,
            rdma: Rdma::Exclusive,
            terminal: Some(Size { rows: 40, columns: 132 }),
            modules_dir: "/k/lib/modules".into(),
            nic_modules: vec!["/k/e1000e.ko".into(), "/k/virtio_net.ko".into()],
            rdma_modules: vec![],
            usnic_modules: vec!["/k/usnic_verbs.ko".into()],
            keep: vec!["/tmp/work".into()],
            cwd: "/a dir/with\nlines".into(),
            env: vec!["A=b=c".into(), "EMPTY=".into()],
            argv: vec![
                "sh".into(),
                "".into(),
                "-c=x".into(),
                OsString::from_vec(vec![0xff, b'\'', b'"', b' ', 1]),
            ],
        };
        assert_eq!(Job::decode(&job.encode()).expect("a job"), job);
    }
}
