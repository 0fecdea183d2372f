//! Draws the ratios with their intervals as SVG, in light or dark colours.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measurement::Test;
use crate::report::{Report, Row};

/// Of one appearance. Each colour has a contrast of at least 4.5 on the background (WCAG 2, 1.4.3).
#[derive(Clone, Copy)]
pub struct Colours {
    back: RGBColor,
    text: RGBColor,
    mark: RGBColor,
    line: RGBColor,
}

pub const LIGHT: Colours = Colours {
    back: RGBColor(255, 255, 255),
    text: RGBColor(28, 28, 33),
    mark: RGBColor(0, 88, 170),
    line: RGBColor(98, 98, 106),
};

pub const DARK: Colours = Colours {
    back: RGBColor(24, 24, 28),
    text: RGBColor(235, 235, 240),
    mark: RGBColor(110, 180, 255),
    line: RGBColor(165, 165, 175),
};

const WIDTH: u32 = 860;
const ROW: u32 = 64;
const AROUND: u32 = 130;
const FONT: &str = "sans-serif";

/// Each measurement's ratio container/host: a dot with its interval, a small circle for each round, and a line where both are equal.
pub fn picture(report: &Report, colours: Colours) -> Result<String, Box<dyn Error>> {
    let rows: Vec<&Row> = report.tests.iter().filter(|row| row.ratio.is_some()).collect();
    let count = u32::try_from(rows.len()).unwrap_or(0);
    let mut svg = String::new();
    {
        let area =
            SVGBackend::with_string(&mut svg, (WIDTH, AROUND + ROW * count.max(1))).into_drawing_area();
        area.fill(&colours.back)?;
        let title = format!(
            "{} in a container against the host ({} at the other end)",
            report.machine.nic.name, report.machine.nic2.name
        );
        let reach = reach(&rows);
        let mut chart = ChartBuilder::on(&area)
            .caption(title, style(18, &colours.text))
            .margin(24)
            .x_label_area_size(44)
            .build_cartesian_2d(1.0 - reach..1.0 + reach, 0.0..f64::from(count.max(1)))?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .x_labels(7)
            .x_label_formatter(&|ratio| format!("{:+.1} %", (ratio - 1.0) * 100.0))
            .x_desc("figure of the container, compared with that of the host")
            .axis_style(colours.line)
            .label_style(style(13, &colours.text))
            .axis_desc_style(style(13, &colours.text))
            .draw()?;
        let top = f64::from(count.max(1));
        chart.draw_series([PathElement::new(vec![(1.0, 0.0), (1.0, top)], colours.line)])?;
        for (place, row) in (0_u32..).zip(&rows) {
            let middle = f64::from(count - place) - 0.66;
            let label = style(14, &colours.text).pos(Pos::new(HPos::Left, VPos::Center));
            let at = (1.0 - reach, middle + 0.4);
            chart.draw_series([Text::new(sentence(row), at, label)])?;
            let each =
                row.host.rounds.iter().zip(&row.container.rounds).map(|(host, container)| container / host);
            chart.draw_series(
                each.filter(|ratio| (ratio - 1.0).abs() < reach)
                    .map(|ratio| Circle::new((ratio, middle), 3, colours.line)),
            )?;
            if let (Some(ratio), Some([low, high])) = (row.ratio, row.interval) {
                let bar = colours.mark.stroke_width(3);
                chart.draw_series([PathElement::new(vec![(low, middle), (high, middle)], bar)])?;
                chart.draw_series([Circle::new((ratio, middle), 6, colours.mark.filled())])?;
            }
        }
        area.present()?;
    }
    Ok(svg)
}

fn style(size: i32, colour: &RGBColor) -> TextStyle<'_> {
    TextStyle::from((FONT, size).into_font()).color(colour)
}

/// How far from equal the axis goes: to the furthest interval, and at least 1 %.
fn reach(rows: &[&Row]) -> f64 {
    let ends = rows.iter().filter_map(|row| row.interval).flatten();
    ends.map(|end| (end - 1.0).abs()).fold(0.01, f64::max) * 1.15
}

fn sentence(row: &Row) -> String {
    let better = if row.measurement.test == Test::Latency { "less is better" } else { "more is better" };
    format!("{} of {} bytes ({better}): {}", row.measurement.test.title(), row.size, row.verdict)
}
