// SPDX-License-Identifier: Apache-2.0
//! Both decoders against llama.cpp's recorded logits, on models with random weights.
//!
//! `STARLING_FAMILIES=FOLDER cargo test -p starling-engine --lib -- --ignored the_models_are_written`
//! writes the models, `bench/llama-cpp/record-families logits FOLDER` asks llama.cpp.

use std::{collections::BTreeMap, path::PathBuf};

use candle_core::quantized::GgmlDType;
use serde::Deserialize;

use crate::{
    candle::CandleModel,
    fixtures::{self, FAMILIES, VOCAB},
    model::tests::{options, tokens},
    Ends, Hidden, Input, Model, Step, Trunk,
};

/// Positions of a recording: beyond windows, pages, and the length of training before an extension.
const POSITIONS: usize = 150;

/// llama.cpp's answers for one model.
#[derive(Deserialize)]
struct Recording {
    /// The likeliest token at each position.
    first: Vec<u32>,
    /// Logits at some positions.
    logits: BTreeMap<usize, Vec<f32>>,
}

fn recordings() -> BTreeMap<String, Recording> {
    serde_json::from_str(&fixtures::recorded("logits-families.json")).unwrap()
}

/// Logits of every position; the second call starts in the middle of a page.
fn logits<T: Trunk>(trunk: &T) -> Vec<Vec<f32>> {
    let tokens = tokens(POSITIONS);
    let mut session = trunk.session();
    let mut rows = Vec::new();
    for part in [&tokens[..41], &tokens[41..]] {
        let input = Input::Tokens(part);
        let session = &mut session;
        let hidden = trunk.forward(&mut [Step { session, input }]).unwrap();
        rows.extend(hidden.into_iter().flat_map(Hidden::into_vec));
    }
    let hidden = Hidden::new(trunk.ends().config().width, rows).unwrap();
    let logits = trunk.ends().logits(&hidden).unwrap();
    logits.chunks_exact(VOCAB).map(<[f32]>::to_vec).collect()
}

#[test]
fn both_decoders_have_the_logits_of_llama_cpp() {
    let recordings = recordings();
    let (mut positions, mut same) = (0, 0);
    for family in FAMILIES {
        let recording = &recordings[family];
        let fixture = fixtures::family(family, GgmlDType::F32);
        let own = Model::load(&fixture.path, &options()).unwrap();
        let device = candle_core::Device::Cpu;
        let candle = CandleModel::load(&fixture.path, &device, &options()).unwrap();
        for logits in [logits(&own), logits(&candle)] {
            for (&position, expected) in &recording.logits {
                for (got, expected) in logits[position].iter().zip(expected) {
                    // llama.cpp's cache holds f16, as ours does.
                    assert!(
                        (got - expected).abs() < 0.02,
                        "{family}, position {position}: {got} for {expected}"
                    );
                }
            }
            assert_eq!(recording.first.len(), logits.len());
            for (logits, expected) in logits.iter().zip(&recording.first) {
                let best = (0..VOCAB).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                positions += 1;
                same += usize::from(best == Some(*expected as usize));
            }
        }
    }
    assert!(same * 100 >= positions * 99, "{same} of {positions}");
}

#[test]
#[ignore = "writes the questions for llama.cpp"]
fn the_models_are_written() {
    let folder = PathBuf::from(std::env::var_os("STARLING_FAMILIES").unwrap());
    let tokens = serde_json::to_string(&tokens(POSITIONS)).unwrap();
    std::fs::write(folder.join("tokens.json"), tokens).unwrap();
    for family in FAMILIES {
        let fixture = fixtures::family(family, GgmlDType::F32);
        std::fs::copy(&fixture.path, folder.join(format!("{family}.gguf"))).unwrap();
    }
}
