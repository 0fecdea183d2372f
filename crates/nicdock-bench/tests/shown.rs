//! The picture and the page of a report: complete, legible, and with nothing from elsewhere.

use nicdock_bench::{
    DARK, LIGHT, Machine, Measurement, Nic, Output, Profile, Report, Results, Test, page, picture,
};
use roxmltree::{Document, Node, ParsingOptions};

fn nic(name: &str) -> Nic {
    Nic {
        name: name.into(),
        rdma_device: name.into(),
        netdev: "eth<1>".into(),
        driver: "mlx5_core".into(),
        mtu: 9000,
        speed_mbps: Some(100_000),
        numa_node: Some(1),
    }
}

fn report(rounds: u32) -> Report {
    let mut results = Results::default();
    for round in 1..=rounds {
        for measurement in Measurement::of(&Test::ALL) {
            for (profile, factor) in [(Profile::Host, 1.0), (Profile::Container, 1.02)] {
                let figure = f64::from(100 + round) * factor;
                results.add(round, profile, measurement, Output { figure, samples: vec![] });
            }
        }
    }
    Report {
        schema: 1,
        machine: Machine {
            kernel: "7.2".into(),
            processor: "A & B".into(),
            processors: 64,
            nic: nic("mlx5_0"),
            nic2: nic("mlx5_1"),
            perftest: "6.06".into(),
            nicdock: "0.2.0".into(),
        },
        tests: results.rows(),
        disturbances: vec!["load < 3".into()],
        rounds,
        seed: 1,
        command: "nicdock bench --nic mlx5_0 --nic2 'speed>=100G'".into(),
        interrupted: false,
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

fn contrast(one: &str, other: &str) -> f64 {
    let [a, b] = [one, other].map(luminance);
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn number(node: Node, name: &str) -> f64 {
    node.attribute(name).unwrap_or_else(|| panic!("{name} of {node:?}")).parse().unwrap()
}

#[test]
fn every_nic_is_in_the_picture_and_all_of_it_is_legible() {
    for (colours, rounds) in [(LIGHT, 10), (DARK, 10), (LIGHT, 0)] {
        let svg = picture(&report(rounds), colours).unwrap();
        let document = Document::parse(&svg).unwrap();
        let root = document.root_element();
        let back = root.children().find(Node::is_element).unwrap().attribute("fill").unwrap();
        let texts: Vec<Node> = root.descendants().filter(|node| node.has_tag_name("text")).collect();
        let all: String = texts.iter().filter_map(Node::text).collect();
        for name in ["mlx5_0", "mlx5_1"] {
            assert!(all.contains(name), "{name}: {all}");
        }
        for text in texts {
            let found = contrast(text.attribute("fill").unwrap(), back);
            assert!(found >= 4.5, "{found}: {text:?}");
            let (x, y) = (number(text, "x"), number(text, "y"));
            assert!(x >= 0.0 && x <= number(root, "width"), "{text:?}");
            assert!(y >= 0.0 && y <= number(root, "height"), "{text:?}");
        }
        assert!(!svg.contains("href") && !svg.contains("url("));
    }
}

#[test]
fn the_page_needs_nothing_else_and_names_what_repeats_it() {
    let html = page(&report(10)).unwrap();
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&html, options).unwrap();
    for node in document.descendants() {
        let refers = node.attributes().any(|one| matches!(one.name(), "href" | "src" | "action"));
        assert!(
            !refers && !["script", "link", "img", "iframe"].contains(&node.tag_name().name()),
            "{node:?}"
        );
    }
    assert!(!html.contains("url(") && !html.contains("@import"));
    let texts: String = document.descendants().filter_map(|node| node.text()).collect();
    for word in
        ["mlx5_0", "mlx5_1", "--nic2 'speed>=100G'", "load < 3", "A & B", "the container is 2.0 % worse"]
    {
        assert!(texts.contains(word), "{word}");
    }
    let style = document.descendants().find(|node| node.has_tag_name("style")).unwrap().text().unwrap();
    for [back, text, line] in [["#ffffff", "#1c1c21", "#62626a"], ["#18181c", "#ebebf0", "#a5a5af"]] {
        assert!(style.contains(&format!("--back: {back}; --text: {text}; --line: {line};")), "{style}");
        assert!(contrast(back, text) >= 4.5 && contrast(back, line) >= 4.5);
    }
}
