// SPDX-License-Identifier: Apache-2.0
//! Kernels for the CPU, chosen once at run time.

// A kernel's own arguments are its interface.
#![allow(clippy::too_many_arguments)]

mod attention;
mod buffer;
mod element;
mod isa;
mod matrix;
mod product;
#[cfg(test)]
mod tests;

use std::{fmt, ops::Range, str::FromStr};

pub(crate) use attention::{Queries, PAGE};
pub(crate) use buffer::{Arena, Buffer};
pub(crate) use isa::LANES;
pub(crate) use matrix::{Matrix, GROUP};
pub(crate) use product::{Activations, Output};

use crate::{config::Activation, Error, Result};

/// An instruction set with kernels. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// Plain Rust.
    Scalar,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// AVX2 with 256-bit VNNI.
    AvxVnni,
    /// AVX-512 with VNNI.
    Avx512Vnni,
}

impl InstructionSet {
    /// All of them, worst first.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::AvxVnni, Self::Avx512Vnni];

    /// The best one that this CPU has.
    pub fn best() -> Self {
        Self::ALL
            .into_iter()
            .rev()
            .find(|set| set.is_available())
            .unwrap_or(Self::Scalar)
    }

    /// True if this CPU has it.
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        let avx2 = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
        };
        match self {
            Self::Scalar => true,
            Self::Avx2 => avx2(),
            Self::AvxVnni => avx2() && is_x86_feature_detected!("avxvnni"),
            Self::Avx512Vnni => {
                avx2()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
            },
        }
    }

    /// True if this CPU has it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_available(self) -> bool {
        self == Self::Scalar
    }

    pub(crate) fn kernels(self) -> Result<&'static Kernels> {
        if !self.is_available() {
            return Err(Error::Unsupported(format!("this CPU has no {self}")));
        }
        Ok(match self {
            Self::Scalar => &scalar::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => &avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => &avx_vnni::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => &avx512_vnni::KERNELS,
            #[cfg(not(target_arch = "x86_64"))]
            _ => &scalar::KERNELS,
        })
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
        })
    }
}

impl FromStr for InstructionSet {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|set| set.to_string() == s)
            .ok_or_else(|| {
                let known = Self::ALL.map(|set| set.to_string()).join(", ");
                Error::Unsupported(format!("instruction set {s} (known: {known})"))
            })
    }
}

/// The kernels of one instruction set.
///
/// # Safety
/// Each is unsafe as the generic function of the same name says. The CPU must have the set;
/// [`InstructionSet::kernels`] makes sure of it.
pub(crate) struct Kernels {
    pub product: unsafe fn(&Matrix, usize, Activations, usize, Output),
    pub dot: unsafe fn(*const f32, *const f32, usize) -> f32,
    pub quantise: unsafe fn(Activations, usize, Range<usize>),
    pub rms_norm: unsafe fn(*const f32, *const f32, f32, *mut f32, usize),
    pub add: unsafe fn(*mut f32, *const f32, usize),
    pub scale: unsafe fn(*mut f32, f32, usize),
    pub soft_cap: unsafe fn(*mut f32, f32, usize),
    pub gate: unsafe fn(Activation, *const f32, *const f32, *mut f32, usize),
    pub rotate: unsafe fn(*mut f32, *const f32, *const f32, usize),
    pub largest_and_mass: unsafe fn(*const f32, usize) -> (f32, f32),
    pub attend: unsafe fn(&Queries<'_>, Range<usize>, *mut f32),
    pub remember: unsafe fn(*const f32, *const f32, usize, *mut u16, *mut u16, usize),
}

/// One kernel, compiled for an instruction set.
macro_rules! kernel {
    ([$($features:literal)?] $name:ident, $path:path, ($($arg:ident: $ty:ty),+) $result:ty) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn $name($($arg: $ty),+) -> $result {
            $path($($arg),+)
        }
    };
}

/// All kernels, compiled for one instruction set.
macro_rules! kernels {
    ($module:ident, $isa:ty, $features:tt) => {
        mod $module {
            use super::*;

            type S = $isa;

            kernel!($features product, product::product::<S>,
                (m: &Matrix, panel: usize, x: Activations, rows: usize, out: Output) ());
            kernel!($features dot, product::dot::<S>,
                (x: *const f32, y: *const f32, n: usize) f32);
            kernel!($features quantise, product::quantise::<S>,
                (x: Activations, row: usize, groups: Range<usize>) ());
            kernel!($features rms_norm, element::rms_norm::<S>,
                (x: *const f32, weights: *const f32, epsilon: f32, out: *mut f32, n: usize) ());
            kernel!($features add, element::add::<S>, (x: *mut f32, y: *const f32, n: usize) ());
            kernel!($features scale, element::scale::<S>, (x: *mut f32, factor: f32, n: usize) ());
            kernel!($features soft_cap, element::soft_cap::<S>,
                (x: *mut f32, cap: f32, n: usize) ());
            kernel!($features gate, element::gate::<S>,
                (a: Activation, gate: *const f32, up: *const f32, out: *mut f32, n: usize) ());
            kernel!($features rotate, element::rotate::<S>,
                (x: *mut f32, cos: *const f32, sin: *const f32, half: usize) ());
            kernel!($features largest_and_mass, element::largest_and_mass::<S>,
                (x: *const f32, n: usize) (f32, f32));
            kernel!($features attend, attention::attend::<S>,
                (q: &Queries<'_>, rows: Range<usize>, scratch: *mut f32) ());
            kernel!($features remember, attention::remember::<S>,
                (key: *const f32, value: *const f32, head_width: usize,
                 keys: *mut u16, values: *mut u16, slot: usize) ());

            pub(super) const KERNELS: Kernels = Kernels {
                product,
                dot,
                quantise,
                rms_norm,
                add,
                scale,
                soft_cap,
                gate,
                rotate,
                largest_and_mass,
                attend,
                remember,
            };
        }
    };
}

kernels!(scalar, isa::Scalar, []);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, isa::Avx2, ["avx2,fma,f16c"]);
#[cfg(target_arch = "x86_64")]
kernels!(avx_vnni, isa::AvxVnni, ["avx2,fma,f16c,avxvnni"]);
#[cfg(target_arch = "x86_64")]
kernels!(
    avx512_vnni,
    isa::Avx512,
    ["avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"]
);
