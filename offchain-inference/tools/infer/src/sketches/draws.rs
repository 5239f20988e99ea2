// SPDX-License-Identifier: Apache-2.0
//! Answers whose tokens a key draws, and their checks by other kernels, as in an audit.

use super::{check, provers::rows};
use crate::common::Failure;
use indicatif::ProgressBar;
use starling_engine::{
    backend::{Backend, LocalBackend},
    chat::Message,
    drawing::Drawing,
    generate::{said, Cancel, GenerateOptions},
    prompt::Prompt,
    tokenizer::TokenId,
    Ends, Hidden, Trunk,
};
use starling_sketch::{
    check::{claims, Claim},
    layout::CHUNK,
    make,
    signs::{answer_seed, Signs},
    trace::{Numerics, Parts, Place, Settings, Trace},
    Hash, Sketch,
};

/// Temperatures of the answers, in thousandths.
pub(super) const TEMPERATURES: [u16; 2] = [0, 700];

/// Rows of logits that are held at a time.
const LOGIT_ROWS: usize = 8;

/// The way in which an author answers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// As it should; a cheat may still have another model.
    Plain,
    /// With tokens that another key draws.
    OtherKey,
    /// The next prompt, in place of the one that was asked.
    NextPrompt,
}

/// An answer with its trace.
pub(super) struct Traced {
    pub trace: Trace,
    pub sketches: Vec<Sketch>,
    context: Vec<TokenId>,
    tokens: Vec<TokenId>,
    signs: Signs,
    drawing: Drawing,
}

/// The results of a verifier.
pub(crate) struct Replayed {
    pub gaps: Vec<u16>,
    pub sketches: Vec<Sketch>,
}

/// An author's answers.
pub(super) struct Author {
    pub label: String,
    pub honest: bool,
    pub answers: Vec<Traced>,
}

/// The answers of an author, computed again by a verifier.
pub(super) struct Audit {
    /// The place of the author among all.
    pub author: usize,
    pub verifier: String,
    pub replays: Vec<Replayed>,
}

/// The parts that all authors share.
pub(super) struct Questions<'a> {
    pub model: Hash,
    pub prompts: &'a [String],
    /// Most tokens of an answer.
    pub most: usize,
    pub cancel: &'a Cancel,
    pub bar: &'a ProgressBar,
}

impl Questions<'_> {
    /// The answers by a backend. Those of fewer than 32 tokens are left out.
    pub fn answers<T: Trunk>(
        &self,
        backend: &LocalBackend<T>,
        numerics: Numerics,
        way: Way,
    ) -> Result<Vec<Traced>, Failure> {
        let mut answers = vec![];
        for temperature in TEMPERATURES {
            for number in 0..self.prompts.len() {
                check(self.cancel)?;
                // No key draws the most probable token.
                if (way, temperature) != (Way::OtherKey, 0) {
                    answers.extend(self.answer(backend, numerics, way, number, temperature)?);
                }
                self.bar.inc(1);
            }
        }
        Ok(answers)
    }

    fn answer<T: Trunk>(
        &self,
        backend: &LocalBackend<T>,
        numerics: Numerics,
        way: Way,
        number: usize,
        temperature: u16,
    ) -> Result<Option<Traced>, Failure> {
        let settings = Settings {
            temperature,
            top_k: 40,
            top_p: 950,
        };
        let (claimed, used) = self.keys(way, number);
        let options = GenerateOptions {
            max_tokens: self.most,
            drawing: Some(drawing(settings, used)),
            ..GenerateOptions::default()
        };
        let asked = self.prompt(backend, number)?;
        let answered = match way {
            Way::NextPrompt => self.prompt(backend, number + 1)?,
            Way::Plain | Way::OtherKey => asked.clone(),
        };
        let done = backend.generate(&answered, &options, self.cancel, &mut |_| {})?;
        check(self.cancel)?;
        let long = done.tokens.len() >= CHUNK as usize;
        let Some(computation) = done.computation.filter(|_| long) else {
            return Ok(None);
        };
        let context = backend.tokenizer().encode_prompt(&asked);
        let seed = answer_seed(&self.model, &number.to_le_bytes());
        let signs = Signs::new(&seed, computation.rows.width().try_into()?);
        let sketches = make::answer(&signs, computation.rows.as_slice())?;
        let trace = Trace::of(&Parts {
            model: self.model,
            numerics,
            settings,
            attempt: 0,
            context: &context,
            tokens: &done.tokens,
            sketches: &sketches,
            salt: Hash::default(),
        })?;
        let claim = Claim {
            commitment: trace.hash(),
            model: self.model,
            text: done.text.trim(),
        };
        let ids = [&context[..], &done.tokens[..]].concat();
        let read = |tokens: &[TokenId]| said(backend.tokenizer(), tokens, &[]);
        claims(&claim, &trace, &ids, || context.clone(), read)?;
        Ok(Some(Traced {
            trace,
            sketches,
            context,
            tokens: done.tokens,
            signs,
            drawing: drawing(settings, claimed),
        }))
    }

    /// The key that an answer claims, and the one that draws its tokens.
    fn keys(&self, way: Way, number: usize) -> (Hash, Hash) {
        let place = Place {
            genesis: Hash::default(),
            round: number as u64,
            agent: Hash::default(),
            request: self.model,
        };
        let claimed = place.sampler_key(0);
        match way {
            Way::OtherKey => (claimed, place.sampler_key(1)),
            Way::Plain | Way::NextPrompt => (claimed, claimed),
        }
    }

    /// The prompt of a number, in the template of the model; behind the last the first follows.
    fn prompt<T: Trunk>(
        &self,
        backend: &LocalBackend<T>,
        number: usize,
    ) -> Result<Prompt, Failure> {
        let text = self.prompts.iter().cycle().nth(number);
        let text = text.map_or("", String::as_str);
        Ok(backend.chat().render(&[Message::user(text)], true)?)
    }
}

/// Draws by a key with the settings of a trace.
pub(crate) fn drawing(settings: Settings, key: Hash) -> Drawing {
    let Settings {
        temperature,
        top_k,
        top_p,
    } = settings;
    Drawing {
        key,
        temperature,
        top_k,
        top_p,
    }
}

/// Computes an answer again.
pub(super) fn replay<T: Trunk>(
    backend: &LocalBackend<T>,
    answer: &Traced,
) -> Result<Replayed, Failure> {
    let ids = (&*answer.context, &*answer.tokens);
    again(backend, ids, &answer.signs, &answer.drawing)
}

/// Computes the tokens of an answer after its context again, by one prefill: their gaps, and the
/// sketches of the answer.
pub(crate) fn again<T: Trunk>(
    backend: &LocalBackend<T>,
    (context, tokens): (&[TokenId], &[TokenId]),
    signs: &Signs,
    drawing: &Drawing,
) -> Result<Replayed, Failure> {
    let hidden = rows(backend, context, tokens)?;
    let normed = backend.model().normed(&hidden)?;
    let sketches = make::answer(signs, normed.as_slice())?;
    let (width, vocab) = (hidden.width(), backend.model().config().vocab);
    let mut gaps = Vec::with_capacity(tokens.len());
    let parts = hidden.as_slice().chunks(LOGIT_ROWS * width);
    let mut tokens = (0..).zip(tokens);
    for part in parts {
        let logits = backend
            .model()
            .logits(&Hidden::new(width, part.to_vec())?)?;
        for (logits, (position, &token)) in logits.chunks_exact(vocab).zip(&mut tokens) {
            gaps.push(drawing.gap(logits, position, token)?);
        }
    }
    Ok(Replayed { gaps, sketches })
}
