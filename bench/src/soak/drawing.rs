// SPDX-License-Identifier: Apache-2.0
//! The memory of every node over time, as SVG.

use std::fmt::Write;

use super::{report::names, Sample};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 400.0;
/// Room for the labels around the axes.
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 4] = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad"];
/// Number of labels of an axis, less one.
const STEPS: u32 = 6;

/// Draws the memory of every node. The half over which the slope is taken is shaded.
pub fn memory(samples: &[Sample]) -> String {
    let minutes = |sample: &Sample| sample.seconds / 60.0;
    let last = samples.iter().map(minutes).fold(1.0 / 60.0, f64::max);
    let most = samples.iter().map(mebibytes).fold(1.0, f64::max) * 1.1;
    let x = |minutes: f64| MARGIN + minutes / last * (WIDTH - 2.0 * MARGIN);
    let y = |mebibytes: f64| HEIGHT - MARGIN - mebibytes / most * (HEIGHT - 2.0 * MARGIN);

    let mut body = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        body,
        r##"<rect x="{:.1}" y="{MARGIN}" width="{:.1}" height="{:.1}" fill="#f2f2f2"/>"##,
        x(last / 2.0),
        x(last) - x(last / 2.0),
        HEIGHT - 2.0 * MARGIN,
    );
    for step in 0..=STEPS {
        let share = f64::from(step) / f64::from(STEPS);
        let (left, bottom) = (x(last * share), y(most * share));
        let _ = writeln!(
            body,
            r##"<line x1="{MARGIN}" y1="{bottom:.1}" x2="{:.1}" y2="{bottom:.1}" stroke="#ccc"/>"##,
            WIDTH - MARGIN,
        );
        let _ = writeln!(
            body,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{:.0}</text>"#,
            MARGIN - 6.0,
            bottom + 4.0,
            most * share,
        );
        let _ = writeln!(
            body,
            r#"<text x="{left:.1}" y="{:.1}" text-anchor="middle">{:.0}</text>"#,
            HEIGHT - MARGIN + 18.0,
            last * share,
        );
    }
    for (index, (name, colour)) in names(samples).into_iter().zip(colours()).enumerate() {
        let of = samples.iter().filter(|sample| sample.node == name);
        let points: Vec<_> = of
            .map(|sample| format!("{:.1},{:.1}", x(minutes(sample)), y(mebibytes(sample))))
            .collect();
        let _ = writeln!(
            body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#,
            points.join(" "),
        );
        let _ = writeln!(
            body,
            r#"<text x="{:.1}" y="40" fill="{colour}">{name}</text>"#,
            MARGIN + 90.0 * index as f64,
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\">Resident memory of each node, in MiB</text>\n\
         {body}<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">minutes of continuous \
         questions; the slope is of the shaded half</text>\n</svg>\n",
        WIDTH / 2.0,
        HEIGHT - 12.0,
    )
}

/// Resident memory, in MiB.
pub(super) fn mebibytes(sample: &Sample) -> f64 {
    sample.resident as f64 / f64::from(1 << 20)
}

/// Colours for any number of nodes.
fn colours() -> impl Iterator<Item = &'static str> {
    COLOURS.into_iter().cycle()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::Counts;

    #[test]
    fn every_node_is_a_line_with_all_of_its_samples() {
        let sample = |seconds, node: &str| Sample {
            seconds,
            node: node.into(),
            resident: 200 << 20,
            descriptors: 0,
            database: 0,
            block: 0,
            counts: Counts::default(),
        };
        let times = [0.0, 60.0, 120.0];
        let samples: Vec<_> = times
            .iter()
            .flat_map(|seconds| ["alice", "bob"].map(|node| sample(*seconds, node)))
            .collect();
        let drawn = memory(&samples);
        let lines: Vec<_> = drawn.matches("<polyline points=\"").collect();
        assert_eq!(lines.len(), 2);
        for name in ["alice", "bob"] {
            assert!(drawn.contains(&format!(">{name}</text>")), "{drawn}");
        }
        let (_, line) = drawn.split_once("<polyline points=\"").unwrap();
        let (points, _) = line.split_once('"').unwrap();
        assert_eq!(points.split(' ').count(), times.len());
        // Nothing to draw is no fault.
        assert!(memory(&[]).ends_with("</svg>\n"));
    }
}
