// SPDX-License-Identifier: Apache-2.0

use super::*;
use codec::DecodeAll;
use proptest::{prelude::*, sample::select};

/// Rows of one width, of many magnitudes, with zeros and outliers.
fn rows() -> impl Strategy<Value = (Vec<f32>, usize)> {
    let element = prop_oneof![
        4 => -3f32..3.0,
        1 => Just(0f32),
        1 => -1e-6f32..1e-6,
        1 => -4e3f32..4e3,
        1 => prop_oneof![-1e30f32..1e30, Just(-0f32), Just(f32::MIN_POSITIVE / 4.0)],
    ];
    (1usize..200, 0usize..5).prop_flat_map(move |(width, rows)| {
        (
            proptest::collection::vec(element.clone(), width * rows),
            Just(width),
        )
    })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Maximum error of a wire format for `x`, in a group with this largest magnitude.
fn bound(wire: WireFormat, x: f32, peak: f32) -> f64 {
    let (x, peak) = (f64::from(x.abs()), f64::from(peak.abs()));
    let error = match wire {
        WireFormat::F32 => 0.0,
        // Half a unit in the last of 11 places; below the normal numbers, half the smallest.
        WireFormat::F16 => x / 2048.0 + (peak / 32_000.0).max(1.0) * 2f64.powi(-25),
        WireFormat::Linear8 | WireFormat::Linear8Row => peak / 254.0,
        // Half a step of the decade. The gap to the next decade has half a step of that decade,
        // too, which is five times as long.
        WireFormat::Dynamic8 | WireFormat::Dynamic8Row => {
            let decade = (0..6).find(|&i| x <= 10f64.powi(i - 6) * peak);
            let i = decade.unwrap_or(6);
            let step = 10f64.powi(i - 6) * 0.9 / 2f64.powi(i);
            peak * step * if decade.is_some() { 1.5 } else { 0.5 }
        },
    };
    // The error of single precision and of its smallest numbers.
    error * (1.0 + 1e-5) + if wire == WireFormat::F32 { 0.0 } else { 3e-45 }
}

proptest! {
    #[test]
    fn errors_are_bounded_and_sizes_exact((values, width) in rows(), wire in select(&WireFormat::ALL)) {
        let rows = values.len() / width;
        let bytes = wire.encode(&values, width);
        prop_assert_eq!(bytes.len(), wire.bytes(rows, width));
        let decoded = wire.decode(&bytes, rows, width).unwrap();
        prop_assert_eq!(decoded.len(), values.len());
        let group = wire.group(width).unwrap_or(width);
        for (row, got) in values.chunks(width).zip(decoded.chunks(width)) {
            for (row, got) in row.chunks(group).zip(got.chunks(group)) {
                let peak = peak(row);
                for (&x, &y) in row.iter().zip(got) {
                    let error = (f64::from(x) - f64::from(y)).abs();
                    prop_assert!(error <= bound(wire, x, peak), "{wire}: {x} became {y}, peak {peak}");
                }
            }
        }
        if wire == WireFormat::F32 {
            prop_assert_eq!(bits(&values), bits(&decoded));
        }
    }

    #[test]
    fn decoded_values_are_coded_exactly((values, width) in rows(), wire in select(&WireFormat::ALL)) {
        let rows = values.len() / width;
        let once = wire.as_decoded(&values, width).unwrap();
        prop_assert_eq!(once.len(), rows * width);
        let twice = wire.decode(&wire.encode(&once, width), rows, width).unwrap();
        prop_assert_eq!(bits(&once), bits(&twice));
    }

    #[test]
    fn rows_are_coded_one_by_one((values, width) in rows(), wire in select(&WireFormat::ALL)) {
        let cut: Vec<u8> = values.chunks(width).flat_map(|row| wire.encode(row, width)).collect();
        prop_assert_eq!(wire.encode(&values, width), cut);
    }

    #[test]
    fn the_nearest_dynamic_value_is_taken(values in proptest::collection::vec(-1f32..1.0, 1..64)) {
        let bytes = WireFormat::Dynamic8.encode(&values, values.len());
        let scale = peak(&values);
        for (x, wire) in values.iter().zip(&bytes[4..]) {
            let x = if scale == 0.0 { 0.0 } else { x / scale };
            let distance = |y: f32| (x - y).abs();
            let best = codebook().iter().map(|&y| distance(y)).fold(f32::MAX, f32::min);
            prop_assert!(distance(codebook()[usize::from(*wire)]) <= best * (1.0 + 1e-6));
        }
    }

    #[test]
    fn an_outlier_is_exact((mut values, width) in rows(), wire in select(&WireFormat::ALL), at in any::<prop::sample::Index>(), sign in any::<bool>()) {
        prop_assume!(!values.is_empty() && wire != WireFormat::F16);
        let at = at.index(values.len());
        values[at] = if sign { 3.1e31 } else { -3.1e31 };
        let decoded = wire.decode(&wire.encode(&values, width), values.len() / width, width).unwrap();
        prop_assert_eq!(decoded[at], values[at]);
    }

    #[test]
    fn bytes_of_any_kind_are_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), rows in 0usize..4, width in 0usize..80, wire in select(&WireFormat::ALL)) {
        match wire.decode(&bytes, rows, width) {
            Ok(values) => {
                prop_assert_eq!(values.len(), rows * width);
                prop_assert_eq!(bytes.len(), wire.bytes(rows, width));
                prop_assert!(values.iter().all(|x| x.is_finite()));
            },
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        // The same with a length that fits.
        let mut bytes = bytes;
        bytes.resize(wire.bytes(rows, width), 0x55);
        if let Ok(values) = wire.decode(&bytes, rows, width) {
            prop_assert!(values.iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused((mut values, width) in rows(), at in any::<prop::sample::Index>(), bad in select(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]), wire in select(&WireFormat::ALL)) {
        prop_assume!(!values.is_empty());
        let at = at.index(values.len());
        values[at] = bad;
        let bytes = wire.encode(&values, width);
        prop_assert_eq!(wire.decode(&bytes, values.len() / width, width), Err(WireError::NotFinite));
    }
}

#[test]
fn the_codebook_has_256_different_values_in_order() {
    let values = codebook();
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(values.contains(&0.0) && values.contains(&1.0));
    // Symmetric but for 0 and 1.
    let negated = |x: &f32| values.contains(&-x);
    assert_eq!(values.iter().filter(|x| negated(x)).count(), 255);
    // bitsandbytes' map: smallest and largest magnitudes.
    let smallest = values.iter().copied().find(|x| *x > 0.0).unwrap();
    assert_eq!((smallest, values[0]), (0.55e-6, -0.99296875));
}

#[test]
fn lengths_and_bytes_that_no_encoder_makes_are_refused() {
    for wire in WireFormat::ALL {
        let good = wire.encode(&[1.0; 130], 65);
        assert!(wire.decode(&good, 2, 65).is_ok());
        for (bytes, rows, width) in [
            (&good[1..], 2, 65),
            (&good, 1, 65),
            (&good, 2, 64),
            (&good, 0, 0),
            (&[], 7, 0),
            (&good, usize::MAX, 65),
            (&good, 2, usize::MAX),
        ] {
            let error = wire.decode(bytes, rows, width).unwrap_err();
            assert!(matches!(error, WireError::Length { .. }), "{error}");
        }
        assert_eq!(wire.decode(&[], 0, 65), Ok(vec![]));
    }
    assert_eq!(
        WireFormat::Linear8.decode(&[0, 0, 0x80, 0x3f, 0x80], 1, 1),
        Err(WireError::Unused(WireFormat::Linear8))
    );
    assert_eq!(
        WireFormat::Linear8Row.decode(&[0, 0, 0x80, 0xbf, 1], 1, 1),
        Err(WireError::Unused(WireFormat::Linear8Row))
    );
    assert_eq!(
        WireFormat::F16.decode(&[113, 0, 0], 1, 1),
        Err(WireError::Unused(WireFormat::F16))
    );
}

#[test]
fn halves_hold_what_models_exceed_them_with() {
    // The residual stream of gemma 3 leaves the range of binary16.
    let row = [70_000.0, -400_000.0, 3.0, 1e-3];
    let decoded = WireFormat::F16
        .decode(&WireFormat::F16.encode(&row, 4), 1, 4)
        .unwrap();
    for (x, y) in row.iter().zip(decoded) {
        assert!((x - y).abs() <= x.abs() / 2048.0 + 1e-6, "{x} became {y}");
    }
}

#[test]
fn names_and_bytes_of_wires_come_back() {
    for (i, wire) in WireFormat::ALL.into_iter().enumerate() {
        assert_eq!(wire.to_string().parse(), Ok(wire));
        assert_eq!(codec::Encode::encode(&wire), vec![i as u8]);
        assert_eq!(WireFormat::decode_all(&mut &[i as u8][..]), Ok(wire));
    }
    assert!("int4"
        .parse::<WireFormat>()
        .unwrap_err()
        .contains("dynamic8"));
    assert!(WireFormat::decode_all(&mut &[6u8][..]).is_err());
}

/// Root mean square error, relative to that of the values.
fn relative_error(wire: WireFormat, values: &[f32], width: usize) -> f64 {
    let rows = values.len() / width;
    let decoded = wire
        .decode(&wire.encode(values, width), rows, width)
        .unwrap();
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = values.iter().zip(decoded).map(|(x, y)| square(x - y)).sum();
    (error / values.iter().map(|&x| square(x)).sum::<f64>()).sqrt()
}

/// Normal deviates by Box and Muller from a linear congruential generator.
fn normal(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    (0..n)
        .map(|_| {
            let radius = (-2.0 * uniform().ln()).sqrt();
            (radius * (std::f64::consts::TAU * uniform()).cos()) as f32
        })
        .collect()
}

#[test]
fn linear_is_better_for_normal_data_and_dynamic_for_outliers() {
    const WIDTH: usize = 576;
    let mut values = normal(WIDTH * 200);
    let error = |wire, values: &[f32]| relative_error(wire, values, WIDTH);
    let (linear, dynamic) = (
        error(WireFormat::Linear8, &values),
        error(WireFormat::Dynamic8, &values),
    );
    assert!(linear < dynamic, "{linear} {dynamic}");
    assert!(error(WireFormat::F16, &values) < linear / 10.0);
    for x in values.iter_mut().step_by(1000) {
        *x *= 60.0;
    }
    let (linear, dynamic) = (
        error(WireFormat::Linear8Row, &values),
        error(WireFormat::Dynamic8Row, &values),
    );
    assert!(dynamic < linear, "{linear} {dynamic}");
}
