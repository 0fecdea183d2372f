//! Boxes of characters, as lstopo(1) draws them.

use super::describe::{DeviceRow, Drawing, NodeBox, PortBox};
use crate::listing::columns;

/// What is written for, and what of it is inside two frames with a space on each side.
const WIDTH: usize = 100;
const INSIDE: usize = WIDTH - 8;

/// At most 100 columns; what is longer ends with `…`.
pub fn text(drawing: &Drawing) -> String {
    let mut lines: Vec<String> = drawing.nodes.iter().flat_map(node).collect();
    if drawing.nodes.iter().all(|node| node.root_ports.is_empty()) {
        lines.push("No fabric NIC, GPU or NVMe disk was found.".to_owned());
    }
    if !drawing.nearest.is_empty() {
        let heading = ["NEAR", "", "NICS", "DISTANCE"].map(str::to_owned).to_vec();
        let row = |one: &super::describe::Nearest| {
            vec![one.to.clone(), one.what.clone(), cut(&one.nics.join(" "), 45), one.distance.clone()]
        };
        let rows: Vec<Vec<String>> =
            std::iter::once(heading).chain(drawing.nearest.iter().map(row)).collect();
        lines.push(String::new());
        lines.extend(columns(&rows).lines().map(|line| cut(line, WIDTH)));
    }
    lines.join("\n") + "\n"
}

fn node(node: &NodeBox) -> Vec<String> {
    let ports = node.root_ports.iter().flat_map(port);
    let inner = ports.map(|line| format!("│ {} │", fill(&line, WIDTH - 4)));
    framed(&node.title, WIDTH, inner)
}

fn port(port: &PortBox) -> Vec<String> {
    let rows: Vec<Vec<String>> = port.devices.iter().map(cells).collect();
    let table = columns(&rows);
    let inner = table.lines().map(|line| format!("│ {} │", fill(line, INSIDE)));
    framed(&port.title, WIDTH - 4, inner)
}

/// Columns of one width in all boxes, so that they stand below each other.
fn cells(row: &DeviceRow) -> Vec<String> {
    let pci = row.pci.map(|address| address.to_string()).unwrap_or_default();
    let held = row.held_by.as_ref().map(|name| format!("held by {name}")).unwrap_or_default();
    let wide = |text: &str, width: usize| fill(text, width);
    vec![
        wide(row.kind, 4),
        wide(&pci, 12),
        wide(&row.name, 11),
        wide(&row.network, 23),
        wide(&row.pcie, 14),
        held,
    ]
}

fn framed(title: &str, width: usize, inner: impl Iterator<Item = String>) -> Vec<String> {
    let title = cut(title, width - 6);
    let rest = width - 5 - title.chars().count();
    let top = format!("┌─ {title} {}┐", "─".repeat(rest));
    let bottom = format!("└{}┘", "─".repeat(width - 2));
    std::iter::once(top).chain(inner).chain([bottom]).collect()
}

/// Exactly so many characters.
fn fill(text: &str, width: usize) -> String {
    format!("{:width$}", cut(text, width))
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}
