// SPDX-License-Identifier: Apache-2.0
//! The findings of executors, honest and not.
//!
//! No model runs here. Rows are a random sketch, and a computation with other numerics or weights
//! is that sketch moved by a relative distance in a random direction. The distances are those that
//! were measured for the design.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use starling_evidence::{Finding, Sketch, Sketches};
use starling_sketch::{sketch::VALUES, Layout};

use super::Adversary;

/// Distance between two computations in the finest numerics.
const FINE: f64 = 0.01;

/// Distance of activations of 8 bits from those of 16, on rows of text.
const COARSE: f64 = 0.035;

/// The same on the worst rows that tokens lead to.
const COARSE_ON_HARD_ROWS: f64 = 0.198;

/// Distance of the rows of a liar: the least that weights of 4 bits had.
const LIE: f64 = 0.178;

/// The size of a projection: 1 in a sketch's unit.
const UNIT: f64 = 1_024.0;

/// The rows of a case.
pub(super) struct Scene {
    adversary: Adversary,
    /// Distance between the two numerics of an executor.
    coarse: f64,
    /// The model's rows behind the span, and at another border.
    rows: Sketch,
    elsewhere: Sketch,
    /// The rows that the adversary's executors agreed on.
    forged: Sketch,
    forged_elsewhere: Sketch,
    /// The outputs of both servers.
    outputs: [Sketch; 2],
}

impl Scene {
    pub(super) fn new(adversary: Adversary, rng: &mut ChaCha8Rng) -> Self {
        let coarse = match adversary {
            Adversary::Framer => COARSE_ON_HARD_ROWS,
            _ => COARSE,
        };
        let off = if adversary.has_guilty() { LIE } else { coarse };
        let rows = invented(rng);
        let outputs = [off, FINE].map(|distance| near(&rows, distance, rng));
        let forged = match adversary {
            Adversary::Framer => invented(rng),
            _ => outputs[0].clone(),
        };
        Self {
            adversary,
            coarse,
            elsewhere: invented(rng),
            forged_elsewhere: invented(rng),
            rows,
            forged,
            outputs,
        }
    }

    /// The finding of an honest executor.
    pub(super) fn honest(&self, rng: &mut ChaCha8Rng) -> Finding {
        let coarse = near(&self.rows, self.coarse, rng);
        let elsewhere = near(&self.elsewhere, FINE, rng);
        self.computed(near(&self.rows, FINE, rng), coarse, elsewhere)
    }

    /// The finding of an executor of the adversary's.
    pub(super) fn owned(&self, rng: &mut ChaCha8Rng) -> Finding {
        match self.adversary {
            Adversary::Liar | Adversary::Captured | Adversary::Framer => {
                let coarse = near(&self.forged, COARSE, rng);
                let elsewhere = near(&self.forged_elsewhere, FINE, rng);
                self.computed(near(&self.forged, FINE, rng), coarse, elsewhere)
            },
            Adversary::Blurring => {
                let elsewhere = near(&self.elsewhere, FINE, rng);
                self.computed(near(&self.rows, FINE, rng), invented(rng), elsewhere)
            },
            Adversary::Griefer => self.unlike_all(invented(rng), rng),
            Adversary::Lazy => Finding::Unavailable,
            Adversary::Copying => {
                let [first, second] = &self.outputs;
                let copied = if rng.random() { first } else { second };
                self.unlike_all(copied.clone(), rng)
            },
        }
    }

    /// A finding with rows at the other border that nobody else has.
    fn unlike_all(&self, own: Sketch, rng: &mut ChaCha8Rng) -> Finding {
        let coarse = near(&own, COARSE, rng);
        self.computed(own, coarse, invented(rng))
    }

    /// A finding that shows the outputs as they are.
    fn computed(&self, own: Sketch, coarse: Sketch, elsewhere: Sketch) -> Finding {
        let [first, second] = self.outputs.clone();
        Finding::Computed(Box::new(Sketches {
            coded: own.clone(),
            own,
            coarse,
            elsewhere,
            first: Some(first),
            second: Some(second),
        }))
    }
}

/// A sketch of sixteen rows of one level, with these projections.
fn sketch(projections: &[f64; VALUES]) -> Sketch {
    Sketch::new(projections.map(|value| value.round() as i16))
}

/// A random direction. The levels of rows have no part in it.
fn direction(rng: &mut ChaCha8Rng) -> [f64; VALUES] {
    let layout = Layout::SPAN;
    std::array::from_fn(|at| match at % layout.values() < layout.projections() {
        true => rng.sample(StandardNormal),
        false => 0.0,
    })
}

fn length(values: &[f64; VALUES]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Rows that have nothing to do with any others.
fn invented(rng: &mut ChaCha8Rng) -> Sketch {
    sketch(&direction(rng).map(|value| UNIT * value))
}

/// Rows at this relative distance.
fn near(rows: &Sketch, distance: f64, rng: &mut ChaCha8Rng) -> Sketch {
    let mut values = rows.values().map(f64::from);
    let noise = direction(rng);
    let scale = distance * length(&values) / length(&noise);
    for (value, noise) in values.iter_mut().zip(noise) {
        *value += scale * noise;
    }
    sketch(&values)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use starling_evidence::{judge, Ruling, Side};

    use super::*;
    use crate::capture::End;

    /// Committees of all numbers of the adversary's members end as its arithmetic says, whatever
    /// the noise is.
    #[test]
    fn committees_end_as_the_arithmetic_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for adversary in Adversary::ALL {
            for (size, owned) in (0..=9).map(|owned| (9, owned)).chain([(21, 7), (21, 14)]) {
                let scene = Scene::new(adversary, &mut rng);
                let findings: Vec<Finding> = (0..size)
                    .map(|place| match place < owned {
                        true => scene.owned(&mut rng),
                        false => scene.honest(&mut rng),
                    })
                    .collect();
                let findings: Vec<&Finding> = findings.iter().collect();
                let ruling = judge(Layout::SPAN, findings.len(), &findings).ruling;
                let end = match ruling {
                    Ruling::Decided { first, second } => {
                        let is_convicted = first == Side::Guilty;
                        match is_convicted == adversary.has_guilty() && second == Side::Cleared {
                            true => End::Right,
                            false => End::Wrong,
                        }
                    },
                    Ruling::Unavailable => End::Void,
                    _ => End::Undecided,
                };
                let expected = adversary.end(size, owned);
                assert_eq!(
                    end, expected,
                    "{adversary:?}, {owned} of {size}: {ruling:?}"
                );
            }
        }
    }
}
