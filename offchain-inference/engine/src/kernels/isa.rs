// SPDX-License-Identifier: Apache-2.0
//! Sixteen lanes on every instruction set.
//!
//! A kernel is written once over [`Isa`] and compiled for each set. All sets round alike and
//! add in the same order, so a kernel gives the same bits on every machine: lanes are summed as a
//! fixed tree, products are added with fused multiply-add, integers are exact.

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// Vector operations of one instruction set.
///
/// # Safety
/// Every function needs a CPU with the instruction set; pointers must be valid for 16 elements
/// (64 bytes of weights, 4 activations for [`Isa::dot8`] and [`Isa::dot4`]), at any alignment.
pub(crate) trait Isa: Copy {
    /// 16 floats.
    type F: Copy;
    /// 16 integers of 32 bits.
    type I: Copy;
    /// 64 weight bytes: 16 rows of 4 consecutive columns.
    type B: Copy;

    /// Query rows that attention keeps in registers at once.
    const ATTENTION_ROWS: usize;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(p: *const f32) -> Self::F;
    unsafe fn store(p: *mut f32, x: Self::F);
    unsafe fn load_f16(p: *const u16) -> Self::F;
    unsafe fn store_f16(p: *mut u16, x: Self::F);
    unsafe fn load_bf16(p: *const u16) -> Self::F;
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn abs(a: Self::F) -> Self::F;
    /// a · b + c, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// 0 where x < limit, otherwise v.
    unsafe fn zero_below(x: Self::F, limit: f32, v: Self::F) -> Self::F;
    unsafe fn sum(x: Self::F) -> f32;
    unsafe fn largest(x: Self::F) -> f32;

    /// Nearest integer, ties to even.
    unsafe fn round(x: Self::F) -> Self::I;
    unsafe fn float(x: Self::I) -> Self::F;
    /// 2^x for −126 ≤ x ≤ 127.
    unsafe fn exp2(x: Self::I) -> Self::F;
    unsafe fn sum_i32(x: Self::I) -> i32;
    /// Stores 16 values that fit into eight bits.
    unsafe fn store_i8(p: *mut i8, x: Self::I);

    /// Asks for the cache line at `p`, which need not be valid.
    unsafe fn prefetch(p: *const u8);
    unsafe fn load_bytes(p: *const u8) -> Self::B;
    unsafe fn low_nibbles(b: Self::B) -> Self::B;
    unsafe fn high_nibbles(b: Self::B) -> Self::B;
    /// Initial value of a sum of [`Isa::dot8`], given −128 times the sum of the 32 activations.
    unsafe fn start8(offset: i32) -> Self::I;
    /// Adds to each row the product of its 4 weights, stored with offset 128, and 4 activations.
    unsafe fn dot8(sum: Self::I, weights: Self::B, activations: *const i8) -> Self::I;
    /// Initial value of a sum of [`Isa::dot4`]: −zero times the sum of the 32 activations, given
    /// −128 times it; zero is 0 or 8.
    unsafe fn start4(zero: i32, offset: i32) -> Self::I;
    /// Adds to each row the product of its 4 weights, 0 to 15, and 4 activations.
    unsafe fn dot4(sum: Self::I, weights: Self::B, activations: *const i8) -> Self::I;
}

/// Plain Rust: the reference, and the fallback.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn each<T: Copy, R: Copy + Default>(a: [T; LANES], f: impl Fn(T) -> R) -> [R; LANES] {
    let mut out = [R::default(); LANES];
    for (o, a) in out.iter_mut().zip(a) {
        *o = f(a);
    }
    out
}

#[inline(always)]
fn both<T: Copy, R: Copy + Default>(
    a: [T; LANES],
    b: [T; LANES],
    f: impl Fn(T, T) -> R,
) -> [R; LANES] {
    let mut out = [R::default(); LANES];
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = f(a, b);
    }
    out
}

/// The order in which every instruction set folds its lanes.
#[inline(always)]
fn tree<T: Copy>(mut x: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            x[i] = f(x[i], x[i + half]);
        }
        half /= 2;
    }
    x[0]
}

#[inline(always)]
unsafe fn dot_bytes(sum: [i32; LANES], w: [u8; 64], x: *const i8, zero: i32) -> [i32; LANES] {
    let mut out = sum;
    for (row, out) in out.iter_mut().enumerate() {
        for i in 0..4 {
            *out += (w[4 * row + i] as i32 - zero) * *x.add(i) as i32;
        }
    }
    out
}

impl Isa for Scalar {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type B = [u8; 64];

    const ATTENTION_ROWS: usize = 1;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        p.cast::<Self::F>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, x: Self::F) {
        p.cast::<Self::F>().write_unaligned(x)
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::F {
        each(p.cast::<[u16; LANES]>().read_unaligned(), |b| {
            half::f16::from_bits(b).to_f32()
        })
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, x: Self::F) {
        let x = each(x, |x| half::f16::from_f32(x).to_bits());
        p.cast::<[u16; LANES]>().write_unaligned(x)
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::F {
        each(p.cast::<[u16; LANES]>().read_unaligned(), |b| {
            f32::from_bits((b as u32) << 16)
        })
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        both(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        both(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        both(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        both(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        both(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        both(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn abs(a: Self::F) -> Self::F {
        each(a, f32::abs)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        let mut out = c;
        for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
            *o = a.mul_add(b, *o);
        }
        out
    }
    #[inline(always)]
    unsafe fn zero_below(x: Self::F, limit: f32, v: Self::F) -> Self::F {
        both(x, v, |x, v| if x < limit { 0.0 } else { v })
    }
    #[inline(always)]
    unsafe fn sum(x: Self::F) -> f32 {
        tree(x, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn largest(x: Self::F) -> f32 {
        tree(x, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn round(x: Self::F) -> Self::I {
        each(x, |x| x.round_ties_even() as i32)
    }
    #[inline(always)]
    unsafe fn float(x: Self::I) -> Self::F {
        each(x, |x| x as f32)
    }
    #[inline(always)]
    unsafe fn exp2(x: Self::I) -> Self::F {
        each(x, |x| f32::from_bits((x.wrapping_add(127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn sum_i32(x: Self::I) -> i32 {
        tree(x, i32::wrapping_add)
    }
    #[inline(always)]
    unsafe fn store_i8(p: *mut i8, x: Self::I) {
        p.cast::<[i8; LANES]>()
            .write_unaligned(each(x, |x| x as i8))
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> Self::B {
        p.cast::<Self::B>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn low_nibbles(b: Self::B) -> Self::B {
        b.map(|b| b & 15)
    }
    #[inline(always)]
    unsafe fn high_nibbles(b: Self::B) -> Self::B {
        b.map(|b| b >> 4)
    }
    #[inline(always)]
    unsafe fn start8(_: i32) -> Self::I {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn dot8(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
        dot_bytes(sum, w, x, 128)
    }
    #[inline(always)]
    unsafe fn start4(zero: i32, offset: i32) -> Self::I {
        [zero * (offset >> 7); LANES]
    }
    #[inline(always)]
    unsafe fn dot4(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
        dot_bytes(sum, w, x, 0)
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, AvxVnni};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Isa;

    /// AVX2 with FMA and F16C.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    /// [`Avx2`] with the 256-bit VNNI of client CPUs.
    #[derive(Clone, Copy)]
    pub(crate) struct AvxVnni;

    /// AVX-512 F, BW, VL and VNNI.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    #[inline(always)]
    unsafe fn sum256(x: __m256) -> f32 {
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    }

    #[inline(always)]
    unsafe fn largest256(x: __m256) -> f32 {
        let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
    }

    #[inline(always)]
    unsafe fn sum256_i32(x: __m256i) -> i32 {
        let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
        let x = _mm_add_epi32(x, _mm_shuffle_epi32::<0b1110>(x));
        _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32::<0b01>(x)))
    }

    #[inline(always)]
    unsafe fn four(x: *const i8) -> i32 {
        x.cast::<i32>().read_unaligned()
    }

    /// Sums of 4 products in 32 bits; no pair of products may exceed 16 bits.
    #[inline(always)]
    unsafe fn madd(sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        let pairs = _mm256_maddubs_epi16(unsigned, signed);
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }

    /// The functions of both 256-bit sets: a vector is two registers.
    macro_rules! two_registers {
        () => {
            type F = (__m256, __m256);
            type I = (__m256i, __m256i);
            type B = (__m256i, __m256i);

            const ATTENTION_ROWS: usize = 2;

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self::F {
                (_mm256_set1_ps(x), _mm256_set1_ps(x))
            }
            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self::F {
                (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)))
            }
            #[inline(always)]
            unsafe fn store(p: *mut f32, x: Self::F) {
                _mm256_storeu_ps(p, x.0);
                _mm256_storeu_ps(p.add(8), x.1);
            }
            #[inline(always)]
            unsafe fn load_f16(p: *const u16) -> Self::F {
                let load = |p: *const u16| _mm256_cvtph_ps(_mm_loadu_si128(p.cast()));
                (load(p), load(p.add(8)))
            }
            #[inline(always)]
            unsafe fn store_f16(p: *mut u16, x: Self::F) {
                let half = |x| _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
                _mm_storeu_si128(p.cast(), half(x.0));
                _mm_storeu_si128(p.add(8).cast(), half(x.1));
            }
            #[inline(always)]
            unsafe fn load_bf16(p: *const u16) -> Self::F {
                let load = |p: *const u16| {
                    let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
                };
                (load(p), load(p.add(8)))
            }
            #[inline(always)]
            unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
                (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1))
            }
            #[inline(always)]
            unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
                (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1))
            }
            #[inline(always)]
            unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
                (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1))
            }
            #[inline(always)]
            unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
                (_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1))
            }
            #[inline(always)]
            unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
                (_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1))
            }
            #[inline(always)]
            unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
                (_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1))
            }
            #[inline(always)]
            unsafe fn abs(a: Self::F) -> Self::F {
                let sign = _mm256_set1_ps(-0.0);
                (_mm256_andnot_ps(sign, a.0), _mm256_andnot_ps(sign, a.1))
            }
            #[inline(always)]
            unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
                (
                    _mm256_fmadd_ps(a.0, b.0, c.0),
                    _mm256_fmadd_ps(a.1, b.1, c.1),
                )
            }
            #[inline(always)]
            unsafe fn zero_below(x: Self::F, limit: f32, v: Self::F) -> Self::F {
                let limit = _mm256_set1_ps(limit);
                let keep = |x, v| _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(x, limit), v);
                (keep(x.0, v.0), keep(x.1, v.1))
            }
            #[inline(always)]
            unsafe fn sum(x: Self::F) -> f32 {
                sum256(_mm256_add_ps(x.0, x.1))
            }
            #[inline(always)]
            unsafe fn largest(x: Self::F) -> f32 {
                largest256(_mm256_max_ps(x.0, x.1))
            }
            #[inline(always)]
            unsafe fn round(x: Self::F) -> Self::I {
                (_mm256_cvtps_epi32(x.0), _mm256_cvtps_epi32(x.1))
            }
            #[inline(always)]
            unsafe fn float(x: Self::I) -> Self::F {
                (_mm256_cvtepi32_ps(x.0), _mm256_cvtepi32_ps(x.1))
            }
            #[inline(always)]
            unsafe fn exp2(x: Self::I) -> Self::F {
                let power = |x| {
                    let biased = _mm256_add_epi32(x, _mm256_set1_epi32(127));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
                };
                (power(x.0), power(x.1))
            }
            #[inline(always)]
            unsafe fn sum_i32(x: Self::I) -> i32 {
                sum256_i32(_mm256_add_epi32(x.0, x.1))
            }
            #[inline(always)]
            unsafe fn store_i8(p: *mut i8, x: Self::I) {
                let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(x.0, x.1));
                let low = _mm256_castsi256_si128(words);
                let high = _mm256_extracti128_si256::<1>(words);
                _mm_storeu_si128(p.cast(), _mm_packs_epi16(low, high));
            }
            #[inline(always)]
            unsafe fn prefetch(p: *const u8) {
                _mm_prefetch::<_MM_HINT_T0>(p.cast());
            }
            #[inline(always)]
            unsafe fn load_bytes(p: *const u8) -> Self::B {
                (
                    _mm256_loadu_si256(p.cast()),
                    _mm256_loadu_si256(p.add(32).cast()),
                )
            }
            #[inline(always)]
            unsafe fn low_nibbles(b: Self::B) -> Self::B {
                let mask = _mm256_set1_epi8(15);
                (_mm256_and_si256(b.0, mask), _mm256_and_si256(b.1, mask))
            }
            #[inline(always)]
            unsafe fn high_nibbles(b: Self::B) -> Self::B {
                Self::low_nibbles((_mm256_srli_epi16::<4>(b.0), _mm256_srli_epi16::<4>(b.1)))
            }
            #[inline(always)]
            unsafe fn start4(zero: i32, offset: i32) -> Self::I {
                let start = match zero {
                    0 => _mm256_setzero_si256(),
                    _ => _mm256_srai_epi32::<4>(_mm256_set1_epi32(offset)),
                };
                (start, start)
            }
        };
    }

    impl Isa for Avx2 {
        two_registers!();

        #[inline(always)]
        unsafe fn start8(_: i32) -> Self::I {
            (_mm256_setzero_si256(), _mm256_setzero_si256())
        }
        #[inline(always)]
        unsafe fn dot8(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
            let x = _mm256_set1_epi32(four(x));
            // |w| ≤ 128 and |x| ≤ 127: two products stay below 2^15.
            let dot = |sum, w| {
                let w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
                madd(sum, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
            };
            (dot(sum.0, w.0), dot(sum.1, w.1))
        }
        #[inline(always)]
        unsafe fn dot4(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
            let x = _mm256_set1_epi32(four(x));
            (madd(sum.0, w.0, x), madd(sum.1, w.1, x))
        }
    }

    impl Isa for AvxVnni {
        two_registers!();

        #[inline(always)]
        unsafe fn start8(offset: i32) -> Self::I {
            let start = _mm256_set1_epi32(offset);
            (start, start)
        }
        #[inline(always)]
        unsafe fn dot8(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
            Self::dot4(sum, w, x)
        }
        #[inline(always)]
        unsafe fn dot4(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
            let x = _mm256_set1_epi32(four(x));
            (
                _mm256_dpbusd_avx_epi32(sum.0, w.0, x),
                _mm256_dpbusd_avx_epi32(sum.1, w.1, x),
            )
        }
    }

    impl Isa for Avx512 {
        type F = __m512;
        type I = __m512i;
        type B = __m512i;

        const ATTENTION_ROWS: usize = 8;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::F {
            _mm512_set1_ps(x)
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::F {
            _mm512_loadu_ps(p)
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, x: Self::F) {
            _mm512_storeu_ps(p, x)
        }
        #[inline(always)]
        unsafe fn load_f16(p: *const u16) -> Self::F {
            _mm512_cvtph_ps(_mm256_loadu_si256(p.cast()))
        }
        #[inline(always)]
        unsafe fn store_f16(p: *mut u16, x: Self::F) {
            _mm256_storeu_si256(p.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x))
        }
        #[inline(always)]
        unsafe fn load_bf16(p: *const u16) -> Self::F {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
        #[inline(always)]
        unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
            _mm512_add_ps(a, b)
        }
        #[inline(always)]
        unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
            _mm512_sub_ps(a, b)
        }
        #[inline(always)]
        unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
            _mm512_mul_ps(a, b)
        }
        #[inline(always)]
        unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
            _mm512_div_ps(a, b)
        }
        #[inline(always)]
        unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
            _mm512_max_ps(a, b)
        }
        #[inline(always)]
        unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
            _mm512_min_ps(a, b)
        }
        #[inline(always)]
        unsafe fn abs(a: Self::F) -> Self::F {
            _mm512_abs_ps(a)
        }
        #[inline(always)]
        unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            _mm512_fmadd_ps(a, b, c)
        }
        #[inline(always)]
        unsafe fn zero_below(x: Self::F, limit: f32, v: Self::F) -> Self::F {
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_set1_ps(limit));
            _mm512_maskz_mov_ps(!below, v)
        }
        #[inline(always)]
        unsafe fn sum(x: Self::F) -> f32 {
            let (low, high) = halves(x);
            sum256(_mm256_add_ps(low, high))
        }
        #[inline(always)]
        unsafe fn largest(x: Self::F) -> f32 {
            let (low, high) = halves(x);
            largest256(_mm256_max_ps(low, high))
        }
        #[inline(always)]
        unsafe fn round(x: Self::F) -> Self::I {
            _mm512_cvtps_epi32(x)
        }
        #[inline(always)]
        unsafe fn float(x: Self::I) -> Self::F {
            _mm512_cvtepi32_ps(x)
        }
        #[inline(always)]
        unsafe fn exp2(x: Self::I) -> Self::F {
            let biased = _mm512_add_epi32(x, _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
        #[inline(always)]
        unsafe fn sum_i32(x: Self::I) -> i32 {
            let low = _mm512_castsi512_si256(x);
            let high = _mm512_extracti64x4_epi64::<1>(x);
            sum256_i32(_mm256_add_epi32(low, high))
        }
        #[inline(always)]
        unsafe fn store_i8(p: *mut i8, x: Self::I) {
            _mm_storeu_si128(p.cast(), _mm512_cvtsepi32_epi8(x))
        }
        #[inline(always)]
        unsafe fn prefetch(p: *const u8) {
            _mm_prefetch::<_MM_HINT_T0>(p.cast());
        }
        #[inline(always)]
        unsafe fn load_bytes(p: *const u8) -> Self::B {
            _mm512_loadu_si512(p.cast())
        }
        #[inline(always)]
        unsafe fn low_nibbles(b: Self::B) -> Self::B {
            _mm512_and_si512(b, _mm512_set1_epi8(15))
        }
        #[inline(always)]
        unsafe fn high_nibbles(b: Self::B) -> Self::B {
            Self::low_nibbles(_mm512_srli_epi16::<4>(b))
        }
        #[inline(always)]
        unsafe fn start8(offset: i32) -> Self::I {
            _mm512_set1_epi32(offset)
        }
        #[inline(always)]
        unsafe fn dot8(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
            Self::dot4(sum, w, x)
        }
        #[inline(always)]
        unsafe fn start4(zero: i32, offset: i32) -> Self::I {
            match zero {
                0 => _mm512_setzero_si512(),
                _ => _mm512_srai_epi32::<4>(_mm512_set1_epi32(offset)),
            }
        }
        #[inline(always)]
        unsafe fn dot4(sum: Self::I, w: Self::B, x: *const i8) -> Self::I {
            _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(four(x)))
        }
    }

    #[inline(always)]
    unsafe fn halves(x: __m512) -> (__m256, __m256) {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x));
        (_mm512_castps512_ps256(x), _mm256_castpd_ps(high))
    }
}
