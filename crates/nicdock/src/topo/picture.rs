//! The same boxes as SVG, for documents.

use svg::Document;
use svg::node::element::{Group, Rectangle, Text, Title};

use super::describe::{DeviceRow, Drawing, NodeBox, PortBox};

/// In pixels. Text is of one width, so that a box is known to hold it.
const FONT: f64 = 12.0;
const CHARACTER: f64 = 7.5;
const LINE: f64 = 17.0;
const PADDING: f64 = 8.0;
/// Root ports beside each other.
const BESIDE: usize = 4;

/// Dark on light: each pair has a contrast of at least 4.5 (WCAG 2, 1.4.3).
const INK: &str = "#1b1f24";
const PAPER: &str = "#ffffff";
const NODE: &str = "#eef2f6";
const PORT: &str = "#ffffff";
const LINES: &str = "#57606a";

fn colour(kind: &str) -> &'static str {
    match kind {
        "NIC" => "#cfe6ff",
        "GPU" => "#d6f2d0",
        _ => "#f6e7c6",
    }
}

/// A rectangle of the picture.
#[derive(Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A whole SVG document.
pub fn picture(drawing: &Drawing) -> String {
    let sizes: Vec<(f64, f64)> = drawing.nodes.iter().map(node_size).collect();
    let width = sizes.iter().map(|(width, _)| *width).fold(200.0, f64::max) + 2.0 * PADDING;
    let height = sizes.iter().map(|(_, height)| height + PADDING).sum::<f64>() + PADDING;
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, width, height))
        .set("width", width)
        .set("height", height)
        .set("font-family", "DejaVu Sans Mono, Liberation Mono, Menlo, Consolas, monospace")
        .set("font-size", FONT)
        .set("role", "img")
        .add(Title::new("NUMA nodes with their NICs, GPUs and disks"))
        .add(rectangle(Area { x: 0.0, y: 0.0, width, height }, PAPER, PAPER));
    let mut y = PADDING;
    for (node, (_, height)) in drawing.nodes.iter().zip(&sizes) {
        let area = Area { x: PADDING, y, width: width - 2.0 * PADDING, height: *height };
        document = document.add(draw_node(node, area));
        y += height + PADDING;
    }
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{document}\n")
}

fn text_width(text: &str) -> f64 {
    // No drawing has more characters than a double counts.
    #[allow(clippy::cast_precision_loss)]
    let count = text.chars().count() as f64;
    count * CHARACTER
}

fn lines(row: &DeviceRow) -> Vec<String> {
    let pci = row.pci.map(|address| format!(" {address}")).unwrap_or_default();
    let held = row.held_by.as_ref().map(|name| format!("held by {name}"));
    let parts =
        [format!("{} {}", row.kind, row.name), pci.trim().to_owned(), row.network.clone(), row.pcie.clone()];
    parts.into_iter().chain(held).filter(|line| !line.trim().is_empty()).collect()
}

fn row_size(row: &DeviceRow) -> (f64, f64) {
    let lines = lines(row);
    let width = lines.iter().map(|line| text_width(line)).fold(0.0, f64::max);
    (width + 2.0 * PADDING, height_of(&lines))
}

fn height_of(lines: &[String]) -> f64 {
    lines.iter().map(|_| LINE).sum::<f64>() + PADDING
}

fn port_size(port: &PortBox) -> (f64, f64) {
    let sizes: Vec<(f64, f64)> = port.devices.iter().map(row_size).collect();
    let width = sizes.iter().map(|(width, _)| *width).fold(text_width(&port.title), f64::max);
    let height = sizes.iter().map(|(_, height)| height + PADDING).sum::<f64>();
    (width + 2.0 * PADDING, height + LINE + PADDING)
}

/// Rows of root ports: how wide and how high each is.
fn node_rows(node: &NodeBox) -> Vec<(f64, f64)> {
    let row = |ports: &[PortBox]| {
        let sizes: Vec<(f64, f64)> = ports.iter().map(port_size).collect();
        let width = sizes.iter().map(|(width, _)| width + PADDING).sum::<f64>();
        (width, sizes.iter().map(|(_, height)| *height).fold(0.0, f64::max))
    };
    node.root_ports.chunks(BESIDE).map(row).collect()
}

fn node_size(node: &NodeBox) -> (f64, f64) {
    let rows = node_rows(node);
    let width = rows.iter().map(|(width, _)| *width).fold(text_width(&node.title) + PADDING, f64::max);
    let height = rows.iter().map(|(_, height)| height + PADDING).sum::<f64>();
    (width + PADDING, height + LINE + PADDING)
}

fn draw_node(node: &NodeBox, area: Area) -> Group {
    let mut group = framed(&node.title, area, NODE);
    let mut y = area.y + LINE + PADDING;
    for (ports, (_, height)) in node.root_ports.chunks(BESIDE).zip(node_rows(node)) {
        let mut x = area.x + PADDING;
        for port in ports {
            let (width, _) = port_size(port);
            group = group.add(draw_port(port, Area { x, y, width, height }));
            x += width + PADDING;
        }
        y += height + PADDING;
    }
    group
}

fn draw_port(port: &PortBox, area: Area) -> Group {
    let mut group = framed(&port.title, area, PORT);
    let mut y = area.y + LINE + PADDING;
    for row in &port.devices {
        let (_, height) = row_size(row);
        let area = Area { x: area.x + PADDING, y, width: area.width - 2.0 * PADDING, height };
        group = group.add(draw_row(row, area));
        y += height + PADDING;
    }
    group
}

fn draw_row(row: &DeviceRow, area: Area) -> Group {
    let mut group = Group::new().add(rectangle(area, colour(row.kind), LINES));
    let mut y = area.y;
    for line in lines(row) {
        y += LINE;
        group = group.add(written(&line, area.x + PADDING, y - 4.0 + PADDING / 2.0));
    }
    group
}

fn framed(title: &str, area: Area, fill: &str) -> Group {
    let title = written(title, area.x + PADDING, area.y + LINE - 2.0).set("font-weight", "bold");
    Group::new().add(rectangle(area, fill, LINES)).add(title)
}

fn rectangle(area: Area, fill: &str, stroke: &str) -> Rectangle {
    Rectangle::new()
        .set("x", area.x)
        .set("y", area.y)
        .set("width", area.width)
        .set("height", area.height)
        .set("rx", 4)
        .set("fill", fill)
        .set("stroke", stroke)
}

/// As wide as it was reckoned, whatever font there is.
fn written(text: &str, x: f64, y: f64) -> Text {
    // XML knows no control characters, and a capture may have any name.
    Text::new(text.replace(char::is_control, "?"))
        .set("x", x)
        .set("y", y)
        .set("fill", INK)
        .set("textLength", text_width(text))
        .set("lengthAdjust", "spacingAndGlyphs")
}
