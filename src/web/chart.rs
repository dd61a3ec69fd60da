//! Charts as SVG, drawn here: stacked columns over time, and single bars. Knows shapes, axes and escaping; colours and
//! sizes of type are the style sheet's (`numbers.css`), and what the figures mean is the page's.

use std::fmt::Write;

/// One column of a stacked chart.
pub(super) struct Column {
    /// Under the axis, where there is room.
    pub label: String,
    /// What is read when one points at it.
    pub about: String,
    /// From the bottom up, in the order of the legend.
    pub values: Vec<u32>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 264.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 6.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 26.0;
/// The widest column.
const MAX_COLUMN: f64 = 40.0;
/// So many labels fit under the axis.
const MAX_LABELS: usize = 11;
/// Up to so many columns each has its sum on top.
const MAX_SUMS: usize = 24;
/// Steps of the axis, at most.
const MAX_STEPS: u32 = 5;

/// Columns of stacked parts, with an axis. The title says what it is, the description what there is to see.
pub(super) fn stacked(title: &str, description: &str, columns: &[Column]) -> String {
    let most = columns.iter().map(|column| column.values.iter().sum()).max().unwrap_or(0);
    let step = step(most);
    let top = most.div_ceil(step).max(1) * step;
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let y = |value: u32| TOP + height * (1.0 - f64::from(value) / f64::from(top));
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"chart-title chart-desc\">\
         <title id=\"chart-title\">{}</title><desc id=\"chart-desc\">{}</desc>{PATTERNS}",
        escaped(title),
        escaped(description)
    );
    for value in (0..=top).step_by(step as usize) {
        let at = y(value);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
    }
    let n = columns.len().max(1);
    let slot = width / small(n);
    let every = n.div_ceil(MAX_LABELS);
    for (at, column) in columns.iter().enumerate() {
        let middle = LEFT + slot * (small(at) + 0.5);
        draw(&mut svg, column, middle, (slot * 0.74).min(MAX_COLUMN), y);
        if n <= MAX_SUMS {
            let sum: u32 = column.values.iter().sum();
            if sum > 0 {
                text(&mut svg, "sum", middle, y(sum) - 5.0, &sum.to_string());
            }
        }
        if at % every == 0 {
            text(&mut svg, "tick", middle, HEIGHT - 8.0, &column.label);
        }
    }
    svg.push_str("</svg>");
    svg
}

fn draw(svg: &mut String, column: &Column, middle: f64, width: f64, y: impl Fn(u32) -> f64) {
    let _ = write!(svg, "<g><title>{}</title>", escaped(&column.about));
    let mut below = 0;
    for (n, value) in column.values.iter().enumerate().filter(|(_, value)| **value > 0) {
        let (bottom, top) = (y(below), y(below + value));
        below += value;
        let _ = write!(
            svg,
            "<rect class=\"part\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"url(#series-{n})\"/>",
            middle - width / 2.0,
            bottom - top
        );
    }
    svg.push_str("</g>");
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let words = escaped(words);
    let _ = write!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{words}</text>"
    );
}

/// One bar, as long as its part of the longest. Words and figure stand beside it, so it is not read aloud.
pub(super) fn bar(part: u32, longest: u32, series: Option<usize>) -> String {
    let share = if longest == 0 { 0.0 } else { f64::from(part) / f64::from(longest) * 100.0 };
    let class = series.map_or("plain".to_owned(), |n| format!("series-{n}"));
    format!(
        "<svg class=\"bar-of\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"all\" width=\"100\" height=\"10\"/><rect class=\"{class}\" width=\"{:.2}\" height=\"10\"/></svg>",
        share.clamp(0.0, 100.0)
    )
}

/// A patch of a legend.
pub(super) fn patch(series: usize) -> String {
    format!(
        "<svg class=\"patch\" viewBox=\"0 0 14 14\" width=\"14\" height=\"14\" aria-hidden=\"true\">\
         <rect width=\"14\" height=\"14\" rx=\"2\" fill=\"url(#series-{series})\"/></svg>"
    )
}

/// Each series has a colour and a pattern, so that nobody needs to tell the colours apart.
const PATTERNS: &str = concat!(
    "<defs>",
    "<pattern id=\"series-0\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">",
    "<rect class=\"series-0\" width=\"8\" height=\"8\"/></pattern>",
    "<pattern id=\"series-1\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">",
    "<rect class=\"series-1\" width=\"6\" height=\"6\"/><rect class=\"mark\" width=\"2\" height=\"6\"/></pattern>",
    "<pattern id=\"series-2\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">",
    "<rect class=\"series-2\" width=\"6\" height=\"6\"/><circle class=\"mark\" cx=\"3\" cy=\"3\" r=\"1.3\"/></pattern>",
    "<pattern id=\"series-3\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">",
    "<rect class=\"series-3\" width=\"6\" height=\"6\"/><rect class=\"mark\" width=\"6\" height=\"1.6\"/></pattern>",
    "<pattern id=\"series-4\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(-45)\">",
    "<rect class=\"series-4\" width=\"6\" height=\"6\"/><rect class=\"mark\" width=\"1.2\" height=\"6\"/>",
    "<rect class=\"mark\" width=\"6\" height=\"1.2\"/></pattern>",
    "</defs>"
);

/// A round step: 1, 2 or 5 times a power of ten, so that at most [`MAX_STEPS`] reach the top.
fn step(most: u32) -> u32 {
    let mut power = 1_u32;
    loop {
        for times in [1, 2, 5] {
            let step = power.saturating_mul(times);
            if most.div_ceil(step) <= MAX_STEPS {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Counts on a page are small.
fn small(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Safe between tags.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(label: &str, values: &[u32]) -> Column {
        Column { label: label.into(), about: format!("{label} tip"), values: values.into() }
    }

    #[test]
    fn words_in_a_chart_cannot_become_markup() {
        let evil = "<script>&\"'\u{1}";
        let svg = stacked(evil, evil, &[column(evil, &[1])]);
        assert!(!svg.contains("<script") && !svg.contains('\u{1}'), "{svg}");
        assert_eq!(svg.matches("&lt;script&gt;&amp;&quot;&#39; ").count(), 4, "{svg}");
    }

    #[test]
    fn parts_stand_on_each_other_and_fill_their_share_of_the_height() {
        let svg = stacked("t", "d", &[column("a", &[6, 0, 4]), column("b", &[0, 0, 0])]);
        // Ten is the top of the axis: 220 units high.
        let parts: Vec<&str> = svg.split("<rect class=\"part\"").skip(1).collect();
        assert_eq!(parts.len(), 2, "{svg}");
        assert!(parts[0].contains("y=\"106.0\"") && parts[0].contains("height=\"132.0\""), "{}", parts[0]);
        assert!(parts[1].contains("y=\"18.0\"") && parts[1].contains("height=\"88.0\""), "{}", parts[1]);
        assert!(parts[0].contains("#series-0") && parts[1].contains("#series-2"));
        assert!(svg.contains(">10</text>") && svg.matches("class=\"sum\"").count() == 1);
    }

    #[test]
    fn an_axis_has_few_round_steps_whatever_the_figures() {
        for (most, expected) in [(0, 1), (1, 1), (5, 1), (6, 2), (11, 5), (26, 10), (4_000, 1_000)] {
            assert_eq!(step(most), expected, "{most}");
        }
        assert!(u32::MAX.div_ceil(step(u32::MAX)) <= MAX_STEPS);
        let many: Vec<Column> = (0..62).map(|n| column(&n.to_string(), &[n])).collect();
        let svg = stacked("t", "d", &many);
        assert!(svg.matches("y=\"256.0\"").count() <= MAX_LABELS);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn nothing_at_all_is_a_chart_too() {
        assert!(stacked("t", "d", &[]).ends_with("</svg>"));
        assert!(bar(0, 0, None).contains("width=\"0.00\""));
        assert!(bar(3, 2, Some(1)).contains("class=\"series-1\" width=\"100.00\""));
    }
}
