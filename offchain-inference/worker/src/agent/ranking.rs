// SPDX-License-Identifier: Apache-2.0

//! Turns raw scores into the scores that an agent commits to.
//!
//! Models and rankers score on different scales. Therefore an agent commits the quantile of a raw
//! score in a reference set: the scores of the same ranker on the same model for responses of
//! several models and samplings to a dozen questions (`references/responses.json`). Texts that no
//! model wrote, such as the endings of HellaSwag, are no reference: all responses of a round would
//! score above them. Without a reference, an agent commits the raw score.

use std::{fs, path::Path};

use starling_engine::rank::{Quantiles, RankerKind};
use starling_primitives::Score;
use starling_zk::{features::Features, file::HeadFile};

use crate::config::Reference;

/// References of the models of the store, written by `starling-infer calibrate --responses`.
const BUILT_IN: [&str; 4] = [
    include_str!("../../references/smollm2-135m-instruct.json"),
    include_str!("../../references/smollm2-135m-instruct-lift.json"),
    include_str!("../../references/gemma-3-270m.json"),
    include_str!("../../references/gemma-3-270m-lift.json"),
];

/// Converts a score to steps of 1/65535.
pub fn quantise(score: f64) -> Score {
    // Saturates, and turns NaN into 0.
    Score((score * f64::from(u16::MAX)).round() as u16)
}

/// The score to commit for a raw score.
pub fn committed(reference: Option<&Quantiles>, raw: f64) -> Score {
    quantise(reference.map_or(raw, |reference| reference.quantile(raw)))
}

/// Similarity of two texts in [0, 1]: the Sørensen–Dice coefficient of their pairs of letters.
pub fn similarity(a: &str, b: &str) -> f64 {
    strsim::sorensen_dice(&a.to_lowercase(), &b.to_lowercase())
}

/// Scores by similarity to the agent's own response, for an agent without a model or with one that
/// fails: no scores at all would cost its bond.
pub fn by_similarity(own: &str, responses: &[String]) -> Vec<Score> {
    responses
        .iter()
        .map(|response| quantise(similarity(own, response)))
        .collect()
}

/// Scores by a private head, of the whole texts as they are on chain: its owner may want to prove
/// each of them.
pub fn by_head(head: &HeadFile, prompt: &str, responses: &[String]) -> Vec<Score> {
    let score = |response: &String| {
        let features = Features::of(prompt.as_bytes(), response.as_bytes());
        Score(head.table.score(head.secret.head().output(&features)))
    };
    responses.iter().map(score).collect()
}

/// Reads the file of a private head.
pub fn read_head(path: &Path) -> Result<HeadFile, String> {
    let at = |error: String| format!("head {}: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| at(error.to_string()))?;
    HeadFile::from_bytes(&bytes).map_err(|error| at(error.to_string()))
}

/// Reads a reference for `ranker` from a file.
pub fn read(path: &Path, ranker: RankerKind) -> Result<Quantiles, String> {
    let at = |error: String| format!("reference {}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
    let reference: Reference =
        serde_json::from_str(&text).map_err(|error| at(error.to_string()))?;
    if reference.ranker == ranker {
        Ok(reference.scores)
    } else {
        Err(at(format!(
            "it is for the ranker {}, not {ranker}",
            reference.ranker
        )))
    }
}

/// The built-in reference of a model of the store.
pub fn built_in(model: &str, ranker: RankerKind) -> Option<Quantiles> {
    let mut known = BUILT_IN
        .iter()
        .filter_map(|text| serde_json::from_str::<Reference>(text).ok());
    known
        .find(|reference| reference.model == model && reference.ranker == ranker)
        .map(|reference| reference.scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_built_in_references_are_sound() {
        for model in ["smollm2-135m-instruct", "gemma-3-270m"] {
            for ranker in [RankerKind::Likelihood, RankerKind::Lift] {
                let reference = built_in(model, ranker).unwrap();
                assert_eq!(committed(Some(&reference), 0.0), Score(0));
                assert_eq!(committed(Some(&reference), 1.0), Score::ONE);
            }
            assert!(built_in(model, RankerKind::Judge).is_none());
        }
        assert_eq!(built_in("other", RankerKind::Likelihood), None);
    }

    #[test]
    fn the_same_text_is_most_similar() {
        let responses = ["Paris.", "It is paris", "London", ""].map(str::to_owned);
        let scores = by_similarity("paris.", &responses);
        assert_eq!(scores[0], Score::ONE);
        assert!(scores[1] > scores[2] && scores[2] >= scores[3]);
    }

    #[test]
    fn what_is_no_number_scores_nothing() {
        assert_eq!(quantise(f64::NAN), Score(0));
        assert_eq!(quantise(-3.0), Score(0));
        assert_eq!(quantise(7.0), Score::ONE);
    }

    #[test]
    fn a_reference_of_another_ranker_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        fs::write(&path, r#"{"model":"m","ranker":"judge","scores":[0.5]}"#).unwrap();
        assert!(read(&path, RankerKind::Judge).is_ok());
        assert!(read(&path, RankerKind::Likelihood)
            .unwrap_err()
            .contains("judge"));
        fs::write(&path, "{").unwrap();
        assert!(read(&path, RankerKind::Judge).is_err());
    }

    proptest! {
        #[test]
        fn a_better_raw_score_is_never_committed_as_a_worse_one(a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let reference = built_in("gemma-3-270m", RankerKind::Likelihood).unwrap();
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(committed(Some(&reference), low) <= committed(Some(&reference), high));
        }
    }
}
