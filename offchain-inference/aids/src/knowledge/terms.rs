// SPDX-License-Identifier: Apache-2.0

//! Passages by the words that they share with a question (BM25: Robertson and Zaragoza 2009).

use std::collections::HashMap;

/// The bound of what further occurrences of a word count, BM25's k₁.
const K1: f64 = 1.2;

/// The influence of the length of a passage, BM25's b.
const B: f64 = 0.75;

/// English words that say nothing about the matter of a text.
const EMPTY: [&str; 48] = [
    "a", "about", "an", "and", "are", "as", "at", "be", "by", "can", "did", "do", "does", "for",
    "from", "had", "has", "have", "how", "i", "in", "is", "it", "its", "me", "much", "of", "on",
    "or", "please", "tell", "that", "the", "there", "they", "this", "to", "was", "were", "what",
    "when", "where", "which", "who", "why", "will", "with", "you",
];

/// Passages by their words.
#[derive(Default)]
pub struct Terms {
    /// Passages with a word, and how often they have it.
    places: HashMap<String, Vec<(usize, u32)>>,
    /// Number of words of each passage.
    lengths: Vec<usize>,
}

impl Terms {
    /// From the texts of the passages.
    pub fn new<'a>(passages: impl Iterator<Item = &'a str>) -> Self {
        let mut terms = Self::default();
        for (passage, text) in passages.enumerate() {
            let mut counts: HashMap<String, u32> = HashMap::new();
            let mut length = 0usize;
            for word in words(text) {
                length = length.saturating_add(1);
                let count = counts.entry(word).or_default();
                *count = count.saturating_add(1);
            }
            for (word, count) in counts {
                terms.places.entry(word).or_default().push((passage, count));
            }
            terms.lengths.push(length);
        }
        terms
    }

    /// The passages with a telling word of `question`, the best first. A word that most passages
    /// have tells nothing.
    pub fn rank(&self, question: &str) -> Vec<usize> {
        let all = self.lengths.len();
        let total: usize = self.lengths.iter().sum();
        let mean = (total as f64 / all.max(1) as f64).max(1.0);
        let mut asked: Vec<String> = words(question).collect();
        asked.sort_unstable();
        asked.dedup();
        let mut scores: HashMap<usize, f64> = HashMap::new();
        for places in asked.iter().filter_map(|word| self.places.get(word)) {
            if places.len() > 1 && places.len() > all / 2 {
                continue;
            }
            let (with, without) = (places.len() as f64, all.saturating_sub(places.len()) as f64);
            let rarity = (1.0 + (without + 0.5) / (with + 0.5)).ln();
            for (passage, count) in places {
                let length = self
                    .lengths
                    .get(*passage)
                    .map_or(0.0, |length| *length as f64);
                let count = f64::from(*count);
                let usual = K1 * (1.0 - B + B * length / mean);
                *scores.entry(*passage).or_default() +=
                    rarity * count * (K1 + 1.0) / (count + usual);
            }
        }
        let mut ranked: Vec<(usize, f64)> = scores.into_iter().collect();
        ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.into_iter().map(|(passage, _)| passage).collect()
    }
}

/// The words of a text in lower case, without those that say nothing, and without the end of plurals.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty()).map(str::to_lowercase);
    let telling = words.filter(|word| EMPTY.binary_search(&word.as_str()).is_err());
    telling.map(|word| match word.strip_suffix('s') {
        Some(one) if one.len() > 2 && !one.ends_with(['s', 'u', 'i']) => one.to_owned(),
        _ => word,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_in_order() {
        assert!(EMPTY.is_sorted());
    }

    #[test]
    fn rare_words_count_most_and_empty_ones_nothing() {
        let passages = [
            "The bridges of Orla are red.",
            "The bridge of Tamm was built in 1873, a bridge of stone.",
            "Orla has a market on Mondays.",
            "Fish is sold there.",
            "Nobody knows why.",
        ];
        let terms = Terms::new(passages.into_iter());
        assert_eq!(terms.rank("When was the bridge of Tamm built?")[0], 1);
        assert_eq!(terms.rank("What is on a Monday in Orla?"), [2, 0]);
        assert_eq!(terms.rank("Which BRIDGES are red?")[0], 0);
        assert_eq!(
            terms.rank("What is this about, and who are you?"),
            [0usize; 0]
        );
        assert_eq!(terms.rank(""), [0usize; 0]);
        assert_eq!(Terms::default().rank("bridge"), [0usize; 0]);
    }

    #[test]
    fn a_word_of_most_passages_tells_nothing() {
        let terms = Terms::new(["tea green", "tea black", "tea hot"].into_iter());
        assert_eq!(terms.rank("tea"), [0usize; 0]);
        assert_eq!(terms.rank("black tea"), [1]);
        // Of a single passage, every word tells.
        assert_eq!(Terms::new(["tea"].into_iter()).rank("tea"), [0]);
    }
}
