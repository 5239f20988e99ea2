// SPDX-License-Identifier: Apache-2.0
//! Adapters against weights that hold them, and files that must be refused.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
    sync::Arc,
};

use candle_core::{
    quantized::{
        gguf_file::{self, Value as Metadata},
        GgmlDType, QTensor,
    },
    Device, Tensor,
};
use half::{bf16, f16};
use proptest::prelude::*;
use safetensors::{tensor::TensorView, Dtype};
use serde_json::{json, Value};

use super::*;
use crate::{
    fixtures::{self, Fixture, Random, FAMILIES, LAYERS, VOCAB},
    gguf::Gguf,
    model::tests::{assert_same_everywhere, options, tokens},
    Hidden, Input, LoadOptions, Model, Step,
};

/// Families without experts, one of each.
const DENSE: [&str; 6] = ["llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"];

const RANK: usize = 5;
const ALPHA: f64 = 10.0;

fn config(fixture: &Fixture) -> Config {
    Config::from_gguf(&Gguf::open(&fixture.path).unwrap()).unwrap()
}

/// The matrices of a layer that a model has.
fn targets(config: &Config) -> Vec<Target> {
    let all = Target::ALL.into_iter();
    all.filter(|target| target.shape(config).is_some())
        .collect()
}

/// Rows, columns and values of a matrix.
type Dense = (usize, usize, Vec<f32>);

/// An adapter's files in the making, so that they can be wrong.
#[derive(Clone)]
struct Draft {
    architecture: &'static str,
    /// A and B by layer and target: rows, columns, values.
    pairs: BTreeMap<(usize, Target), [Dense; 2]>,
    settings: Value,
    metadata: HashMap<String, String>,
    /// More tensors, by name.
    more: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    dtype: Dtype,
}

impl Draft {
    /// An adapter of all matrices of all layers.
    fn of(config: &Config, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut pairs = BTreeMap::new();
        for layer in 0..config.layers {
            for target in targets(config) {
                let (outputs, inputs) = target.shape(config).unwrap();
                let mut matrix = |rows: usize, columns: usize| {
                    let scale = 0.4 / (columns as f32).sqrt();
                    let values = random.floats(rows * columns);
                    let values = values.into_iter().map(|value| value * scale).collect();
                    (rows, columns, values)
                };
                let pair = [matrix(RANK, inputs), matrix(outputs, RANK)];
                pairs.insert((layer, target), pair);
            }
        }
        let names: Vec<_> = targets(config).into_iter().map(Target::name).collect();
        Self {
            architecture: config.architecture.name(),
            pairs,
            settings: json!({
                "peft_type": "LORA",
                "r": RANK,
                "lora_alpha": ALPHA,
                "target_modules": names,
                "bias": "none",
                "task_type": "CAUSAL_LM",
                "lora_dropout": 0.05,
                "use_dora": false,
                "modules_to_save": null,
                "loftq_config": {},
            }),
            metadata: HashMap::from([("format".into(), "pt".into())]),
            more: BTreeMap::new(),
            dtype: Dtype::F32,
        }
    }

    fn llama(seed: u64) -> Self {
        Self::of(&config(&fixtures::family("llama", GgmlDType::F32)), seed)
    }

    fn set(mut self, key: &str, value: Value) -> Self {
        self.settings[key] = value;
        self
    }

    fn tensors(&self) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let mut tensors = self.more.clone();
        for ((layer, target), halves) in &self.pairs {
            for (half, (rows, columns, values)) in ["A", "B"].iter().zip(halves) {
                let module = target.module();
                let name =
                    format!("base_model.model.model.layers.{layer}.{module}.lora_{half}.weight");
                tensors.insert(name, (vec![*rows, *columns], values.clone()));
            }
        }
        tensors
    }

    fn weights(&self) -> Vec<u8> {
        let bytes = |values: &[f32]| -> Vec<u8> {
            match self.dtype {
                Dtype::F16 => values
                    .iter()
                    .flat_map(|x| f16::from_f32(*x).to_le_bytes())
                    .collect(),
                Dtype::BF16 => values
                    .iter()
                    .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
                    .collect(),
                Dtype::F64 => values
                    .iter()
                    .flat_map(|x| f64::from(*x).to_le_bytes())
                    .collect(),
                _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            }
        };
        let tensors: Vec<_> = self
            .tensors()
            .into_iter()
            .map(|(name, (shape, values))| (name, shape, bytes(&values)))
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (
                name,
                TensorView::new(self.dtype, shape.clone(), bytes).unwrap(),
            )
        });
        safetensors::serialize(views, Some(self.metadata.clone())).unwrap()
    }

    /// Writes a PEFT folder.
    fn peft(&self) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("adapter");
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("adapter_config.json"),
            self.settings.to_string(),
        )
        .unwrap();
        fs::write(folder.join("adapter_model.safetensors"), self.weights()).unwrap();
        (directory, folder)
    }

    /// Writes llama.cpp's file: rows of q and k of a llama are in the order of the base's file.
    fn gguf(&self, config: &Config, metadata: &[(&str, Metadata)]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("adapter.gguf");
        let mut tensors = Vec::new();
        for ((layer, target), [a, b]) in &self.pairs {
            let tensor = gguf_name(*target);
            let (rows, rank, values) = b;
            let disk = of_disk(config, *target, *rows);
            let b: Vec<f32> = disk
                .flat_map(|row| &values[row * rank..][..*rank])
                .copied()
                .collect();
            for (half, rows, columns, values) in
                [("a", a.0, a.1, a.2.clone()), ("b", *rows, *rank, b)]
            {
                let tensor = format!("blk.{layer}.{tensor}.weight.lora_{half}");
                tensors.push((tensor, quantised(rows, columns, values, GgmlDType::F32)));
            }
        }
        let text = |text: &str| Metadata::String(text.to_owned());
        let mut all = vec![
            ("general.type", text("adapter")),
            ("general.architecture", text(self.architecture)),
            ("adapter.type", text("lora")),
            ("adapter.lora.alpha", Metadata::F32(ALPHA as f32)),
        ];
        for (key, value) in metadata {
            all.retain(|(other, _)| other != key);
            all.push((key, value.clone()));
        }
        write_gguf(&path, &all, &tensors);
        (directory, path)
    }

    fn read(&self, config: &Config) -> Adapter {
        let (_directory, folder) = self.peft();
        Adapter::read(&folder, config).unwrap()
    }

    /// The reason of the refusal.
    #[track_caller]
    fn refusal(&self) -> String {
        let (_directory, folder) = self.peft();
        let config = config(&fixtures::family("llama", GgmlDType::F32));
        let error = Adapter::read(&folder, &config).unwrap_err();
        assert!(matches!(error, Error::Adapter { .. }), "{error}");
        error.to_string()
    }
}

fn gguf_name(target: Target) -> &'static str {
    match target {
        Target::Query => "attn_q",
        Target::Key => "attn_k",
        Target::Value => "attn_v",
        Target::QueryKeyValue => "attn_qkv",
        Target::Output => "attn_output",
        Target::Gate => "ffn_gate",
        Target::Up | Target::GateUp => "ffn_up",
        Target::Down => "ffn_down",
    }
}

/// For each row on disk, its row in PEFT's order; written out apart from the engine's own rule.
fn of_disk(config: &Config, target: Target, rows: usize) -> impl Iterator<Item = usize> {
    let permuted =
        config.architecture == Architecture::Llama && matches!(target, Target::Query | Target::Key);
    let width = config.head_width;
    (0..rows).map(move |row| match permuted {
        true => row / width * width + row % width / 2 + row % 2 * (width / 2),
        false => row,
    })
}

fn quantised(rows: usize, columns: usize, values: Vec<f32>, dtype: GgmlDType) -> QTensor {
    let tensor = Tensor::from_vec(values, vec![rows, columns], &Device::Cpu).unwrap();
    QTensor::quantize(&tensor, dtype).unwrap()
}

fn write_gguf(path: &Path, metadata: &[(&str, Metadata)], tensors: &[(String, QTensor)]) {
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    gguf_file::write(&mut fs::File::create(path).unwrap(), &metadata, &tensors).unwrap();
}

/// The base model with `W + s B A` in the place of each W.
fn merged(fixture: &Fixture, adapter: &Adapter) -> (tempfile::TempDir, PathBuf) {
    let gguf = Gguf::open(&fixture.path).unwrap();
    let config = Config::from_gguf(&gguf).unwrap();
    let mut reader = gguf.reader().unwrap();
    let mut tensors = Vec::new();
    for name in gguf.names() {
        let entry = gguf.entry(name).unwrap();
        let mut bytes = vec![0; entry.rows * entry.row_bytes()];
        reader.rows(&entry, 0, &mut bytes).unwrap();
        let floats = bytes.as_chunks::<4>().0.iter();
        let mut values: Vec<f32> = floats.map(|b| f32::from_le_bytes(*b)).collect();
        for (layer, target, pair) in adapter.pairs() {
            if name != format!("blk.{layer}.{}.weight", gguf_name(target)) {
                continue;
            }
            for (row, from) in of_disk(&config, target, pair.outputs()).enumerate() {
                for column in 0..pair.inputs() {
                    let product: f64 = (0..pair.rank())
                        .map(|i| {
                            let b = pair.b()[from * pair.rank() + i];
                            f64::from(b) * f64::from(pair.a()[i * pair.inputs() + column])
                        })
                        .sum();
                    let weight = &mut values[row * pair.inputs() + column];
                    let scale = f64::from(adapter.scale(pair));
                    *weight = (f64::from(*weight) + scale * product) as f32;
                }
            }
        }
        let tensor = Tensor::from_vec(values, entry.shape.clone(), &Device::Cpu).unwrap();
        tensors.push((
            name.to_owned(),
            QTensor::quantize(&tensor, GgmlDType::F32).unwrap(),
        ));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("merged.gguf");
    let metadata = gguf.metadata().iter();
    let metadata: Vec<_> = metadata
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    write_gguf(&path, &metadata, &tensors);
    (directory, path)
}

fn load(path: &Path) -> Model {
    Model::load(path, &options()).unwrap()
}

fn logits(model: &Model, tokens: &[u32]) -> Vec<f32> {
    let hidden = model.session().extend(tokens).unwrap();
    model.logits(&hidden).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn farthest(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let distances = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    distances.fold(0.0, f32::max)
}

#[test]
fn an_adapter_computes_what_weights_that_hold_it_compute() {
    for family in DENSE {
        let fixture = fixtures::family(family, GgmlDType::F32);
        let adapter = Draft::of(&config(&fixture), 7).read(&config(&fixture));
        let tokens = tokens(60);
        let base = load(&fixture.path);
        let adapted = logits(&base.with_adapter(&adapter).unwrap(), &tokens);
        let (_directory, path) = merged(&fixture, &adapter);
        let expected = logits(&load(&path), &tokens);
        let (error, effect) = (
            farthest(&adapted, &expected),
            farthest(&logits(&base, &tokens), &expected),
        );
        // Keys and values are rounded to f16 in both.
        assert!(error < 0.005, "{family}: {error}");
        assert!(effect > 0.3, "{family}: {effect}");
    }
}

#[test]
fn each_matrix_is_changed_by_its_own_pair() {
    for family in ["llama", "phi3"] {
        let fixture = fixtures::family(family, GgmlDType::F32);
        let config = config(&fixture);
        let base = load(&fixture.path);
        let tokens = tokens(20);
        for target in targets(&config) {
            let mut draft = Draft::of(&config, 3);
            draft
                .pairs
                .retain(|(layer, other), _| (*layer, *other) == (2, target));
            let path = format!("model.layers.2.{}", target.module());
            let adapter = draft.set("target_modules", json!([path])).read(&config);
            let adapted = logits(&base.with_adapter(&adapter).unwrap(), &tokens);
            let (_directory, path) = merged(&fixture, &adapter);
            let error = farthest(&adapted, &logits(&load(&path), &tokens));
            assert!(error < 0.005, "{family}, {target:?}: {error}");
            let effect = farthest(&adapted, &logits(&base, &tokens));
            assert!(effect > 0.01, "{family}, {target:?}: {effect}");
        }
    }
}

#[test]
fn a_zero_b_changes_not_one_bit() {
    for family in FAMILIES {
        let fixture = fixtures::family(family, GgmlDType::Q8_0);
        let config = config(&fixture);
        let mut draft = Draft::of(&config, 7);
        for [_, b] in draft.pairs.values_mut() {
            b.2.fill(0.0);
        }
        let base = load(&fixture.path);
        let adapted = base.with_adapter(&draft.read(&config)).unwrap();
        let tokens = tokens(40);
        let same = bits(&logits(&adapted, &tokens)) == bits(&logits(&base, &tokens));
        assert!(same, "{family}");
    }
}

#[test]
fn both_formats_of_an_adapter_give_the_same_bits() {
    for family in DENSE {
        let fixture = fixtures::family(family, GgmlDType::Q8_0);
        let config = config(&fixture);
        let draft = Draft::of(&config, 11);
        let peft = draft.read(&config);
        let (_directory, path) = draft.gguf(&config, &[]);
        let gguf = Adapter::read(&path, &config).unwrap();
        assert_eq!(gguf.pairs, peft.pairs, "{family}");
        assert_eq!(
            Adapter::open(&path).unwrap().needs_base(),
            family == "llama"
        );
        let base = load(&fixture.path);
        let output = |adapter| logits(&base.with_adapter(adapter).unwrap(), &tokens(30));
        assert_eq!(bits(&output(&gguf)), bits(&output(&peft)), "{family}");
    }
}

#[test]
fn spans_with_an_adapter_equal_the_whole() {
    for family in DENSE {
        let fixture = fixtures::family(family, GgmlDType::Q8_0);
        let adapter = Arc::new(Draft::of(&config(&fixture), 5).read(&config(&fixture)));
        let load = |layers, ends| {
            let options = LoadOptions {
                layers,
                ends,
                adapter: Some(adapter.clone()),
                ..options()
            };
            Model::load(&fixture.path, &options).unwrap()
        };
        let tokens = tokens(45);
        let whole = load(None, true);
        let expected = whole.session().extend(&tokens).unwrap();
        for cut in 1..LAYERS {
            let mut state = whole.embed(&tokens).unwrap();
            for layers in [0..cut, cut..LAYERS] {
                let span = load(Some(layers), false);
                state = span.session().extend_hidden(&state).unwrap();
            }
            assert_eq!(
                bits(state.as_slice()),
                bits(expected.as_slice()),
                "{family}, {cut}"
            );
        }
    }
}

#[test]
fn threads_and_instruction_sets_do_not_change_a_bit_of_an_adapter() {
    for (family, dtype) in [("llama", GgmlDType::Q8_0), ("gemma3", GgmlDType::F16)] {
        let fixture = fixtures::family(family, dtype);
        let adapter = Arc::new(Draft::of(&config(&fixture), 5).read(&config(&fixture)));
        let run = |threads, set| {
            let options = LoadOptions {
                threads,
                instruction_set: Some(set),
                adapter: Some(adapter.clone()),
                ..options()
            };
            bits(&logits(
                &Model::load(&fixture.path, &options).unwrap(),
                &tokens(50),
            ))
        };
        assert_same_everywhere(family, run);
    }
}

#[test]
fn sequences_with_different_adapters_share_a_pass() {
    let fixture = fixtures::family("llama", GgmlDType::Q8_0);
    let base = load(&fixture.path);
    let adapted = [3, 4].map(|seed| {
        let mut draft = Draft::of(&config(&fixture), seed);
        if seed == 4 {
            let wide = draft.pairs.get_mut(&(1, Target::Up)).unwrap();
            *wide = [
                (20, 96, vec![0.03; 20 * 96]),
                (160, 20, vec![0.02; 160 * 20]),
            ];
            draft = draft.set("rank_pattern", json!({"1.mlp.up_proj": 20}));
        }
        base.with_adapter(&draft.read(&config(&fixture))).unwrap()
    });
    let models = [&adapted[0], &base, &adapted[1], &adapted[1], &adapted[0]];
    let lengths = [40, 1, 33, 17, 3];
    let alone: Vec<_> = models
        .iter()
        .zip(lengths)
        .map(|(model, n)| model.session().extend(&tokens(n)).unwrap())
        .collect();
    let mut sessions: Vec<_> = models.iter().map(|model| model.session()).collect();
    let inputs = lengths.map(tokens);
    let mut batch: Vec<_> = sessions
        .iter_mut()
        .zip(&inputs)
        .map(|(session, tokens)| Step {
            session,
            input: Input::Tokens(tokens),
        })
        .collect();
    let together = base.forward(&mut batch).unwrap();
    for (one, other) in together.iter().zip(&alone) {
        assert_eq!(bits(one.as_slice()), bits(other.as_slice()));
    }
}

#[test]
fn prefixes_of_one_adapter_are_not_those_of_another() {
    let fixture = fixtures::family("llama", GgmlDType::Q8_0);
    let base = load(&fixture.path);
    let adapter = Draft::of(&config(&fixture), 3).read(&config(&fixture));
    let adapted = base.with_adapter(&adapter).unwrap();
    let tokens = tokens(70);
    let expected = adapted.session().extend(&tokens).unwrap().last();
    let base = {
        base.session().extend(&tokens).unwrap();
        base.session_with_prefix(&tokens)
    };
    assert_eq!(base.len(), 64);
    let mut again = adapted.clone().session_with_prefix(&tokens);
    assert_eq!(again.len(), 64);
    let last: Hidden = again.extend(&tokens[64..]).unwrap().last();
    assert_eq!(bits(last.as_slice()), bits(expected.as_slice()));
    let other = adapted.with_adapter(&adapter).unwrap();
    assert_eq!(other.session_with_prefix(&tokens).len(), 0);
}

#[test]
fn what_is_written_is_read_again() {
    let fixture = fixtures::family("llama", GgmlDType::F32);
    let config = config(&fixture);
    let mut mixed = Draft::of(&config, 9)
        .set("use_rslora", json!(true))
        .set("rank_pattern", json!({"layers.1.self_attn.q_proj": 2}))
        .set("alpha_pattern", json!({"down_proj": 3.5}))
        .set("base_model_name_or_path", json!("some/base"));
    mixed.pairs.insert(
        (1, Target::Query),
        [(2, 96, vec![0.5; 192]), (96, 2, vec![0.25; 192])],
    );
    mixed.metadata.extend([
        ("starling.base_sha256".into(), "AB".repeat(32)),
        ("starling.job".into(), "7".into()),
        ("starling.step".into(), "120".into()),
    ]);
    let mut partial = Draft::of(&config, 4).set("layers_to_transform", json!([1, 3]));
    partial.pairs.retain(|(layer, _), _| [1, 3].contains(layer));
    for draft in [Draft::of(&config, 1), mixed, partial] {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let draft = Draft {
                dtype,
                ..draft.clone()
            };
            let adapter = draft.read(&config);
            let (directory, folder) = draft.peft();
            assert_eq!(Adapter::open(&folder).unwrap().pairs, adapter.pairs);
            let target = directory.path().join("written");
            adapter.write(&target).unwrap();
            assert_eq!(Adapter::read(&target, &config).unwrap(), adapter);
            // Neither over what is there, nor with a rest beside it.
            assert!(matches!(adapter.write(&target), Err(Error::Write { .. })));
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        }
    }
    let (directory, path) = Draft::of(&config, 1).gguf(&config, &[]);
    let target = directory.path().join("written");
    let error = Adapter::open(&path).unwrap().write(&target).unwrap_err();
    assert!(error.to_string().contains("base model"), "{error}");
    let adapter = Adapter::read(&path, &config).unwrap();
    adapter.write(&target).unwrap();
    assert_eq!(Adapter::read(&target, &config).unwrap(), adapter);
}

#[test]
fn the_scale_is_that_of_the_file() {
    let config = config(&fixtures::family("llama", GgmlDType::F32));
    let scales = |draft: Draft| -> Vec<f32> {
        let adapter = draft.read(&config);
        let pairs = adapter.pairs().filter(|(layer, ..)| *layer == 1);
        pairs.map(|(.., pair)| adapter.scale(pair)).collect()
    };
    let draft = Draft::of(&config, 1);
    assert_eq!(scales(draft.clone()), [2.0; 7]);
    let root = scales(draft.clone().set("use_rslora", json!(true)));
    assert_eq!(root, [(10.0 / 5f64.sqrt()) as f32; 7]);
    // The first pattern of the file that matches counts, whatever the order of its letters.
    let text = draft.settings.to_string();
    let text = text.replacen(
        '{',
        r#"{"alpha_pattern": {"self_attn.*": 5, "k_proj": 50},"#,
        1,
    );
    let (_directory, folder) = draft.peft();
    fs::write(folder.join("adapter_config.json"), text).unwrap();
    let adapter = Adapter::read(&folder, &config).unwrap();
    let pairs = adapter.pairs().filter(|(layer, ..)| *layer == 1);
    let found: Vec<_> = pairs.map(|(.., pair)| adapter.scale(pair)).collect();
    assert_eq!(found, [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    for alpha in [0.0, 20.0] {
        let metadata = [("adapter.lora.alpha", Metadata::F32(alpha))];
        let (_directory, path) = draft.gguf(&config, &metadata);
        let adapter = Adapter::read(&path, &config).unwrap();
        let expected = if alpha == 0.0 { 1.0 } else { 4.0 };
        assert!(adapter
            .pairs()
            .all(|(.., pair)| adapter.scale(pair) == expected));
    }
}

#[test]
fn a_setting_that_is_not_supported_is_refused_by_its_name() {
    let draft = Draft::llama(1);
    for (key, value) in [
        ("use_dora", json!(true)),
        ("bias", json!("lora_only")),
        ("lora_bias", json!(true)),
        ("modules_to_save", json!(["lm_head"])),
        ("fan_in_fan_out", json!(true)),
        ("layer_replication", json!([[0, 4], [2, 5]])),
        ("trainable_token_indices", json!([1, 2])),
        ("alora_invocation_tokens", json!([5])),
        ("target_parameters", json!(["mlp.experts.gate_up_proj"])),
        ("init_lora_weights", json!("pissa")),
        ("a_key_of_tomorrow", json!({"on": 1})),
        ("peft_type", json!("IA3")),
        ("peft_type", json!(null)),
        ("r", json!(0)),
        ("r", json!(-5)),
        ("r", json!(5.5)),
        ("r", json!("5")),
        ("r", json!(6)),
        ("lora_alpha", json!(null)),
        ("lora_alpha", json!({"a": 1})),
        ("lora_alpha", json!(1e308)),
        ("use_rslora", json!("yes")),
        ("rank_pattern", json!([1])),
        ("rank_pattern", json!({"q_proj": "8"})),
        ("rank_pattern", json!({"q_proj": 0})),
        ("rank_pattern", json!({"(": 5})),
        ("target_modules", json!([])),
        ("target_modules", json!({"q_proj": 1})),
        ("target_modules", json!(["q_proj", 3])),
        ("layers_to_transform", json!("all")),
        ("layers_to_transform", json!([0, 1, 2])),
        ("layers_to_transform", json!([0, 1, 2, 3, 4])),
    ] {
        let named = match key {
            "lora_alpha" if value.is_f64() => "alpha",
            key => key,
        };
        let refusal = draft.clone().set(key, value.clone()).refusal();
        assert!(refusal.contains(named), "{key} = {value}: {refusal}");
    }
    for (targets, named) in [
        (json!(["q_proj"]), "target_modules does not name it"),
        (json!(["embed_tokens"]), "target_modules"),
    ] {
        let refusal = draft.clone().set("target_modules", targets).refusal();
        assert!(refusal.contains(named), "{refusal}");
    }
    for name in ["embed_tokens", "lm_head", "nothing_proj"] {
        let mut names = draft.settings["target_modules"].clone();
        names.as_array_mut().unwrap().push(json!(name));
        let refusal = draft.clone().set("target_modules", names).refusal();
        assert!(refusal.contains(name), "{refusal}");
    }
    let (_directory, folder) = draft.peft();
    let twice = draft.settings.to_string().replacen('{', r#"{"r": 5, "#, 1);
    fs::write(folder.join("adapter_config.json"), twice).unwrap();
    let error = Adapter::open(&folder).unwrap_err().to_string();
    assert!(error.contains("key r is there twice"), "{error}");
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_their_names() {
    let draft = Draft::llama(1);
    let q = |layer: usize, half: &str| {
        format!("base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{half}.weight")
    };
    let more = |name: &str| {
        let mut draft = draft.clone();
        draft.more.insert(name.into(), (vec![1, 2], vec![1.0, 2.0]));
        (draft, name.to_owned())
    };
    let half = |place: (usize, Target), half: usize, rows: usize, columns: usize, value: f32| {
        let mut draft = draft.clone();
        let matrix = (rows, columns, vec![value; rows * columns]);
        draft.pairs.get_mut(&place).unwrap()[half] = matrix;
        draft
    };
    let place = (1, Target::Query);
    let gone = |place: (usize, Target)| {
        let mut draft = draft.clone();
        draft.pairs.remove(&place);
        draft
    };
    let all = "base_model.model.model.";
    for (draft, named) in [
        more("base_model.model.model.layers.1.self_attn.q_proj.lora_magnitude_vector"),
        more("base_model.model.model.embed_tokens.lora_embedding_A"),
        more("base_model.model.lm_head.lora_A.weight"),
        more("base_model.model.model.layers.1.self_attn.q_proj.lora_B.bias"),
        more("base_model.model.model.layers.1.self_attn.q_proj.lora_A.default.weight"),
        more("base_model.model.model.layers.1.mlp.experts.0.up_proj.lora_A.weight"),
        more("base_model.model.model.layers.1.input_layernorm.weight"),
        more("model.layers.1.self_attn.q_proj.lora_A.weight"),
        more("x"),
        more(&format!("{all}layers.4.self_attn.q_proj.lora_A.weight")),
        more("base_model.model.layers.1.self_attn.q_proj.lora_A.weight"),
        (half(place, 0, RANK, 96, f32::NAN), q(1, "A")),
        (half(place, 1, 96, RANK, f32::INFINITY), q(1, "B")),
        (half(place, 0, RANK, 95, 1.0), "1.self_attn.q_proj".into()),
        (half(place, 1, 95, RANK, 1.0), "1.self_attn.q_proj".into()),
        (half(place, 0, 96, RANK, 1.0), q(1, "A")),
        (half(place, 0, RANK + 1, 96, 1.0), q(1, "A")),
        (half(place, 0, 300, 96, 1.0), q(1, "A")),
        (half(place, 0, 0, 96, 1.0), q(1, "A")),
        (gone(place), "layer 1 has no tensor".into()),
    ] {
        let refusal = draft.refusal();
        let named = named.strip_prefix("base_model.model.").unwrap_or(&named);
        assert!(refusal.contains(named), "{named}: {refusal}");
    }
    for dtype in [Dtype::F64, Dtype::I32] {
        let refusal = Draft {
            dtype,
            ..draft.clone()
        }
        .refusal();
        assert!(refusal.contains("F32, F16 and BF16"), "{refusal}");
    }
    let mut flat = draft.clone();
    flat.more.insert(q(1, "A"), (vec![480], vec![1.0; 480]));
    flat.pairs.remove(&place);
    assert!(flat.refusal().contains("two dimensions"));
    // A layer beyond the model.
    let mut far = draft.clone();
    let pair = far.pairs[&(0, Target::Query)].clone();
    far.pairs.insert((4, Target::Query), pair);
    assert!(far.refusal().contains("the model has 4 layers"));
}

#[test]
fn files_that_are_no_adapters_are_refused() {
    let draft = Draft::llama(1);
    let config = config(&fixtures::family("llama", GgmlDType::F32));
    let (_directory, folder) = draft.peft();
    let (weights, pickle) = (
        folder.join("adapter_model.safetensors"),
        folder.join("adapter_model.bin"),
    );
    let refusal = |path: &Path| Adapter::read(path, &config).unwrap_err().to_string();
    assert!(
        refusal(&weights).contains("folder"),
        "{}",
        refusal(&weights)
    );
    fs::rename(&weights, &pickle).unwrap();
    assert!(refusal(&folder).contains("pickled"), "{}", refusal(&folder));
    assert!(refusal(&pickle).contains("pickled"), "{}", refusal(&pickle));
    fs::remove_file(&pickle).unwrap();
    assert!(refusal(&folder).contains("adapter_model.safetensors"));
    let header = |text: &str| {
        let bytes = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        fs::write(&weights, bytes).unwrap();
        refusal(&folder)
    };
    for text in [
        "",
        "{}",
        "[]",
        r#"{"a": {"dtype": "F32", "shape": [4611686018427387904, 8], "data_offsets": [0, 0]}}"#,
        r#"{"a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 18446744073709551615]}}"#,
        r#"{"a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [4, 0]}}"#,
        r#"{"a": {"dtype": "F32", "shape": [0, 1], "data_offsets": [0, 0]}}"#,
    ] {
        assert!(header(text).contains("safetensors"), "{text}");
    }
    for length in [u64::MAX, 9 << 20, 100] {
        fs::write(&weights, length.to_le_bytes()).unwrap();
        assert!(refusal(&folder).contains("safetensors"), "{length}");
    }
    let name = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight";
    let entry = |kind: &str| {
        format!(r#""{name}": {{"dtype": "{kind}", "shape": [0, 4], "data_offsets": [0, 0]}}"#)
    };
    let twice = header(&format!("{{{}, {}}}", entry("F16"), entry("BF16")));
    assert!(twice.contains("is there twice"), "{twice}");
    for (key, value) in [
        ("general.type", Metadata::String("model".into())),
        ("adapter.type", Metadata::String("control".into())),
        ("general.architecture", Metadata::String("qwen2".into())),
        ("general.architecture", Metadata::String("mamba".into())),
        ("adapter.lora.alpha", Metadata::F32(f32::NAN)),
        (
            "adapter.alora.invocation_tokens",
            Metadata::Array(vec![Metadata::U32(1)]),
        ),
        ("starling.base_sha256", Metadata::String("abc".into())),
    ] {
        let (_directory, path) = draft.gguf(&config, &[(key, value)]);
        let refusal = refusal(&path);
        let named = if refusal.contains("mamba") {
            "mamba"
        } else {
            key
        };
        assert!(refusal.contains(named), "{key}: {refusal}");
    }
    let fixture = fixtures::family("llama", GgmlDType::F32);
    assert!(refusal(&fixture.path).contains("general.type"));
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let config = config(&fixtures::family("llama", GgmlDType::F32));
    let mut draft = Draft::of(&config, 1);
    let check = |adapter: &Adapter, unknown, base: &str| {
        let base = base.to_owned();
        adapter.check_base(unknown, || Ok::<_, Error>(base))
    };
    let (one, other) = ("1a".repeat(32), "2b".repeat(32));
    let unknown = draft.read(&config);
    let refusal = check(&unknown, false, &one).unwrap_err().to_string();
    assert!(refusal.contains("starling.base_sha256"), "{refusal}");
    check(&unknown, true, &one).unwrap();
    draft
        .metadata
        .insert("starling.base_sha256".into(), one.to_uppercase());
    let known = draft.read(&config);
    for unknown in [true, false] {
        check(&known, unknown, &one).unwrap();
        let refusal = check(&known, unknown, &other).unwrap_err().to_string();
        assert!(refusal.contains(&other), "{refusal}");
    }
    assert!(known.clone().with_base(&other).is_err());
    let named = unknown.with_base(&one).unwrap();
    assert_eq!(named.origin(), known.origin());
    draft
        .metadata
        .insert("starling.base_sha256".into(), "xyz".into());
    assert!(draft.refusal().contains("starling.base_sha256"));
    draft.metadata.remove("starling.base_sha256");
    draft.metadata.insert("starling.step".into(), "-1".into());
    assert!(draft.refusal().contains("starling.step"));
}

#[test]
fn the_other_decoder_and_other_nodes_take_no_adapter() {
    use crate::{backend::LocalBackend, candle::CandleModel};

    let fixture = fixtures::family("llama", GgmlDType::F32);
    let config = config(&fixture);
    let options = LoadOptions {
        adapter: Some(Arc::new(Draft::of(&config, 1).read(&config))),
        ..options()
    };
    let error = CandleModel::load(&fixture.path, &Device::Cpu, &options).unwrap_err();
    assert!(error.to_string().contains("adapter"), "{error}");
    let ends = LocalBackend::<Model>::load_ends(&fixture.path, &options, |model| model);
    assert!(ends.err().unwrap().to_string().contains("adapter"));
    // Nor does a model of another shape.
    let other = fixtures::family("qwen3", GgmlDType::F32);
    assert!(Model::load(&other.path, &options).is_err());
    assert_eq!(VOCAB, config.vocab);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_adapter_is_an_error_or_an_adapter_and_never_a_panic(
        at in 0usize..200_000,
        value: u8,
        length in 0usize..400_000,
        file in 0usize..3,
    ) {
        let config = config(&fixtures::family("llama", GgmlDType::F32));
        let draft = Draft::of(&config, 1);
        let (_directory, folder) = draft.peft();
        let (_other, gguf) = draft.gguf(&config, &[]);
        let (path, damaged) = match file {
            0 => (&folder, folder.join("adapter_config.json")),
            1 => (&folder, folder.join("adapter_model.safetensors")),
            _ => (&gguf, gguf.clone()),
        };
        let whole = fs::read(&damaged).unwrap();
        let mut bytes = whole.clone();
        let at = at % bytes.len();
        bytes[at] = value;
        fs::write(&damaged, &bytes).unwrap();
        let _ = Adapter::read(path, &config);
        bytes = whole;
        bytes.truncate(length % bytes.len());
        fs::write(&damaged, &bytes).unwrap();
        prop_assert!(Adapter::read(path, &config).is_err());
    }
}
