// SPDX-License-Identifier: Apache-2.0
//! Pictures as SVG: the places and spans of nodes, and the bars of their fingerprint.

use std::fmt::Write;

use starling_planner::{homology::Barcodes, Picture, Placement};

const WIDTH: f64 = 800.0;
const MARGIN: f64 = 40.0;

/// A drawing and its height.
struct Canvas {
    body: String,
    height: f64,
}

impl Canvas {
    fn new(height: f64) -> Self {
        Self {
            body: String::new(),
            height,
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        );
    }

    fn rectangle(&mut self, at: (f64, f64), size: (f64, f64), colour: &str, title: &str) {
        let ((x, y), (width, height)) = (at, size);
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"><title>{title}</title></rect>"#
        );
    }

    fn circle(&mut self, (x, y): (f64, f64), radius: f64, colour: &str, title: &str) {
        let _ = writeln!(
            self.body,
            r##"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="{colour}" stroke="#333"><title>{title}</title></circle>"##
        );
    }

    fn text(&mut self, (x, y): (f64, f64), text: &str) {
        let _ = writeln!(self.body, r#"<text x="{x:.1}" y="{y:.1}">{text}</text>"#);
    }

    fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
            self.height, self.body
        )
    }
}

/// A colour for a share from 0 (blue) to 1 (red).
fn colour(share: f64) -> String {
    format!("hsl({:.0},70%,55%)", 230.0 * (1.0 - share.clamp(0.0, 1.0)))
}

/// Bars of groups and of rings over round-trip time.
pub fn barcodes(bars: &Barcodes) -> String {
    let count = bars.h0.len() + bars.h1.len();
    let step = (700.0 / count.max(1) as f64).min(9.0);
    let mut canvas = Canvas::new(2.0 * MARGIN + step * count as f64 + 20.0);
    let deaths = bars.h0.iter().chain(bars.h1.iter().map(|(_, death)| death));
    let most = f64::from(deaths.copied().max().unwrap_or(1).max(1));
    let x = |time: u32| MARGIN + f64::from(time) / most * (WIDTH - 2.0 * MARGIN);
    canvas.text(
        (MARGIN, 20.0),
        "groups (blue) and rings (red) over round-trip time",
    );
    let groups = bars.h0.iter().map(|&death| (0, death, "#3b6fb5"));
    let rings = bars
        .h1
        .iter()
        .map(|&(birth, death)| (birth, death, "#c0392b"));
    for (row, (birth, death, colour)) in groups.chain(rings).enumerate() {
        let y = MARGIN + step * row as f64;
        canvas.line((x(birth), y), (x(death), y), colour, (step - 1.0).max(0.5));
    }
    let y = MARGIN + step * count as f64 + 15.0;
    for part in 0..=4 {
        let time = most * f64::from(part) / 4.0;
        canvas.text((x(time as u32), y), &format!("{:.1} ms", time / 10.0));
    }
    canvas.finish()
}

/// The spans of the nodes: one row a node, by start, coloured by speed.
pub fn placement(picture: &Picture, placement: &Placement) -> String {
    let layers = f64::from(picture.model().layers);
    let mut order: Vec<_> = (0..placement.0.len()).collect();
    order.sort_by_key(|&node| placement.0[node]);
    let step = (700.0 / order.len() as f64).min(14.0);
    let mut canvas = Canvas::new(2.0 * MARGIN + step * order.len() as f64);
    canvas.text(
        (MARGIN, 20.0),
        "layers of each node; fast nodes are red, slow ones blue",
    );
    let x = |layer: u16| MARGIN + f64::from(layer) / layers * (WIDTH - 2.0 * MARGIN);
    for (row, &node) in order.iter().enumerate() {
        let span = placement.0[node];
        let at = (x(span.start), MARGIN + step * row as f64);
        let size = (x(span.end) - x(span.start), (step - 1.0).max(0.5));
        let title = format!("node {node}: layers {}..{}", span.start, span.end);
        canvas.rectangle(at, size, &colour(speed(picture, node)), &title);
    }
    for part in 0..=4u16 {
        let layer = picture.model().layers / 4 * part;
        let y = MARGIN + step * order.len() as f64 + 15.0;
        canvas.text((x(layer), y), &layer.to_string());
    }
    canvas.finish()
}

/// The places of the nodes: distances on paper follow round-trip times as far as a plane allows.
/// The colour is the start of the span.
pub fn topology(picture: &Picture, placement: &Placement) -> String {
    let places = plane(picture);
    let mut canvas = Canvas::new(WIDTH);
    canvas.text(
        (MARGIN, 20.0),
        "nodes by round-trip time; colour: first layer, size: layers held",
    );
    let layers = f64::from(picture.model().layers);
    for (node, &place) in places.iter().enumerate() {
        let span = placement.0[node];
        let share = f64::from(span.len()) / layers;
        let title = format!("node {node}: layers {}..{}", span.start, span.end);
        let start = f64::from(span.start) / layers;
        canvas.circle(place, 4.0 + 20.0 * share, &colour(start), &title);
    }
    canvas.finish()
}

/// The speed of a node, from 0 to 1 on a logarithmic scale.
fn speed(picture: &Picture, node: usize) -> f64 {
    let time = |node: usize| (picture.nodes()[node].layer_ns as f64).ln();
    let all = || (0..picture.nodes().len()).map(time);
    let (least, most) = (
        all().fold(f64::MAX, f64::min),
        all().fold(f64::MIN, f64::max),
    );
    1.0 - (time(node) - least) / (most - least).max(1e-9)
}

/// Places in a plane by gradient steps on the stress of ln RTT, from a circle.
fn plane(picture: &Picture) -> Vec<(f64, f64)> {
    let n = picture.nodes().len();
    let mut places: Vec<_> = (0..n)
        .map(|i| {
            let angle = i as f64 / n as f64 * std::f64::consts::TAU;
            (angle.cos(), angle.sin())
        })
        .collect();
    let wanted = |i: usize, j: usize| f64::from(picture.rtt(i, j)).sqrt();
    let scale = (0..n)
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| wanted(i, j))
        .fold(1e-9, f64::max);
    for _ in 0..300 {
        for i in 0..n {
            let mut push = (0.0, 0.0);
            for j in (0..n).filter(|&j| j != i) {
                let gap = (places[i].0 - places[j].0, places[i].1 - places[j].1);
                let far = gap.0.hypot(gap.1).max(1e-6);
                let by = (2.0 * wanted(i, j) / scale - far) / far / n as f64;
                push = (push.0 + gap.0 * by, push.1 + gap.1 * by);
            }
            places[i] = (places[i].0 + push.0, places[i].1 + push.1);
        }
    }
    let most = places
        .iter()
        .map(|p| p.0.abs().max(p.1.abs()))
        .fold(1e-9, f64::max);
    let half = WIDTH / 2.0;
    let paper = |v: f64| half + v / most * (half - MARGIN - 10.0);
    places.iter().map(|p| (paper(p.0), paper(p.1))).collect()
}
