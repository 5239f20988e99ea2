// SPDX-License-Identifier: Apache-2.0
//! Tests of `starling-infer` through its command line.

#[path = "../../../engine/tests/common/mod.rs"]
mod common;

use common::SMOLLM2;
use std::{
    io::Write,
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
    assert!(failure(&["models", "fetch"], 2).contains("NAMES"));
    let on = |device| ["generate", "-m", SMOLLM2, "--device", device, "x"];
    assert!(failure(&on("tpu"), 2).contains("cuda:N"));
    // Missing feature, missing driver, or fewer GPUs.
    assert!(failure(&on("cuda:4096"), 1).contains("device cuda:4096 cannot be used"));
}
