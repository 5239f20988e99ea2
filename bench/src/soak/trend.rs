// SPDX-License-Identifier: Apache-2.0
//! The slope of a figure over time, with its interval.

/// Number of parts of which the means are taken. Neighbouring samples hang together, means of long
/// parts hardly do, so that the interval is as wide as it should be.
const PARTS: usize = 10;
/// The quantile of Student's t at 97.5 % with `PARTS` - 2 degrees of freedom.
const QUANTILE: f64 = 2.306;

/// A slope and half of the width of its interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The slope by least squares.
    pub value: f64,
    /// Half of the width of the interval.
    pub half: f64,
}

impl Slope {
    /// The slope of points by least squares through the means of ten parts of the same length.
    /// `None` with fewer than two points a part, or at a single moment.
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        let length = points.len() / PARTS;
        if length < 2 {
            return None;
        }
        let kept = points.get(points.len() % PARTS..)?;
        let means: Vec<_> = kept.chunks(length).map(mean).collect();
        let (x, y) = mean(&means);
        let sum = |of: &dyn Fn(f64, f64) -> f64| means.iter().map(|(a, b)| of(*a, *b)).sum::<f64>();
        let spread = sum(&|a, _| (a - x).powi(2));
        if spread == 0.0 {
            return None;
        }
        let value = sum(&|a, b| (a - x) * (b - y)) / spread;
        let rest = sum(&|a, b| (b - y - value * (a - x)).powi(2));
        let error = (rest / (PARTS - 2) as f64 / spread).sqrt();
        Some(Self {
            value,
            half: QUANTILE * error,
        })
    }

    /// The upper end of the interval.
    pub fn upper(&self) -> f64 {
        self.value + self.half
    }
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), (a, b)| (x + a, y + b));
    (x / count, y / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_no_width() {
        for count in [20, 27, 360] {
            let line: Vec<_> = (0..count)
                .map(|x| (f64::from(x), 3.0 - 0.5 * f64::from(x)))
                .collect();
            let slope = Slope::of(&line).unwrap();
            assert!((slope.value + 0.5).abs() < 1e-9, "{slope:?}");
            assert!(slope.half < 1e-6, "{slope:?}");
        }
    }

    #[test]
    fn noise_widens_the_interval_around_the_slope() {
        let noisy: Vec<_> = (0..400)
            .map(|x| (f64::from(x), f64::from(x) + f64::from(x * x % 97)))
            .collect();
        let slope = Slope::of(&noisy).unwrap();
        assert!(slope.half > 0.001, "{slope:?}");
        assert!((slope.value - 1.0).abs() <= slope.half, "{slope:?}");
    }

    #[test]
    fn too_few_points_or_one_moment_have_no_slope() {
        let line: Vec<_> = (0..19).map(|x| (f64::from(x), 0.0)).collect();
        assert_eq!(Slope::of(&line), None);
        assert_eq!(Slope::of(&[(1.0, 2.0); 40]), None);
        assert_eq!(Slope::of(&[]), None);
    }
}
