//! Which modules to load, in which order: `modules.dep` of depmod(8), read on the host so that the guest only loads.

use super::Kernel;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// The files to load, dependencies first, so that all of `wanted` are there. What is built into the kernel needs none.
pub fn load_order(kernel: &Kernel, wanted: &[&str]) -> Result<Vec<PathBuf>> {
    let dir = kernel.modules().join(&kernel.release);
    let read = |list: &str| fs::read_to_string(dir.join(list)).with_context(|| format!("cannot read {list}"));
    let (dependencies, builtin) = (read("modules.dep")?, read("modules.builtin")?);
    let index = Index::new(&dependencies, &builtin);
    let order = index.order(wanted).with_context(|| format!("kernel {}", kernel.release))?;
    Ok(order.into_iter().map(|file| dir.join(file)).collect())
}

struct Index<'a> {
    /// Module name to its file and the files it depends on, the last to be loaded first (as depmod writes them).
    loadable: BTreeMap<String, (&'a str, Vec<&'a str>)>,
    builtin: BTreeSet<String>,
}

impl<'a> Index<'a> {
    fn new(dep: &'a str, builtin: &'a str) -> Self {
        let loadable = dep.lines().filter_map(|line| {
            let (file, needs) = line.split_once(':')?;
            Some((name(file), (file, needs.split_whitespace().collect())))
        });
        Self { loadable: loadable.collect(), builtin: builtin.lines().map(name).collect() }
    }

    fn order(&self, wanted: &[&str]) -> Result<Vec<&'a str>> {
        let mut order: Vec<&str> = Vec::new();
        for module in wanted {
            let Some((file, needs)) = self.loadable.get(*module) else {
                if self.builtin.contains(*module) {
                    continue;
                }
                bail!("there is no module {module}");
            };
            for file in needs.iter().rev().chain([file]) {
                if !order.contains(file) {
                    order.push(file);
                }
            }
        }
        Ok(order)
    }
}

/// `kernel/net/9p/9pnet.ko.xz` is `9pnet`; the kernel itself has underscores where file names have dashes.
fn name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split('.').next().unwrap_or(base).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/a/rdma_rxe.ko: kernel/a/ib_uverbs.ko kernel/a/ib_core.ko\n\
                       kernel/a/ib_uverbs.ko: kernel/a/ib_core.ko\n\
                       kernel/a/ib_core.ko:\n\
                       kernel/c/crc32-pclmul.ko:\n";

    #[test]
    fn dependencies_come_first_and_once() {
        let index = Index::new(DEP, "");
        let order = index.order(&["ib_uverbs", "rdma_rxe", "crc32_pclmul"]).expect("an order");
        let expected = [
            "kernel/a/ib_core.ko",
            "kernel/a/ib_uverbs.ko",
            "kernel/a/rdma_rxe.ko",
            "kernel/c/crc32-pclmul.ko",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn what_is_built_in_needs_no_file_and_what_is_nowhere_is_an_error() {
        let index = Index::new(DEP, "kernel/drivers/virtio/virtio_pci.ko\n");
        assert!(index.order(&["virtio_pci"]).expect("nothing to load").is_empty());
        assert!(index.order(&["nonesuch"]).unwrap_err().to_string().contains("nonesuch"));
    }
}
