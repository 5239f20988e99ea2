// SPDX-License-Identifier: Apache-2.0
//! A short description of a swarm: the groups of its nodes, the rings between them, their capacity.
//!
//! Integers only, so that it is the same on every machine. As a key to schemas it was at best one
//! per cent better than simple features in a prototype. It describes a swarm in public and
//! preselects schemas that are then scored exactly.

use codec::{Decode, Encode};

use crate::{homology::barcodes, picture::Picture};

/// Thresholds in tenths of a millisecond: round(5 · 3000^(k/63)).
const GRID: [u32; 64] = [
    5, 6, 6, 7, 8, 9, 11, 12, 14, 16, 18, 20, 23, 26, 30, 34, 38, 43, 49, 56, 64, 72, 82, 93, 106,
    120, 136, 155, 176, 199, 226, 257, 292, 331, 376, 427, 485, 551, 626, 710, 807, 916, 1040,
    1181, 1341, 1523, 1729, 1963, 2229, 2532, 2875, 3264, 3707, 4209, 4779, 5427, 6162, 6997, 7946,
    9022, 10245, 11633, 13210, 15000,
];

/// The number of landscapes of H1.
const LANDSCAPES: usize = 3;

/// Parts of a grid step: the unit of births and deaths.
const PARTS: u32 = 16;

/// ln 3000 / 63: a step of the grid.
const STEP: f64 = 0.127_085_7;

/// The fingerprint of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fingerprint {
    /// The version of the format: 1.
    pub version: u8,
    /// The number of nodes.
    pub nodes: u16,
    /// Groups at each threshold, as a share of the nodes in 1/65535.
    pub h0: [u16; 64],
    /// The first three landscapes of rings at each threshold, in 1/16 grid steps.
    pub h1: [u16; 192],
    /// ln n and ln(memory / layers · 1024) in 1/1024; deciles 1, 5, 9 of memory / layers in 1/16384
    /// and of ln(nanoseconds a layer) in 1/1024.
    pub capacity: [u16; 8],
}

impl Fingerprint {
    /// The fingerprint of a picture.
    pub fn new(picture: &Picture) -> Self {
        let n = picture.nodes().len();
        let bars = barcodes(n, |i, j| picture.rtt(i, j));
        let mut h0 = [0; 64];
        let mut h1 = [0; 64 * LANDSCAPES];
        let rings: Vec<_> = bars
            .h1
            .iter()
            .map(|&(birth, death)| (position(birth), position(death)))
            .collect();
        for (k, &threshold) in GRID.iter().enumerate() {
            let groups = n - bars.h0.partition_point(|&death| death <= threshold);
            h0[k] = share(groups, n, 65535);
            let at = k as u32 * PARTS;
            let height = |&(birth, death): &(u32, u32)| {
                at.saturating_sub(birth).min(death.saturating_sub(at)) as u16
            };
            let mut heights: Vec<_> = rings.iter().map(height).collect();
            heights.sort_unstable_by(|a, b| b.cmp(a));
            for (landscape, height) in heights.into_iter().take(LANDSCAPES).enumerate() {
                h1[landscape * 64 + k] = height;
            }
        }
        Self {
            version: 1,
            nodes: n as u16,
            h0,
            h1,
            capacity: capacity(picture),
        }
    }

    /// The distance of two swarms.
    pub fn distance(&self, other: &Self) -> f64 {
        let part = |a: &[u16], b: &[u16], scale: f64| {
            let gap = |(a, b): (&u16, &u16)| ((f64::from(*a) - f64::from(*b)) / scale).powi(2);
            a.iter().zip(b).map(gap).sum::<f64>()
        };
        let h0 = part(&self.h0, &other.h0, 65535.0);
        let h1 = part(&self.h1, &other.h1, f64::from(PARTS) / STEP);
        // ln n / 3, ln memory / layers, deciles · 3, deciles of ln s / 3.
        let scales = [
            3072.0, 1024.0, 5461.0, 5461.0, 5461.0, 3072.0, 3072.0, 3072.0,
        ];
        let gaps = self.capacity.iter().zip(&other.capacity).zip(scales);
        let capacity: f64 = gaps
            .map(|((a, b), scale)| ((f64::from(*a) - f64::from(*b)) / scale).powi(2))
            .sum();
        (4.0 * h0 + h1 + capacity).sqrt()
    }
}

fn share(part: usize, whole: usize, unit: usize) -> u16 {
    (part * unit / whole.max(1)).min(usize::from(u16::MAX)) as u16
}

/// The place of a time on the grid, in 1/16 steps.
fn position(time: u32) -> u32 {
    let after = GRID.partition_point(|&threshold| threshold <= time);
    let Some(before) = after.checked_sub(1) else {
        return 0;
    };
    match GRID.get(after) {
        Some(next) => {
            let gap = next - GRID[before];
            before as u32 * PARTS + (time - GRID[before]) * PARTS / gap
        },
        None => before as u32 * PARTS,
    }
}

fn capacity(picture: &Picture) -> [u16; 8] {
    let layers = usize::from(picture.model().layers);
    let n = picture.nodes().len();
    let mut held: Vec<_> = picture.nodes().iter().map(|node| node.capacity).collect();
    held.sort_unstable();
    let mut times: Vec<_> = picture.nodes().iter().map(|node| node.layer_ns).collect();
    times.sort_unstable();
    let decile = |k: usize| (n - 1) * k / 10;
    let memory = picture.capacity() as u64 * 1024 / layers as u64;
    let [a, b, c] = [1, 5, 9].map(|k| share(held[decile(k)].into(), layers, 16384));
    let [d, e, f] = [1, 5, 9].map(|k| ln(times[decile(k)]) as u16);
    [ln(n as u64) as u16, ln(memory) as u16, a, b, c, d, e, f]
}

/// ln of a number in 1/1024, by integers alone; 0 for 0.
pub(crate) fn ln(value: u64) -> u32 {
    if value == 0 {
        return 0;
    }
    let whole = value.ilog2();
    // The mantissa in [1, 2) with 31 bits behind the point, squared for each bit of the logarithm.
    let mut mantissa = if whole >= 31 {
        value >> (whole - 31)
    } else {
        value << (31 - whole)
    };
    let mut log2 = u64::from(whole) << 16;
    for bit in (0..16).rev() {
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >> 32 > 0 {
            mantissa >>= 1;
            log2 |= 1 << bit;
        }
    }
    // ln 2 in 1/65536 is 45426.
    ((log2 * 45_426) >> 22) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{alike, pictures};

    #[test]
    fn the_format_has_531_bytes() {
        let picture = alike(4);
        let print = Fingerprint::new(&picture);
        assert_eq!(print.encode().len(), 531);
        // Four nodes at 30 ms each: four groups below, one from there on.
        let at = GRID.partition_point(|&t| t < 300);
        assert_eq!((print.h0[at - 1], print.h0[at]), (65535, 16383));
        assert_eq!(print.h1, [0; 192]);
    }

    proptest! {
        #[test]
        fn the_integer_logarithm_is_near(value in 1u64..u64::MAX / 2) {
            let exact = (value as f64).ln() * 1024.0;
            prop_assert!((f64::from(ln(value)) - exact).abs() < 2.0);
        }

        #[test]
        fn a_fingerprint_is_at_no_distance_from_itself(a in pictures(12, 8), b in pictures(12, 8)) {
            let (a, b) = (Fingerprint::new(&a), Fingerprint::new(&b));
            prop_assert_eq!(a.distance(&a), 0.0);
            prop_assert_eq!(a.distance(&b), b.distance(&a));
            prop_assert_eq!(a == b, a.distance(&b) == 0.0);
        }
    }
}
