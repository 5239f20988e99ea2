// SPDX-License-Identifier: Apache-2.0
//! Norms, non-linearities, rotary embedding, exponentials.

use super::isa::{Isa, LANES};
use crate::config::Activation;

/// e^x with a relative error below 2·10⁻⁷ (Cephes' polynomial); 0 below −87, e^88 above 88.
#[inline(always)]
pub(crate) unsafe fn exp<S: Isa>(x: S::F) -> S::F {
    const LOWEST: f32 = -87.0;
    let clamped = S::max(S::splat(LOWEST), S::min(S::splat(88.0), x));
    let n = S::round(S::mul(clamped, S::splat(std::f32::consts::LOG2_E)));
    let float = S::float(n);
    // ln 2 in two parts, so that n·ln 2 loses nothing.
    let r = S::fma(float, S::splat(-0.693_359_4), clamped);
    let r = S::fma(float, S::splat(2.121_944_4e-4), r);
    let mut p = S::splat(1.987_569_1e-4);
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        0.166_666_65,
        0.5,
    ] {
        p = S::fma(p, r, S::splat(coefficient));
    }
    let p = S::add(S::fma(p, S::mul(r, r), r), S::splat(1.0));
    S::zero_below(x, LOWEST, S::mul(p, S::exp2(n)))
}

/// `out = x / √(mean(x²) + ε) · weights`, over `n` elements, a multiple of 16. In place is fine.
///
/// # Safety
/// All pointers are valid for `n` elements.
#[inline(always)]
pub(crate) unsafe fn rms_norm<S: Isa>(
    x: *const f32,
    weights: *const f32,
    epsilon: f32,
    out: *mut f32,
    n: usize,
) {
    let mut squares = S::splat(0.0);
    for i in (0..n).step_by(LANES) {
        let x = S::load(x.add(i));
        squares = S::fma(x, x, squares);
    }
    let scale = S::splat(1.0 / (S::sum(squares) / n as f32 + epsilon).sqrt());
    for i in (0..n).step_by(LANES) {
        let scaled = S::mul(S::load(x.add(i)), scale);
        S::store(out.add(i), S::mul(scaled, S::load(weights.add(i))));
    }
}

/// `x += y` over `n` elements, a multiple of 16.
///
/// # Safety
/// Both pointers are valid for `n` elements.
#[inline(always)]
pub(crate) unsafe fn add<S: Isa>(x: *mut f32, y: *const f32, n: usize) {
    for i in (0..n).step_by(LANES) {
        S::store(x.add(i), S::add(S::load(x.add(i)), S::load(y.add(i))));
    }
}

/// `out = activation(gate) · up` over `n` elements, a multiple of 16. In place is fine.
///
/// # Safety
/// All pointers are valid for `n` elements.
#[inline(always)]
pub(crate) unsafe fn gate<S: Isa>(
    activation: Activation,
    gate: *const f32,
    up: *const f32,
    out: *mut f32,
    n: usize,
) {
    for i in (0..n).step_by(LANES) {
        let x = S::load(gate.add(i));
        let exponent = match activation {
            Activation::Silu => S::mul(x, S::splat(-1.0)),
            // ½x(1 + tanh u) = x / (1 + e^(−2u)), u = √(2/π)(x + 0.044715 x³)
            Activation::GeluTanh => {
                let cube = S::mul(S::mul(x, x), x);
                let u = S::fma(cube, S::splat(0.044_715), x);
                S::mul(u, S::splat(-2.0 * 0.797_884_6))
            },
        };
        let activated = S::div(x, S::add(S::splat(1.0), exp::<S>(exponent)));
        S::store(out.add(i), S::mul(activated, S::load(up.add(i))));
    }
}

/// Turns pair `(x[i], x[half + i])` by angle `i`, for `i < half`, and scales nothing else.
///
/// # Safety
/// `x` is valid for `2 · half` elements, the angles for `half`.
#[inline(always)]
pub(crate) unsafe fn rotate<S: Isa>(x: *mut f32, cos: *const f32, sin: *const f32, half: usize) {
    let whole = half / LANES * LANES;
    for i in (0..whole).step_by(LANES) {
        let (a, b) = (S::load(x.add(i)), S::load(x.add(half + i)));
        let (c, s) = (S::load(cos.add(i)), S::load(sin.add(i)));
        S::store(x.add(i), S::sub(S::mul(a, c), S::mul(b, s)));
        S::store(x.add(half + i), S::add(S::mul(b, c), S::mul(a, s)));
    }
    for i in whole..half {
        let (a, b, c, s) = (*x.add(i), *x.add(half + i), *cos.add(i), *sin.add(i));
        *x.add(i) = a * c - b * s;
        *x.add(half + i) = b * c + a * s;
    }
}

/// `x *= factor` over `n` elements, a multiple of 16.
///
/// # Safety
/// The pointer is valid for `n` elements.
#[inline(always)]
pub(crate) unsafe fn scale<S: Isa>(x: *mut f32, factor: f32, n: usize) {
    for i in (0..n).step_by(LANES) {
        S::store(x.add(i), S::mul(S::load(x.add(i)), S::splat(factor)));
    }
}

/// `x = cap · tanh(x / cap)` over `n` elements.
///
/// # Safety
/// The pointer is valid for `n` elements.
#[inline(always)]
pub(crate) unsafe fn soft_cap<S: Isa>(x: *mut f32, cap: f32, n: usize) {
    // tanh u = 1 − 2 / (1 + e^(2u))
    let capped = |x: S::F| {
        let e = exp::<S>(S::mul(x, S::splat(2.0 / cap)));
        let rest = S::div(S::splat(2.0 * cap), S::add(S::splat(1.0), e));
        S::sub(S::splat(cap), rest)
    };
    let whole = n / LANES * LANES;
    for i in (0..whole).step_by(LANES) {
        S::store(x.add(i), capped(S::load(x.add(i))));
    }
    let mut tail = [0f32; LANES];
    std::ptr::copy_nonoverlapping(x.add(whole), tail.as_mut_ptr(), n - whole);
    S::store(tail.as_mut_ptr(), capped(S::load(tail.as_ptr())));
    std::ptr::copy_nonoverlapping(tail.as_ptr(), x.add(whole), n - whole);
}

/// Largest of `n` elements and Σ e^(x − largest).
///
/// # Safety
/// The pointer is valid for `n` elements.
#[inline(always)]
pub(crate) unsafe fn largest_and_mass<S: Isa>(x: *const f32, n: usize) -> (f32, f32) {
    let whole = n / LANES * LANES;
    let mut tail = [f32::NEG_INFINITY; LANES];
    std::ptr::copy_nonoverlapping(x.add(whole), tail.as_mut_ptr(), n - whole);
    let tail = S::load(tail.as_ptr());
    let mut largest = tail;
    for i in (0..whole).step_by(LANES) {
        largest = S::max(largest, S::load(x.add(i)));
    }
    let largest = S::largest(largest);
    let shift = S::splat(-largest);
    let mut mass = exp::<S>(S::add(tail, shift));
    for i in (0..whole).step_by(LANES) {
        mass = S::add(mass, exp::<S>(S::add(S::load(x.add(i)), shift)));
    }
    (largest, S::sum(mass))
}
