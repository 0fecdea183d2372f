//! How long an inventory takes on sysfs-shaped trees of 8 to 4,096 PCI functions, from files in a temporary directory:
//! `cargo bench -p nicdock-host`. Of eight functions three are NICs (one with netdev and RDMA device, two VFs without).

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nicdock_host::constructed::hosts::many;
use nicdock_host::inventory;
use nicdock_host::source::{Dump, Entry, OpenNodes, Source};

const SIZES: [u32; 4] = [8, 64, 512, 4096];
const AT_LEAST: Duration = Duration::from_secs(1);

/// A machine's files below a directory; its netlink lists are files too.
struct Directory {
    root: PathBuf,
    calls: Cell<u32>,
}

impl Directory {
    fn unpacked(functions: u32) -> io::Result<Self> {
        let root = std::env::temp_dir().join(format!("nicdock-bench-{}-{functions}", std::process::id()));
        for (path, entry) in many(functions).everything().entries() {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            match entry {
                Entry::File(bytes) => fs::write(path, bytes)?,
                Entry::Link(target) => std::os::unix::fs::symlink(target, path)?,
                Entry::Directory | Entry::Failed(_) => fs::create_dir_all(path)?,
            }
        }
        Ok(Self { root, calls: Cell::new(0) })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.calls.set(self.calls.get() + 1);
        self.root.join(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Source for Directory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> =
            fs::read_dir(self.path(directory))?.map(name).collect::<io::Result<_>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        Ok(fs::read_link(self.path(path))?.to_string_lossy().into_owned())
    }

    fn dump(&self, dump: Dump) -> io::Result<Vec<u8>> {
        fs::read(self.path(&dump.file()))
    }

    fn open_nodes(&self) -> io::Result<OpenNodes> {
        Ok(Vec::new().into())
    }
}

/// The median of as many runs as fit in the time, five at least.
fn median(mut run: impl FnMut()) -> Duration {
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || start.elapsed() < AT_LEAST {
        let begin = Instant::now();
        run();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// Microseconds a function.
fn share(time: Duration, functions: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(functions)
}

fn main() -> io::Result<()> {
    println!("functions  NICs  calls  median ms  µs a function  of them without the files");
    let mut shares = Vec::new();
    for functions in SIZES {
        let source = Directory::unpacked(functions)?;
        let host = inventory::read(&source).map_err(io::Error::other)?;
        let calls = source.calls.get();
        let time = median(|| drop(inventory::read(&source)));
        let in_memory = many(functions).everything();
        let thinking = median(|| drop(inventory::read(&in_memory)));
        println!(
            "{functions:9}  {:4}  {calls:5}  {:9.3}  {:13.2}  {:24.2}",
            host.nics.len(),
            time.as_secs_f64() * 1e3,
            share(time, functions),
            share(thinking, functions),
        );
        shares.push(share(time, functions));
    }
    let [.., many, most] = shares.as_slice() else { return Ok(()) };
    println!("a function costs {:.2} times as much among 4,096 as among 512", most / many);

    let live = median(|| drop(inventory::read(&nicdock_host::source::Live)));
    println!("this machine: {:.3} ms", live.as_secs_f64() * 1e3);
    Ok(())
}
