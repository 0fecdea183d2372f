//! How much work a view is, on machines of 8 to 4,096 PCI functions: counted in tests, timed by `cargo xtask bench`.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use nicdock_host::constructed::hosts::many;
use nicdock_host::source::Entry;
use rustix::mount::MountAttrFlags;

use super::super::live::Sysfs;
use super::super::{Shown, compose, nic};
use super::machines::Memory;
use nicdock_sys::{mount, netns};

const SIZES: [u32; 4] = [8, 64, 512, 4096];

/// The first NIC of each such machine.
fn first() -> Shown {
    Shown {
        of_host_network: false,
        netdevs: vec!["eth0".into()],
        rdma_devices: vec!["mlx5_0".into()],
        nodes: vec!["uverbs0".into()],
        shared_functions: Vec::new(),
        functions: vec!["0000:80:00.0".into()],
        bridges: vec!["0000:00:00.0".into()],
        registers: false,
    }
}

#[test]
fn the_work_grows_with_what_is_shown_and_not_with_what_is_hidden() {
    let measured = SIZES.map(|functions| {
        let tree = Memory::of(many(functions));
        let view = nic::nic(&tree, &first()).unwrap();
        (tree.asked.get(), view)
    });
    let (fewest, view) = &measured[0];
    assert!(measured.iter().all(|(asked, same)| asked == fewest && same == view));
    assert!(*fewest < 100, "{fewest} questions");
}

/// `cargo xtask bench` runs it, as root: it mounts in a mount namespace of its own.
#[test]
#[ignore = "a measurement: cargo xtask bench"]
fn composing_a_view() {
    netns::enter_private_mounts().expect("root");
    println!("functions  questions  mounts  ms (median of 21)");
    for functions in SIZES {
        let (source, asked) = unpacked(functions);
        let mut times = Vec::new();
        let mut mounts = 0;
        for _ in 0..21 {
            let target = mounted();
            let begin = Instant::now();
            let view = nic::nic(&source, &first()).unwrap();
            compose::apply(target.as_fd(), &source, &view).unwrap();
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            mounts = view.outermost().count();
            drop(target);
            rustix::mount::unmount(PLACE, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
        times.sort_by(f64::total_cmp);
        println!("{functions:9}  {asked:9}  {mounts:6}  {:.2}", times[10]);
    }
}

/// Whatever is there: it is hidden in this mount namespace only.
const PLACE: &str = "/mnt";

fn mounted() -> std::os::fd::OwnedFd {
    let memory = mount::detached("tmpfs", &[], MountAttrFlags::empty()).unwrap();
    mount::attach(&memory, mount::open_host_path(Path::new(PLACE)).unwrap()).unwrap();
    memory
}

/// The machine's sysfs as files, and how many questions its view takes.
fn unpacked(functions: u32) -> (Sysfs, u32) {
    let root = mounted();
    for (path, entry) in many(functions).everything().entries() {
        let Some(path) = path.strip_prefix("sys/") else { continue };
        let path = Path::new(PLACE).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry {
            Entry::File(bytes) => fs::write(path, bytes).unwrap(),
            Entry::Link(text) => std::os::unix::fs::symlink(text, path).unwrap(),
            Entry::Directory | Entry::Failed(_) => fs::create_dir_all(path).unwrap(),
        }
    }
    fs::create_dir_all(Path::new(PLACE).join("devices/virtual/net/lo")).unwrap();
    let memory = Memory::of(many(functions));
    nic::nic(&memory, &first()).unwrap();
    (Sysfs(root), memory.asked.get())
}
