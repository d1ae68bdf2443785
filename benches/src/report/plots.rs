//! Plots.

use std::fs;
use std::path::Path;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use shmtable_bench::Result;
use shmtable_bench::contender::DEFAULT_HASHER;
use shmtable_bench::figure::Figures;

use super::markdown::shared_works;

const WIDTH: u32 = 800;
const HEIGHT: u32 = 480;

/// The color of each contender, in all plots.
const COLORS: [(&str, RGBColor); 11] = [
    ("shmtable", RGBColor(200, 20, 30)),
    ("dashmap", RGBColor(31, 119, 180)),
    ("papaya", RGBColor(255, 127, 14)),
    ("scc", RGBColor(44, 160, 44)),
    ("locked hashbrown", RGBColor(148, 103, 189)),
    ("std HashMap", RGBColor(140, 86, 75)),
    ("LMDB", RGBColor(227, 119, 194)),
    ("Boost", RGBColor(188, 160, 34)),
    ("Redis", RGBColor(23, 170, 190)),
    ("limit, chained", RGBColor(120, 120, 120)),
    ("limit, independent", RGBColor(170, 170, 170)),
];

/// A name and its points.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Plot<'p> {
    title: &'p str,
    x: &'p str,
    y: &'p str,
    logarithmic_x: bool,
}

/// All plots, into a folder.
pub(super) fn write(figures: &Figures, folder: &Path) -> Result {
    fs::create_dir_all(folder)?;
    let at = |name: &str| folder.join(format!("{name}.svg"));

    let mut lines = lines(figures, "sizes", "get", |row| row.parse().ok());
    for limit in ["chained", "independent"] {
        let mut limits = self::lines(figures, "sizes", limit, |row| row.parse().ok());
        for line in &mut limits {
            line.name = format!("limit, {limit}");
        }
        lines.append(&mut limits);
    }
    let sizes = Plot {
        title: "get, decimal keys in random order",
        x: "entries",
        y: "ns",
        logarithmic_x: true,
    };
    // A call to a server takes a thousand times as long.
    lines.retain(|line| line.name != "Redis");
    draw(&at("get"), &sizes, &lines)?;

    for (name, operation) in [("values-get", "get"), ("values-replace", "replace")] {
        let plot = Plot {
            title: &format!("{operation}, 16-byte keys, by the value's size"),
            x: "bytes of a value",
            y: "ns",
            logarithmic_x: true,
        };
        let mut lines = self::lines(figures, "values", operation, |row| row.parse().ok());
        lines.retain(|line| line.name != "Redis");
        draw(&at(name), &plot, &lines)?;
    }
    let [_, work] = shared_works();
    for (name, operation) in [
        ("all-gets", "all gets"),
        ("95-5", "95/5"),
        ("50-50", "50/50"),
    ] {
        let plot = Plot {
            title: &format!("{operation}, {work}, by several processes or threads"),
            x: "processes, or threads of one process",
            y: "million operations a second",
            logarithmic_x: false,
        };
        let parties = |row: &str| {
            let parties = row.strip_prefix(&work)?.strip_prefix(", ")?;
            parties.parse().ok()
        };
        let mut lines = self::lines(figures, "shared", operation, parties);
        for line in &mut lines {
            line.points.iter_mut().for_each(|(_, y)| *y /= 1e6);
        }
        draw(&at(name), &plot, &lines)?;
    }
    let full = Plot {
        title: "replacing in a table that is kept full",
        x: "percent of the value space",
        y: "ns",
        logarithmic_x: false,
    };
    let lines = self::lines(figures, "fullness", "replace", |row| row.parse().ok());
    draw(&at("fullness"), &full, &lines)
}

/// An operation's medians, a line for each contender.
fn lines(
    figures: &Figures,
    section: &str,
    operation: &str,
    x: impl Fn(&str) -> Option<f64>,
) -> Vec<Line> {
    let mut names = figures.names(section, |figure| &figure.contender);
    // Rivals with their fastest hashers; the tables have the others too.
    names.retain(|name| !name.ends_with(DEFAULT_HASHER));
    let rows = figures.names(section, |figure| &figure.row);
    let line = |name: String| {
        let point = |row: &String| {
            let y = figures.median([section, row, operation, &name])?;
            Some((x(row)?, y))
        };
        Line {
            points: rows.iter().filter_map(point).collect(),
            name,
        }
    };
    let lines = names.into_iter().map(line);
    lines.filter(|line| !line.points.is_empty()).collect()
}

fn draw(path: &Path, plot: &Plot<'_>, lines: &[Line]) -> Result {
    if lines.is_empty() {
        return Ok(());
    }
    let area = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let all = || lines.iter().flat_map(|line| &line.points);
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    for (x, _) in all() {
        (least, most) = (least.min(*x), most.max(*x));
    }
    let ys = all().map(|(_, y)| *y);
    let low = ys.clone().fold(f64::INFINITY, f64::min);
    let high = ys.fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&area);
    chart
        .caption(plot.title, ("sans-serif", 20))
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, 60)
        .set_label_area_size(LabelAreaPosition::Bottom, 45);
    if plot.logarithmic_x {
        // Times differ as much as the sizes do.
        let y = (low * 0.8..high * 1.3).log_scale();
        let chart = chart.build_cartesian_2d((least..most).log_scale(), y)?;
        fill(chart, plot, lines)?;
    } else {
        fill(
            chart.build_cartesian_2d(least..most, 0.0..high * 1.1)?,
            plot,
            lines,
        )?;
    }
    Ok(area.present()?)
}

fn fill<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    plot: &Plot<'_>,
    lines: &[Line],
) -> Result
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(plot.x)
        .y_desc(plot.y)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .light_line_style(WHITE)
        .draw()?;
    for line in lines {
        let known = COLORS.iter().find(|(name, _)| *name == line.name);
        let color = known.map_or(BLACK, |(_, color)| *color);
        let width = if line.name == "shmtable" { 3 } else { 2 };
        let style = color.stroke_width(width);
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(3))?
            .label(line.name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

/// A number on an axis.
fn short(number: f64) -> String {
    match number {
        1e6.. => format!("{}M", number / 1e6),
        1e3.. => format!("{}k", number / 1e3),
        _ => format!("{}", (number * 100.0).round() / 100.0),
    }
}
