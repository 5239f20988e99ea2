// SPDX-License-Identifier: Apache-2.0
//! The dynamic 8-bit data type: more codes near zero, a wide range, and one scale a group.

use super::{scaled, WireError};
use std::sync::LazyLock;

/// Number of decades below 1 that have codes.
const DECADES: u32 = 7;

struct Codebook {
    values: [f32; 256],
    /// Bounds between neighbouring values. A number belongs to the value after the last bound below
    /// it.
    bounds: [f32; 255],
}

static CODEBOOK: LazyLock<Codebook> = LazyLock::new(|| {
    let mut values = vec![0f64, 1.0];
    for decade in 0..DECADES {
        let unit = 10f64.powi(decade as i32 + 1 - DECADES as i32);
        let steps = 1u32 << decade;
        let bound = |i: u32| 0.1 + 0.9 * f64::from(i) / f64::from(steps);
        for i in 0..steps {
            let middle = (bound(i) + bound(i + 1)) / 2.0;
            values.extend([unit * middle, -unit * middle]);
        }
    }
    values.sort_by(f64::total_cmp);
    let mut values = values.into_iter().map(|x| x as f32);
    let values = std::array::from_fn(|_| values.next().unwrap_or_default());
    let mut pairs = values.iter().zip(values.iter().skip(1));
    let bounds = std::array::from_fn(|_| pairs.next().map_or(1.0, |(a, b)| (a + b) / 2.0));
    Codebook { values, bounds }
});

/// The 256 values, ascending, in [−0.993, 1].
///
/// For each i in 0…6 the interval [0.1, 1] is cut into 2^i parts, and ±10^(i−6) times the middle of
/// each is a value; 0 and 1 are the last two.
pub fn codebook() -> &'static [f32; 256] {
    &CODEBOOK.values
}

pub(super) fn encode(group: &[f32], bytes: &mut Vec<u8>) {
    let Codebook { bounds, .. } = &*CODEBOOK;
    let scale = super::peak(group);
    bytes.extend(scale.to_le_bytes());
    bytes.extend(group.iter().map(|x| {
        let x = if scale == 0.0 { 0.0 } else { x / scale };
        // At most 255 bounds are below.
        bounds.partition_point(|bound| *bound < x) as u8
    }));
}

pub(super) fn decode(group: &[u8], values: &mut Vec<f32>) -> Result<(), WireError> {
    let Codebook { values: codes, .. } = &*CODEBOOK;
    let (scale, group) = scaled(group)?;
    // An index of the codebook fits a byte.
    let of = |code: &u8| codes.get(usize::from(*code)).copied().unwrap_or_default();
    values.extend(group.iter().map(|code| of(code) * scale));
    Ok(())
}
