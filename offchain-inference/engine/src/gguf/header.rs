// SPDX-License-Identifier: Apache-2.0
//! Checks of a header that candle's reader omits or fails at. Of a name that comes twice candle
//! takes the last value. It divides by the alignment, and takes 32 for one of a type that it does
//! not know. llama.cpp refuses such files. Candle reports all other defects.

use std::{
    collections::HashSet,
    io::{self, BufReader, Read, Seek},
};

/// The alignment if `general.alignment` is left out.
const DEFAULT_ALIGNMENT: u64 = 32;

/// The deepest nesting of arrays; candle too refuses deeper ones.
const MAX_DEPTH: usize = 64;

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Reads a header from its beginning; an error says what is wrong.
pub(super) fn check<R: Read + Seek>(reader: &mut BufReader<R>) -> Result<(), String> {
    let mut magic = [0; 4];
    let mut version = [0; 4];
    let read = reader
        .read_exact(&mut magic)
        .and_then(|()| reader.read_exact(&mut version));
    let known = [*b"GGUF", *b"FUGG"].contains(&magic);
    let version = u32::from_le_bytes(version);
    if read.is_err() || !known || !(1..=3).contains(&version) {
        return Ok(());
    }
    let wide = version > 1;
    Walk { reader, wide }.header()
}

/// Walks through a header.
struct Walk<'a, R> {
    reader: &'a mut BufReader<R>,
    /// Lengths take eight bytes.
    wide: bool,
}

impl<R: Read + Seek> Walk<'_, R> {
    fn header(&mut self) -> Result<(), String> {
        let tensors = self.length().map_err(cut_short)?;
        let pairs = self.length().map_err(cut_short)?;
        let mut alignment = DEFAULT_ALIGNMENT;
        let mut keys = HashSet::new();
        for _ in 0..pairs {
            let key = self.string().map_err(cut_short)?;
            let kind = self.u32().map_err(cut_short)?;
            if key == "general.alignment" {
                alignment = self.alignment(kind)?;
            } else {
                self.skip_value(kind, 0).map_err(cut_short)?;
            }
            if let Some(key) = keys.replace(key) {
                return Err(format!("metadata key {key} is there twice"));
            }
        }
        let mut names = HashSet::new();
        for _ in 0..tensors {
            let name = self.string().map_err(cut_short)?;
            let offset = self.tensor().map_err(cut_short)?;
            if !offset.is_multiple_of(alignment) {
                return Err(format!(
                    "tensor {name} begins at {offset}, which is no multiple of {alignment}"
                ));
            }
            if let Some(name) = names.replace(name) {
                return Err(format!("tensor {name} is there twice"));
            }
        }
        Ok(())
    }

    fn alignment(&mut self, kind: u32) -> Result<u64, String> {
        if kind != U32 {
            return Err("general.alignment is not an unsigned 32-bit integer".into());
        }
        let alignment = self.u32().map_err(cut_short)?;
        if !alignment.is_power_of_two() {
            return Err(format!(
                "general.alignment is {alignment}, which is no power of two"
            ));
        }
        Ok(alignment.into())
    }

    /// The offset of a tensor, which follows its name.
    fn tensor(&mut self) -> io::Result<u64> {
        for _ in 0..self.u32()? {
            self.length()?;
        }
        self.u32()?;
        self.u64()
    }

    fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.reader.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn length(&mut self) -> io::Result<u64> {
        match self.wide {
            true => self.u64(),
            false => self.u32().map(u64::from),
        }
    }

    /// A name as candle reads it: two that candle takes for the same must not pass here.
    fn string(&mut self) -> io::Result<String> {
        let length = self.length()?;
        let mut bytes = Vec::new();
        let read = self.reader.take(length).read_to_end(&mut bytes)?;
        if read as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while bytes.pop_if(|byte| *byte == 0).is_some() {}
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn skip(&mut self, bytes: Option<u64>) -> io::Result<()> {
        let bytes = bytes.and_then(|bytes| i64::try_from(bytes).ok());
        self.reader
            .seek_relative(bytes.ok_or(io::ErrorKind::UnexpectedEof)?)
    }

    fn skip_value(&mut self, kind: u32, depth: usize) -> io::Result<()> {
        match (kind, size(kind)) {
            (_, Some(size)) => self.skip(Some(size)),
            (STRING, _) => {
                let length = self.length()?;
                self.skip(Some(length))
            },
            (ARRAY, _) if depth < MAX_DEPTH => {
                let (kind, count) = (self.u32()?, self.length()?);
                if let Some(size) = size(kind) {
                    return self.skip(count.checked_mul(size));
                }
                (0..count).try_for_each(|_| self.skip_value(kind, depth + 1))
            },
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Bytes of a value of a type of fixed size.
fn size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        U32 | 5 | 6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn cut_short(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the header ends too early".into(),
        io::ErrorKind::InvalidData => "the metadata hold a value of an unknown type".into(),
        _ => error.to_string(),
    }
}
