//! The cost of an inventory, in readings.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use nicdock_host::capture::Capture;
use nicdock_host::constructed::hosts::many;
use nicdock_host::inventory;
use nicdock_host::source::{Dump, OpenNodes, Source};

/// Counts what is asked for.
struct Counting {
    capture: Capture,
    asked: RefCell<BTreeMap<String, u32>>,
}

impl Counting {
    fn new(capture: Capture) -> Self {
        Self { capture, asked: RefCell::default() }
    }

    fn count(&self, what: String) {
        *self.asked.borrow_mut().entry(what).or_default() += 1;
    }
}

impl Source for Counting {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.count(format!("read {path}"));
        self.capture.read(path)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.count(format!("list {directory}"));
        self.capture.list(directory)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        self.count(format!("link {path}"));
        self.capture.link(path)
    }

    fn dump(&self, dump: Dump) -> io::Result<Vec<u8>> {
        self.count(format!("dump {dump:?}"));
        self.capture.dump(dump)
    }

    fn open_nodes(&self) -> io::Result<OpenNodes> {
        self.count("open nodes".into());
        self.capture.open_nodes()
    }
}

fn asked(functions: u32) -> BTreeMap<String, u32> {
    let source = Counting::new(many(functions).everything());
    let host = inventory::read(&source).unwrap();
    assert_eq!(u32::try_from(host.nics.len()).unwrap(), functions / 8 * 3);
    source.asked.into_inner()
}

#[test]
fn every_file_is_read_once() {
    // The list of RDMA devices is asked for twice: whether there is one at all, and what is in it.
    let often: Vec<_> = asked(512).into_iter().filter(|(_, count)| *count > 1).collect();
    assert_eq!(often, [("list sys/class/infiniband".to_owned(), 2)]);
}

#[test]
fn the_number_of_readings_grows_linearly_with_the_functions() {
    let [small, middle, large] = [64, 512, 4096].map(|functions| asked(functions).len());
    // Between two sizes, every eight functions cost the same.
    let per_eight = (middle - small) / (512 - 64) * 8;
    assert_eq!((large - middle) / (4096 - 512) * 8, per_eight);
    assert!(large < 4096 * 10, "{large} readings");
}

#[test]
fn of_a_disk_only_class_and_numa_node_are_read() {
    let asked = asked(64);
    let of_disk: Vec<&String> = asked.keys().filter(|what| what.contains("0000:80:01.0")).collect();
    let path = "sys/devices/pci0000:00/0000:00:00.0/0000:80:01.0";
    let expected = ["class", "numa_node"].map(|name| format!("read {path}/{name}"));
    assert_eq!(of_disk, ["link sys/bus/pci/devices/0000:80:01.0", &expected[0], &expected[1]]);
}
