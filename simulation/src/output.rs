// SPDX-License-Identifier: Apache-2.0
//! Files of results: CSV for machines, SVG for people.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, Context, Result};
use plotters::{
    coord::{types::RangedCoordf64, Shift},
    prelude::*,
    style::RelativeSize,
};
use serde::Serialize;

/// A folder for results: tables in `data`, plots in `images`.
pub struct Output {
    data: PathBuf,
    images: PathBuf,
}

/// A line, or points, of a plot.
pub struct Series {
    /// Label in the legend.
    pub label: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// True if the points are joined.
    pub line: bool,
}

impl Series {
    /// Points joined by a line.
    pub fn line(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            line: true,
            ..Self::points(label, points)
        }
    }

    /// Points alone. Points that are no numbers, such as the logarithm of a loss, are left out.
    pub fn points(label: impl Into<String>, mut points: Vec<(f64, f64)>) -> Self {
        points.retain(|(x, y)| x.is_finite() && y.is_finite());
        Self {
            label: label.into(),
            points,
            line: false,
        }
    }
}

/// One pair of axes.
pub struct Panel {
    /// Title above the panel.
    pub title: String,
    /// Label of the horizontal axis.
    pub x: String,
    /// Label of the vertical axis.
    pub y: String,
    /// Lines and points to draw.
    pub series: Vec<Series>,
}

/// A value for each pair of a row and a column.
pub struct Heat {
    /// Title above the table.
    pub title: String,
    /// Label of the horizontal axis.
    pub x: String,
    /// Label of the vertical axis.
    pub y: String,
    /// The columns.
    pub columns: Vec<String>,
    /// The rows with their values; white is 0.
    pub rows: Vec<(String, Vec<f64>)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Output {
    /// Opens a folder for results, and creates it if necessary. Results of a variant go into
    /// folders of its name, so that two runs of one experiment can stand side by side.
    pub fn new(folder: &Path, variant: Option<&str>) -> Result<Self> {
        let part = |name: &str| {
            let mut path = folder.join(name);
            path.extend(variant);
            fs::create_dir_all(&path)
                .with_context(|| format!("cannot make the folder {}", path.display()))?;
            anyhow::Ok(path)
        };
        Ok(Self {
            data: part("data")?,
            images: part("images")?,
        })
    }

    /// Writes a table, one record a row.
    pub fn table<T: Serialize>(&self, name: &str, rows: &[T]) -> Result<()> {
        let path = self.data.join(format!("{name}.csv"));
        let write = || -> csv::Result<()> {
            let mut writer = csv::Writer::from_path(&path)?;
            for row in rows {
                writer.serialize(row)?;
            }
            writer.flush()?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Draws panels side by side.
    pub fn plot(&self, name: &str, panels: &[Panel]) -> Result<()> {
        let width = 420 * panels.len().max(1) as u32;
        self.draw(name, (width, 360), |area| {
            for (area, panel) in area.split_evenly((1, panels.len())).iter().zip(panels) {
                draw_panel(area, panel)?;
            }
            Ok(())
        })
    }

    /// Draws a table of values as colours: red below zero, green above.
    pub fn heat(&self, name: &str, heat: &Heat) -> Result<()> {
        let size = (
            140 + 64 * heat.columns.len() as u32,
            90 + 26 * heat.rows.len() as u32,
        );
        self.draw(name, size, |area| draw_heat(area, heat))
    }

    fn draw(
        &self,
        name: &str,
        size: (u32, u32),
        draw: impl FnOnce(&Area) -> Result<()>,
    ) -> Result<()> {
        let path = self.images.join(format!("{name}.svg"));
        let area = SVGBackend::new(&path, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
        Ok(())
    }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the plot cannot be drawn: {error}")
}

/// The range of some numbers, with a small margin.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = values.filter(|value| value.is_finite()).fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, most), value| (least.min(value), most.max(value)),
    );
    if least > most {
        return 0.0..1.0;
    }
    let room = ((most - least) * 0.05).max(1e-9 + most.abs() * 1e-3);
    (least - room)..(most + room)
}

fn draw_panel(area: &Area, panel: &Panel) -> Result<()> {
    let points = || panel.series.iter().flat_map(|series| series.points.iter());
    let mut chart: ChartContext<_, Cartesian2d<RangedCoordf64, RangedCoordf64>> =
        ChartBuilder::on(area)
            .caption(&panel.title, ("sans-serif", 15))
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(
                range(points().map(|point| point.0)),
                range(points().map(|point| point.1)),
            )
            .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(6)
        .y_labels(6)
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .draw()
        .map_err(failed)?;
    for (index, series) in panel.series.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        if series.line {
            chart
                .draw_series(LineSeries::new(
                    series.points.iter().copied(),
                    colour.stroke_width(2),
                ))
                .map_err(failed)?
                .label(&series.label)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2))
                });
        } else {
            chart
                .draw_series(
                    series
                        .points
                        .iter()
                        .map(|point| Circle::new(*point, 2, colour.filled())),
                )
                .map_err(failed)?
                .label(&series.label)
                .legend(move |(x, y)| Circle::new((x + 7, y), 3, colour.filled()));
        }
    }
    if panel.series.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", RelativeSize::Height(0.035)))
            .draw()
            .map_err(failed)?;
    }
    Ok(())
}

fn draw_heat(area: &Area, heat: &Heat) -> Result<()> {
    let text = |size: i32| ("sans-serif", size).into_font().into_text_style(area);
    area.draw_text(&heat.title, &text(15), (8, 8))
        .map_err(failed)?;
    let corner = format!("{} \\ {}", heat.y, heat.x);
    area.draw_text(&corner, &text(11), (8, 40))
        .map_err(failed)?;
    let most = heat
        .rows
        .iter()
        .flat_map(|(_, values)| values)
        .fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    for (column, name) in heat.columns.iter().enumerate() {
        let x = 130 + 64 * column as i32;
        area.draw_text(name, &text(11), (x + 8, 40))
            .map_err(failed)?;
    }
    for (row, (name, values)) in heat.rows.iter().enumerate() {
        let y = 60 + 26 * row as i32;
        area.draw_text(name, &text(11), (8, y + 6))
            .map_err(failed)?;
        for (column, value) in values.iter().enumerate() {
            let x = 130 + 64 * column as i32;
            let faded = (255.0 * (1.0 - 0.7 * (value.abs() / most).min(1.0))) as u8;
            let colour = if *value < 0.0 {
                RGBColor(255, faded, faded)
            } else {
                RGBColor(faded, 255, faded)
            };
            let cell = [(x, y), (x + 62, y + 24)];
            area.draw(&Rectangle::new(cell, colour.filled()))
                .map_err(failed)?;
            area.draw_text(&format!("{value:.3}"), &text(11), (x + 8, y + 6))
                .map_err(failed)?;
        }
    }
    Ok(())
}
