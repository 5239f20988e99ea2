// SPDX-License-Identifier: Apache-2.0
//! Bytes, layouts, chunks and signs: what two machines must agree on.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use codec::{Decode, Encode, MaxEncodedLen};
use proptest::prelude::*;
use starling_sketch::{
    layout::chunks,
    signs::{answer_seed, Signs},
    sketch::{BYTES, VALUES},
    Hash, Kind, Layout, Sketch,
};

#[test]
fn values_are_stored_low_byte_first() {
    let mut values = [0; VALUES];
    values[0] = 0x0102;
    values[127] = -2;
    let bytes = Sketch::new(values).to_bytes();
    assert_eq!(bytes[..2], [2, 1]);
    assert_eq!(bytes[254..], [0xfe, 0xff]);
    assert_eq!(Sketch::max_encoded_len(), BYTES);
}

#[test]
fn a_sketch_of_fewer_bytes_is_refused() {
    let bytes = Sketch::new([1; VALUES]).encode();
    assert!(Sketch::decode(&mut &bytes[..255]).is_err());
}

#[test]
fn layouts_use_all_values() {
    for (kind, most) in [
        (Kind::Answer, 32),
        (Kind::Span, 16),
        (Kind::Distribution, 32),
    ] {
        for rows in 0..70usize {
            let layout = Layout::new(kind, rows);
            assert_eq!(layout.is_some(), rows.is_power_of_two() && rows <= most);
            if let Some(layout) = layout {
                assert_eq!(layout.rows() * layout.values(), VALUES);
                let levels = usize::from(kind == Kind::Span);
                assert_eq!(layout.projections() + levels, layout.values());
            }
            let largest = Layout::largest(kind, rows).map(Layout::rows);
            let expected = (0..=most)
                .filter(|n| n.is_power_of_two() && *n <= rows)
                .max();
            assert_eq!(largest, expected);
        }
    }
    assert_eq!(Layout::new(Kind::Answer, 32), Some(Layout::ANSWER));
    assert_eq!(Layout::new(Kind::Span, 16), Some(Layout::SPAN));
    assert_eq!(
        Layout::new(Kind::Distribution, 32),
        Some(Layout::DISTRIBUTION)
    );
}

#[test]
fn golden_chunks() {
    let all = |positions| -> Vec<_> {
        let ends = |chunk: core::ops::Range<u32>| (chunk.start, chunk.end);
        chunks(positions).map(ends).collect()
    };
    assert!(all(0).is_empty());
    assert_eq!(all(1), [(0, 1)]);
    assert_eq!(all(7), [(3, 7)]);
    assert_eq!(all(31), [(15, 31)]);
    assert_eq!(all(32), [(0, 32)]);
    assert_eq!(all(33), [(0, 32), (1, 33)]);
    assert_eq!(all(70), [(0, 32), (32, 64), (38, 70)]);
    assert_eq!(chunks(u32::MAX).last(), Some(u32::MAX - 32..u32::MAX));
}

/// The seed of these tests; see `golden_signs`.
fn seed() -> Hash {
    answer_seed(&[1; 32], &[2; 32])
}

/// From Python's `hashlib`, by the words of the design.
#[test]
fn golden_signs() {
    let hex: String = seed().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "fe411fa17164938bd8f3ed502e8d5827224444679b48f03eca179aaceb1209e8"
    );
    let signs = Signs::new(&seed(), 262_144);
    assert_eq!(signs.width(), 262_144);
    for (column, golden) in [
        (0, 0x7bfc_bc3c_66b2_0f9e_e103_abc2_ab3c_b80b),
        (1, 0xd620_79a9_67cb_5be2_2e53_66aa_c9b7_f386),
        (2, 0xc5a9_bc5c_9763_caa0_0176_0936_67fe_98ad),
        (575, 0xdd15_4bae_846e_90e1_7fdc_8109_d7e1_57cc),
        (262_143, 0x77c1_d4b3_2386_77f5_dc46_d080_922a_a39a),
    ] {
        assert_eq!(signs.columns()[column], golden, "{column}");
    }
}

#[test]
fn seeds_differ_by_model_and_moment() {
    assert_ne!(seed(), answer_seed(&[1; 32], &[3; 32]));
    assert_ne!(seed(), answer_seed(&[2; 32], &[2; 32]));
}

proptest! {
    #[test]
    fn bytes_round_trip(values in proptest::collection::vec(any::<i16>(), VALUES)) {
        let sketch = Sketch::new(values.try_into().unwrap());
        let bytes = sketch.to_bytes();
        prop_assert_eq!(&Sketch::from_bytes(&bytes), &sketch);
        prop_assert_eq!(sketch.encode(), bytes);
        prop_assert_eq!(Sketch::decode(&mut &bytes[..]).unwrap(), sketch);
    }

    #[test]
    fn chunks_of_long_answers_cover_them(positions in 32u32..100_000) {
        let mut covered = 0;
        for chunk in chunks(positions) {
            prop_assert_eq!(chunk.len(), 32);
            prop_assert!(chunk.start <= covered && covered < chunk.end);
            covered = chunk.end;
        }
        prop_assert_eq!(covered, positions);
    }

    #[test]
    fn the_chunk_of_a_short_answer_is_most_of_its_end(positions in 1u32..32) {
        let all: Vec<_> = chunks(positions).collect();
        prop_assert_eq!(all.len(), 1);
        prop_assert_eq!(all[0].end, positions);
        prop_assert!(all[0].len().is_power_of_two() && 2 * all[0].len() > positions as usize);
    }
}
