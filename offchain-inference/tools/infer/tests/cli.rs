// SPDX-License-Identifier: Apache-2.0
//! Tests of `starling-infer` through its command line.

#[path = "../../../engine/tests/common/mod.rs"]
mod common;

use candle_core::{
    quantized::{
        gguf_file::{self, Value},
        GgmlDType, QTensor,
    },
    Device, Tensor,
};
use common::{GEMMA3, SMOLLM2};
use starling_engine::InstructionSet;
use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

fn starling_infer(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_starling-infer"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that fails before it reads closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn failure(arguments: &[&str], status: i32) -> String {
    let output = starling_infer(arguments, "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn it_generates_ranks_and_tokenises() {
    common::model(SMOLLM2);
    for device in ["cpu", "candle"] {
        let generate = [
            "generate",
            "-m",
            SMOLLM2,
            "--device",
            device,
            "--raw",
            "--temperature",
            "0",
            "-n",
            "4",
        ];
        let answer = out(&starling_infer(&generate, "The capital of France is"));
        assert!(answer.contains("Paris"), "{device}: {answer}");
    }

    let rank = starling_infer(
        &[
            "rank",
            "-m",
            SMOLLM2,
            "-q",
            "What is the capital of France?",
            "--responses",
            "-",
            "--json",
        ],
        r#"["The capital of France is Paris.", "x9 qqz"]"#,
    );
    let scores: Vec<f64> = serde_json::from_str(&out(&rank)).unwrap();
    assert!(scores[0] > scores[1], "{scores:?}");

    let literal = out(&starling_infer(
        &["tokenize", "-m", SMOLLM2, "--ids", "<|im_end|>"],
        "",
    ));
    assert!(literal.split_whitespace().count() > 1);
    let parse = [
        "tokenize",
        "-m",
        SMOLLM2,
        "--ids",
        "--specials",
        "<|im_end|>",
    ];
    assert_eq!(out(&starling_infer(&parse, "")).trim(), "2");
}

#[test]
fn a_draft_model_changes_no_text() {
    common::model(SMOLLM2);
    common::model(GEMMA3);
    let with = |more: &[&str]| {
        let generate = ["generate", "-m", SMOLLM2, "--raw", "-n", "12", "--stats"];
        let generate: Vec<_> = generate.iter().chain(more).copied().collect();
        let output = starling_infer(&generate, "The capital of France is");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (out(&output), said)
    };
    let (expected, said) = with(&[]);
    assert!(!said.contains("guessed"), "{said}");
    let (text, said) = with(&["--draft", SMOLLM2, "--drafted", "3"]);
    assert_eq!(text, expected);
    assert!(
        said.contains("guessed") && !said.contains("of 0 tokens"),
        "{said}"
    );
    // Nothing is saved on this machine.
    let (text, said) = with(&["--draft", SMOLLM2]);
    assert_eq!(text, expected);
    assert!(said.contains("guessed: 0 of 0 tokens"), "{said}");
    let said = failure(&["generate", "-m", SMOLLM2, "--draft", GEMMA3, "Hello"], 1);
    assert!(said.contains("another tokenizer"), "{said}");
}

#[test]
fn models_are_compared_item_by_item() {
    common::model(SMOLLM2);
    let data = tempfile::tempdir().unwrap();
    let items = "Not this one\n0\na\nb\nc\nd\nOne, two, three,\n1\nof at\nfour, five\nqqz\n0\n";
    std::fs::write(data.path().join("hellaswag.txt"), items).unwrap();
    let folder = data.path().to_str().unwrap();
    let common = [
        "eval",
        "--data",
        folder,
        "--tasks",
        "hellaswag",
        "-m",
        SMOLLM2,
    ];
    let alone = out(&starling_infer(&common, ""));
    assert!(
        alone.contains("| hellaswag | log-probability | 2 | acc |"),
        "{alone}"
    );
    assert!(!alone.contains("beside"), "{alone}");

    let second = [&common[..], &["-m", SMOLLM2, "--skip", "1", "--limit", "1"]].concat();
    let table = out(&starling_infer(&second, ""));
    let right = "| hellaswag | log-probability | 1 | acc | 1.0000 | 0.2065 – 1.0000 |";
    assert_eq!(table.matches(right).count(), 2, "{table}");
    let same =
        "| hellaswag | log-probability | 1 | acc_norm | 0 | 0 | +0.0000 | +0.0000 – +0.0000 |";
    assert!(table.contains(same), "{table}");
}

#[test]
fn sketches_part_honest_kernels_from_cheats() {
    common::model(SMOLLM2);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (toml, json) = (file("profile.toml"), file("profile.json"));
    let best = InstructionSet::best().to_string();
    let calibrate = |more: &[&str]| {
        let common = [
            "calibrate-sketch",
            "-m",
            SMOLLM2,
            "--prompts",
            "-",
            "--tokens",
            "32",
            "--instruction-sets",
            &best,
        ];
        let prompts = "Tell a long story about a dragon.\nExplain how a bicycle works in detail.\n\
                       Describe a day in the life of a baker.\n";
        out(&starling_infer(&[&common[..], more].concat(), prompts))
    };
    let report = calibrate(&["--json", "--out", &json]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    // One pair of kernels, and five cheats beside each of the two.
    assert_eq!(report["pairs"].as_array().unwrap().len(), 1 + 5 * 2);
    for kind in ["answers", "distributions"] {
        let of = |name: &str| report["profile"][kind][name].as_f64().unwrap();
        assert!(of("honest_most") < of("accept") && of("accept") < of("reject"));
        assert!(of("honest_most") < of("cheat_least"), "{kind}: {report}");
    }
    // Each kernel audits the other and three cheats.
    let draws = report["draws"].as_array().unwrap();
    assert_eq!(draws.len(), 2 + 2 * 3);
    for pair in draws {
        let honest = pair["honest"].as_bool().unwrap();
        let wrong = if honest { "rejected" } else { "accepted" };
        assert_eq!(pair[wrong], 0, "{pair}");
    }
    assert!(report["cost"]["share"].as_f64().unwrap() > 0.0);
    let written = std::fs::read_to_string(&json).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written, report["profile"]);

    let table = calibrate(&["--out", &toml]);
    assert!(table.contains("| cheat: the next prompt |"), "{table}");
    let written: toml::Table = std::fs::read_to_string(&toml).unwrap().parse().unwrap();
    // Every run finds the same.
    let accept = written["answers"]["accept_squared"].as_integer();
    assert_eq!(
        accept,
        report["profile"]["answers"]["accept_squared"].as_i64()
    );
}

#[test]
fn it_lists_and_describes_models() {
    common::model(SMOLLM2);
    let list = out(&starling_infer(&["models", "list"], ""));
    assert!(
        list.contains(SMOLLM2) && list.contains("Apache-2.0"),
        "{list}"
    );
    let info = out(&starling_infer(&["models", "info", SMOLLM2], ""));
    assert!(info.contains("llama") && info.contains("49152"), "{info}");
}

#[test]
fn failures_say_what_is_wrong() {
    common::model(SMOLLM2);
    assert!(failure(&["generate", "-m", "gpt-17", "x"], 1).contains("known: gemma-3-270m"));
    assert!(failure(&["generate", "-m", "/nowhere/x.gguf", "x"], 1).contains("/nowhere/x.gguf"));
    assert!(failure(&["generate", "-m", SMOLLM2, "--top-p", "0", "x"], 1).contains("top_p"));
    assert!(failure(&["generate", "-m", SMOLLM2, " "], 1).contains("empty"));
    assert!(failure(&["rank", "-m", SMOLLM2, "-q", "x"], 2).contains("--response"));
    assert!(failure(&["eval", "-m", SMOLLM2, "--data", "/nowhere"], 1).contains("/nowhere"));
    let calibrate = |option, value| ["calibrate-sketch", "-m", SMOLLM2, option, value];
    assert!(failure(&calibrate("--prompts", "/nowhere"), 1).contains("/nowhere"));
    assert!(failure(&calibrate("--tokens", "31"), 2).contains("32"));
    assert!(failure(&calibrate("--instruction-sets", "mmx"), 2).contains("avx2"));
    assert!(failure(&["models", "fetch"], 2).contains("NAMES"));
    let on = |device| ["generate", "-m", SMOLLM2, "--device", device, "x"];
    assert!(failure(&on("tpu"), 2).contains("cuda:N"));
    // Missing feature, missing driver, or fewer GPUs.
    assert!(failure(&on("cuda:4096"), 1).contains("device cuda:4096 cannot be used"));
}

/// llama.cpp's adapter for two matrices of SmolLM2, of which one has permuted rows.
fn write_adapter(path: &Path) {
    let matrix = |rows: usize, columns: usize, scale: f32| {
        let values = (0..rows * columns).map(|i| scale * ((i * 37 + i / 7) % 11) as f32 - scale);
        let tensor = Tensor::from_iter(values, &Device::Cpu).unwrap();
        QTensor::quantize(&tensor.reshape((rows, columns)).unwrap(), GgmlDType::F16).unwrap()
    };
    let tensors = [
        ("blk.0.attn_q.weight.lora_a", matrix(2, 576, 0.02)),
        ("blk.0.attn_q.weight.lora_b", matrix(576, 2, 0.02)),
        ("blk.29.ffn_down.weight.lora_a", matrix(3, 1536, 0.02)),
        ("blk.29.ffn_down.weight.lora_b", matrix(576, 3, 0.5)),
    ];
    let text = |text: &str| Value::String(text.to_owned());
    let metadata = [
        ("general.type", text("adapter")),
        ("general.architecture", text("llama")),
        ("adapter.type", text("lora")),
        ("adapter.lora.alpha", Value::F32(6.0)),
    ];
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    gguf_file::write(&mut File::create(path).unwrap(), &metadata, &tensors).unwrap();
}

#[test]
fn an_adapter_is_converted_and_used() {
    common::model(SMOLLM2);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (gguf, peft, again) = (path("a.gguf"), path("peft"), path("again"));
    write_adapter(Path::new(&gguf));

    let convert = ["adapter", "convert", &gguf, &peft];
    assert!(failure(&convert, 1).contains("--model"));
    out(&starling_infer(
        &[&convert[..], &["-m", SMOLLM2]].concat(),
        "",
    ));
    out(&starling_infer(&["adapter", "convert", &peft, &again], ""));
    let show = |path: &str| out(&starling_infer(&["adapter", "show", path], ""));
    let shown = show(&peft);
    for line in [
        "rank:        2, 3\n",
        "scale:       3, 2\n",
        "targets:     q_proj, down_proj\n",
        "layers:      0, 29\n",
        "parameters:  8640\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(shown, show(&again));
    assert!(show(&gguf).contains("base sha256: not named"));

    let generate = |more: &[&str]| {
        let common = [
            "generate",
            "-m",
            SMOLLM2,
            "--raw",
            "--temperature",
            "0",
            "-n",
            "8",
        ];
        starling_infer(&[&common[..], more].concat(), "The capital of France is")
    };
    let plain = out(&generate(&[]));
    let adapted = generate(&["--adapter", &peft]);
    assert!(adapted.stderr.is_empty());
    let adapted = out(&adapted);
    assert_ne!(adapted, plain);
    let unknown = generate(&["--adapter", &gguf, "--base-unknown"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("warning"));
    assert_eq!(out(&unknown), adapted);

    fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let common = ["generate", "-m", SMOLLM2, "x", "--adapter"];
        [&common[..], more].concat()
    }
    assert!(failure(&with(&[&gguf]), 1).contains("--base-unknown"));
    assert!(failure(&with(&[&path("none")]), 1).contains("none"));
    assert!(failure(&with(&[&peft, "--device", "candle"]), 1).contains("adapter"));
    assert!(failure(&with(&[&peft, "--endpoint", "http://a/v1"]), 2).contains("--endpoint"));
    let other = ["adapter", "convert", &peft, &again, "-m", SMOLLM2];
    assert!(failure(&other, 1).contains("there already"));
}

#[test]
fn a_score_of_a_trained_head_is_proven_and_bound_to_its_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        std::fs::write(path(name), text).unwrap();
        path(name)
    };
    let items: Vec<_> = (0..12)
        .map(|i| {
            format!(
                r#"{{"question": "Is it {i}?", "responses": ["It is {i}.", "Who knows"],
                    "scores": [1, 0]}}"#
            )
        })
        .collect();
    let head = path("head");
    let train = ["head", "train", "--rankings", "-", "-o", &head];
    let items = format!("[{}]", items.join(","));
    let report = out(&starling_infer(&train, &items));
    assert!(
        report.contains("| the head, questions held out | 2 | 2 |"),
        "{report}"
    );
    assert!(failure(&train, 1).contains("there already"));

    let registration = out(&starling_infer(&["head", "registration", &head], ""));
    let registration = write("registration", &registration);
    let (genesis, ranker) = ("1".repeat(64), "2".repeat(64));
    let case = |position: &'static str, response: &'static str| {
        let case = ["--genesis", &genesis, "--ranker", &ranker, "--round", "7"];
        let texts = ["--position", position, "-q", "Is it 3?", "-r", response];
        [case, texts].concat().into_iter().map(str::to_owned)
    };
    let run = |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        starling_infer(&arguments, "")
    };
    let prove = ["head", "prove", &head].map(str::to_owned);
    let arguments = prove.into_iter().chain(case("4", "It is 3."));
    let proof = out(&run(arguments.collect()));
    let proof = write("proof", &proof);
    let verify = |position, response| {
        let verify = ["head", "verify", "--proof", &proof];
        let registration = ["--registration", &registration];
        let arguments = verify.into_iter().chain(registration).map(str::to_owned);
        run(arguments.chain(case(position, response)).collect())
    };

    let score = ["head", "score", &head, "-q", "Is it 3?", "-r", "It is 3."];
    let score = out(&starling_infer(&score, ""));
    let proven = out(&verify("4", "It is 3."));
    assert!(score.starts_with(proven.trim()), "{score}, {proven}");
    for other in [verify("5", "It is 3."), verify("4", "It is 4.")] {
        assert_eq!(other.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&other.stderr).contains("another statement"));
    }
}
