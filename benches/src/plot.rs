//! Plots as SVG: few marks, nothing else.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 90.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;
const INK: &str = "#30363d";
const OURS: &str = "#1f6feb";
const OTHERS: &str = "#8c959f";

/// One bar.
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) figure: f64,
    pub(crate) is_ours: bool,
}

/// Bars from nothing to the longest, each with its figure.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.figure).fold(0.0, f64::max);
    let mut svg = begin(title, ROW * (rows(bars.len()) + 1.5));
    for (row, bar) in bars.iter().enumerate() {
        let y = ROW * (rows(row) + 1.4);
        let length = (WIDTH - LEFT - RIGHT) * bar.figure / longest;
        let (fill, middle) = (if bar.is_ours { OURS } else { OTHERS }, y + BAR / 2.0 + 4.0);
        writeln!(svg, r#"<text x="{:.0}" y="{middle:.1}" text-anchor="end">{}</text>"#, LEFT - 8.0, bar.name)
            .unwrap();
        writeln!(svg, r#"<rect x="{LEFT}" y="{y:.1}" width="{length:.1}" height="{BAR}" fill="{fill}"/>"#)
            .unwrap();
        writeln!(svg, r#"<text x="{:.1}" y="{middle:.1}">{}</text>"#, LEFT + length + 6.0, short(bar.figure))
            .unwrap();
    }
    svg + "</svg>\n"
}

/// Which part of sorted figures is no more than each, with those of whole parts marked.
pub(crate) fn distribution(title: &str, unit: &str, sorted: &[f64], marks: &[(&str, f64)]) -> String {
    const HEIGHT: f64 = 220.0;
    const EDGE: f64 = 40.0;
    const STEPS: usize = 200;
    let most = sorted[sorted.len() - 1];
    let x = |figure: f64| EDGE + (WIDTH - 2.0 * EDGE) * figure / most;
    let y = |part: f64| HEIGHT - EDGE - (HEIGHT - 2.0 * EDGE) * part;
    let mut svg = begin(title, HEIGHT);
    let point = |step: usize| {
        let part = rows(step) / rows(STEPS);
        format!("{:.1},{:.1}", x(sorted[step * (sorted.len() - 1) / STEPS]), y(part))
    };
    let points: Vec<String> = (0..=STEPS).map(point).collect();
    writeln!(
        svg,
        r#"<polyline points="{}" fill="none" stroke="{OURS}" stroke-width="2"/>"#,
        points.join(" ")
    )
    .unwrap();
    let floor = y(0.0);
    writeln!(svg, r#"<path d="M{EDGE} {floor:.1}H{:.1}" stroke="{INK}"/>"#, WIDTH - EDGE).unwrap();
    for (row, (name, figure)) in marks.iter().enumerate() {
        let (x, text) = (x(*figure), floor + 14.0 + 13.0 * rows(row % 2));
        writeln!(
            svg,
            r#"<path d="M{x:.1} {:.1}V{floor:.1}" stroke="{OTHERS}" stroke-dasharray="3 3"/>"#,
            y(1.0)
        )
        .unwrap();
        writeln!(
            svg,
            r#"<text x="{x:.1}" y="{text:.1}" text-anchor="middle">{name} {figure:.1} {unit}</text>"#
        )
        .unwrap();
    }
    svg + "</svg>\n"
}

fn begin(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\" role=\"img\" aria-label=\"{title}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"8\" y=\"18\" font-weight=\"bold\">{title}</text>\n"
    )
}

fn rows(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// A figure in thousands or millions.
pub(crate) fn short(figure: f64) -> String {
    match figure {
        1e6.. => format!("{:.2} M", figure / 1e6),
        1e4.. => format!("{:.0} k", figure / 1e3),
        1e3.. => format!("{:.1} k", figure / 1e3),
        _ => format!("{figure:.0}"),
    }
}
