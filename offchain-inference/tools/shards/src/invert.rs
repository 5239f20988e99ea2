// SPDX-License-Identifier: Apache-2.0
//! `starling-shards invert`: recovers prompts from hidden states, as a server can.

use crate::{
    split::carry,
    table::{OutputArgs, Table},
    Source,
};
use starling_engine::{
    generate::Cancel, prompt::Prompt, tokenizer::TokenId, Hidden, Input, LoadOptions, Model,
    Session, Step,
};
use starling_infer::{cancel_on_interrupt, item_bar, Failure, StoreArgs};
use starling_shards::wire::WireFormat;
use std::slice;

/// Candidates that are computed in one pass.
const TOGETHER: usize = 64;

/// Tokens whose embeddings are compared at once.
const EMBEDDED: usize = 4_096;

/// Memory for the caches of a pass's candidates.
const CACHE: usize = 1 << 30;

/// Distance of a candidate that is the token: without noise it is 0.
const EXACT: f64 = 1e-6;

/// Prompts where none are given.
const PROMPTS: [&str; 2] = [
    "My name is Anna Keller and my account number is 4711. Please write a letter to my bank.",
    "The patient has had a fever since Monday and takes two tablets of ibuprofen a day.",
];

/// Options of the attack.
#[derive(clap::Args)]
pub struct Args {
    /// Model of the store, or path of a GGUF file (may be repeated)
    #[arg(short, long, required = true)]
    model: Vec<String>,
    /// Borders: numbers of layers that the client computes itself [default: none, one, half of the
    /// model's and all but one]
    #[arg(long, value_delimiter = ',', value_name = "B,…")]
    border: Vec<usize>,
    /// Wire formats
    #[arg(long, value_delimiter = ',', default_values_t = [WireFormat::F32, WireFormat::Linear8Row], value_name = "CODE,…")]
    wire: Vec<WireFormat>,
    /// Sizes of Gaussian noise that the client adds to each row, relative to the row's
    #[arg(long, value_delimiter = ',', default_values_t = [0.0], value_parser = noise, value_name = "E,…")]
    noise: Vec<f64>,
    /// Prompt to recover (may be repeated) [default: two made-up ones]
    #[arg(long, value_name = "TEXT")]
    prompt: Vec<String>,
    /// Maximum number of tokens of a prompt
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    tokens: u16,
    /// Maximum number of candidates for a token
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    tries: u32,
    /// Threads; 0 means one for each core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

/// A size of noise.
fn noise(text: &str) -> Result<f64, String> {
    let size = text.parse::<f64>().ok();
    let size = size.filter(|size| (0.0..=100.0).contains(size));
    size.ok_or_else(|| {
        format!("{text:?} is no number from 0 to 100: 0.1 is a tenth of the rows' size")
    })
}

/// Prints the share of the prompts' tokens that a server recovers.
pub fn run(store: &StoreArgs, output: &OutputArgs, args: Args) -> Result<(), Failure> {
    let cancel = cancel_on_interrupt()?;
    for name in &args.model {
        let source = Source::open(store, name)?;
        let model = source.load(&LoadOptions {
            threads: args.threads,
            cache_bytes: CACHE,
            ..LoadOptions::default()
        })?;
        output.write(&table(&source, &model, &args, &cancel)?)?;
    }
    Ok(())
}

fn table(source: &Source, model: &Model, args: &Args, cancel: &Cancel) -> Result<Table, Failure> {
    let layers = model.config().layers;
    let borders = match &args.border[..] {
        [] => {
            let mut borders = vec![0, 1, layers / 2, layers.saturating_sub(1)];
            borders.retain(|border| *border < layers);
            borders.sort_unstable();
            borders.dedup();
            borders
        },
        given => given.to_vec(),
    };
    if let Some(border) = borders.iter().find(|border| **border >= layers) {
        return Err(format!(
            "{} has {layers} layers, so that border {border} has none behind it; use 0 to {}",
            source.label,
            layers.saturating_sub(1)
        )
        .into());
    }
    let prompts: Vec<&str> = match &args.prompt[..] {
        [] => PROMPTS.to_vec(),
        given => given.iter().map(String::as_str).collect(),
    };
    let prompts: Vec<_> = prompts
        .into_iter()
        .map(|text| {
            let mut tokens = source.tokenizer.encode_prompt(&Prompt::data(text));
            tokens.truncate(args.tokens.into());
            tokens
        })
        .collect();
    let all: usize = prompts.iter().map(Vec::len).sum();
    if all == 0 {
        return Err("the prompts have no tokens".into());
    }
    let mut table = Table::new(
        format!("invert {}", source.label),
        format!(
            "{}: tokens of {} prompts ({all} tokens) that whoever computes the layers from the border \
             on recovers, with at most {} candidates a token; and the most probable next tokens \
             that stay the same with the noise",
            source.label,
            prompts.len(),
            args.tries,
        ),
        &[
            "border",
            "wire",
            "noise",
            "recovered",
            "of tokens",
            "share",
            "candidates a token",
            "next tokens kept",
        ],
    );
    let cases = borders.len() * args.wire.len() * args.noise.len();
    let bar = item_bar(format!("{} borders", source.label), cases * prompts.len());
    for &border in &borders {
        for &wire in &args.wire {
            for &noise in &args.noise {
                let attack = Attack {
                    model,
                    border,
                    wire,
                    noise,
                    tries: args.tries.try_into()?,
                };
                let (mut right, mut tried, mut kept) = (0, 0, 0);
                for (seed, tokens) in (1..).zip(&prompts) {
                    let seen = attack.seen(tokens, seed)?;
                    let recovered = attack.recover(&seen, cancel)?;
                    right += same(tokens, &recovered.tokens);
                    tried += recovered.tried;
                    kept += attack.kept(tokens, &seen)?;
                    bar.inc(1);
                }
                table.row([
                    border.to_string(),
                    wire.to_string(),
                    noise.to_string(),
                    right.to_string(),
                    all.to_string(),
                    format!("{:.3}", right as f64 / all as f64),
                    format!("{:.1}", tried as f64 / all as f64),
                    format!("{:.3}", kept as f64 / all as f64),
                ]);
            }
        }
    }
    bar.finish_and_clear();
    Ok(table)
}

/// Number of places at which both lists have the same token.
fn same(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a == b).count()
}

/// An attack of the server of the layers behind a border, which has the model's file.
pub struct Attack<'a> {
    /// The model.
    pub model: &'a Model,
    /// Number of layers before the border.
    pub border: usize,
    /// Wire format of the rows that the server gets.
    pub wire: WireFormat,
    /// Size of the noise on the rows, relative to theirs.
    pub noise: f64,
    /// Maximum number of candidates for a token.
    pub tries: usize,
}

/// The outcome of an attack.
#[derive(Debug)]
pub struct Recovered {
    /// The tokens.
    pub tokens: Vec<TokenId>,
    /// Number of candidates that were computed.
    pub tried: usize,
}

impl Attack<'_> {
    /// The rows that the client of `tokens` sends, with noise that depends on `seed`.
    pub fn seen(&self, tokens: &[TokenId], seed: u64) -> Result<Hidden, Failure> {
        let mut session = self.model.session();
        let rows = self.before(&mut [&mut session], &[tokens])?;
        let rows = rows.into_iter().next().ok_or("no rows")?;
        let (width, mut values) = (rows.width(), rows.into_vec());
        if self.noise > 0.0 {
            let mut random = Random(seed);
            for row in values.chunks_exact_mut(width) {
                let rms = norm(row) / (width as f64).sqrt();
                for x in row {
                    *x += (self.noise * rms * random.gaussian()) as f32;
                }
            }
        }
        Ok(carry(self.wire, &Hidden::new(width, values)?)?)
    }

    /// Recovers the tokens from the rows alone.
    pub fn recover(&self, seen: &Hidden, cancel: &Cancel) -> Result<Recovered, Failure> {
        let mut recovered = Recovered {
            tokens: vec![],
            tried: 0,
        };
        let (mut prefix, mut whole) = (self.model.session(), self.model.session());
        let mut probable: Option<Vec<f32>> = None;
        for row in seen.as_slice().chunks_exact(seen.width()) {
            let scores = match probable.take() {
                Some(logits) => logits,
                None => self.likeness(row)?,
            };
            let candidates = best(&scores, self.tries);
            let (token, tried) = self.nearest(&prefix, row, &candidates, cancel)?;
            recovered.tokens.push(token);
            recovered.tried += tried;
            if self.border > 0 {
                self.before(&mut [&mut prefix], &[&[token]])?;
                let next = whole.extend(&[token])?;
                probable = Some(self.model.logits(&next.last())?);
            }
        }
        Ok(recovered)
    }

    /// Number of positions at which the next token stays the most probable one, if the layers
    /// behind the border compute on `seen`.
    pub fn kept(&self, tokens: &[TokenId], seen: &Hidden) -> Result<usize, Failure> {
        let exact = self.model.session().extend(tokens)?;
        let mut session = self.model.session();
        let mut step = [Step {
            session: &mut session,
            input: Input::Hidden(seen),
        }];
        let layers = self.border..self.model.config().layers;
        let noisy = self.model.forward_layers(layers, &mut step)?;
        let noisy = noisy.into_iter().next().ok_or("no rows")?;
        let (exact, noisy) = (self.next_tokens(&exact)?, self.next_tokens(&noisy)?);
        Ok(same(&exact, &noisy))
    }

    /// The most probable token behind each row.
    fn next_tokens(&self, rows: &Hidden) -> Result<Vec<TokenId>, Failure> {
        let logits = self.model.logits(rows)?;
        let rows = logits.chunks_exact(self.model.config().vocab);
        Ok(rows.flat_map(|row| best(row, 1)).collect())
    }

    /// The rows of new tokens at the border. Sequences go on only where layers are before it.
    fn before(
        &self,
        sessions: &mut [&mut Session],
        tokens: &[&[TokenId]],
    ) -> Result<Vec<Hidden>, Failure> {
        if self.border == 0 {
            let rows = tokens.iter().map(|tokens| self.model.embed(tokens));
            return Ok(rows.collect::<Result<_, _>>()?);
        }
        let steps = sessions.iter_mut().zip(tokens);
        let mut steps: Vec<_> = steps
            .map(|(session, tokens)| Step {
                session: &mut **session,
                input: Input::Tokens(tokens),
            })
            .collect();
        Ok(self.model.forward_layers(0..self.border, &mut steps)?)
    }

    /// The candidate whose row is nearest to `row` behind `prefix`, and the number of those tried.
    fn nearest(
        &self,
        prefix: &Session,
        row: &[f32],
        candidates: &[TokenId],
        cancel: &Cancel,
    ) -> Result<(TokenId, usize), Failure> {
        let mut nearest: Option<(f64, TokenId)> = None;
        let mut tried = 0;
        for some in candidates.chunks(TOGETHER) {
            if cancel.is_cancelled() {
                return Err(starling_engine::backend::BackendError::Cancelled.into());
            }
            let mut forks: Vec<_> = some.iter().map(|_| prefix.fork()).collect();
            let mut sessions: Vec<_> = forks.iter_mut().collect();
            let tokens: Vec<_> = some.iter().map(slice::from_ref).collect();
            let rows = self.before(&mut sessions, &tokens)?;
            tried += some.len();
            for (&token, candidate) in some.iter().zip(&rows) {
                // The attacker codes its rows as the client does.
                let candidate = carry(self.wire, candidate)?;
                let distance = distance(candidate.as_slice(), row);
                if nearest.is_none_or(|(least, _)| distance < least) {
                    nearest = Some((distance, token));
                }
            }
            if nearest.is_some_and(|(least, _)| least <= EXACT) {
                break;
            }
        }
        let (_, token) = nearest.ok_or("the model has no tokens")?;
        Ok((token, tried))
    }

    /// The cosine of the row and of each token's embedding.
    fn likeness(&self, row: &[f32]) -> Result<Vec<f32>, Failure> {
        let vocab = TokenId::try_from(self.model.config().vocab)?;
        let all: Vec<TokenId> = (0..vocab).collect();
        let mut scores = Vec::with_capacity(all.len());
        for some in all.chunks(EMBEDDED) {
            let embedded = self.model.embed(some)?;
            for embedding in embedded.as_slice().chunks_exact(embedded.width()) {
                let product: f64 = embedding
                    .iter()
                    .zip(row)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum();
                let scale = (norm(embedding) * norm(row)).max(f64::MIN_POSITIVE);
                scores.push((product / scale) as f32);
            }
        }
        Ok(scores)
    }
}

/// The `most` tokens with the highest scores, highest first.
fn best(scores: &[f32], most: usize) -> Vec<TokenId> {
    let mut tokens: Vec<_> = (0..).zip(scores.iter().copied()).collect();
    tokens.sort_by(|(_, a): &(TokenId, f32), (_, b)| b.total_cmp(a));
    tokens.truncate(most);
    tokens.into_iter().map(|(token, _)| token).collect()
}

fn norm(row: &[f32]) -> f64 {
    let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    square.sqrt()
}

/// ‖a − b‖ / ‖b‖.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a - b) * f64::from(a - b))
        .sum();
    square.sqrt() / norm(b).max(f64::MIN_POSITIVE)
}

/// SplitMix64: the same noise on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Of the standard normal distribution, by Box and Muller.
    fn gaussian(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_its_size_a_number() {
        let mut random = Random(7);
        let values: Vec<_> = (0..20_000).map(|_| random.gaussian()).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let square = values.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.05 && (square - 1.0).abs() < 0.05,
            "{mean} {square}"
        );
        assert_eq!(noise("0.3"), Ok(0.3));
        for wrong in ["-0.1", "NaN", "inf", "much", "101"] {
            assert!(noise(wrong).unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn the_best_come_first() {
        assert_eq!(best(&[0.1, 0.9, f32::NEG_INFINITY, 0.5], 3), [1, 3, 0]);
        assert_eq!(best(&[0.1], 9), [0]);
        assert_eq!(same(&[1, 2, 3], &[1, 5, 3, 4]), 2);
    }
}
