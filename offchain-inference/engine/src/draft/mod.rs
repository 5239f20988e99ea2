// SPDX-License-Identifier: Apache-2.0
//! Guesses of the tokens to come, which one pass then verifies together.
//!
//! A pass over layers on other nodes takes a round trip, however few rows it has. Guessed tokens
//! ride along: where the model draws the same tokens from their rows, those passes are saved. Where
//! it draws another one, the rows after it are forgotten. The text is the same either way, token
//! for token, because every token is drawn from the model's own logits (speculative decoding,
//! Leviathan et al., arXiv 2211.17192).
//!
//! A [`Guesser`] has two sources. Prompt lookup costs nothing. A draft model is asked where it is
//! there and worth its time: its guesses are better, except where the text says again, word for
//! word, what it said before. Hence a long match of the lookup comes first, then the draft model,
//! then a short match.

mod lookup;
mod pace;
#[cfg(test)]
mod tests;

use self::{
    lookup::lookup,
    pace::{length, Odds, Pace},
};
use crate::{
    backend::{check_vocabulary, BackendError},
    generate::Cancel,
    gguf::Gguf,
    tokenizer::{TokenId, Tokenizer},
    LoadOptions, Model, Result, Session,
};
use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Tokens of an earlier occurrence that make prompt lookup surer than a draft model.
const SURE: usize = 3;

/// Share of drafted tokens that is assumed to be right at the beginning of a text.
const RIGHT: f64 = 0.6;

/// Weight of the newest drafted token in the share that is right.
const NEWEST: f64 = 0.1;

/// Weight of [`RIGHT`] after a pass without drafted tokens, so that bad drafts are tried again.
const FORGOTTEN: f64 = 0.02;

/// Drafted tokens whose time is measured when the draft model is put to use.
const TRIALS: usize = 3;

/// A smaller model with the tokenizer of a larger one, whose tokens it guesses.
pub struct DraftModel {
    name: String,
    model: Model,
    tokenizer: Tokenizer,
    fixed: Option<usize>,
}

impl DraftModel {
    /// Loads all of the model file at `path`.
    pub fn load(path: &Path, options: &LoadOptions) -> std::result::Result<Self, BackendError> {
        let gguf = Gguf::open(path)?;
        let tokenizer = Tokenizer::from_gguf(gguf.metadata())?;
        let options = LoadOptions {
            layers: None,
            ends: true,
            ..options.clone()
        };
        Self::new(gguf.name()?, Model::load_from(&gguf, &options)?, tokenizer)
    }

    /// From parts that are loaded already. The model has its ends, and its first layers or all.
    pub fn new(
        name: String,
        model: Model,
        tokenizer: Tokenizer,
    ) -> std::result::Result<Self, BackendError> {
        check_vocabulary(&tokenizer, model.config())?;
        Ok(Self {
            name,
            model,
            tokenizer,
            fixed: None,
        })
    }

    /// Drafts so many tokens before each pass, even where that saves no time: to test and measure.
    pub fn always(self, tokens: usize) -> Self {
        Self {
            fixed: Some(tokens),
            ..self
        }
    }
}

/// A draft model in use for a larger one.
pub(crate) struct Drafter {
    model: Model,
    fixed: Option<usize>,
    /// Shared by all texts.
    pace: Mutex<Pace>,
}

impl Drafter {
    /// Puts `draft` to use for the model called `name`, unless it has another tokenizer.
    pub fn new(
        draft: DraftModel,
        name: &str,
        tokenizer: &Tokenizer,
    ) -> std::result::Result<Self, BackendError> {
        if let Some(difference) = tokenizer.difference(&draft.tokenizer) {
            return Err(BackendError::OtherTokenizer {
                draft: draft.name,
                model: name.to_owned(),
                difference,
            });
        }
        let DraftModel { model, fixed, .. } = draft;
        let pace = Mutex::new(Pace::new(seconds_of_a_token(&model)?));
        Ok(Self { model, fixed, pace })
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least time of a few tokens: the first ones find memory cold.
fn seconds_of_a_token(model: &Model) -> Result<f64> {
    let mut session = model.session();
    let mut least = f64::INFINITY;
    for _ in 0..TRIALS {
        session.truncate(0);
        let began = Instant::now();
        most_probable(model, &mut session, &[0])?;
        least = least.min(began.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// Extends a sequence by `tokens` and returns the most probable token after it; `None` if no logit
/// is finite.
fn most_probable(
    model: &Model,
    session: &mut Session,
    tokens: &[TokenId],
) -> Result<Option<TokenId>> {
    let last = session.extend(tokens)?.last();
    let logits = model.logits(&last)?;
    let finite = (0..).zip(logits).filter(|(_, logit)| logit.is_finite());
    let best = finite.reduce(|a, b| if b.1 > a.1 { b } else { a });
    Ok(best.map(|(token, _)| token))
}

/// The room for guesses in a pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Rows that the pass computes in about the time of one.
    pub free: usize,
    /// Tokens that the text and the context may get after the pass's own one.
    pub left: usize,
}

/// The guesses of one text.
pub(crate) struct Guesser<'a> {
    drafter: Option<&'a Drafter>,
    tokenizer: &'a Tokenizer,
    /// The draft model's sequence, once it was asked.
    session: Option<Session>,
    /// Number of the latest guesses if the draft model made them, else 0.
    drafted: usize,
    /// Share of the drafted tokens that was right lately.
    right: f64,
}

impl<'a> Guesser<'a> {
    pub fn new(drafter: Option<&'a Drafter>, tokenizer: &'a Tokenizer) -> Self {
        Self {
            drafter,
            tokenizer,
            session: None,
            drafted: 0,
            right: RIGHT,
        }
    }

    /// Guesses of the tokens after `tokens`, which are not empty.
    pub fn guess(&mut self, tokens: &[TokenId], room: Room, cancel: &Cancel) -> Vec<TokenId> {
        self.drafted = 0;
        let most = room.free.min(room.left);
        let Some(drafter) = self.drafter else {
            return lookup(tokens, 1, most).to_vec();
        };
        // A fixed number is drafted even where there is no room for free.
        if most == 0 && drafter.fixed.is_none() {
            return vec![];
        }
        let sure = lookup(tokens, SURE, most);
        if !sure.is_empty() {
            return sure.to_vec();
        }
        // A draft model that fails, as for want of cache, costs its guesses and not the text. It is
        // not asked again for this one.
        let drafted = self
            .draft(drafter, tokens, room, cancel)
            .unwrap_or_else(|_| {
                self.drafter = None;
                vec![]
            });
        if drafted.is_empty() {
            return lookup(tokens, 1, most).to_vec();
        }
        self.drafted = drafted.len();
        drafted
    }

    /// Records a pass of `rows` rows, the first one of which was no guess.
    pub fn passed(&self, rows: usize, took: Duration) {
        if let Some(drafter) = self.drafter {
            drafter.pace().passed(rows, took);
        }
    }

    /// Records that the first `right` of the latest guesses were right, and the next one, if there
    /// was one, wrong.
    pub fn verified(&mut self, right: usize) {
        let mut newest = |is_right: f64, weight: f64| {
            self.right += weight * (is_right - self.right);
        };
        if self.drafted == 0 {
            newest(RIGHT, FORGOTTEN);
            return;
        }
        for _ in 0..right {
            newest(1.0, NEWEST);
        }
        if right < self.drafted {
            newest(0.0, NEWEST);
        }
    }

    /// Continues the text greedily with the draft model, up to the end of a turn. Its sequence
    /// first forgets the wrong guesses and computes the tokens since.
    fn draft(
        &mut self,
        drafter: &Drafter,
        tokens: &[TokenId],
        room: Room,
        cancel: &Cancel,
    ) -> Result<Vec<TokenId>> {
        let model = &drafter.model;
        let session = self
            .session
            .get_or_insert_with(|| model.session_with_prefix(tokens));
        // The row of the last token is always computed: the first guess follows from it.
        let known = session
            .tokens()
            .iter()
            .zip(tokens.iter().take(tokens.len().saturating_sub(1)))
            .take_while(|(known, token)| known == token)
            .count();
        let new = tokens.get(known..).unwrap_or_default();
        let wanted = match drafter.fixed {
            Some(fixed) => fixed,
            None => {
                let pace = drafter.pace();
                let odds = pace.pass(room.free).map(|pass| Odds {
                    pass,
                    draft: pace.draft(),
                    right: self.right,
                    behind: new.len(),
                    left: room.left.saturating_add(1),
                });
                odds.map_or(0, |odds| length(&odds, room.free))
            },
        };
        // The last drafted token takes no room in the draft model's own context.
        let context = model.config().context.saturating_add(1);
        let most = wanted
            .min(room.left)
            .min(context.saturating_sub(tokens.len()));
        let mut drafted = vec![];
        if most == 0 {
            return Ok(drafted);
        }
        session.truncate(known);
        let mut input = new.to_vec();
        while drafted.len() < most && !cancel.is_cancelled() {
            let began = Instant::now();
            let token = most_probable(model, session, &input)?;
            if input.len() == 1 {
                drafter.pace().drafted(began.elapsed());
            }
            let Some(token) = token.filter(|&token| !self.tokenizer.ends_generation(token)) else {
                break;
            };
            drafted.push(token);
            input = vec![token];
        }
        Ok(drafted)
    }
}
