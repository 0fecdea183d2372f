//! Finds the NICs that a domain was given by hand: the elements by which libvirt itself would move them.

use roxmltree::Node;

pub const NODES: &str = "/dev/infiniband/";

/// The elements by which libvirt itself would give a NIC, each with the netdev or node.
pub fn by_hand<'a, 'd>(domain: Node<'a, 'd>) -> Vec<(Node<'a, 'd>, String)> {
    let devices = domain.children().filter(|node| node.has_tag_name("devices"));
    let hostdevs = devices
        .flat_map(|node| node.children())
        .filter(|node| node.has_tag_name("hostdev") && node.attribute("mode") == Some("capabilities"));
    let named = |node: Node<'a, 'd>| {
        let source = child(node, "source")?;
        let text =
            |name: &str| child(source, name).and_then(|node| node.text()).map(|text| text.trim().to_owned());
        let device = match node.attribute("type") {
            Some("net") => text("interface"),
            Some("misc") => text("char").filter(|path| path.starts_with(NODES)),
            _ => None,
        };
        device.map(|device| (node, device))
    };
    hostdevs.filter_map(named).collect()
}

/// The first element of this name in another.
pub fn child<'a, 'd>(node: Node<'a, 'd>, name: &str) -> Option<Node<'a, 'd>> {
    node.children().find(|node| node.has_tag_name(name))
}
