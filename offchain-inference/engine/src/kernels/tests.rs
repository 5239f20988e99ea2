// SPDX-License-Identifier: Apache-2.0
//! Every instruction set against plain arithmetic, and against each other bit for bit.

use candle_core::{quantized::GgmlDType, Device};

use super::*;
use crate::{
    fixtures::{write, Random},
    gguf::Gguf,
};

fn available() -> Vec<InstructionSet> {
    InstructionSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
        .collect()
}

struct Inputs {
    columns: usize,
    floats: Vec<f32>,
    quants: Vec<i8>,
    scales: Vec<f32>,
    offsets: Vec<i32>,
    rests: Vec<i8>,
    rest_offsets: Vec<i32>,
    scaled_sums: Vec<f32>,
}

impl Inputs {
    fn new(floats: Vec<f32>, columns: usize, rests: bool) -> Self {
        let (n, groups) = (floats.len(), floats.len() / GROUP);
        Self {
            columns,
            floats,
            quants: vec![0; n],
            scales: vec![0.0; groups],
            offsets: vec![0; groups],
            rests: vec![0; if rests { n } else { 0 }],
            rest_offsets: vec![0; groups],
            scaled_sums: vec![0.0; groups],
        }
    }

    fn view(&mut self) -> Activations {
        Activations {
            columns: self.columns,
            floats: self.floats.as_mut_ptr(),
            quants: self.quants.as_mut_ptr(),
            scales: self.scales.as_mut_ptr(),
            offsets: self.offsets.as_mut_ptr(),
            rests: match self.rests.is_empty() {
                true => std::ptr::null_mut(),
                false => self.rests.as_mut_ptr(),
            },
            rest_offsets: self.rest_offsets.as_mut_ptr(),
            scaled_sums: self.scaled_sums.as_mut_ptr(),
        }
    }
}

/// x · Wᵀ with the kernels of `set`.
fn multiply(
    set: InstructionSet,
    matrix: &Matrix,
    x: &[f32],
    rests: bool,
    start: &[f32],
    add: bool,
) -> Vec<f32> {
    let kernels = set.kernels().unwrap();
    let rows = x.len() / matrix.columns;
    let mut inputs = Inputs::new(x.to_vec(), matrix.columns, rests);
    let view = inputs.view();
    let mut out = start.to_vec();
    unsafe {
        if matrix.is_integer() {
            for row in 0..rows {
                (kernels.quantise)(view, row, 0..matrix.columns / GROUP);
            }
        }
        for panel in 0..matrix.panels() {
            let data = out.as_mut_ptr().add(panel * LANES);
            (kernels.product)(
                matrix,
                panel,
                view,
                rows,
                Output {
                    data,
                    stride: matrix.rows,
                    add,
                },
            );
        }
    }
    out
}

#[test]
fn products_are_right_for_every_format_on_odd_shapes() {
    use GgmlDType::*;
    for dtype in [
        Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K, F16, BF16, F32,
    ] {
        for (n, (rows, groups)) in [(1, 1), (16, 2), (33, 1), (50, 3)].into_iter().enumerate() {
            let columns = groups * dtype.block_size().max(GROUP);
            let name = "w".to_owned();
            let fixture = write(&[], &[(name, rows.max(2), columns, dtype)], 7 + n as u64);
            let rows = rows.max(2);
            let gguf = Gguf::open(&fixture.path).unwrap();
            let entry = gguf.entry("w").unwrap();
            let mut reader = gguf.reader().unwrap();
            let matrix = Matrix::read(&mut reader, &entry, &mut Arena::new(), |row| row).unwrap();

            // The weights as candle reads them from the file.
            let mut bytes = Buffer::<u8>::zeroed(rows * entry.row_bytes()).unwrap();
            reader.rows(&entry, 0, &mut bytes).unwrap();
            let weights = candle_core::quantized::ggml_file::qtensor_from_ggml(
                dtype,
                &bytes,
                vec![rows, columns],
                &Device::Cpu,
            )
            .unwrap()
            .dequantize(&Device::Cpu)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();

            let mut row = vec![0.0; columns];
            for (i, weights) in weights.iter().enumerate() {
                matrix.row(i, 1.0, &mut row);
                // Formats that do not fit the panels exactly are off by half an 8-bit step.
                let tolerance = match dtype {
                    Q2K | Q3K | Q6K => 0.005,
                    Q4K | Q5K => 0.002,
                    _ => 1e-6,
                };
                let largest = weights.iter().fold(0f32, |m, w| m.max(w.abs()));
                for (a, b) in row.iter().zip(weights) {
                    assert!(
                        (a - b).abs() <= tolerance * largest,
                        "{dtype:?}: {a} for {b}"
                    );
                }
            }

            for count in [1, 2, 3, 8, 13, 15] {
                let x = Random(99 + count as u64).floats(count * columns);
                let start = vec![0.5; count * rows];
                for (rests, noise) in [(false, 0.02), (true, 0.005)] {
                    let reference =
                        multiply(InstructionSet::Scalar, &matrix, &x, rests, &start, true);
                    for (i, x) in x.chunks_exact(columns).enumerate() {
                        for (j, weights) in weights.iter().enumerate() {
                            let exact: f64 =
                                x.iter().zip(weights).map(|(x, w)| (x * w) as f64).sum();
                            let norm = |v: &[f32]| v.iter().map(|v| (v * v) as f64).sum::<f64>();
                            let scale = (norm(x) * norm(weights)).sqrt();
                            let got = reference[i * rows + j] as f64 - 0.5;
                            assert!(
                                (got - exact).abs() <= noise * scale + 1e-6,
                                "{dtype:?} {rows}×{columns}, {count} rows: {got} for {exact}"
                            );
                        }
                    }
                    for set in available() {
                        let got = multiply(set, &matrix, &x, rests, &start, true);
                        assert_eq!(bits(&got), bits(&reference), "{set} {dtype:?} {count} rows");
                        // A row alone rounds as it does among others.
                        let first =
                            multiply(set, &matrix, &x[..columns], rests, &start[..rows], true);
                        assert_eq!(bits(&first), bits(&reference[..rows]), "{set} {dtype:?}");
                    }
                }
            }
        }
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn extreme_activations_stay_within_their_bits() {
    let columns = 4 * GROUP;
    let mut x = vec![0.0; columns];
    x[0] = f32::MAX;
    x[GROUP] = 1e-45;
    x[GROUP + 1] = -1e-45;
    x[2 * GROUP] = f32::NAN;
    x[2 * GROUP + 1] = f32::INFINITY;
    for set in available() {
        let mut inputs = Inputs::new(x.clone(), columns, true);
        let view = inputs.view();
        unsafe { (set.kernels().unwrap().quantise)(view, 0, 0..4) };
        assert!(
            inputs
                .quants
                .iter()
                .chain(&inputs.rests)
                .all(|q| *q > i8::MIN),
            "{set}"
        );
        assert_eq!(inputs.quants[0], 127);
        assert_eq!(inputs.scales[3], 0.0);
    }
}

#[test]
fn element_wise_kernels_are_right_and_agree_bit_for_bit() {
    // Large enough to be seen beside the mean of the squares.
    const EPSILON: f32 = 7.0;
    for n in [32, 96, 160] {
        let half = n / 2 - 3;
        let mut random = Random(5);
        let x: Vec<f32> = random.floats(n).iter().map(|x| 20.0 * x).collect();
        let y = random.floats(n);
        let run = |set: InstructionSet| {
            let k = set.kernels().unwrap();
            let mut out = vec![vec![0f32; n]; 5];
            unsafe {
                (k.rms_norm)(x.as_ptr(), y.as_ptr(), EPSILON, out[0].as_mut_ptr(), n);
                (k.gate)(
                    Activation::Silu,
                    x.as_ptr(),
                    y.as_ptr(),
                    out[1].as_mut_ptr(),
                    n,
                );
                (k.gate)(
                    Activation::GeluTanh,
                    x.as_ptr(),
                    y.as_ptr(),
                    out[2].as_mut_ptr(),
                    n,
                );
                out[3].copy_from_slice(&x);
                (k.rotate)(out[3].as_mut_ptr(), y.as_ptr(), y.as_ptr().add(n / 2), half);
                let (largest, mass) = (k.largest_and_mass)(x.as_ptr(), n - 5);
                out[4][0] = largest;
                out[4][1] = mass;
            }
            out
        };
        let reference = run(InstructionSet::Scalar);
        let mean = x.iter().map(|x| (x * x) as f64).sum::<f64>() / n as f64;
        let largest = x[..n - 5].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for i in 0..n {
            let (a, b) = (x[i] as f64, y[i] as f64);
            let u = 0.797_884_560_8 * (a + 0.044715 * a * a * a);
            let rotated = if i < half {
                let (cos, sin) = (y[i] as f64, y[n / 2 + i] as f64);
                a * cos - x[half + i] as f64 * sin
            } else if i < 2 * half {
                let (cos, sin) = (y[i - half] as f64, y[n / 2 + i - half] as f64);
                a * cos + x[i - half] as f64 * sin
            } else {
                a
            };
            let silu = a / (1.0 + (-a).exp()) * b;
            let expected = [
                a / (mean + f64::from(EPSILON)).sqrt() * b,
                silu,
                0.5 * a * (1.0 + u.tanh()) * b,
                rotated,
            ];
            for (got, expected) in reference.iter().zip(expected) {
                let error = (got[i] as f64 - expected).abs();
                assert!(
                    error <= 1e-5 * (1.0 + expected.abs()),
                    "{} for {expected}",
                    got[i]
                );
            }
            // As exact as the exponential.
            let error = (reference[1][i] as f64 - silu).abs();
            assert!(error <= 1e-6 * silu.abs(), "{} for {silu}", reference[1][i]);
        }
        let mass: f64 = x[..n - 5]
            .iter()
            .map(|x| ((x - largest) as f64).exp())
            .sum();
        assert_eq!(reference[4][0], largest);
        assert!((reference[4][1] as f64 / mass - 1.0).abs() < 1e-5);
        for set in available() {
            let got = run(set);
            for (got, reference) in got.iter().zip(&reference) {
                assert_eq!(bits(got), bits(reference), "{set}");
            }
        }
    }
}

#[test]
fn names_of_instruction_sets_can_be_read_back() {
    for set in InstructionSet::ALL {
        assert_eq!(set.to_string().parse::<InstructionSet>().unwrap(), set);
    }
    assert!("sse9"
        .parse::<InstructionSet>()
        .unwrap_err()
        .to_string()
        .contains("avx512-vnni"));
}

#[test]
fn a_dot_product_is_the_sum_of_products_with_the_same_bits_everywhere() {
    let mut random = Random(5);
    for n in [16, 32, 48, 64, 80, 576] {
        let (x, y) = (random.floats(n), random.floats(n));
        let dot = |set: InstructionSet| {
            let kernels = set.kernels().unwrap();
            // SAFETY: both slices have `n` elements.
            unsafe { (kernels.dot)(x.as_ptr(), y.as_ptr(), n) }
        };
        let expected: f64 = x.iter().zip(&y).map(|(x, y)| f64::from(x * y)).sum();
        for set in available() {
            assert_eq!(
                dot(set).to_bits(),
                dot(InstructionSet::Scalar).to_bits(),
                "{set}, {n}"
            );
            assert!((f64::from(dot(set)) - expected).abs() < 1e-4, "{set}, {n}");
        }
    }
}
