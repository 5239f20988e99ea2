// SPDX-License-Identifier: Apache-2.0
//! Statistics of many numbers.

/// 1 if the condition holds, else 0; the mean of indicators is a share.
pub fn indicator(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// The mean; 0 of no numbers.
pub fn mean(values: &[f64]) -> f64 {
    match values.len() {
        0 => 0.0,
        n => values.iter().sum::<f64>() / n as f64,
    }
}

/// The standard deviation of a sample; 0 of fewer than two numbers.
pub fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Half of the width of the 95 % confidence interval of the mean, by the normal approximation.
pub fn confidence(values: &[f64]) -> f64 {
    match values.len() {
        0 => 0.0,
        n => 1.96 * deviation(values) / (n as f64).sqrt(),
    }
}

/// The median; 0 of no numbers.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Pearson's coefficient of correlation; 0 if one of the two is constant.
pub fn pearson(left: &[f64], right: &[f64]) -> f64 {
    let (mean_left, mean_right) = (mean(left), mean(right));
    let (mut both, mut squares_left, mut squares_right) = (0.0, 0.0, 0.0);
    for (a, b) in left.iter().zip(right) {
        both += (a - mean_left) * (b - mean_right);
        squares_left += (a - mean_left).powi(2);
        squares_right += (b - mean_right).powi(2);
    }
    let scale = (squares_left * squares_right).sqrt();
    if scale == 0.0 {
        0.0
    } else {
        both / scale
    }
}

/// Spearman's coefficient of correlation of ranks; equal numbers share the mean of their ranks.
pub fn spearman(left: &[f64], right: &[f64]) -> f64 {
    pearson(&ranks(left), &ranks(right))
}

/// Rank of each number, from 1 for the smallest; equal numbers share the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .map(|value| {
            let below = values.iter().filter(|other| *other < value).count();
            let equal = values.iter().filter(|other| *other == value).count();
            below as f64 + (equal as f64 + 1.0) / 2.0
        })
        .collect()
}

/// Probability that one of `above` exceeds one of `below`: the area under the curve of a
/// classifier. Equal numbers count half.
pub fn exceeds(above: &[f64], below: &[f64]) -> f64 {
    let pairs = above.len() * below.len();
    if pairs == 0 {
        return 0.5;
    }
    let wins: f64 = above
        .iter()
        .flat_map(|a| below.iter().map(move |b| (a, b)))
        .map(|(a, b)| match a.total_cmp(b) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum();
    wins / pairs as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    #[test]
    fn the_coefficients_of_a_known_example() {
        // The IQ and television example of Spearman's coefficient, with its published result.
        let iq = [106., 100., 86., 101., 99., 103., 97., 113., 112., 110.];
        let hours = [7., 27., 2., 50., 28., 29., 20., 12., 6., 17.];
        close(spearman(&iq, &hours), -29.0 / 165.0);
        close(pearson(&[1., 2., 3.], &[2., 4., 6.]), 1.0);
        close(pearson(&[1., 2., 3.], &[5., 5., 5.]), 0.0);
    }

    #[test]
    fn equal_numbers_share_their_ranks() {
        assert_eq!(ranks(&[3., 1., 3.]), [2.5, 1., 2.5]);
    }

    #[test]
    fn median_mean_and_deviation() {
        close(median(&[3., 1., 2.]), 2.0);
        close(median(&[4., 1., 2., 3.]), 2.5);
        close(mean(&[1., 2., 6.]), 3.0);
        close(
            deviation(&[2., 4., 4., 4., 5., 5., 7., 9.]),
            (32.0f64 / 7.0).sqrt(),
        );
    }

    #[test]
    fn the_area_under_the_curve() {
        close(exceeds(&[2., 3.], &[1., 2.]), 0.875);
        close(exceeds(&[1.], &[1.]), 0.5);
    }
}
