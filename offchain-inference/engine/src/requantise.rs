// SPDX-License-Identifier: Apache-2.0
//! Writes a model anew: with other weights, to compare formats on one model, or in part.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter},
    ops::Range,
    path::Path,
};

use candle_core::{
    quantized::{ggml_file::qtensor_from_ggml, gguf_file, GgmlDType, QTensor},
    Device,
};

use crate::{
    config::Config,
    gguf::{Gguf, TensorReader},
    kernels::Buffer,
    Error, Result,
};

/// The tensors before the first layer and after the last one.
const ENDS: [&str; 3] = ["token_embd.weight", "output_norm.weight", "output.weight"];

/// Format of the matrices in the new file; vectors stay f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 8 bits, a scale every 32 weights.
    Q8_0,
    /// 4 bits, a scale every 32 weights.
    Q4_0,
}

impl WeightFormat {
    fn dtype(self) -> GgmlDType {
        match self {
            Self::F32 => GgmlDType::F32,
            Self::F16 => GgmlDType::F16,
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q4_0 => GgmlDType::Q4_0,
        }
    }

    /// llama.cpp's `general.file_type`.
    fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::Q4_0 => 2,
        }
    }
}

/// Writes the model of `source` to `target`, all matrices in `format`.
///
/// Quantised weights regain nothing: f32 then holds the values of the quantised weights. The new
/// weights are held in memory until they are written.
pub fn requantise(source: &Gguf, target: &Path, format: WeightFormat) -> Result<()> {
    let mut reader = source.reader()?;
    let mut tensors = Vec::new();
    for name in source.names() {
        let tensor = read(source, &mut reader, name)?;
        let dtype = match tensor.rank() {
            1 => GgmlDType::F32,
            // The router's weights stay floats.
            _ if name.ends_with("ffn_gate_inp.weight") => GgmlDType::F32,
            _ => format.dtype(),
        };
        let tensor = if tensor.dtype() == dtype {
            tensor
        } else {
            QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, dtype)?
        };
        tensors.push((name, tensor));
    }
    let file_type = gguf_file::Value::U32(format.file_type());
    let metadata: Vec<_> = source
        .metadata()
        .iter()
        .map(|(key, value)| match key.as_str() {
            "general.file_type" => (key.as_str(), &file_type),
            key => (key, value),
        })
        .collect();
    write(source, target, &metadata, &tensors)
}

/// Writes layers [a, b) of the model of `source` to `target`, and its embedding, final norm and
/// head if `ends`: the tensors of a node that computes only these. The weights are held in memory
/// until they are written.
pub fn cut(source: &Gguf, target: &Path, layers: Range<usize>, ends: bool) -> Result<()> {
    let config = Config::from_gguf(source)?;
    config.check_span(&layers, ends)?;
    let wanted = |name: &str| match name.strip_prefix("blk.") {
        Some(rest) => rest
            .split_once('.')
            .and_then(|(layer, _)| layer.parse().ok())
            .is_some_and(|layer| layers.contains(&layer)),
        // All layers need the tensors that are of no layer and no end.
        None => ends || !ENDS.contains(&name),
    };
    let mut reader = source.reader()?;
    let mut tensors = Vec::new();
    for name in source.names().into_iter().filter(|name| wanted(name)) {
        tensors.push((name, read(source, &mut reader, name)?));
    }
    // Without the embedding nothing else gives the size of the vocabulary.
    let key = format!("{}.vocab_size", config.architecture.name());
    let vocab = gguf_file::Value::U32(config.vocab.try_into().unwrap_or(u32::MAX));
    let others = source.metadata().iter();
    let mut metadata: Vec<_> = others
        .map(|(key, value)| (key.as_str(), value))
        .filter(|(other, _)| *other != key)
        .chain([(key.as_str(), &vocab)])
        .collect();
    // The same part is the same file on every machine.
    metadata.sort_unstable_by_key(|(key, _)| *key);
    write(source, target, &metadata, &tensors)
}

fn read(source: &Gguf, reader: &mut TensorReader, name: &str) -> Result<QTensor> {
    let entry = source.entry(name)?;
    let mut bytes = Buffer::<u8>::zeroed(entry.rows * entry.row_bytes())?;
    reader.rows(&entry, 0, &mut bytes)?;
    Ok(qtensor_from_ggml(
        entry.dtype,
        &bytes,
        entry.shape,
        &Device::Cpu,
    )?)
}

/// Replaces `target` when the new file is whole and holds the right tensors; nothing changes until
/// then. Refuses the file of `source` as the target.
fn write(
    source: &Gguf,
    target: &Path,
    metadata: &[(&str, &gguf_file::Value)],
    tensors: &[(&str, QTensor)],
) -> Result<()> {
    let failed = |source| Error::Write {
        path: target.to_owned(),
        source,
    };
    if let Ok(there) = target.canonicalize() {
        let own = source.path().canonicalize();
        if own.is_ok_and(|own| own == there) {
            return Err(failed(io::Error::other("it is the model's own file")));
        }
        if !there.is_file() {
            return Err(failed(io::Error::other("it is not a file")));
        }
    }
    let name = target
        .file_name()
        .ok_or_else(|| failed(io::Error::other("it has no name")))?;
    let mut aside = OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}.partial", std::process::id()));
    let aside = target.with_file_name(aside);
    let written = write_new(&aside, metadata, tensors)
        .map_err(failed)
        .and_then(|()| check_written(&aside, tensors))
        .and_then(|()| fs::rename(&aside, target).map_err(failed));
    if written.is_err() {
        // Removed or never made: either way it is gone.
        let _ = fs::remove_file(&aside);
    }
    written
}

/// Leaves out the alignment of the source: candle aligns tensors to 32 bytes.
fn write_new(
    path: &Path,
    metadata: &[(&str, &gguf_file::Value)],
    tensors: &[(&str, QTensor)],
) -> io::Result<()> {
    let metadata: Vec<_> = metadata
        .iter()
        .copied()
        .filter(|(key, _)| *key != "general.alignment")
        .collect();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    let mut file = BufWriter::new(File::create_new(path)?);
    gguf_file::write(&mut file, &metadata, &tensors).map_err(|error| {
        let message = error.to_string();
        io::Error::other(message.lines().next().unwrap_or_default().to_owned())
    })?;
    file.into_inner()?.sync_all()
}

/// Fails unless a reader finds these tensors in the file.
fn check_written(path: &Path, tensors: &[(&str, QTensor)]) -> Result<()> {
    let written = Gguf::open(path)?;
    let mut reader = written.reader()?;
    for (name, tensor) in tensors {
        if *read(&written, &mut reader, name)?.data()? != *tensor.data()? {
            return Err(Error::Corrupt {
                path: path.to_owned(),
                reason: format!("tensor {name} differs from the written one"),
            });
        }
    }
    Ok(())
}
