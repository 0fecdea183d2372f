//! Writes the report as one page that needs nothing else: for people who have never heard of nicdock.

use std::error::Error;
use std::fmt::Write;

use crate::picture::{DARK, LIGHT, picture};
use crate::report::{Nic, Report, Row};
use crate::text::significant;

const STYLE: &str = "
:root { color-scheme: light dark; --back: #ffffff; --text: #1c1c21; --line: #62626a; }
body { background: var(--back); color: var(--text); font: 16px/1.5 sans-serif; max-width: 860px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.3em 0.6em; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; }
pre { white-space: pre-wrap; }
.dark { display: none; }
@media (prefers-color-scheme: dark) {
  :root { --back: #18181c; --text: #ebebf0; --line: #a5a5af; }
  .dark { display: block; }
  .light { display: none; }
}
";

/// The page. It is well-formed XML, too.
pub fn page(report: &Report) -> Result<String, Box<dyn Error>> {
    let machine = &report.machine;
    let title = format!("{} in a container and on the host", escaped(&machine.nic.name));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width\"/>\n\
         <title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n\
         <p>A container is a program with its own view of a Linux machine. nicdock gives a container one network card of the machine. \
         This page shows whether the card is as fast inside as it is outside: the same programs measured it on the host and in a \
         container, taking turns, {} times each, in an order left to chance.</p>\n",
        report.rounds
    );
    if report.interrupted {
        html.push_str("<p><strong>The measurement was interrupted: the page has the rounds that were done.</strong></p>\n");
    }
    for (class, colours) in [("light", LIGHT), ("dark", DARK)] {
        let _ = writeln!(html, "<div class=\"{class}\">{}</div>", picture(report, colours)?);
    }
    html.push_str(
        "<p>A dot left or right of the line in the middle is a difference; the bar is where the true value lies with a probability of \
         95 %; small circles are single rounds. A bar that crosses the line in the middle shows no difference. Where the bar is wider than \
         5 % to each side, or there were fewer than six rounds, nothing is decided.</p>\n<h2>Figures</h2>\n",
    );
    table(&mut html, &report.tests);
    html.push_str("<h2>What may have disturbed</h2>\n<ul>\n");
    for disturbance in &report.disturbances {
        let _ = writeln!(html, "<li>{}</li>", escaped(disturbance));
    }
    if report.disturbances.is_empty() {
        html.push_str("<li>Nothing was found.</li>\n");
    }
    html.push_str("</ul>\n<h2>What was measured</h2>\n<ul>\n");
    for (what, nic) in [("measured", &machine.nic), ("at the other end", &machine.nic2)] {
        let _ = writeln!(html, "<li>{}, {what}: {}</li>", escaped(&nic.name), described(nic));
    }
    let _ = writeln!(
        html,
        "<li>{} processors ({}), Linux {}</li></ul>\n<h2>To repeat it</h2>\n<pre>{}</pre>\n\
         <p>With nicdock {}, perftest {} (empty: not used); the seed of the order was {}.</p>",
        machine.processors,
        escaped(&machine.processor),
        escaped(&machine.kernel),
        escaped(&report.command),
        escaped(&machine.nicdock),
        escaped(&machine.perftest),
        report.seed
    );
    let json = serde_json::to_string_pretty(report)?;
    let _ = writeln!(
        html,
        "<details><summary>Everything, for programs</summary><pre>{}</pre></details>",
        escaped(&json)
    );
    html.push_str("</body></html>\n");
    Ok(html)
}

fn table(html: &mut String, rows: &[Row]) {
    html.push_str(
        "<table><thead><tr><th>What</th><th class=\"number\">Bytes</th><th class=\"number\">Host</th>\
         <th class=\"number\">Container</th><th>Unit</th><th class=\"number\">Ratio</th><th>Verdict</th></tr></thead>\n<tbody>\n",
    );
    for row in rows {
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), significant);
        let ratio = row.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.4}"));
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td>\
             <td class=\"number\">{ratio}</td><td>{}</td></tr>",
            row.measurement.test.title(),
            row.size,
            number(row.host.median),
            number(row.container.median),
            row.unit,
            escaped(&row.verdict)
        );
    }
    html.push_str("</tbody></table>\n");
}

fn described(nic: &Nic) -> String {
    let speed = nic.speed_mbps.map(|speed| format!(", {speed} Mbit/s")).unwrap_or_default();
    let node = nic.numa_node.map(|node| format!(", NUMA node {node}")).unwrap_or_default();
    let (device, driver, netdev) = (escaped(&nic.rdma_device), escaped(&nic.driver), escaped(&nic.netdev));
    format!("RDMA device {device} (driver {driver}) on {netdev}, MTU {}{speed}{node}", nic.mtu)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
