// SPDX-License-Identifier: Apache-2.0
//! GGUF files: typed access to the metadata, tensors read a few rows at a time.

mod header;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use candle_core::quantized::{
    gguf_file::{Content, TensorInfo, Value},
    GgmlDType,
};

use crate::{Error, Result};

/// The largest dimension of a tensor; larger ones are refused, to keep the bytes of a row far from
/// overflow.
const MAX_DIMENSION: usize = u32::MAX as usize;

/// The header of a GGUF file: metadata and the table of tensors.
///
/// The weights stay on disk; [`crate::Model`] copies what it needs, so a file that is replaced
/// later does not touch a loaded model.
pub struct Gguf {
    path: PathBuf,
    content: Content,
}

impl std::fmt::Debug for Gguf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gguf")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// One tensor's place in the file: `rows × columns`, row-major. A vector has one row; a stack of
/// matrices has the rows of all.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub name: String,
    pub dtype: GgmlDType,
    /// The slowest dimension first.
    pub shape: Vec<usize>,
    pub rows: usize,
    pub columns: usize,
    offset: u64,
}

impl Entry {
    /// Bytes of one row on disk.
    pub fn row_bytes(&self) -> usize {
        self.columns / self.dtype.block_size() * self.dtype.type_size()
    }

    /// Rows `first..first + rows` of the tensor, which must exist.
    pub fn part(&self, first: usize, rows: usize) -> Self {
        Self {
            rows,
            offset: self.offset + (first * self.row_bytes()) as u64,
            ..self.clone()
        }
    }
}

impl Gguf {
    /// Reads the header of the file at `path` and checks that every tensor lies inside the file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let length = file.metadata().map_err(|e| io(path, e))?.len();
        let mut reader = BufReader::new(file);
        header::check(&mut reader).map_err(|reason| corrupt(path, reason))?;
        reader
            .seek(SeekFrom::Start(0))
            .map_err(|error| io(path, error))?;
        let content =
            Content::read(&mut reader).map_err(|e| corrupt(path, first_line(&e.to_string())))?;
        let gguf = Self {
            path: path.to_owned(),
            content,
        };
        gguf.check_places(length)?;
        Ok(gguf)
    }

    /// Fails if a tensor reaches past the end of the file, or into another one.
    fn check_places(&self, length: u64) -> Result<()> {
        let mut places = Vec::new();
        for name in self.names() {
            let entry = self.entry(name)?;
            let bytes = (entry.rows as u64).checked_mul(entry.row_bytes() as u64);
            match bytes.and_then(|bytes| entry.offset.checked_add(bytes)) {
                Some(end) if end <= length => places.push((entry.offset, end, name)),
                _ => {
                    return Err(corrupt(
                        &self.path,
                        format!("tensor {name} reaches past the end of the file; is it complete?"),
                    ))
                },
            }
        }
        places.sort_unstable();
        let overlapping = places.windows(2).find_map(|pair| match *pair {
            [(_, end, one), (start, _, other)] if start < end => Some((one, other)),
            _ => None,
        });
        match overlapping {
            Some((one, other)) => Err(corrupt(
                &self.path,
                format!("tensors {one} and {other} overlap"),
            )),
            None => Ok(()),
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's name: `general.name`, or that of the file without its extension.
    pub fn name(&self) -> Result<String> {
        let of_file = || Some(self.path.file_stem()?.to_string_lossy().into_owned());
        let name = self.str("general.name")?.map(str::to_owned);
        Ok(name.or_else(of_file).unwrap_or_default())
    }

    /// All metadata.
    pub fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    /// One metadata value.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(key)
    }

    /// A string, if the key is there.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", |value| match value {
            Value::String(s) => Some(s.as_str()),
            _ => None,
        })
    }

    /// An integer of any width, not negative and at most 32 bits, if the key is there.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "an unsigned 32-bit integer", |value| match *value {
            Value::U8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::U32(v) => Some(v),
            Value::U64(v) => v.try_into().ok(),
            Value::I8(v) => v.try_into().ok(),
            Value::I16(v) => v.try_into().ok(),
            Value::I32(v) => v.try_into().ok(),
            Value::I64(v) => v.try_into().ok(),
            _ => None,
        })
    }

    /// A float, if the key is there.
    pub fn f32(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "a float", |value| match *value {
            Value::F32(v) => Some(v),
            Value::F64(v) => Some(v as f32),
            _ => None,
        })
    }

    /// A truth value, if the key is there.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a bool", |value| match *value {
            Value::Bool(v) => Some(v),
            _ => None,
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        get: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => get(value).map(Some).ok_or_else(|| {
                Error::Metadata(format!(
                    "{key} of type {:?} is not {wanted}",
                    value.value_type()
                ))
            }),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Names of all tensors, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .content
            .tensor_infos
            .keys()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn entry(&self, name: &str) -> Result<Entry> {
        let info: &TensorInfo = self
            .content
            .tensor_infos
            .get(name)
            .ok_or_else(|| corrupt(&self.path, format!("it has no tensor {name}")))?;
        let shape = info.shape.dims();
        let unsound = || {
            let dtype = info.ggml_dtype;
            let reason = format!("tensor {name} has shape {shape:?}, which {dtype:?} cannot have");
            corrupt(&self.path, reason)
        };
        let (&columns, others) = shape.split_last().ok_or_else(unsound)?;
        let rows = others
            .iter()
            .try_fold(1usize, |rows, &dimension| rows.checked_mul(dimension))
            .ok_or_else(unsound)?;
        let limits = 1..=MAX_DIMENSION;
        if !limits.contains(&rows)
            || !limits.contains(&columns)
            || columns % info.ggml_dtype.block_size() != 0
        {
            return Err(unsound());
        }
        let offset = self
            .content
            .tensor_data_offset
            .checked_add(info.offset)
            .ok_or_else(|| corrupt(&self.path, format!("tensor {name} has no sound offset")))?;
        Ok(Entry {
            name: name.to_owned(),
            dtype: info.ggml_dtype,
            shape: shape.to_vec(),
            rows,
            columns,
            offset,
        })
    }

    pub(crate) fn reader(&self) -> Result<TensorReader> {
        Ok(TensorReader {
            file: open(&self.path)?,
            path: self.path.clone(),
        })
    }
}

/// Reads rows of tensors, in chunks of the caller's choice.
pub(crate) struct TensorReader {
    file: File,
    path: PathBuf,
}

impl TensorReader {
    /// Fills `out`, whose length is a multiple of the row's, from row `first` on.
    pub fn rows(&mut self, entry: &Entry, first: usize, out: &mut [u8]) -> Result<()> {
        let start = entry.offset + (first * entry.row_bytes()) as u64;
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(out))
            .map_err(|e| io(&self.path, e))
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| io(path, e))
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

fn corrupt(path: &Path, reason: String) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        reason,
    }
}

/// candle appends a backtrace to its messages.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
