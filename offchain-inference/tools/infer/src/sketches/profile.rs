// SPDX-License-Identifier: Apache-2.0
//! The profile of a model from its file, as a calibration writes it.

use super::hash;
use crate::common::{read_file, Failure};
use serde::Deserialize;
use starling_sketch::{
    check::{self, MeanGaps},
    distance::Thresholds,
    Hash,
};
use std::path::Path;

#[derive(Deserialize)]
struct Stored {
    sha256: String,
    answers: Limits,
    tokens: GapLimits,
    distributions: Limits,
}

#[derive(Deserialize)]
struct Limits {
    accept_squared: u64,
    reject_squared: u64,
}

#[derive(Deserialize)]
struct GapLimits {
    accept_units: u16,
    reject_units: u16,
}

impl Limits {
    fn thresholds(&self) -> Thresholds {
        Thresholds {
            accept: self.accept_squared,
            reject: self.reject_squared,
        }
    }
}

/// Reads the limits of the model with this hash: JSON if the file's name ends in .json, else TOML.
pub(crate) fn read(path: &Path, model: &Hash) -> Result<check::Profile, Failure> {
    let text = read_file(path)?;
    let name = path.display();
    let json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let stored = if json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    let stored: Stored = stored.map_err(|error| {
        format!("{name} is no profile: {error}; make one with `starling-infer calibrate-sketch`")
    })?;
    if hash(&stored.sha256).as_ref() != Some(model) {
        let of = &stored.sha256;
        return Err(format!("{name} is the profile of another model, with SHA-256 {of}").into());
    }
    Ok(check::Profile {
        answers: stored.answers.thresholds(),
        tokens: MeanGaps {
            accept: stored.tokens.accept_units,
            reject: stored.tokens.reject_units,
        },
        distributions: stored.distributions.thresholds(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "model = \"m\"\nsha256 = \"0909090909090909090909090909090909090909090909\
        090909090909090909\"\n\
        [answers]\naccept = 0.5\naccept_squared = 1\nreject_squared = 2\n\
        [tokens]\naccept_units = 3\nreject_units = 4\n\
        [distributions]\naccept_squared = 5\nreject_squared = 6\n";

    #[test]
    fn a_profile_is_of_one_model_and_anything_else_says_how_to_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        std::fs::write(&path, TEXT).unwrap();
        let profile = read(&path, &[9; 32]).unwrap();
        assert_eq!(profile.answers.reject, 2);
        assert_eq!((profile.tokens.accept, profile.tokens.reject), (3, 4));
        assert_eq!(profile.distributions.accept, 5);
        let other = read(&path, &[8; 32]).unwrap_err().to_string();
        assert!(other.contains("another model"), "{other}");
        std::fs::write(&path, "sha256 = 1").unwrap();
        let none = read(&path, &[9; 32]).unwrap_err().to_string();
        assert!(none.contains("calibrate-sketch"), "{none}");
        // The other format of a calibration.
        let value: toml::Value = toml::from_str(TEXT).unwrap();
        let path = folder.path().join("profile.json");
        std::fs::write(&path, serde_json::to_string(&value).unwrap()).unwrap();
        assert_eq!(read(&path, &[9; 32]).unwrap(), profile);
    }
}
