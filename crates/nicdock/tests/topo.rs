//! `nicdock topo` and the selector `near=`, on captures.

use std::path::PathBuf;
use std::process::Command;

use roxmltree::{Document, Node};
use serde_json::Value;

const RAILS: [&str; 8] = ["mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"];
const ALL: [&str; 6] = ["infiniband-8", "cisco-usnic", "mlx5-sriov", "efa", "none", "lab-7.2"];

fn capture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/{name}.tar.gz"));
    path.to_str().unwrap().to_owned()
}

fn nicdock(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_nicdock")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn svg(name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.svg");
    nicdock(&["topo", "--host", &capture(name), "--svg", path.to_str().unwrap()]);
    std::fs::read_to_string(path).unwrap()
}

fn names(listing: &str) -> Vec<String> {
    let listing: Value = serde_json::from_str(listing).unwrap();
    listing["nics"].as_array().unwrap().iter().map(|nic| nic["name"].as_str().unwrap().to_owned()).collect()
}

fn near(what: &str) -> Vec<String> {
    names(&nicdock(&["ls", "--json", "--host", &capture("infiniband-8"), &format!("near={what}")]))
}

#[test]
fn eight_rails_and_eight_gpus_are_drawn_within_100_columns() {
    let text = nicdock(&["topo", "--host", &capture("infiniband-8")]);
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    for word in
        RAILS.iter().chain(&["NUMA node 1, CPUs 56-111,168-223", "32.0 GT/s x16", "0000:1b:00.0", "NVMe"])
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains('…'), "nothing has to be cut: {text}");
    assert_eq!(text.matches("GPU   0000:").count(), 8);
}

#[test]
fn each_device_is_told_with_the_nics_that_are_nearest() {
    let text = nicdock(&["topo", "--json", "--host", &capture("infiniband-8")]);
    let listing: Value = serde_json::from_str(&text).unwrap();
    let of = |to: &str| {
        let all = listing["nearest"].as_array().unwrap();
        all.iter().find(|one| one["to"] == to).unwrap_or_else(|| panic!("{to}: {all:#?}")).clone()
    };
    assert_eq!(of("0000:1b:00.0")["nics"], serde_json::json!(["mlx5_0"]));
    assert_eq!(of("0000:1b:00.0")["distance"], "3 bridges between");
    assert_eq!(of("cpu:56-111+168-223")["nics"], serde_json::json!(RAILS[4..]));
    assert_eq!(of("0000:2a:00.0")["distance"], "same NUMA node");
}

#[test]
fn the_selector_takes_what_is_nearest_to_processors_or_a_device() {
    assert_eq!(near("0000:1b:00.0"), ["mlx5_0"]);
    assert_eq!(near("0000:dc:00.0"), ["mlx5_11"], "a NIC is nearest to itself");
    assert_eq!(near("cpu:56-111"), RAILS[4..]);
    assert_eq!(near("cpu:0-3+112"), RAILS[..4]);
    // Of those that match the other terms.
    assert_eq!(near("cpu:0-55,numa=1"), RAILS[4..]);
    let nowhere = Command::new(env!("CARGO_BIN_EXE_nicdock"))
        .args(["ls", "near=0000:ff:00.0", "--host", &capture("infiniband-8")])
        .output();
    assert_eq!(nowhere.unwrap().status.code(), Some(3));
}

fn number(node: Node, name: &str) -> f64 {
    node.attribute(name).unwrap_or_else(|| panic!("{name} of {node:?}")).parse().unwrap()
}

/// The rectangle of a group: its first child.
fn frame<'a>(group: Node<'a, 'a>) -> Node<'a, 'a> {
    let first = group.children().find(Node::is_element).unwrap();
    assert_eq!(first.tag_name().name(), "rect");
    first
}

fn is_inside(inner: [f64; 4], outer: Node) -> bool {
    let (x, y) = (number(outer, "x"), number(outer, "y"));
    let (right, bottom) = (x + number(outer, "width"), y + number(outer, "height"));
    inner[0] >= x && inner[1] >= y && inner[2] <= right + 0.01 && inner[3] <= bottom + 0.01
}

#[test]
fn no_text_and_no_box_of_the_picture_is_outside_of_its_parent() {
    for name in ALL {
        let picture = svg(name);
        let document = Document::parse(&picture).unwrap();
        let is_group = |node: &Node| node.tag_name().name() == "g";
        for group in document.descendants().filter(is_group) {
            let outer = frame(group);
            for text in group.children().filter(|node| node.tag_name().name() == "text") {
                let (x, y) = (number(text, "x"), number(text, "y"));
                // The baseline, with a height of 12 above it and a descender below.
                let area = [x, y - 12.0, x + number(text, "textLength"), y + 3.0];
                assert!(is_inside(area, outer), "{name}: {:?}", text.text());
            }
            for inner in group.children().filter(is_group).map(frame) {
                let (x, y) = (number(inner, "x"), number(inner, "y"));
                let area = [x, y, x + number(inner, "width"), y + number(inner, "height")];
                assert!(is_inside(area, outer), "{name}: {inner:?}");
            }
        }
    }
}

/// WCAG 2, "relative luminance".
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

#[test]
fn every_nic_is_in_the_picture_legible_and_without_anything_from_elsewhere() {
    for name in ALL {
        let picture = svg(name);
        let document = Document::parse(&picture).unwrap();
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
        for nic in names(&nicdock(&["ls", "--json", "--host", &capture(name)])) {
            assert!(
                texts.iter().any(|text| text.split_whitespace().any(|word| word == nic)),
                "{name}: {nic} in {texts:?}"
            );
        }
        for text in document.descendants().filter(|node| node.tag_name().name() == "text") {
            let back = frame(text.parent().unwrap());
            let [a, b] = [text, back].map(|node| luminance(node.attribute("fill").unwrap()));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= 4.5, "{name}: {contrast} {text:?}");
        }
        let attributes = document.descendants().flat_map(|node| node.attributes());
        assert!(
            attributes.into_iter().all(|one| !one.name().contains("href") && !one.value().contains("url("))
        );
    }
}
