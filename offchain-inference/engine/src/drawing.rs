// SPDX-License-Identifier: Apache-2.0
//! Draws that others can repeat: a token follows from its logits, its position and a key.
//!
//! The token of a position is the one of the highest score, of equal ones the lowest. A score is
//! logit / temperature + g. The noise g = −ln(−ln u) makes it a draw from the distribution, and u
//! is word *token* of stream *position* of ChaCha8 under the key. Scores are integers in units of
//! 2⁻²⁰, made by operations that IEEE 754 rounds in one way, and by one library's logarithm: equal
//! logits give equal tokens on every machine.
//!
//! Nearly equal logits give nearly the same tokens. A [gap](Drawing::gap) tells by how much a token
//! misses.

use crate::{
    sampling::{candidates, keep_largest, Candidate, SamplingError},
    tokenizer::TokenId,
};
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};

/// The most tokens that one is drawn from: the noise of each costs a word.
const MOST: usize = 256;

/// Binary digits of a score after the point.
const SCORE_DIGITS: u32 = 20;

/// Binary digits of a gap after the point.
const GAP_DIGITS: u32 = 12;

/// The largest gap: 8. A token can miss by any amount, and one must not decide over a text.
pub const LARGEST_GAP: u16 = 8 << GAP_DIGITS;

/// By how much the cut by probability is tighter for a gap, in thousandths.
const TIGHTER: u16 = 20;

/// The settings of a draw. Integers, so that they can be published and repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// The key of the noise.
    pub key: [u8; 32],
    /// Divides the logits, in thousandths; 0 always takes the most probable token.
    pub temperature: u16,
    /// Draws from the k most probable tokens; 0 and more than 256 mean 256.
    pub top_k: u16,
    /// Draws from the most probable of these that together reach this share of their probability,
    /// in thousandths: 1 to 1000.
    pub top_p: u16,
}

impl Drawing {
    /// Checks the range of `top_p`. All other values have a meaning.
    ///
    /// # Errors
    /// [`SamplingError::OutOfRange`] with its name.
    pub fn validate(&self) -> Result<(), SamplingError> {
        if (1..=1000).contains(&self.top_p) {
            return Ok(());
        }
        Err(SamplingError::OutOfRange {
            name: "top_p in thousandths",
            value: self.top_p.into(),
            range: "from 1 to 1000",
        })
    }

    /// Draws the token of a position, counted from the first generated one. Tokens whose logits are
    /// not finite are never drawn.
    ///
    /// # Errors
    /// [`SamplingError::NotFinite`] if there is no other token.
    pub fn token(&self, logits: &[f32], position: u64) -> Result<TokenId, SamplingError> {
        let best = self.best(kept(logits, self.most(), self.top_p), position);
        best.map(|(_, id)| id).ok_or(SamplingError::NotFinite)
    }

    /// By how much the score of `token` misses the highest one, in units of 2⁻¹², at most
    /// [`LARGEST_GAP`].
    ///
    /// The highest score is that of the tokens which survive tighter cuts than those of the draw: ¾
    /// of their number, and two hundredths less of their probability. The score of `token` counts in
    /// any case. So a token at the edge of a cut, where two machines differ, has no gap by that.
    ///
    /// # Errors
    /// [`SamplingError::NotFinite`] if no logit is finite.
    pub fn gap(&self, logits: &[f32], position: u64, token: TokenId) -> Result<u16, SamplingError> {
        let most = self.most();
        let top_p = self.top_p.saturating_sub(TIGHTER).max(1);
        let best = self.best(kept(logits, most - most / 4, top_p), position);
        let (best, _) = best.ok_or(SamplingError::NotFinite)?;
        let own = logits.get(token as usize).filter(|logit| logit.is_finite());
        let Some(&own) = own else {
            return Ok(LARGEST_GAP);
        };
        let own = self.score(own, &mut self.noise(position), token);
        let gap = best.saturating_sub(own).max(0) >> (SCORE_DIGITS - GAP_DIGITS);
        Ok(u16::try_from(gap).map_or(LARGEST_GAP, |gap| gap.min(LARGEST_GAP)))
    }

    fn most(&self) -> usize {
        match self.top_k {
            0 => MOST,
            k => MOST.min(k.into()),
        }
    }

    /// The highest score and its token.
    fn best(&self, candidates: Vec<Candidate>, position: u64) -> Option<(i64, TokenId)> {
        let mut noise = self.noise(position);
        let scored = candidates
            .into_iter()
            .map(|c| (self.score(c.logit, &mut noise, c.id), c.id));
        scored.reduce(|a, b| if (b.0, a.1) > (a.0, b.1) { b } else { a })
    }

    fn noise(&self, position: u64) -> ChaCha8Rng {
        let mut words = ChaCha8Rng::from_seed(self.key);
        words.set_stream(position);
        words
    }

    fn score(&self, logit: f32, noise: &mut ChaCha8Rng, token: TokenId) -> i64 {
        if self.temperature == 0 {
            return fixed(logit.into());
        }
        noise.set_word_pos(token.into());
        let scaled = f64::from(logit) * 1000.0 / f64::from(self.temperature);
        fixed(scaled).saturating_add(gumbel(noise.next_u32()))
    }
}

/// In units of a score, to the nearest.
fn fixed(value: f64) -> i64 {
    // The cast clamps.
    (value * f64::from(1u32 << SCORE_DIGITS)).round() as i64
}

/// −ln(−ln u) for u = (word + ½) / 2³², from −3.2 to 22.9.
fn gumbel(word: u32) -> i64 {
    let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
    fixed(-libm::log(-libm::log(u)))
}

/// The most probable tokens, in order: at most `most`, and of these as few as together reach
/// `top_p` thousandths of their probability.
fn kept(logits: &[f32], most: usize, top_p: u16) -> Vec<Candidate> {
    let mut kept = candidates(logits);
    keep_largest(&mut kept, most);
    let Some(best) = kept.first().map(|first| f64::from(first.logit)) else {
        return kept;
    };
    let weights: Vec<f64> = kept
        .iter()
        .map(|c| libm::exp(f64::from(c.logit) - best))
        .collect();
    let wanted = weights.iter().sum::<f64>() * f64::from(top_p) / 1000.0;
    let mut reached = 0.0;
    let needed = weights.iter().position(|weight| {
        reached += weight;
        reached >= wanted
    });
    kept.truncate(needed.map_or(kept.len(), |last| last + 1));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawing(temperature: u16, top_k: u16, top_p: u16) -> Drawing {
        Drawing {
            key: std::array::from_fn(|byte| byte as u8),
            temperature,
            top_k,
            top_p,
        }
    }

    /// A thousand logits, all different: `37 v mod 1000` in units of 2⁻⁷.
    fn logits() -> Vec<f32> {
        (0..1000).map(|v| (v * 37 % 1000) as f32 / 128.0).collect()
    }

    /// From Python, with a ChaCha8 of its own.
    #[test]
    fn golden_noise() {
        let key = drawing(1000, 0, 1000);
        for (position, token, golden) in [
            (0, 0, 575_754),
            (0, 1, 139_474),
            (0, 63, 626_975),
            (0, 64, 2_389_788),
            (1, 0, 2_815_333),
            (7, 49_151, 2_044_778),
            (1 << 40, 262_143, 2_331_052),
        ] {
            let noise = key.score(0.0, &mut key.noise(position), token);
            assert_eq!(noise, golden, "{position} {token}");
        }
    }

    /// From Python: the tokens of eight positions, and the gaps of token 999 at four.
    #[test]
    fn golden_tokens_and_gaps() {
        for (settings, tokens, gaps) in [
            (
                (700, 0, 1000),
                [405, 351, 562, 135, 648, 157, 645, 295],
                [28_581, 23_700, 22_285, 11_306],
            ),
            (
                (700, 40, 950),
                [405, 351, 540, 135, 648, 432, 135, 999],
                [28_581, 23_700, 17_398, 11_306],
            ),
            (
                (1000, 5, 1000),
                [108, 135, 27, 135, 81, 135, 135, 81],
                [13_611, 6_250, 13_722, 1_243],
            ),
            ((0, 40, 950), [27; 8], [1_152; 4]),
        ] {
            let drawing = drawing(settings.0, settings.1, settings.2);
            let drawn = [0, 1, 2, 3, 4, 5, 6, 7].map(|t| drawing.token(&logits(), t).unwrap());
            assert_eq!(drawn, tokens, "{settings:?}");
            let missed = [0, 1, 2, 3].map(|t| drawing.gap(&logits(), t, 999).unwrap());
            assert_eq!(missed, gaps, "{settings:?}");
        }
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits = [0.0f32, 2f32.ln(), f32::NEG_INFINITY, 5f32.ln()];
        let drawing = drawing(1000, 0, 1000);
        let n = 20_000;
        let mut drawn = [0u32; 4];
        for position in 0..n {
            drawn[drawing.token(&logits, position).unwrap() as usize] += 1;
        }
        for (id, p) in [(0, 1.0 / 8.0), (1, 2.0 / 8.0), (2, 0.0), (3, 5.0 / 8.0)] {
            let share = f64::from(drawn[id]) / n as f64;
            // Four standard errors.
            let error = 4.0 * (p * (1.0 - p) / n as f64).sqrt();
            assert!((share - p).abs() <= error, "{id}: {share}");
        }
    }

    #[test]
    fn equal_scores_give_the_lowest_token() {
        let greedy = drawing(0, 0, 1000);
        assert_eq!(greedy.token(&[1.0, 2.0, 2.0], 0), Ok(1));
        assert_eq!(greedy.token(&[-0.0, 0.0], 0), Ok(0));
    }

    #[test]
    fn what_no_draw_can_be_of_is_refused() {
        let none = [f32::NAN, f32::INFINITY];
        let settings = drawing(700, 40, 950);
        assert_eq!(settings.token(&none, 0), Err(SamplingError::NotFinite));
        assert_eq!(settings.gap(&none, 0, 0), Err(SamplingError::NotFinite));
        assert_eq!(settings.token(&[f32::NAN, 1.0], 0), Ok(1));
        // Tokens that nobody could have drawn.
        for token in [0, 2] {
            assert_eq!(settings.gap(&[f32::NAN, 1.0], 0, token), Ok(LARGEST_GAP));
        }
        for top_p in [0, 1001] {
            let refused = drawing(700, 40, top_p).validate().unwrap_err();
            assert!(refused.to_string().contains("top_p"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn a_drawn_token_has_no_gap(
            logits in proptest::collection::vec(-30f32..30.0, 1..600),
            key in any::<[u8; 32]>(),
            position in any::<u64>(),
            temperature in 0u16..2000,
            top_k in 0u16..300,
            top_p in 1u16..=1000,
        ) {
            let drawing = Drawing { key, temperature, top_k, top_p };
            let token = drawing.token(&logits, position).unwrap();
            prop_assert_eq!(drawing.gap(&logits, position, token), Ok(0));
        }

        #[test]
        fn a_little_noise_on_the_logits_makes_little_gaps(
            logits in proptest::collection::vec(-8f32..8.0, 1..250),
            noise in proptest::collection::vec(-0.01f32..0.01, 250),
            key in any::<[u8; 32]>(),
            position in any::<u64>(),
        ) {
            let drawing = Drawing { key, temperature: 1000, top_k: 0, top_p: 1000 };
            let other: Vec<f32> = logits.iter().zip(noise).map(|(x, e)| x + e).collect();
            let token = drawing.token(&other, position).unwrap();
            // Two hundredths are 82 units.
            prop_assert!(drawing.gap(&logits, position, token).unwrap() <= 82);
        }

        #[test]
        fn no_logits_make_it_panic(
            bits in proptest::collection::vec(any::<u32>(), 0..40),
            temperature in any::<u16>(),
            top_k in any::<u16>(),
            top_p in any::<u16>(),
            token in any::<u32>(),
        ) {
            let logits: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let drawing = Drawing { key: [7; 32], temperature, top_k, top_p };
            let _ = drawing.token(&logits, 3);
            let _ = drawing.gap(&logits, 3, token);
        }
    }
}
