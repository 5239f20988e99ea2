// SPDX-License-Identifier: Apache-2.0

//! Answers that others can compute again: whether one is traced, and its trace.

use sp_core::H256;
use starling_engine::{
    drawing::Drawing,
    generate::{Computation, Finish},
    sampling::Sampling,
    tokenizer::TokenId,
    Hidden,
};
use starling_sketch::{
    make,
    shown::Kept,
    signs::{answer_seed, Signs},
    trace::{Numerics, Parts, Place, Settings, Trace},
    Hash,
};

/// The attempt of all answers: the agent makes one.
const ATTEMPT: u8 = 0;

/// The model and the draws of an answer that can be traced.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The SHA-256 of the model file.
    pub model: Hash,
    /// The widths of the computation.
    pub numerics: Numerics,
    settings: Settings,
    key: Hash,
}

impl Origin {
    /// The answer of a model at a place on the chain. Of the sampling, temperature, top-k and top-p
    /// count.
    pub fn new(model: Hash, numerics: Numerics, place: &Place, sampling: &Sampling) -> Self {
        Self {
            model,
            numerics,
            settings: settings(sampling),
            key: place.sampler_key(ATTEMPT),
        }
    }

    /// The draws of its tokens.
    pub fn drawing(&self) -> Drawing {
        let Settings {
            temperature,
            top_k,
            top_p,
        } = self.settings;
        Drawing {
            key: self.key,
            temperature,
            top_k,
            top_p,
        }
    }
}

fn settings(sampling: &Sampling) -> Settings {
    // The casts clamp.
    let thousandths = |value: f32| (value * 1000.0).round() as u16;
    Settings {
        temperature: thousandths(sampling.temperature),
        top_k: u16::try_from(sampling.top_k).unwrap_or(u16::MAX),
        top_p: thousandths(sampling.top_p).clamp(1, 1000),
    }
}

/// Whether others know where the text ends. They know `stop`, the strings of the model's template,
/// and none of the operator's.
pub fn ends_for_others(finish: &Finish, stop: &[&str]) -> bool {
    match finish {
        Finish::Stop(found) => stop.contains(&found.as_str()),
        Finish::EndOfTurn | Finish::MaxTokens | Finish::ContextFull | Finish::Cancelled => true,
    }
}

/// The work behind an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    origin: Origin,
    context: Vec<TokenId>,
    tokens: Vec<TokenId>,
    rows: Hidden,
}

impl Work {
    /// From the results of the engine.
    pub fn new(origin: Origin, computation: Computation, tokens: Vec<TokenId>) -> Self {
        let Computation { context, rows } = computation;
        Self {
            origin,
            context,
            tokens,
            rows,
        }
    }

    /// The trace of the answer to a request in the block `moment`.
    ///
    /// # Errors
    /// The reason why the rows have no sketches.
    pub fn trace(&self, request: H256, moment: H256, salt: Hash) -> Result<Kept, String> {
        let Origin {
            model,
            numerics,
            settings,
            ..
        } = self.origin;
        let width = u32::try_from(self.rows.width()).map_err(|error| error.to_string())?;
        let signs = Signs::new(&answer_seed(&model, moment.as_bytes()), width);
        let sketches = make::answer(&signs, self.rows.as_slice());
        let sketches = sketches.map_err(|error| error.to_string())?;
        let trace = Trace::of(&Parts {
            model,
            numerics,
            settings,
            attempt: ATTEMPT,
            context: &self.context,
            tokens: &self.tokens,
            sketches: &sketches,
            salt,
        });
        Ok(Kept {
            request: request.0,
            trace: trace.map_err(|error| error.to_string())?,
            ids: [&self.context[..], &self.tokens[..]].concat(),
            sketches,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_sketch::check::{claims, Claim, Fault};

    fn place(round: u64) -> Place {
        Place {
            genesis: [1; 32],
            round,
            agent: [2; 32],
            request: [3; 32],
        }
    }

    fn work() -> Work {
        let origin = Origin::new([9; 32], Numerics::Wide, &place(1), &Sampling::default());
        let rows = Hidden::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let context = vec![1, 2, 3];
        Work::new(origin, Computation { context, rows }, vec![4, 5])
    }

    #[test]
    fn settings_are_thousandths_in_range() {
        let of = |temperature, top_k, top_p| {
            let sampling = Sampling {
                temperature,
                top_k,
                top_p,
                ..Sampling::default()
            };
            let Settings {
                temperature,
                top_k,
                top_p,
            } = settings(&sampling);
            (temperature, top_k, top_p)
        };
        assert_eq!(of(0.7, 40, 0.95), (700, 40, 950));
        assert_eq!(of(0.0, 0, 1.0), (0, 0, 1000));
        assert_eq!(of(100.0, usize::MAX, 1e-9), (u16::MAX, u16::MAX, 1));
    }

    #[test]
    fn each_round_draws_by_a_key_of_its_own() {
        let key = |round| {
            let sampling = Sampling::default();
            let origin = Origin::new([9; 32], Numerics::Wide, &place(round), &sampling);
            origin.drawing().key
        };
        assert_eq!(key(1), place(1).sampler_key(0));
        assert_ne!(key(1), key(2));
    }

    #[test]
    fn a_text_that_only_the_operator_ends_is_not_traced() {
        let stop = |text: &str| Finish::Stop(text.to_owned());
        assert!(ends_for_others(&stop("<end>"), &["<end>"]));
        assert!(!ends_for_others(&stop("\n"), &["<end>"]));
        assert!(ends_for_others(&Finish::MaxTokens, &[]));
    }

    #[test]
    fn a_trace_stands_the_checks_and_depends_on_the_block_and_the_salt() {
        let trace = |moment, salt| {
            let moment = H256::repeat_byte(moment);
            work().trace(H256::zero(), moment, [salt; 32]).unwrap()
        };
        let kept = trace(1, 1);
        let claim = Claim {
            commitment: kept.trace.hash(),
            model: [9; 32],
            text: "[4, 5]",
        };
        let read = |said: &[u32]| format!("{said:?}");
        let checked = |context: Vec<u32>| claims(&claim, &kept.trace, &kept.ids, || context, read);
        assert_eq!(checked(vec![1, 2, 3]), Ok(()));
        assert_eq!(checked(vec![1, 2]), Err(Fault::Context(2)));
        assert_ne!(trace(2, 1).sketches, kept.sketches);
        assert_ne!(trace(1, 2).trace.hash(), kept.trace.hash());
    }

    #[test]
    fn rows_without_a_sketch_say_why() {
        let mut work = work();
        work.rows = Hidden::new(2, vec![0.0; 4]).unwrap();
        let refused = work.trace(H256::zero(), H256::zero(), [0; 32]).unwrap_err();
        assert!(refused.contains("zeros"), "{refused}");
    }
}
