// SPDX-License-Identifier: Apache-2.0
//! Puts A and B of each matrix together.

use std::collections::BTreeMap;

use super::{
    names::{Half, Name},
    Pair, Reason, Target, MAX_RANK,
};

/// One tensor of an adapter: rows × columns, row-major.
pub(super) struct Tensor {
    pub name: String,
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f32>,
}

/// The tensors of one matrix.
#[derive(Default)]
struct Halves {
    a: Option<Tensor>,
    b: Option<Tensor>,
    /// PEFT's path of the matrix.
    path: String,
}

/// The tensors that were read so far.
#[derive(Default)]
pub(super) struct Collected(BTreeMap<(usize, Target), Halves>);

impl Collected {
    /// Adds a tensor with finite values; the second of a matrix's half is refused.
    pub fn add(&mut self, name: &Name<'_>, tensor: Tensor) -> Reason<()> {
        if !tensor.values.iter().all(|value| value.is_finite()) {
            let name = tensor.name;
            return Err(format!("tensor {name} holds a value that is not finite"));
        }
        let place = (name.layer, name.target);
        let halves = self.0.entry(place).or_insert_with(|| Halves {
            path: name.path.to_owned(),
            ..Halves::default()
        });
        if halves.path != name.path {
            return Err(format!(
                "tensor {}: {} and {} are the same matrix",
                tensor.name, halves.path, name.path
            ));
        }
        let half = match name.half {
            Half::A => &mut halves.a,
            Half::B => &mut halves.b,
        };
        match half {
            Some(first) => Err(format!(
                "tensors {} and {} are for the same matrix",
                first.name, tensor.name
            )),
            None => {
                *half = Some(tensor);
                Ok(())
            },
        }
    }

    /// The matrices with PEFT's path of each.
    pub fn paths(&self) -> impl Iterator<Item = ((usize, Target), &str)> + Clone {
        let halves = self.0.iter();
        halves.map(|(&place, halves)| (place, halves.path.as_str()))
    }

    /// The pairs; `alpha` gives the numerator of the scale for a matrix's path and rank.
    pub fn pairs(
        self,
        mut alpha: impl FnMut(&str, usize) -> Reason<f64>,
    ) -> Reason<BTreeMap<(usize, Target), Pair>> {
        if self.0.is_empty() {
            return Err("it has no tensors".into());
        }
        let pairs = self.0.into_iter().map(|(place, halves)| {
            let pair = pair(halves.a, halves.b)?;
            let alpha = alpha(&halves.path, pair.rank)?;
            Ok((place, Pair { alpha, ..pair }))
        });
        pairs.collect()
    }
}

fn pair(a: Option<Tensor>, b: Option<Tensor>) -> Reason<Pair> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (Some(one), None) => return Err(format!("tensor {} has no B beside it", one.name)),
        (None, Some(one)) => return Err(format!("tensor {} has no A beside it", one.name)),
        (None, None) => return Err("a matrix has neither A nor B".into()),
    };
    if !(1..=MAX_RANK).contains(&a.rows) {
        return Err(format!(
            "tensor {} has rank {}; it must be 1 to {MAX_RANK}",
            a.name, a.rows
        ));
    }
    if a.rows != b.columns {
        return Err(format!(
            "tensor {} is {} × {}, which does not fit {} of {} × {}",
            a.name, a.rows, a.columns, b.name, b.rows, b.columns
        ));
    }
    Ok(Pair {
        rank: a.rows,
        inputs: a.columns,
        outputs: b.rows,
        alpha: 0.0,
        a: a.values,
        b: b.values,
    })
}
