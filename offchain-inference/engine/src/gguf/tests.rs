// SPDX-License-Identifier: Apache-2.0
//! Files that contradict themselves, and sound files that other programs write differently.

use std::{fs, path::PathBuf};

use candle_core::quantized::GgmlDType;

use super::*;
use crate::{cut, fixtures, requantise, Error, LoadOptions, Model, WeightFormat};

/// Kinds of metadata values.
const U8: u32 = 0;
const U32: u32 = 4;
const F32: u32 = 6;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;
const I64: u32 = 11;

/// A GGUF file in the making, so that it can be wrong.
#[derive(Clone, Default)]
struct Draft {
    pairs: Vec<(String, u32, Vec<u8>)>,
    /// Name, dimensions with the fastest first, type, offset.
    tensors: Vec<(String, Vec<u64>, u32, u64)>,
    data: Vec<u8>,
    alignment: usize,
}

fn string(text: &str) -> Vec<u8> {
    let length = (text.len() as u64).to_le_bytes();
    [length.as_slice(), text.as_bytes()].concat()
}

impl Draft {
    /// A llama with its data laid out at multiples of `alignment`.
    fn of_llama(alignment: usize) -> Self {
        let fixture = fixtures::family("llama", GgmlDType::F32);
        let gguf = Gguf::open(&fixture.path).unwrap();
        let mut draft = Self {
            alignment,
            ..Self::default()
        };
        for (key, value) in gguf.metadata() {
            let (kind, bytes) = match value {
                Value::U32(v) => (U32, v.to_le_bytes().to_vec()),
                Value::F32(v) => (F32, v.to_le_bytes().to_vec()),
                Value::String(v) => (STRING, string(v)),
                other => panic!("{other:?} in a fixture"),
            };
            draft.pairs.push((key.clone(), kind, bytes));
        }
        let mut reader = gguf.reader().unwrap();
        for name in gguf.names() {
            let entry = gguf.entry(name).unwrap();
            let mut bytes = vec![0; entry.rows * entry.row_bytes()];
            reader.rows(&entry, 0, &mut bytes).unwrap();
            let shape = entry.shape.iter().rev().map(|&n| n as u64).collect();
            let offset = draft.data.len().next_multiple_of(alignment);
            draft.data.resize(offset, 0);
            draft.data.extend(bytes);
            draft.tensors.push((name.into(), shape, 0, offset as u64));
        }
        draft
    }

    fn with(mut self, key: &str, kind: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.pairs.push((key.into(), kind, bytes.into()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, kind, bytes) in &self.pairs {
            file.extend(string(key));
            file.extend(kind.to_le_bytes());
            file.extend(bytes);
        }
        for (name, shape, kind, offset) in &self.tensors {
            file.extend(string(name));
            file.extend((shape.len() as u32).to_le_bytes());
            file.extend(shape.iter().flat_map(|n| n.to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend(offset.to_le_bytes());
        }
        file.resize(file.len().next_multiple_of(self.alignment.max(1)), 0);
        file.extend(&self.data);
        file
    }

    fn write(&self) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("draft.gguf");
        fs::write(&path, self.bytes()).unwrap();
        (directory, path)
    }

    /// The reason of the refusal.
    #[track_caller]
    fn refusal(&self) -> String {
        let (_directory, path) = self.write();
        let error = Gguf::open(&path).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        error.to_string()
    }
}

fn output(path: &Path) -> Vec<f32> {
    let model = Model::load(path, &LoadOptions::default()).unwrap();
    let hidden = model.session().extend(&[1, 2, 3]).unwrap();
    model.logits(&hidden).unwrap()
}

#[test]
fn the_alignment_is_honoured_and_a_part_is_what_the_whole_is() {
    let expected = output(&fixtures::family("llama", GgmlDType::F32).path);
    for alignment in [8u32, 16, 32, 64, 4096] {
        for padding in 0..4 {
            let description = "x".repeat(8 * padding);
            let draft = Draft::of_llama(alignment as usize)
                .with("general.alignment", U32, alignment.to_le_bytes())
                .with("general.description", STRING, string(&description));
            let (_directory, path) = draft.write();
            assert_eq!(output(&path), expected, "{alignment}, {padding}");
            let source = Gguf::open(&path).unwrap();
            let target = path.with_extension("new");
            cut(&source, &target, 0..fixtures::LAYERS, true).unwrap();
            assert_eq!(output(&target), expected, "cut, {alignment}, {padding}");
            requantise(&source, &target, WeightFormat::F32).unwrap();
            assert_eq!(output(&target), expected, "anew, {alignment}, {padding}");
        }
    }
}

#[test]
fn an_alignment_that_is_no_power_of_two_or_of_another_type_is_refused() {
    let key = "general.alignment";
    for wrong in [0u32, 3, 24, u32::MAX] {
        let refusal = Draft::default()
            .with(key, U32, wrong.to_le_bytes())
            .refusal();
        assert!(refusal.contains("no power of two"), "{refusal}");
    }
    for (kind, bytes) in [
        (U8, vec![32]),
        (U64, 64u64.to_le_bytes().to_vec()),
        (I64, 64i64.to_le_bytes().to_vec()),
        (STRING, string("32")),
    ] {
        let refusal = Draft::default().with(key, kind, bytes).refusal();
        assert!(refusal.contains("unsigned 32-bit"), "{refusal}");
    }
}

#[test]
fn names_that_come_twice_are_refused() {
    let one = 1u32.to_le_bytes();
    let draft = Draft::default().with("a", U32, one).with("a", U32, one);
    assert!(draft.refusal().contains("metadata key a is there twice"));
    // candle takes zeros off the end of a name.
    let draft = Draft::default().with("a", U32, one).with("a\0", U32, one);
    assert!(draft.refusal().contains("metadata key a is there twice"));
    let mut array = 8u32.to_le_bytes().to_vec();
    array.extend(2u64.to_le_bytes());
    array.extend([string("b"), string("c")].concat());
    let draft = Draft::default()
        .with("a", ARRAY, array.clone())
        .with("a", ARRAY, array);
    assert!(draft.refusal().contains("metadata key a is there twice"));
    let mut draft = Draft::of_llama(32);
    let again = draft.tensors[3].clone();
    draft.tensors.push(again.clone());
    let expected = format!("tensor {} is there twice", again.0);
    assert!(draft.refusal().contains(&expected));
}

#[test]
fn tensors_that_overlap_or_begin_askew_or_reach_too_far_are_refused() {
    let whole = Draft::of_llama(32);
    let change = |change: &dyn Fn(&mut Draft)| {
        let mut draft = whole.clone();
        change(&mut draft);
        draft.refusal()
    };
    let refusal = change(&|draft| draft.tensors[4].3 = draft.tensors[3].3);
    assert!(refusal.contains("overlap"), "{refusal}");
    let refusal = change(&|draft| draft.tensors[4].3 -= 32);
    assert!(refusal.contains("overlap"), "{refusal}");
    let refusal = change(&|draft| draft.tensors[4].3 += 4);
    assert!(refusal.contains("no multiple of 32"), "{refusal}");
    let refusal = change(&|draft| draft.tensors[4].3 = u64::MAX - 31);
    assert!(refusal.contains("tensor"), "{refusal}");
    // The number of bytes of a row overflows.
    for shape in [vec![1 << 62, 4], vec![4, 1 << 62], vec![0, 4], vec![]] {
        let refusal = change(&|draft| draft.tensors[4].1 = shape.clone());
        assert!(refusal.contains("has shape"), "{refusal}");
    }
    let refusal = change(&|draft| draft.data.truncate(draft.data.len() - 4));
    assert!(refusal.contains("past the end"), "{refusal}");
}

#[test]
fn a_header_that_ends_anywhere_is_refused() {
    let whole = Draft::of_llama(32).with("general.alignment", U32, 32u32.to_le_bytes());
    let header = whole.bytes().len() - whole.data.len();
    let (_directory, path) = whole.write();
    for length in (0..header).step_by(7) {
        fs::write(&path, &whole.bytes()[..length]).unwrap();
        assert!(Gguf::open(&path).is_err(), "{length}");
    }
}

#[test]
fn a_model_is_not_written_over_itself_nor_over_what_is_no_file() {
    let (directory, path) = Draft::of_llama(32).write();
    let before = fs::read(&path).unwrap();
    let source = Gguf::open(&path).unwrap();
    let link = directory.path().join("link.gguf");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let again = directory.path().join(".").join("draft.gguf");
    for target in [path.clone(), link, again] {
        let error = cut(&source, &target, 0..1, true).unwrap_err();
        assert!(matches!(error, Error::Write { .. }), "{error}");
        assert!(requantise(&source, &target, WeightFormat::F16).is_err());
        assert!(fs::read(&path).unwrap() == before);
    }
    let error = cut(&source, directory.path(), 0..1, true).unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
    #[cfg(unix)]
    assert!(cut(&source, Path::new("/dev/null"), 0..1, true).is_err());
    let nowhere = directory.path().join("none/part.gguf");
    assert!(cut(&source, &nowhere, 0..1, true).is_err());
    // No unfinished file is left behind.
    let names = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(names, 2);
}
