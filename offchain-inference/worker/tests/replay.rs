// SPDX-License-Identifier: Apache-2.0

//! A disputed span of a real model, computed again by executors.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use starling_engine::{ActivationBits, Hidden, Input, LoadOptions, Model, Step};
use starling_evidence::{
    judge, sample, Claim, Evidence, Exhibit, Finding, History, Judgement, Peer, Ruling, Side,
    Signed, SignedOutput,
};
use starling_shards::wire::WireFormat;
use starling_worker::disputes::replay::{find, ReplayError};

use crate::engine::{self, SMOLLM2};

const WIRE: WireFormat = WireFormat::F16;
const WIDTH: usize = 576;
const LAYERS: (u32, u32) = (15, 30);
const DRAW: [u8; 32] = [7; 32];

/// A case with the model's own rows.
struct Scene {
    path: PathBuf,
    tokens: Vec<u32>,
    inputs: Vec<f32>,
    /// The right output, by activations of 8 bits.
    output: Vec<f32>,
}

fn through(
    path: &Path,
    layers: std::ops::Range<usize>,
    bits: ActivationBits,
    rows: &Hidden,
) -> Hidden {
    let options = LoadOptions {
        layers: Some(layers),
        ends: false,
        threads: 1,
        activation_bits: bits,
        ..LoadOptions::default()
    };
    let model = Model::load(path, &options).unwrap();
    let mut session = model.session();
    let input = Input::Hidden(rows);
    let step = Step {
        session: &mut session,
        input,
    };
    model.forward(&mut [step]).unwrap().remove(0)
}

impl Scene {
    fn new() -> Self {
        let path = engine::model(SMOLLM2);
        let tokens: Vec<u32> = (0..16u32).map(|at| 1_000 + 97 * at).collect();
        let ends = LoadOptions {
            layers: Some(0..0),
            threads: 1,
            ..LoadOptions::default()
        };
        let embedded = Model::load(&path, &ends).unwrap().embed(&tokens).unwrap();
        let inputs = through(&path, 0..15, ActivationBits::Sixteen, &embedded);
        let inputs = WIRE.as_decoded(inputs.as_slice(), WIDTH).unwrap();
        let rows = Hidden::new(WIDTH, inputs.clone()).unwrap();
        let output = through(&path, 15..30, ActivationBits::Eight, &rows);
        Self {
            path,
            tokens,
            inputs,
            output: output.into_vec(),
        }
    }

    /// A case about two outputs.
    fn case(&self, first: &[u8], second: &[u8]) -> (Evidence, Exhibit) {
        let mut history = History::default();
        history.push(&self.inputs, WIDTH);
        let answer = |agent: u8, output: &[u8]| SignedOutput {
            peer: Peer::new([agent]),
            claim: Signed {
                account: [agent; 32],
                key: [agent; 32],
                body: Claim {
                    model: [1; 32],
                    layers: LAYERS,
                    wire: WIRE.into(),
                    positions: 0,
                    rows: 16,
                    before: [0; 32],
                    after: history.digest(),
                    output: Sha256::digest(output).into(),
                    time: 0,
                },
                signature: [0; 64],
            },
        };
        let evidence = Evidence {
            first: answer(1, first),
            second: answer(2, second),
        };
        let exhibit = Exhibit {
            width: WIDTH as u32,
            inputs: WireFormat::F32.encode(&self.inputs, WIDTH),
            first: first.to_vec(),
            second: second.to_vec(),
            tokens: self.tokens.clone(),
        };
        (evidence, exhibit)
    }

    fn find(&self, (evidence, exhibit): &(Evidence, Exhibit)) -> Result<Finding, ReplayError> {
        find(&self.path, 1, evidence, exhibit, &DRAW)
    }

    /// The ruling of executors like this one.
    fn judged(&self, first: &[u8], second: &[u8]) -> Judgement {
        let finding = self.find(&self.case(first, second)).unwrap();
        judge(sample::layout(16).unwrap(), 3, &[&finding; 3])
    }
}

#[test]
fn executors_convict_the_liar_and_clear_the_honest() {
    let scene = Scene::new();
    let honest = WIRE.encode(&scene.output, WIDTH);
    let decided = |first, second| Ruling::Decided { first, second };

    // Every element is off by as much as no kernel is.
    let louder: Vec<f32> = scene.output.iter().map(|x| x * 1.3).collect();
    let judgement = scene.judged(&honest, &WIRE.encode(&louder, WIDTH));
    assert_eq!(judgement.ruling, decided(Side::Cleared, Side::Guilty));
    assert_eq!(judgement.agreeing, [0, 1, 2]);

    // The rows of the border before: a span that was left out.
    let judgement = scene.judged(&WIRE.encode(&scene.inputs, WIDTH), &honest);
    assert_eq!(judgement.ruling, decided(Side::Guilty, Side::Cleared));

    // Bytes that are no rows.
    let judgement = scene.judged(&honest, &[0xff; 5]);
    assert_eq!(judgement.ruling, decided(Side::Cleared, Side::Guilty));

    // Two honest servers, with activations of 8 and of 16 bits.
    let rows = Hidden::new(WIDTH, scene.inputs.clone()).unwrap();
    let finer = through(&scene.path, 15..30, ActivationBits::Sixteen, &rows);
    let judgement = scene.judged(&honest, &WIRE.encode(finer.as_slice(), WIDTH));
    assert_eq!(judgement.ruling, decided(Side::Cleared, Side::Cleared));

    // Inputs that other tokens lead to are judged by nobody, and neither are those without.
    let (evidence, exhibit) = scene.case(&honest, &[]);
    let with = |tokens: Vec<u32>| {
        let exhibit = Exhibit {
            tokens,
            ..exhibit.clone()
        };
        scene.find(&(evidence.clone(), exhibit))
    };
    let others: Vec<u32> = scene.tokens.iter().map(|token| token + 5).collect();
    assert_eq!(with(others).unwrap(), Finding::Unnatural);
    assert_eq!(with(vec![u32::MAX; 16]).unwrap(), Finding::Unnatural);
    assert!(matches!(with(vec![]), Err(ReplayError::Exhibit(_))));
}
